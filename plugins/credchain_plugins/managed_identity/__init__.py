"""The source `managed_identity`: the identity that Azure gives to the machine or service a program runs on.

`hosts` picks the module of the hosting environment; each such module says what goes over the wire there.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import attrs

from credchain.credential import TokenCredential
from credchain.hooks import Provider, hookimpl
from credchain.naming import refuse_unknown
from credchain_plugins.managed_identity.hosts import VARIABLES, choose
from credchain_plugins.managed_identity.identity import Identity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Never

    import aiohttp

    from credchain.host import Host
    from credchain.http import Transport
    from credchain.tokens import AccessTokenInfo, TokenRequest

logger = logging.getLogger("credchain")


class ManagedIdentityCredential(TokenCredential):
    """Tokens for the managed identity of wherever the program runs: a virtual machine, App Service, Arc and others.

    Args:
        client_id: A user-assigned identity; the system-assigned one unless given.
        identity_config: A user-assigned identity by another name: one of ``{"object_id": ...}``,
            ``{"resource_id": ...}`` or ``{"client_id": ...}``.
        transport: The way out; stays the caller's, who closes it.
        session: An ``aiohttp.ClientSession`` to send over; stays the caller's, who closes it.
        host: The world, from whoever builds the source.

    Raises:
        ValueError: An identity that is empty, unknown in kind, or named twice.
        TypeError: An unknown keyword.
    """

    source = "managed_identity"
    variables = VARIABLES

    def __init__(
        self,
        *,
        client_id: str | None = None,
        identity_config: Mapping[str, str] | None = None,
        transport: Transport | None = None,
        session: aiohttp.ClientSession | None = None,
        host: Host | None = None,
        **unknown: Never,
    ) -> None:
        refuse_unknown(ManagedIdentityCredential.__init__, unknown)
        self._identity = Identity.of(client_id, identity_config)
        self._picklable = host is None and transport is None and session is None
        super().__init__(transport=transport, session=session, host=host)
        self._told: str | None = None
        self._present: set[str] = set()

    @property
    def hosting(self) -> str:
        """The name of the hosting environment that the environment variables tell of."""
        return choose(self.host.environment).NAME

    async def detect(self) -> None:
        """Find out cheaply whether there is an identity to be had; a chain asks this first.

        Raises:
            credchain.CredentialUnavailableError: There is not.
        """
        hosting = choose(self.host.environment)
        if hosting.NAME in self._present:
            return
        await hosting.detect(self)
        self._present.add(hosting.NAME)

    def reset(self) -> None:
        """Forget that the hosting environment was found."""
        self._present.clear()

    async def acquire(self, request: TokenRequest) -> AccessTokenInfo:
        """A token from the hosting environment's endpoint."""
        hosting = choose(self.host.environment)
        if self._told != hosting.NAME:
            self._told = hosting.NAME
            logger.debug("managed_identity: the hosting environment is %s", hosting.NAME)
        return await hosting.acquire(self, request, self._identity)

    def __reduce__(self) -> Any:
        if not self._picklable:
            raise TypeError(
                "this ManagedIdentityCredential cannot be pickled, since a transport, session or host was given to it"
            )
        return _remade, (self._identity,)


@attrs.frozen
class ManagedIdentitySettings:
    """Settings of the source `managed_identity`: at most one of them, for a user-assigned identity.

    Attributes:
        client_id: The identity's client id; ``AZURE_CLIENT_ID`` unless another is named.
        object_id: The identity's object (principal) id.
        resource_id: The identity's resource id, as Azure Resource Manager has it.
    """

    client_id: str | None = None
    object_id: str | None = None
    resource_id: str | None = None


def build(settings: ManagedIdentitySettings, host: Host) -> ManagedIdentityCredential:
    """The credential of given settings."""
    return _remade(Identity.only(attrs.asdict(settings)), host)


@hookimpl
def credchain_provider() -> Provider:
    """This source."""
    return Provider(
        name="managed_identity",
        build=build,
        settings=ManagedIdentitySettings,
        summary="the identity that Azure gives to the machine or service",
    )


def _remade(identity: Identity | None, host: Host | None = None) -> ManagedIdentityCredential:
    config = None if identity is None else {identity.kind: identity.value}
    return ManagedIdentityCredential(identity_config=config, host=host)
