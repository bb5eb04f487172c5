"""Service Fabric: an endpoint over TLS whose certificate is known by its thumbprint alone.

https://learn.microsoft.com/azure/service-fabric/how-to-managed-identity-service-fabric-app-code
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from credchain import oauth
from credchain.http import Request
from credchain_plugins.managed_identity.identity import endpoint, failed, parse, resource_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credchain.credential import TokenCredential
    from credchain.tokens import AccessTokenInfo, TokenRequest
    from credchain_plugins.managed_identity.identity import Identity

NAME = "Service Fabric"
API_VERSION = "2019-07-01-preview"

_THUMBPRINT = re.compile(r"[0-9a-f]{40}", re.IGNORECASE)


async def detect(_credential: TokenCredential) -> None:
    """The environment variables are proof enough."""


async def acquire(credential: TokenCredential, request: TokenRequest, identity: Identity | None) -> AccessTokenInfo:
    """A token from the endpoint.

    Raises:
        AuthenticationFailedError: The endpoint gives none, is another than the one named, or a user-assigned identity
            is wanted, which the application's manifest names here.
    """
    environment = credential.host.environment
    response = await credential.send(build(resource_of(request), identity, environment))
    return parse(response, now=credential.host.clock.time(), secret=environment["IDENTITY_HEADER"])


def build(resource: str, identity: Identity | None, environment: Mapping[str, str]) -> Request:
    """The request for a token."""
    if identity is not None:
        raise failed(
            f"{NAME} takes a user-assigned identity from the application's manifest, not at run time; "
            f"leave {identity.kind} out here"
        )
    thumbprint = environment["IDENTITY_SERVER_THUMBPRINT"].strip().replace(":", "")
    if not _THUMBPRINT.fullmatch(thumbprint):
        raise failed("IDENTITY_SERVER_THUMBPRINT must be a SHA-1 thumbprint: 40 hexadecimal digits")
    return Request(
        "GET",
        endpoint(environment, "IDENTITY_ENDPOINT", schemes=("https",)),
        headers={"Secret": environment["IDENTITY_HEADER"], "User-Agent": oauth.USER_AGENT},
        params={"api-version": API_VERSION, "resource": resource},
        trust_env=False,
        thumbprint=thumbprint,
    )
