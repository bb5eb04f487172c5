"""Credentials with many cached tokens, without a service."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from sides import credential

TEXT = 1000


def scopes(count: int) -> list[str]:
    """Distinct scopes, made anew at each call, as a program's own strings would be."""
    return [f"https://resource-{number}.example/.default" for number in range(count)]


def tenants(count: int) -> list[str]:
    return [f"{number:08x}-0000-4000-8000-000000000000" for number in range(count)]


def answer(number: int) -> bytes:
    """A token endpoint's answer, with a token of a usual length."""
    token = f"{number:08}" + "t" * (TEXT - 8)
    return json.dumps({"token_type": "Bearer", "expires_in": 3599, "access_token": token}).encode()


class Stub:
    """Our side's way out: an answer with another token each time."""

    def __init__(self) -> None:
        self.number = 0

    async def send(self, _: Any) -> Any:
        from credchain.http import Response

        self.number += 1
        return Response(200, headers={"content-type": "application/json"}, body=answer(self.number))

    async def close(self) -> None:
        pass


def make(side: str) -> Any:
    """A client-secret credential that needs no service to be filled."""
    if side != "ours":
        return credential(side, "secret")
    from credchain.aio import ClientSecretCredential

    names = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
    return ClientSecretCredential(
        *(os.environ[name] for name in names), additionally_allowed_tenants=["*"], transport=Stub()
    )


async def fill(side: str, one: Any, wanted: list[tuple[str, str | None]]) -> None:
    """Cache a token for each scope and tenant. Through the public door, where that does not take minutes.

    azure-identity searches its cache before each request, so that a thousand times ten thousand entries would be looked
    at; its tokens are put into its msal cache directly.
    """
    if side == "ours":
        for scope, tenant in wanted:
            await one.get_token(scope, tenant_id=tenant)
    elif side == "peer":
        cache = one._client._get_cache()
        for number, (scope, tenant) in enumerate(wanted):
            cache.add(peer_event(scope, tenant, json.loads(answer(number))), now=int(time.time()))
    else:
        from floor import Token

        for number, (scope, tenant) in enumerate(wanted):
            payload = json.loads(answer(number))
            token = Token(payload["access_token"], int(time.time()) + payload["expires_in"])
            one._tokens[scope if tenant is None else (scope, tenant)] = token


def peer_event(scope: str, tenant: str | None, payload: Any) -> dict[str, Any]:
    """What azure-identity gives to msal's cache after each request."""
    tenant = tenant or os.environ["AZURE_TENANT_ID"]
    return {
        "client_id": os.environ["AZURE_CLIENT_ID"],
        "scope": [scope],
        "token_endpoint": f"{os.environ['AZURE_AUTHORITY_HOST']}/{tenant}/oauth2/v2.0/token",
        "response": payload,
    }
