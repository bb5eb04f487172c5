"""The plugin contract: how a package adds a source.

A source is a provider record behind an entry point. Write a credential, describe its settings as an attrs class, and
register a module that has one hook::

    import attrs
    from credchain import Provider, TokenCredential, hookimpl

    @attrs.frozen
    class VaultSettings:
        address: str = "https://vault.internal"

    class VaultCredential(TokenCredential):
        source = "vault"

        def __init__(self, *, address, host=None):
            super().__init__(host=host)
            self._address = address

        async def acquire(self, request):
            response = await self.send(...)          # retries, deadline, proxy and TLS are taken care of
            return parse_token(response, ...)        # an AccessTokenInfo; raise CredentialUnavailableError to pass

        @classmethod
        def from_settings(cls, settings, host):
            return cls(address=settings.address, host=host)

    @hookimpl
    def credchain_provider():
        return Provider(
            name="vault",
            settings=VaultSettings,
            build=VaultCredential.from_settings,
            summary="the company's vault",
        )

and in pyproject.toml::

    [project.entry-points."credchain.providers"]
    vault = "acme_vault"

The entry point's name is the source's name. ``build`` may return any object with azure-core's async credential
protocol; a subclass of `TokenCredential` gets its cache, single flight and refresh for nothing. A credential that can
find out cheaply whether it applies has ``async def detect(self) -> None``, which raises CredentialUnavailableError if it
does not; a chain asks that first. If what it finds depends on environment variables, it names them in ``variables``.

An observer implements ``credchain_event(event)`` instead, is registered in the group ``credchain.observers``, and receives the
records of `credchain.events` once settings name it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pluggy

from credchain import host

if TYPE_CHECKING:
    from collections.abc import Callable

    from credchain.events import Event
    from credchain.host import Host

PROJECT = "credchain"
ENTRY_POINTS = "credchain.providers"
OBSERVERS = "credchain.observers"
API_VERSION = host.API_VERSION
OLDEST_API_VERSION = 1

hookimpl = pluggy.HookimplMarker(PROJECT)
hookspec = pluggy.HookspecMarker(PROJECT)


@attrs.frozen
class NoSettings:
    """The settings of a source that has none."""


@attrs.frozen
class Provider:
    """What a plugin registers: the name of a source, and how to build its credential.

    Attributes:
        name: The source's name; the same as the entry point's.
        build: Makes the credential from an instance of *settings* and the host.
        settings: An attrs class; its fields are the keys of the source's settings.
        summary: Half a sentence on where the tokens come from.
        api: The version of this contract that the plugin was written for.
    """

    name: str
    build: Callable[[Any, Host], Any]
    settings: type[Any] = NoSettings
    summary: str = ""
    api: int = API_VERSION


@hookspec
def credchain_provider() -> Provider:  # type: ignore[empty-body]
    """The provider of the source that the entry point names."""


@hookspec
def credchain_event(event: Event) -> None:
    """Something has happened; *event* is a frozen record without tokens or secrets. Must be quick."""
