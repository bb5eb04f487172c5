"""IMDS: the metadata service of virtual machines, scale sets and AKS nodes, on a link-local address.

https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from credchain import oauth
from credchain.errors import TransportError
from credchain.http import ONCE, Request, RetryPlan
from credchain_plugins.managed_identity.identity import (
    SOURCE,
    described,
    endpoint,
    parse,
    resource_of,
    unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credchain.credential import TokenCredential
    from credchain.http import Response
    from credchain.tokens import AccessTokenInfo, TokenRequest
    from credchain_plugins.managed_identity.identity import Identity

NAME = "IMDS"
ADDRESS = "http://169.254.169.254"
HOST_VARIABLE = "AZURE_POD_IDENTITY_AUTHORITY_HOST"
PATH = "/metadata/identity/oauth2/token"
API_VERSION = "2018-02-01"
PROBE_SECONDS = 1.0
TIMEOUT_SECONDS = 120.0

PLAN = RetryPlan(retries=5, first=0.8, statuses=frozenset({404, 410, 429, *range(500, 600)}), at_least={410: 70.0})
"""404 and 410 tell of a service that is being updated; 410 for up to 70 s."""

_PARAMETERS = {"client_id": "client_id", "object_id": "object_id", "resource_id": "msi_res_id"}


async def detect(credential: TokenCredential) -> None:
    """Ask without the Metadata header: IMDS refuses that at once, and nobody else answers there.

    Raises:
        CredentialUnavailableError: Nothing answers within a second.
    """
    probe = Request(
        "GET", _url(credential.host.environment), params=_params(None), timeout=PROBE_SECONDS, trust_env=False
    )
    try:
        await credential.send(probe, plan=ONCE)
    except TransportError as error:
        raise unavailable(f"no IMDS answers here ({error.message.removeprefix(SOURCE + ': ')})") from None


async def acquire(credential: TokenCredential, request: TokenRequest, identity: Identity | None) -> AccessTokenInfo:
    """A token from IMDS.

    Raises:
        CredentialUnavailableError: This machine does not have that identity, or something else than IMDS answers.
        AuthenticationFailedError: IMDS is there and does not give a token.
    """
    asked = build(resource_of(request), identity, credential.host.environment)
    response = await credential.send(asked, plan=PLAN)
    refuse(response, identity)
    return parse(response, now=credential.host.clock.time())


def build(resource: str, identity: Identity | None, environment: Mapping[str, str]) -> Request:
    """The request for a token; link-local, so never through a proxy."""
    params = _params(resource)
    if identity is not None:
        params[_PARAMETERS[identity.kind]] = identity.value
    return Request(
        "GET",
        _url(environment),
        headers={"Metadata": "true", "User-Agent": oauth.USER_AGENT},
        params=params,
        timeout=TIMEOUT_SECONDS,
        trust_env=False,
    )


def refuse(response: Response, identity: Identity | None) -> None:
    """Tell answers that mean "not here" from failures.

    Raises:
        CredentialUnavailableError: No such identity, IMDS out of reach, or an answer that is not IMDS's.
    """
    payload = oauth.json_object(response)
    kind = response.headers.get("content-type", "")
    if payload is None and response.status in PLAN.statuses and "html" not in kind.lower():
        return  # a fault of IMDS itself, for `parse` to tell: passing on would hand the process another identity
    if payload is None:
        raise unavailable(
            f"what answers at the IMDS address is not IMDS (status {response.status}, {kind or 'no content type'}); "
            f"a proxy or a network's login page may be in the way"
        )
    said = str(payload.get("error_description") or payload.get("error") or "no reason")
    if response.status == 400:
        raise unavailable(
            f"{described(identity)} is not assigned to this machine; assign it, or name another one with client_id "
            f"(IMDS answered: {said})"
        )
    if response.status == 403 and "unreachable" in said.lower():
        raise unavailable(f"IMDS is out of reach behind a proxy (it answered: {said})")


def _params(resource: str | None) -> dict[str, str]:
    return {"api-version": API_VERSION} | ({} if resource is None else {"resource": resource})


def _url(environment: Mapping[str, str]) -> str:
    if not environment.get(HOST_VARIABLE):
        return ADDRESS + PATH
    return endpoint(environment, HOST_VARIABLE).rstrip("/") + PATH
