"""Azure Machine Learning compute, and App Service's first endpoint, which it follows.

https://learn.microsoft.com/azure/machine-learning/how-to-identity-based-service-authentication
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from credchain import oauth
from credchain.http import Request
from credchain_plugins.managed_identity.identity import endpoint, failed, parse, resource_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credchain.credential import TokenCredential
    from credchain.tokens import AccessTokenInfo, TokenRequest
    from credchain_plugins.managed_identity.identity import Identity

NAME = "Azure ML"
API_VERSION = "2017-09-01"


async def detect(_credential: TokenCredential) -> None:
    """The environment variables are proof enough."""


async def acquire(credential: TokenCredential, request: TokenRequest, identity: Identity | None) -> AccessTokenInfo:
    """A token from the endpoint.

    Raises:
        AuthenticationFailedError: The endpoint gives none, or the identity is named by something else than a client id.
    """
    environment = credential.host.environment
    response = await credential.send(build(resource_of(request), identity, environment))
    return parse(response, now=credential.host.clock.time(), secret=environment["MSI_SECRET"])


def build(resource: str, identity: Identity | None, environment: Mapping[str, str]) -> Request:
    """The request for a token."""
    params = {"api-version": API_VERSION, "resource": resource}
    if identity is not None:
        if identity.kind != "client_id":
            raise failed(f"{NAME} knows a user-assigned identity by its client_id only, not by {identity.kind}")
        params["clientid"] = identity.value
    return Request(
        "GET",
        endpoint(environment, "MSI_ENDPOINT"),
        headers={"secret": environment["MSI_SECRET"], "User-Agent": oauth.USER_AGENT},
        params=params,
        trust_env=False,
    )
