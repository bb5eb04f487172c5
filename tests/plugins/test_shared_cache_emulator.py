"""The shared token cache against the emulator: family refresh tokens over real sockets."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msal
import pytest

from credchain._aiohttp import AiohttpTransport
from credchain.errors import AuthenticationFailedError
from credchain.host import Host
from credchain_plugins.shared_cache import SharedTokenCacheCredential, places

if TYPE_CHECKING:
    from pathlib import Path

    from credchain.emulator import Emulator, User
    from credchain.tokens import AccessToken
    from credchain_plugins.shared_cache.places import Place

SCOPE = "https://management.azure.com/.default"
TOOL = "872cd9fa-d31f-45e0-9eab-6e460a02d1f1"


def b64(value: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def sign_in(emulator: Emulator, user: User, path: Path) -> str:
    """What a tool leaves behind when somebody has signed in with it: the refresh token."""
    refresh_token = emulator.issue_refresh_token(TOOL, user, family=True)
    claims = {"preferred_username": user.username, "oid": user.object_id, "sub": user.object_id}
    response = {
        "refresh_token": refresh_token,
        "foci": "1",
        "client_info": b64({"uid": user.object_id, "utid": user.tenant_id}),
        "id_token": f"{b64({'alg': 'none'})}.{b64(claims)}.",
    }
    cache = msal.SerializableTokenCache()
    host = urlsplit(emulator.authority).hostname
    url = f"https://{host}/{user.tenant_id}/oauth2/v2.0/token"
    cache.add({"client_id": TOOL, "scope": ["openid"], "token_endpoint": url, "response": response})
    path.write_text(cache.serialize())
    return refresh_token


def token_of(emulator: Emulator, path: Path, *, scope: str = SCOPE, tenant_id: str | None = None) -> AccessToken:
    """A token by a credential that is new to the cache."""

    def find(*_: object) -> tuple[Place, ...]:
        return (places.plain_file(str(path)),)

    async def main() -> AccessToken:
        environment = emulator.environment()
        transport = AiohttpTransport(environment=environment)
        source = SharedTokenCacheCredential(
            tenant_id=tenant_id, host=Host(transport, environment=environment), _find=find
        )
        try:
            return await source.get_token(scope)
        finally:
            await transport.close()

    return asyncio.run(main())


def secrets_in(path: Path) -> list[str]:
    return [entry["secret"] for entry in json.loads(path.read_text())["RefreshToken"].values()]


@pytest.mark.parametrize("named", [False, True])
def test_token_of_the_person_who_signed_in(named: bool, emulator: Emulator, tmp_path: Path) -> None:
    """The family's refresh token gives a token of that user, in `organizations` and in the user's tenant."""
    emulator.reset()
    user = emulator.add_user()
    sign_in(emulator, user, tmp_path / "msal.cache")

    token = token_of(emulator, tmp_path / "msal.cache", tenant_id=user.tenant_id if named else None)

    assert emulator.claims_of(token.token)["oid"] == user.object_id


def test_second_process_takes_what_the_first_has_written(emulator: Emulator, tmp_path: Path) -> None:
    """One exchange serves all that share the cache."""
    emulator.reset()
    sign_in(emulator, emulator.add_user(), tmp_path / "msal.cache")

    first = token_of(emulator, tmp_path / "msal.cache")
    second = token_of(emulator, tmp_path / "msal.cache")

    assert first.token == second.token
    assert emulator.count("token") == 1


def test_rotated_refresh_token_serves_the_next_exchange(emulator: Emulator, tmp_path: Path) -> None:
    """With rotation, the refresh token in the cache is always the one that is good."""
    emulator.reset()
    path = tmp_path / "msal.cache"
    first = sign_in(emulator, emulator.add_user(), path)
    emulator.rotate_refresh_tokens = True

    try:
        token_of(emulator, path)
        (second,) = secrets_in(path)
        token_of(emulator, path, scope="https://vault.azure.net/.default")
        (third,) = secrets_in(path)
    finally:
        emulator.rotate_refresh_tokens = False

    assert len({first, second, third}) == 3


def test_revoked_refresh_token_leaves_the_cache(emulator: Emulator, tmp_path: Path) -> None:
    """After a password change the old sign-in is refused, and taken out."""
    emulator.reset()
    user = emulator.add_user()
    path = tmp_path / "msal.cache"
    sign_in(emulator, user, path)
    emulator.revoke(user)

    with pytest.raises(AuthenticationFailedError) as caught:
        token_of(emulator, path)

    assert str(caught.value.error) == "invalid_grant"
    assert secrets_in(path) == []
