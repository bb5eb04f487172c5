"""App Service, Functions and Container Apps: an endpoint on loopback, proven with a header.

https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from credchain import oauth
from credchain.http import Request
from credchain_plugins.managed_identity.identity import endpoint, parse, resource_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credchain.credential import TokenCredential
    from credchain.tokens import AccessTokenInfo, TokenRequest
    from credchain_plugins.managed_identity.identity import Identity

NAME = "App Service"
API_VERSION = "2019-08-01"

_PARAMETERS = {"client_id": "client_id", "object_id": "object_id", "resource_id": "mi_res_id"}


async def detect(_credential: TokenCredential) -> None:
    """The environment variables are proof enough."""


async def acquire(credential: TokenCredential, request: TokenRequest, identity: Identity | None) -> AccessTokenInfo:
    """A token from the endpoint.

    Raises:
        AuthenticationFailedError: The endpoint gives none.
    """
    environment = credential.host.environment
    response = await credential.send(build(resource_of(request), identity, environment))
    return parse(response, now=credential.host.clock.time(), secret=environment["IDENTITY_HEADER"])


def build(resource: str, identity: Identity | None, environment: Mapping[str, str]) -> Request:
    """The request for a token."""
    params = {"api-version": API_VERSION, "resource": resource}
    if identity is not None:
        params[_PARAMETERS[identity.kind]] = identity.value
    return Request(
        "GET",
        endpoint(environment, "IDENTITY_ENDPOINT"),
        headers={"X-IDENTITY-HEADER": environment["IDENTITY_HEADER"], "User-Agent": oauth.USER_AGENT},
        params=params,
        trust_env=False,
    )
