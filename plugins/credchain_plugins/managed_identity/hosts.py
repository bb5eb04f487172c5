"""Which hosting environment this is, as the environment variables tell."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

import attrs

from credchain_plugins.managed_identity import app_service, azure_ml, cloud_shell, imds, service_fabric
from credchain_plugins.managed_identity.azure_arc import Arc, key_directory
from credchain_plugins.managed_identity.identity import unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Never

    from credchain.credential import TokenCredential
    from credchain.tokens import AccessTokenInfo, TokenRequest
    from credchain_plugins.managed_identity.identity import Identity


class Hosting(Protocol):
    """What a hosting environment has: its module, or an object like one."""

    @property
    def NAME(self) -> str:  # noqa: N802  # a constant of the modules
        """What it is called."""
        ...

    async def detect(self, credential: TokenCredential, /) -> None:
        """Raise CredentialUnavailableError if the endpoint is not there; cheap."""
        ...

    async def acquire(
        self, credential: TokenCredential, request: TokenRequest, identity: Identity | None, /
    ) -> AccessTokenInfo:
        """A token from the endpoint."""
        ...


VARIABLES = (
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "IDENTITY_SERVER_THUMBPRINT",
    "IMDS_ENDPOINT",
    "MSI_ENDPOINT",
    "MSI_SECRET",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
)
"""The environment variables that the choice depends on."""


@attrs.frozen
class Unknown:
    """An endpoint without any of what would tell how to ask it."""

    NAME = "unknown"

    async def detect(self, _credential: TokenCredential) -> None:
        """Say that it cannot be used."""
        self._refuse()

    async def acquire(
        self, _credential: TokenCredential, _request: TokenRequest, _identity: Identity | None
    ) -> AccessTokenInfo:
        """Say that it cannot be used."""
        self._refuse()

    def _refuse(self) -> Never:
        raise unavailable(
            "IDENTITY_ENDPOINT is set without IDENTITY_HEADER (App Service) or IMDS_ENDPOINT (Azure Arc), "
            "so nothing tells how to ask it"
        )


def choose(environment: Mapping[str, str], *, platform: str = sys.platform) -> Hosting:
    """The hosting environment. A variable that is empty counts as not set.

    Args:
        environment: The environment variables.
        platform: A value of ``sys.platform``.
    """
    present = {name for name in VARIABLES if environment.get(name)}
    if "IDENTITY_ENDPOINT" in present:
        if "IDENTITY_HEADER" in present:
            return service_fabric if "IDENTITY_SERVER_THUMBPRINT" in present else app_service
        return Arc(key_directory(environment, platform)) if "IMDS_ENDPOINT" in present else Unknown()
    if "MSI_ENDPOINT" in present:
        return azure_ml if "MSI_SECRET" in present else cloud_shell
    return imds
