"""Which hosting environment this is, as the environment variables tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from credchain_plugins.managed_identity import imds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credchain.credential import TokenCredential
    from credchain.tokens import AccessTokenInfo, TokenRequest
    from credchain_plugins.managed_identity.identity import Identity


class Hosting(Protocol):
    """What the module of a hosting environment has."""

    NAME: str

    async def detect(self, credential: TokenCredential) -> None:
        """Raise CredentialUnavailableError if the endpoint is not there; cheap."""
        ...

    async def acquire(
        self, credential: TokenCredential, request: TokenRequest, identity: Identity | None
    ) -> AccessTokenInfo:
        """A token from the endpoint."""
        ...


VARIABLES = ("AZURE_POD_IDENTITY_AUTHORITY_HOST",)
"""The environment variables that the choice depends on."""


def choose(_environment: Mapping[str, str]) -> Hosting:
    """The module of the hosting environment."""
    return imds
