"""ConfiguredChain: settings become a plan, the plan's places become the links of a chain."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from credchain.chain import ChainedTokenCredential
from credchain.links import Link
from credchain.settings import Given, chain_keywords
from credchain.sources import Sources, machine_host

if TYPE_CHECKING:
    from collections.abc import Sequence

    import aiohttp

    from credchain.host import Host
    from credchain.http import Transport
    from credchain.registry import Registry
    from credchain.settings import Place, Plan
    from credchain.settings.files import ConfigFile
    from credchain.settings.gather import Config

_GRACE_SECONDS = 0.5
"""What a source has beyond its deadline to tell by itself what went wrong."""


class ConfiguredChain(ChainedTokenCredential):
    """A chain that settings rule: files, the environment, and what the code gives. `load_chain` makes one.

    Args:
        given: What the code says.
        transport: The way out; stays the caller's, who closes it.
        session: An ``aiohttp.ClientSession`` to send over; stays the caller's, who closes it.
        host: The world, for tests.
        registry: Where the sources are looked up, for tests.

    Attributes:
        sources: The settings of the chain, and its sources by name.

    Raises:
        ConfigurationError: A setting that cannot be followed, or no source is left.
    """

    def __init__(
        self,
        given: Given,
        *,
        transport: Transport | None = None,
        session: aiohttp.ClientSession | None = None,
        host: Host | None = None,
        registry: Registry | None = None,
    ) -> None:
        if transport is not None and session is not None:
            raise TypeError("transport and session exclude each other: a transport has its own way out")
        environment = os.environ if host is None else host.environment
        files = _files_of_this_machine if host is None else tuple  # a world of its own has none of them
        emit = None if host is None else host.emit
        self.sources = Sources(environment, given, registry=registry, files=files, emit=emit)
        self.sources.insist()
        self._given = given
        self._picklable = transport is None and session is None and host is None and registry is None
        self._closes_transport = host is None and transport is None
        make_host = functools.partial(machine_host, transport=transport, session=session, sources=self.sources)
        links = [self._link(place) for place in self.sources.plan.places]
        timeout = self.sources.settings.timeout
        self._set_up(
            links,
            timeout=None if timeout is None else timeout.value,
            make_host=make_host if host is None else functools.partial(self.sources.with_source, host),
        )

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
                f"this {type(self).__name__} cannot be pickled, since a transport, session, host or registry was "
                "given to it; make one in the other process"
            )
        if isinstance(self._given.config, Mapping):
            raise TypeError(
                f"this {type(self).__name__} cannot be pickled, since its configuration was given as a table, which may "
                "hold secrets; give the path of a file"
            )
        return type(self)._remade, (self._given,)

    @classmethod
    def _remade(cls, given: Given) -> ConfiguredChain:
        """The chain as it comes out of a pickle; what the settings say is read anew there."""
        made = cls.__new__(cls)
        ConfiguredChain.__init__(made, given)
        return made

    def _prepare(self) -> None:
        super()._prepare()
        self.sources.observe()

    def _link(self, place: Place) -> Link:
        limit = None if place.timeout is None else place.timeout + _GRACE_SECONDS
        return Link(
            place.name,
            functools.partial(self._open, place),
            explicit=place.explicit,
            timeout=limit,
            on_failure=place.on_failure,
        )

    async def _open(self, place: Place) -> Any:
        """The credential of a place; a source that cannot be loaded is unavailable, unless it was named."""
        from credchain.errors import CredentialUnavailableError, ProviderLoadError

        host = attrs.evolve(self._host, timeout=place.timeout)
        try:
            credential = await host.in_thread(self.sources.open, place.name, host)
        except ProviderLoadError as error:
            if place.explicit:
                raise
            raise CredentialUnavailableError(str(error)) from error
        link = next(link for link in self._links if link.name == place.name)
        link.distribution = self.sources.package_of(place.name)
        return credential


def _files_of_this_machine() -> Sequence[ConfigFile]:
    from credchain.settings.files import standard_files

    return standard_files()


def load_chain(
    *,
    config: Config | None = None,
    profile: str | None = None,
    order: Sequence[str] | None = None,
    enable: Sequence[str] = (),
    disable: Sequence[str] = (),
    observe: Sequence[str] = (),
    timeout: float | None = None,
    transport: Transport | None = None,
    session: aiohttp.ClientSession | None = None,
    host: Host | None = None,
    registry: Registry | None = None,
) -> ConfiguredChain:
    """The chain that the settings make, without the Azure names of `DefaultAzureCredential`.

    Args:
        config: A configuration file's path, or what would stand in one; a layer above the environment.
        profile: The profile to use; ``CREDCHAIN_PROFILE`` unless given.
        order: Names of sources; ``"..."`` stands for the rest of the default order.
        enable: Names of sources that take part beside the default order.
        disable: Names of sources that take no part.
        observe: Names of observers that hear the chain's events.
        timeout: Seconds that finding a token may take in all; None leaves it to the sources.
        transport: The way out; stays the caller's, who closes it.
        session: An ``aiohttp.ClientSession`` to send over; stays the caller's, who closes it.
        host: The world, for tests: clock, environment, transport. Files of this machine are not read then.
        registry: Where the sources are looked up, for tests.

    Raises:
        ConfigurationError: A setting that cannot be followed, or no source is left.
        TypeError: Both a transport and a session were given.
    """
    layer = chain_keywords(order=order, enable=enable, disable=disable, observe=observe, timeout=timeout)
    given = Given(layer, config=config, profile=profile)
    return ConfiguredChain(given, transport=transport, session=session, host=host, registry=registry)
