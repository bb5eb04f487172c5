"""Sources: the settings of a chain, its plan, and its credentials by name."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

import attrs

from credchain.naming import nearest
from credchain.settings import Fault, Given, Identity, Value, default_order, gather, plan, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import aiohttp

    from credchain.host import Host
    from credchain.http import Transport
    from credchain.registry import Registry
    from credchain.settings import Plan, Settings
    from credchain.settings.files import ConfigFile


class Sources:
    """The settings of a chain, and its sources by name.

    Args:
        environment: Environment variables.
        given: What the code says.
        registry: Where sources are looked up; made when it is first needed, unless given.
        files: Gives the configuration files of this machine; none unless given.
        emit: Hears the events before the observers do.

    Raises:
        ConfigurationError: A setting that cannot be followed.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        given: Given | None = None,
        *,
        registry: Registry | None = None,
        files: Callable[[], Sequence[ConfigFile]] = tuple,
        emit: Callable[[Any], None] | None = None,
    ) -> None:
        if registry is not None:
            self.__dict__["registry"] = registry
        self._hear = emit
        self._seen_by: Callable[[str, Host], Host] = lambda _name, host: host
        listed = default_order()
        check = functools.partial(self._faults, {one.name for one in listed})
        self.settings: Settings = gather(environment, given or Given(), listed=listed, files=files, check=check)
        self.plan: Plan = plan(self.settings, listed, platform=sys.platform, identify=self.identity)

    @functools.cached_property
    def registry(self) -> Registry:
        """The registry; importing it loads pluggy, so that waits until somebody needs it."""
        from credchain.registry import Registry

        return Registry()

    def watch(
        self, hear: Callable[[Any], None], *, seen_by: Callable[[str, Host], Host] = lambda _name, host: host
    ) -> None:
        """Let *hear* have the events before the observers do, and each source see the world as *seen_by* gives it.

        For whoever looks on from outside; what was opened before keeps the world that it has.
        """
        self._hear, self._seen_by = hear, seen_by

    def insist(self) -> None:
        """Refuse settings that leave out what a built-in source of the chain needs; a stranger's is not loaded for that.

        Raises:
            ConfigurationError: A source that has a table and a place lacks a setting.
        """
        faults: list[Fault] = []
        for name in [place.name for place in self.plan.places if place.name in self.settings.places]:
            provider = self.settings.provider_of(name)
            if provider in self.registry.packages.builtins():
                from credchain.settings.structuring import missing

                said = self.settings.sources.get(name, {})
                faults += missing(self.registry.load(provider).settings, said, source=name)
        if faults:
            raise refusal(faults)

    def open(self, name: str, host: Host) -> Any:
        """The credential of a place in the chain; one that depends on files follows their changes.

        Raises:
            CredentialUnavailableError: A source that it builds on is disabled.
            ProviderLoadError: Its package is broken.
            ConfigurationError: Settings that its provider refuses.
        """
        host = self._seen_by(name, host)
        build = functools.partial(self.build, name, {}, host)
        files = list(self._files_of(name))
        if not files:
            return build()
        from credchain.renewal import Renewed
        from credchain.settings.references import stamp

        return Renewed(build, files, stamp=stamp, host=host)

    def build(self, name: str, settings: Mapping[str, object], host: Host, *, building: tuple[str, ...] = ()) -> Any:
        """The credential of a source.

        Args:
            name: The source.
            settings: They win over those that the chain has for it.
            host: The world.
            building: The sources that are being built on top of it.

        Raises:
            CredentialUnavailableError: A source that it builds on is disabled.
            ProviderLoadError: There is no such source, or its package is broken.
            ConfigurationError: Settings that its provider refuses.
        """
        provider = self.registry.load(self.settings.provider_of(name))
        values = dict(self.settings.sources.get(name, {}))
        values |= {key: Value(value, "the source that needs it") for key, value in settings.items()}
        from credchain.settings.structuring import structure

        structured = structure(provider.settings, values, source=name, environment=host.environment)
        return self.registry.build(provider, structured, self.with_source(host, building=(*building, name)))

    def inner(self, host: Host, building: tuple[str, ...], name: str, settings: Mapping[str, object]) -> Any:
        """The credential that another source builds on; disabling the inner one is felt there too.

        Raises:
            CredentialUnavailableError: It is disabled or denied.
            ConfigurationError: Building it leads back to what is being built.
        """
        wanted = self.settings.wanted.get(name)
        why_not = f"disabled by {wanted.origin}" if wanted is not None and not wanted.value else self._denial(name)
        if why_not:
            from credchain.errors import CredentialUnavailableError

            raise CredentialUnavailableError(f"{name}: {why_not}")
        if name in building:
            from credchain.errors import ConfigurationError

            told = " -> ".join([*building[building.index(name) :], name])
            raise ConfigurationError(f"{name}: it builds on itself: {told}")
        return self.build(name, settings, host, building=building)

    def with_source(self, host: Host, *, building: tuple[str, ...] = ()) -> Host:
        """*host* under the policy, able to give other sources by name, and to carry events if somebody listens."""
        transport, policy = host.transport, self.settings.policy
        if policy.authorities is not None or policy.tenants is not None:
            from credchain.guard import guarded

            transport = guarded(transport, policy)
        listened = self._hear is not None or self.settings.observe is not None
        inner = attrs.evolve(host, transport=transport, emit=self._emit if listened else None)
        return attrs.evolve(inner, source=functools.partial(self.inner, inner, building))

    def package_of(self, name: str) -> str | None:
        """The package that a source was loaded from, or None if it was not loaded."""
        return self.registry.package_of(self.settings.provider_of(name))

    def observe(self) -> None:
        """Load the observers that the settings name.

        Raises:
            ProviderLoadError: There is no such observer, or its package is broken or not trusted.
        """
        named = self.settings.observe
        for name in named.value if named is not None else ():
            self.registry.observe(name, distrust=self.settings.policy.distrust)

    def identity(self, provider: str) -> Identity:
        """By what the policy knows a provider."""
        from credchain.errors import ProviderLoadError

        try:
            found = self.registry.packages.find(provider)
        except ProviderLoadError:
            return Identity((provider,))  # the policy is not where this is told
        names = (provider, found.name, f"{found.distribution}/{found.name}")
        return Identity(names, None if found.builtin else found.distribution)

    def misfits(self, environment: Mapping[str, str] | None = None) -> list[Fault]:
        """What is wrong with the settings of sources, strangers' included, whose packages are imported for that.

        With *environment*, references are followed, and what a source in the chain needs must be there.
        """
        from credchain.errors import ProviderLoadError
        from credchain.settings.structuring import converted, missing

        faults: list[Fault] = []
        placed = [place.name for place in self.plan.places]
        names = dict.fromkeys([*placed, *self.settings.configured()])
        for name in [name for name in names if self._takes_part(self.settings, name)]:
            said = self.settings.sources.get(name, {})
            try:
                cls = self.registry.load(self.settings.provider_of(name)).settings
            except ProviderLoadError as error:
                faults.append(Fault(_origin(said), f"source.{name}", str(error), source=name))
                continue
            faults += converted(cls, said, prefix=f"source.{name}.", environment=environment)[1]
            if environment is not None and name in placed:
                faults += missing(cls, said, source=name)
        return faults

    def _denial(self, name: str) -> str | None:
        if not (self.settings.policy.deny or self.settings.policy.distributions):
            return None
        identity = self.identity(self.settings.provider_of(name))
        policy = self.settings.policy
        return policy.denial((name, *identity.names)) or policy.distrust(identity.distribution)

    def _emit(self, event: Any) -> None:
        if self._hear is not None:
            self._hear(event)
        if "registry" in self.__dict__:
            self.registry.emit(event)

    def _files_of(self, name: str) -> Iterator[Path]:
        """The files that a source's settings refer to."""
        values = [value for value in self.settings.sources.get(name, {}).values() if value.form in ("toml", "table")]
        if not values:
            return
        from credchain.settings.references import File, reference

        for value in values:
            refers = reference(value.value)
            if isinstance(refers, File):
                yield refers.path

    def _faults(self, listed: set[str], settings: Settings) -> list[Fault]:
        """What only the installed sources tell: names that no package has, and keys that a built-in source lacks."""
        named = {name: value.origin for name, value in settings.wanted.items()}
        if settings.order is not None:
            named |= {name: settings.order.origin for name in settings.order.value if name != "..."}
        for name in settings.places:
            said = {**settings.places[name], **settings.sources.get(name, {})}
            named.setdefault(name, _origin(said))
        unknown = [self._unknown(settings, name, origin, listed) for name, origin in named.items()]
        faults = [fault for fault in unknown if fault is not None]
        for name in settings.places:
            faults += self._misfits(settings, name)
        return [*faults, *self._misdenied(settings)]

    def _misdenied(self, settings: Settings) -> Iterator[Fault]:
        """Names in a policy that are nearly a built-in source's: nobody would be denied by them.

        A policy may well deny what is not installed on this machine.
        """
        for name, origin in settings.policy.deny.items():
            own = self.registry.packages.builtins()
            near = None if name in own or name in settings.places else nearest(name, own)
            if near is not None and name not in {found.name for found in self.registry.packages.discover()}:
                yield Fault(origin, "policy.deny", f"there is no source {name!r}; did you mean {near!r}?")

    def _unknown(self, settings: Settings, name: str, origin: str, listed: set[str]) -> Fault | None:
        provider = settings.provider_of(name)
        if provider in listed or provider in self.registry.packages.builtins():
            return None
        from credchain.errors import ProviderLoadError

        try:
            self.registry.packages.find(provider)
        except ProviderLoadError as error:
            key = f"source.{name}" if name in settings.places else ""
            return Fault(origin, key, str(error), source=name, distribution=error.distribution)
        return None

    def _misfits(self, settings: Settings, name: str) -> list[Fault]:
        """What a built-in source's class cannot take of a table; a stranger's code is not loaded for that."""
        provider = settings.provider_of(name)
        values = {key: value for key, value in settings.sources.get(name, {}).items() if value.form != "object"}
        if not values or not self._takes_part(settings, name) or provider not in self.registry.packages.builtins():
            return []
        from credchain.settings.structuring import converted

        return converted(self.registry.load(provider).settings, values, prefix=f"source.{name}.")[1]

    @staticmethod
    def _takes_part(settings: Settings, name: str) -> bool:
        """Whether neither settings nor policy rule a source out by its name."""
        wanted = settings.wanted.get(name)
        ruled_out = settings.policy.denial((name, settings.provider_of(name)))
        return ruled_out is None and (wanted is None or bool(wanted.value))


def _origin(values: Mapping[str, Value]) -> str:
    return next((value.origin for value in values.values()), "an empty table")


def machine_host(
    *,
    transport: Transport | None = None,
    session: aiohttp.ClientSession | None = None,
    sources: Sources | None = None,
) -> Host:
    """This machine as a host that gives other sources by name: what a source made by hand builds on."""
    from credchain import credential

    host = credential.machine_host(transport=transport, session=session)
    return (sources or Sources({})).with_source(host)
