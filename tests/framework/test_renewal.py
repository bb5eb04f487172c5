"""Renewal: a credential whose secret is in a file follows the file, and loses no token by it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from credchain.default import DefaultAzureCredential
from credchain.errors import ChainStoppedError
from credchain.host import Host
from credchain.testing import FakeClock, FakeTransport, json_response, run, token_response

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from credchain.http import Request, Response

SCOPE = "https://vault.azure.net/.default"


class Service:
    """A token endpoint that accepts one secret, and counts its tokens."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.given = 0

    def answer(self, request: Request) -> Response:
        assert request.form is not None
        if request.form["client_secret"] != self.secret:
            return json_response({"error": "invalid_client", "error_codes": [7000222]}, status=401)
        self.given += 1
        return token_response(f"token-{self.given}", expires_in=3600)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file with the secret `first`."""
    path = tmp_path / "secret"
    path.write_text("first\n")
    path.chmod(0o600)
    return path


def made(service: Service, secret: Path, clock: FakeClock) -> DefaultAzureCredential:
    table: Mapping[str, object] = {
        "tenant_id": "contoso",
        "client_id": "an-application",
        "client_secret": {"file": str(secret)},
    }
    host = Host(transport=FakeTransport(service.answer), clock=clock, random=random.Random(1))
    config = {"chain": {"order": ["client_secret"]}, "source": {"client_secret": table}}
    return DefaultAzureCredential(config=config, host=host)


def replace(path: Path, text: str) -> None:
    """As a secret store does: a new file in the place of the old one."""
    other = path.with_name("other")
    other.write_text(text)
    other.chmod(0o600)
    other.replace(path)


def test_a_changed_secret_is_read_again(secret: Path, fake_clock: FakeClock) -> None:
    """The next acquisition sends the new one; nobody restarts the program."""
    service = Service("first")
    credential = made(service, secret, fake_clock)

    async def main() -> list[str]:
        before = await credential.get_token(SCOPE)
        service.secret = "second"
        replace(secret, "second\n")
        fake_clock.advance(4000)
        return [before.token, (await credential.get_token(SCOPE)).token]

    assert run(main(), clock=fake_clock) == ["token-1", "token-2"]


def test_cached_tokens_survive_the_change(secret: Path, fake_clock: FakeClock) -> None:
    """It is the same identity: nobody waits for a token that is there."""
    service = Service("first")
    credential = made(service, secret, fake_clock)

    async def main() -> list[str]:
        first = await credential.get_token(SCOPE)
        replace(secret, "second\n")
        service.secret = "second"
        other = await credential.get_token("https://storage.azure.com/.default")
        return [first.token, other.token, (await credential.get_token(SCOPE)).token]

    assert run(main(), clock=fake_clock) == ["token-1", "token-2", "token-1"]


def damage(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    else:
        path.write_text("")


@pytest.mark.parametrize("broken", ["missing", "empty"])
def test_a_file_that_is_being_replaced_harms_nobody(
    secret: Path, fake_clock: FakeClock, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What was read before serves on, and a warning tells why; once the file is whole again, it counts."""
    service = Service("first")
    credential = made(service, secret, fake_clock)

    async def main() -> list[str]:
        tokens = [(await credential.get_token(SCOPE)).token]
        damage(secret, broken)
        fake_clock.advance(4000)
        tokens.append((await credential.get_token(SCOPE)).token)
        service.secret = "second"
        replace(secret, "second")
        fake_clock.advance(4000)
        return [*tokens, (await credential.get_token(SCOPE)).token]

    assert run(main(), clock=fake_clock) == ["token-1", "token-2", "token-3"]
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert str(secret) in warnings[0]
    assert "first" not in caplog.text


def test_a_refusal_is_forgotten_with_its_secret(secret: Path, fake_clock: FakeClock) -> None:
    """A refused secret is not asked for again at once, but its successor is."""
    service = Service("second")
    credential = made(service, secret, fake_clock)

    async def main() -> str:
        with pytest.raises(ChainStoppedError):
            await credential.get_token(SCOPE)
        replace(secret, "second")
        return (await credential.get_token(SCOPE)).token

    assert run(main(), clock=fake_clock) == "token-1"


def test_it_looks_like_the_credential_inside(secret: Path, fake_clock: FakeClock) -> None:
    """In a repr, and to whoever invalidates a token or closes twice."""
    credential = made(Service("first"), secret, fake_clock)

    async def main() -> list[object]:
        async with credential:
            token = await credential.get_token_info(SCOPE)
            inside = credential._links[0].credential
            found = [repr(inside), credential.invalidate(token.token), credential.invalidate(token.token)]
        await credential.close()
        return [*found, (await credential.get_token(SCOPE)).token]

    assert run(main(), clock=fake_clock) == ["<ClientSecretCredential>", True, False, "token-2"]
