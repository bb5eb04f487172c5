"""Cloud Shell: the identity of the person at the shell, from an endpoint on loopback.

https://learn.microsoft.com/azure/cloud-shell/msi-authorization
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

NAME = "Cloud Shell"


async def detect(_credential: TokenCredential) -> None:
    """The environment variable is proof enough."""


async def acquire(credential: TokenCredential, request: TokenRequest, identity: Identity | None) -> AccessTokenInfo:
    """A token from the endpoint.

    Raises:
        AuthenticationFailedError: The endpoint gives none, or a user-assigned identity is wanted.
    """
    asked = build(resource_of(request), identity, credential.host.environment)
    return parse(await credential.send(asked), now=credential.host.clock.time())


def build(resource: str, identity: Identity | None, environment: Mapping[str, str]) -> Request:
    """The request for a token."""
    if identity is not None:
        raise failed(f"{NAME} has no user-assigned identities, only its user's own; leave {identity.kind} out here")
    return Request(
        "POST",
        endpoint(environment, "MSI_ENDPOINT"),
        headers={"Metadata": "true", "User-Agent": oauth.USER_AGENT},
        form={"resource": resource},
        trust_env=False,
    )
