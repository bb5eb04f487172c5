"""DefaultAzureCredential: settings become a plan, the plan's places become the links of a chain."""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING, Any

import attrs

from credchain.chain import ChainedTokenCredential
from credchain.links import Link
from credchain.naming import refuse_unknown
from credchain.settings import default_order, environment_layer, keyword_layer, merge, plan, structure
from credchain.settings.layers import Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Never

    import aiohttp

    from credchain.host import Host
    from credchain.http import Transport
    from credchain.registry import Registry
    from credchain.settings import Layer, Place, Plan, Settings

_GRACE_SECONDS = 0.5
"""What a source has beyond its deadline to tell by itself what went wrong."""


class DefaultAzureCredential(ChainedTokenCredential):
    """The credential that fits the machine: the sources of the default order, as the settings change it.

    In turn: a service principal (or user) from environment variables; a managed identity; on Windows the token cache
    that Microsoft's tools share. ``CREDCHAIN_ORDER``, ``CREDCHAIN_ENABLE``, ``CREDCHAIN_DISABLE`` and
    ``AZURE_TOKEN_CREDENTIALS`` change that without touching the code; keywords win over them.

    Args:
        authority: Authority of service principals and users; `KnownAuthorities` has those of other clouds. Managed
            identities have their own.
        exclude_environment_credential: Leave out the environment variables.
        exclude_managed_identity_credential: Leave out the managed identity.
        exclude_shared_token_cache_credential: Leave out the shared token cache.
        shared_cache_username: Whose tokens to take from the shared cache; ``AZURE_USERNAME`` unless given.
        shared_cache_tenant_id: Of which tenant; ``AZURE_TENANT_ID`` unless given.
        managed_identity_client_id: A user-assigned identity; ``AZURE_CLIENT_ID`` unless given.
        additionally_allowed_tenants: Tenants that a request may name beside the configured one; ``"*"`` for all.
        require_envvar: Insist that ``AZURE_TOKEN_CREDENTIALS`` is set.
        order: Names of sources; ``"..."`` stands for the rest of the default order.
        enable: Names of sources that take part beside the default order.
        disable: Names of sources that take no part.
        timeout: Seconds that finding a token may take in all; None leaves it to the sources.
        transport: The way out; stays the caller's, who closes it.
        session: An ``aiohttp.ClientSession`` to send over; stays the caller's, who closes it.
        host: The world, for tests: clock, environment, transport.
        registry: Where the sources are looked up, for tests.

    Attributes:
        sources: The settings of the chain, and its sources by name.

    Raises:
        ValueError: A setting that cannot be followed, or no source is left.
        TypeError: An unknown keyword.
    """

    def __init__(
        self,
        *,
        authority: str | None = None,
        exclude_environment_credential: bool = False,
        exclude_managed_identity_credential: bool = False,
        exclude_shared_token_cache_credential: bool = False,
        shared_cache_username: str | None = None,
        shared_cache_tenant_id: str | None = None,
        managed_identity_client_id: str | None = None,
        additionally_allowed_tenants: Sequence[str] = (),
        require_envvar: bool = False,
        order: Sequence[str] | None = None,
        enable: Sequence[str] = (),
        disable: Sequence[str] = (),
        timeout: float | None = None,
        transport: Transport | None = None,
        session: aiohttp.ClientSession | None = None,
        host: Host | None = None,
        registry: Registry | None = None,
        **unknown: Never,
    ) -> None:
        refuse_unknown(DefaultAzureCredential.__init__, unknown)
        if transport is not None and session is not None:
            raise TypeError("transport and session exclude each other: a transport has its own way out")
        environment = os.environ if host is None else host.environment
        if authority is not None:
            from credchain.authority import normalize_authority

            authority = normalize_authority(authority)
        if require_envvar and not environment.get("AZURE_TOKEN_CREDENTIALS", "").strip():
            raise ValueError("AZURE_TOKEN_CREDENTIALS is not set, and require_envvar insists on it")
        keywords = {
            "authority": authority,
            "exclude_environment_credential": exclude_environment_credential,
            "exclude_managed_identity_credential": exclude_managed_identity_credential,
            "exclude_shared_token_cache_credential": exclude_shared_token_cache_credential,
            "shared_cache_username": shared_cache_username,
            "shared_cache_tenant_id": shared_cache_tenant_id,
            "managed_identity_client_id": managed_identity_client_id,
            "additionally_allowed_tenants": tuple(additionally_allowed_tenants),
        }
        code = keyword_layer(keywords, listed=default_order(), order=order, enable=enable, disable=disable)
        self.sources = Sources(environment, code, registry=registry)
        self._picklable = transport is None and session is None and host is None and registry is None
        self._arguments = {
            **{name: value for name, value in keywords.items() if value},
            "require_envvar": require_envvar,
            "order": order,
            "enable": tuple(enable),
            "disable": tuple(disable),
            "timeout": timeout,
        }
        self._closes_transport = host is None and transport is None
        make_host = functools.partial(machine_host, transport=transport, session=session, sources=self.sources)
        given = None if host is None else self.sources.with_source(host)
        links = [self._link(place) for place in self.sources.plan.places]
        self._set_up(links, timeout=timeout, make_host=make_host if given is None else lambda: given)

    @property
    def plan(self) -> Plan:
        """The chain's places, and why each other source has none."""
        return self.sources.plan

    async def close(self) -> None:
        """Close the sources and the connections that were opened for them. The credential can be used again."""
        await super().close()
        if self._closes_transport and "_host" in self.__dict__:
            await self._host.transport.close()

    def __reduce__(self) -> Any:
        if not self._picklable:
            raise TypeError(
                "this DefaultAzureCredential cannot be pickled, since a transport, session, host or registry was "
                "given to it; make one in the other process"
            )
        return _remade, (self._arguments,)

    def _link(self, place: Place) -> Link:
        limit = None if place.timeout is None else place.timeout + _GRACE_SECONDS
        return Link(place.name, functools.partial(self._open, place), explicit=place.explicit, timeout=limit)

    async def _open(self, place: Place) -> Any:
        """The credential of a place; a source that cannot be loaded is unavailable, unless it was named."""
        from credchain.errors import CredentialUnavailableError, ProviderLoadError

        host = attrs.evolve(self._host, timeout=place.timeout)
        try:
            credential = await host.in_thread(self.sources.build, place.name, {}, host)
        except ProviderLoadError as error:
            if place.explicit:
                raise
            raise CredentialUnavailableError(str(error)) from error
        link = next(link for link in self._links if link.name == place.name)
        link.distribution = self.sources.registry.package_of(place.name)
        return credential


