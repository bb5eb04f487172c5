"""Entry points become providers: by name, when they are needed, and each package's failures are its own.

What is installed is read from metadata and imports nothing. credchain's own sources are looked up in credchain's own
distribution alone, so no other package can take their place, and a chain without strangers never scans the others.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import attrs
import pluggy

from credchain import hooks
from credchain.errors import ProviderLoadError
from credchain.naming import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from importlib.metadata import Distribution, EntryPoint

    from credchain.events import Event
    from credchain.hooks import Provider
    from credchain.host import Host

logger = logging.getLogger("credchain")

OWN = "credchain"


@attrs.frozen
class Found:
    """A source that an installed package registers.

    Attributes:
        name: The source's name.
        distribution: The package.
        version: Its version.
        entry_point: Where its code is.
        refused: Why it cannot be used, or None.
    """

    name: str
    distribution: str
    version: str
    entry_point: EntryPoint = attrs.field(repr=False)
    refused: str | None = None

    @property
    def builtin(self) -> bool:
        """Whether it is one of credchain's own."""
        return self.distribution == OWN

    @property
    def package(self) -> str:
        """The distribution with its version."""
        return f"{self.distribution} {self.version}"


@attrs.frozen
class Failure:
    """A source that could not be loaded: which one, of which package, and why."""

    found: Found
    reason: str


class Registry:
    """The sources that are installed, and those of them that were loaded.

    Args:
        own: Gives credchain's own distribution.
        installed: Gives every distribution.
    """

    def __init__(
        self,
        *,
        own: Callable[[], Distribution] | None = None,
        installed: Callable[[], Iterable[Distribution]] | None = None,
    ) -> None:
        self._own = own or _own_distribution
        self._installed = installed or _all_distributions
        self._manager = pluggy.PluginManager(hooks.PROJECT)
        self._manager.add_hookspecs(hooks)
        self._providers: dict[str, Provider] = {}
        self._origin: dict[Provider, Found] = {}
        self._builtins: dict[str, Found] | None = None
        self._muted: set[str] = set()
        self.failures: dict[str, Failure] = {}

    def builtins(self) -> dict[str, Found]:
        """credchain's own sources by name."""
        if self._builtins is None:
            self._builtins = {found.name: found for found in _found_in(self._own())}
        return self._builtins

    def discover(self) -> list[Found]:
        """Every source of every installed package, credchain's own first; imports none of them.

        One that claims a built-in's name, or the name of another package's source, is in the list and refused.
        """
        own = self.builtins()
        others: dict[tuple[str, str], Found] = {}
        for distribution in self._installed():
            for found in _found_in(distribution):
                if not found.builtin:
                    others.setdefault((found.name, found.distribution), found)  # what comes first on the path counts
        return [
            *own.values(),
            *(_judged(found, own, list(others.values())) for found in sorted(others.values(), key=_by_name)),
        ]

    def find(self, name: str) -> Found:
        """The source of a name.

        Raises:
            ProviderLoadError: There is none, or it is refused.
        """
        own = self.builtins().get(name)
        if own is not None:
            return own
        known = self.discover()
        matching = [found for found in known if name in (found.name, f"{found.distribution}/{found.name}")]
        if not matching:
            names = [found.name for found in known]
            raise ProviderLoadError(
                f"no installed package has a source {name!r}{did_you_mean(name, names)} (known: {', '.join(names)})",
                source=name,
            )
        if matching[0].refused and ("/" not in name or matching[0].name in self.builtins()):
            raise ProviderLoadError(matching[0].refused, source=name, distribution=matching[0].package)
        return matching[0]

    def load(self, name: str) -> Provider:
        """The provider of a source, imported if it was not. A failure is recorded in `failures`.

        Raises:
            ProviderLoadError: There is no such source, or its package is broken.
        """
        if name in self._providers:
            return self._providers[name]
        found = self.find(name)
        try:
            provider = self._register(found)
        except ProviderLoadError as error:
            self.failures[name] = Failure(found, str(error))
            raise
        self._providers[name] = provider
        self._origin[provider] = found
        return provider

    def package_of(self, name: str) -> str | None:
        """The package that a source was loaded from, or None if it was not loaded."""
        provider = self._providers.get(name)
        return None if provider is None else self._origin[provider].package

    def observe(self, name: str, *, distrust: Callable[[str | None], str | None] = lambda _: None) -> None:
        """Let an observer hear the events from now on. One that was named and cannot be loaded is an error.

        Args:
            name: The observer's name, alone or with its package.
            distrust: Tells why a package is not trusted, or None.

        Raises:
            ProviderLoadError: There is no such observer, its package is broken, or it is not trusted.
        """
        found = self._find_observer(name)
        why_not = distrust(None if found.builtin else found.distribution)
        if why_not is not None:
            raise ProviderLoadError(f"{name}: {why_not}", source=name, distribution=found.package)
        plugin = self._plugin(found)
        if all(one.plugin is not plugin for one in self._manager.hook.credchain_event.get_hookimpls()):
            raise _broken(found, "it has no hook credchain_event")

    def _find_observer(self, name: str) -> Found:
        own = {found.name: found for found in _found_in(self._own(), hooks.OBSERVERS)}
        if name in own:
            return own[name]
        others = [
            found for each in self._installed() for found in _found_in(each, hooks.OBSERVERS) if not found.builtin
        ]
        for found in [_judged(one, own, others) for one in others]:
            if name in (found.name, f"{found.distribution}/{found.name}"):
                if found.refused and ("/" not in name or found.name in own):
                    raise ProviderLoadError(found.refused, source=name, distribution=found.package)
                return found
        known = [*own, *(found.name for found in others)]
        raise ProviderLoadError(
            f"no installed package has an observer {name!r}{did_you_mean(name, known)} (known: {', '.join(known)})",
            source=name,
        )

    def build(self, provider: Provider, settings: Any, host: Host) -> Any:
        """The credential of a provider.

        Raises:
            ProviderLoadError: A stranger's ``build`` failed, whatever it raised.
        """
        return _called(self._origin[provider], lambda: provider.build(settings, host))

    def emit(self, event: Event) -> None:
        """Tell an event to every observer that was loaded. One that raises is reported once, and harms nobody."""
        for implementation in self._manager.hook.credchain_event.get_hookimpls():
            try:
                implementation.function(event)
            except Exception:
                if implementation.plugin_name not in self._muted:
                    self._muted.add(implementation.plugin_name)
                    logger.exception("the observer %s failed; this is told once", implementation.plugin_name)

    def _plugin(self, found: Found) -> Any:
        """What an entry point names, loaded and registered."""
        plugin = _called(found, found.entry_point.load)
        if not self._manager.is_registered(plugin):
            _called(found, lambda: self._manager.register(plugin, name=f"{found.distribution}/{found.name}"))
            try:
                self._check_hooks(found, plugin)
            except ProviderLoadError:
                self._manager.unregister(plugin)
                raise
        return plugin

    def _check_hooks(self, found: Found, plugin: object) -> None:
        """Refuse hooks that would reach beyond their own plugin, and those that nobody calls."""
        for implementation in self._manager.get_hookcallers(plugin) or []:
            for one in implementation.get_hookimpls():
                if one.plugin is not plugin:
                    continue
                told = [word for word in ("hookwrapper", "wrapper", "tryfirst", "trylast") if getattr(one, word)]
                if told:
                    raise _broken(found, f"its hook {implementation.name} asks for {told[0]}; hooks here are plain")
                if implementation.spec is None:
                    known = ("credchain_provider", "credchain_event")
                    hint = did_you_mean(implementation.name, known)
                    raise _broken(found, f"credchain has no hook {implementation.name}{hint}")

    def _register(self, found: Found) -> Provider:
        plugin = self._plugin(found)
        implementations = [
            implementation
            for implementation in self._manager.hook.credchain_provider.get_hookimpls()
            if implementation.plugin is plugin
        ]
        if not implementations:
            raise _broken(found, "it has no hook credchain_provider")
        provider = _called(found, implementations[0].function)
        if not isinstance(provider, hooks.Provider):
            raise _broken(found, f"its hook returned {type(provider).__name__} where a Provider belongs")
        if provider.name != found.entry_point.name:
            raise _broken(found, f"its provider is called {provider.name!r}, unlike its entry point")
        if provider.api != hooks.API_VERSION:
            raise _broken(
                found, f"it was written for plugin API {provider.api}; this credchain has {hooks.API_VERSION}"
            )
        return provider


def _called(found: Found, function: Callable[[], Any]) -> Any:
    """What a package's code returns; whatever a stranger's raises is an error that names the package."""
    try:
        return function()
    except Exception as error:
        if found.builtin:
            raise
        raise _broken(found, f"{type(error).__name__}: {error}") from error


def _broken(found: Found, why: str) -> ProviderLoadError:
    return ProviderLoadError(
        f"{found.name}: the source of {found.package} cannot be loaded: {why}",
        source=found.name,
        distribution=found.package,
    )


def _judged(found: Found, own: dict[str, Found], others: list[Found]) -> Found:
    """*found*, refused if its name is not its own."""
    if found.name in own:
        why = f"{found.package} registers {found.name!r}, which belongs to {own[found.name].package}"
        return attrs.evolve(found, refused=f"{found.name}: {why}")
    rivals = [other.package for other in others if other.name == found.name and other is not found]
    if rivals:
        why = f"registered by {found.package} and by {', '.join(rivals)}; name it as {found.distribution}/{found.name}"
        return attrs.evolve(found, refused=f"{found.name}: {why}")
    return found


def _by_name(found: Found) -> tuple[str, str]:
    return found.name, found.distribution


def _found_in(distribution: Distribution, group: str = hooks.ENTRY_POINTS) -> list[Found]:
    points = [point for point in distribution.entry_points if point.group == group]
    if not points or "Name" not in distribution.metadata:
        return []  # metadata without a name is what a broken removal leaves behind
    return [Found(point.name, _normal(distribution.name), distribution.version, point) for point in points]


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")


def _own_distribution() -> Distribution:
    from importlib.metadata import distribution

    return distribution(OWN)


def _all_distributions() -> Iterable[Distribution]:
    from importlib.metadata import distributions

    return distributions()