class Sources:
    """The settings of a chain, and its sources by name.

    Args:
        environment: Environment variables.
        code: What the code says.
        registry: Where sources are looked up; made when it is first needed, unless given.

    Raises:
        ConfigurationError: A setting that cannot be followed.
    """

    def __init__(self, environment: Mapping[str, str], code: Layer, *, registry: Registry | None = None) -> None:
        if registry is not None:
            self.__dict__["registry"] = registry
        listed = default_order()
        self.settings: Settings = merge([environment_layer(environment, listed), code])
        self.plan = plan(self.settings, listed, platform=sys.platform)
        self._check_names({one.name for one in listed})

    @functools.cached_property
    def registry(self) -> Registry:
        """The registry; importing it loads pluggy, so that waits until somebody needs it."""
        from credchain.registry import Registry

        return Registry()

    def build(self, name: str, settings: Mapping[str, object], host: Host) -> Any:
        """The credential of a source; *settings* win over those that the chain has for it.

        Raises:
            CredentialUnavailableError: The source is disabled.
            ProviderLoadError: There is no such source, or its package is broken.
            ConfigurationError: Settings that its provider refuses.
        """
        provider = self.registry.load(name)
        values = dict(self.settings.sources.get(name, {}))
        values |= {key: Value(value, "the source that needs it") for key, value in settings.items()}
        structured = structure(provider.settings, values, source=name)
        return self.registry.build(provider, structured, self.with_source(host))

    def inner(self, host: Host, name: str, settings: Mapping[str, object]) -> Any:
        """The credential that another source builds on; disabling the inner one is felt there too."""
        wanted = self.settings.wanted.get(name)
        if wanted is not None and not wanted.value:
            from credchain.errors import CredentialUnavailableError

            raise CredentialUnavailableError(f"{name}: disabled by {wanted.origin}")
        return self.build(name, settings, host)

    def with_source(self, host: Host) -> Host:
        """*host*, able to give other sources by name and to carry events."""
        return attrs.evolve(
            host,
            source=functools.partial(self.inner, host),
            emit=self._emit,
        )

    def _emit(self, event: Any) -> None:
        if "registry" in self.__dict__:
            self.registry.emit(event)

    def _check_names(self, listed: set[str]) -> None:
        """Refuse names in the settings that no installed package has; the default order needs no look-up."""
        named = {name: value.origin for name, value in self.settings.wanted.items()}
        if self.settings.order is not None:
            named |= {name: self.settings.order.origin for name in self.settings.order.value if name != "..."}
        for name, origin in named.items():
            if name in listed or name in self.registry.builtins():
                continue
            from credchain.errors import ProviderLoadError

            try:
                self.registry.find(name)
            except ProviderLoadError as error:
                raise ProviderLoadError(f"{error}, named by {origin}", source=name) from None


def machine_host(
    *,
    transport: Transport | None = None,
    session: aiohttp.ClientSession | None = None,
    sources: Sources | None = None,
) -> Host:
    """This machine as a host that gives other sources by name: what a source made by hand builds on."""
    from credchain import credential
    from credchain.settings import Layer

    host = credential.machine_host(transport=transport, session=session)
    return (sources or Sources({}, Layer())).with_source(host)


def _remade(arguments: dict[str, Any]) -> DefaultAzureCredential:
    return DefaultAzureCredential(**arguments)
