"""Events: what observers hear, when, in which order; and that nothing secret is in it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import attrs
import pytest

from credchain import events, load_chain
from credchain.aio import ClientSecretCredential
from credchain.attempts import Attempt, Outcome
from credchain.chain import ChainedTokenCredential
from credchain.credential import TokenCredential
from credchain.errors import (
    ChainStoppedError,
    ClientAuthenticationError,
    CredentialUnavailableError,
    TransportError,
)
from credchain.events import (
    AttemptFinished,
    AttemptStarted,
    RefreshFailed,
    RefreshReason,
    SourceSelected,
    TokenAcquired,
    TokenRefreshed,
)
from credchain.host import Host
from credchain.testing import FakeClock, FakeTransport, json_response, run, token_response
from credchain.tokens import AccessTokenInfo

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from credchain.testing.transport import Answer
    from credchain.tokens import AccessToken, TokenRequest

SCOPE = "https://vault.azure.net/.default"
SECRET = "the-client-secret"
CLAIMS = '{"access_token": {"nbf": {"essential": true, "value": "1700000000"}}}'
REFUSED = json_response(
    {"error": "invalid_client", "error_description": "AADSTS7000215: no.", "claims": CLAIMS}, status=401
)
DOWN = json_response({}, status=503)


class World:
    """A service principal whose events are kept."""

    def __init__(self, clock: FakeClock, *answers: Answer) -> None:
        self.clock = clock
        self.heard: list[Any] = []
        self.transport = FakeTransport(*answers)
        self.host = Host(transport=self.transport, clock=clock, random=random.Random(1), emit=self.heard.append)
        self.credential = ClientSecretCredential("contoso", "an-application", SECRET, host=self.host)
        self.chain = ChainedTokenCredential(self.credential, host=self.host)

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return run(work, clock=self.clock)

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.heard]


class Broken:
    """A member of a chain that raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        raise self.error


class Failing(TokenCredential):
    """A source that gives one token, then raises."""

    source = "failing"

    def __init__(self, error: Exception, *, host: Host) -> None:
        super().__init__(host=host)
        self.error = error
        self.asked = 0

    async def acquire(self, request: TokenRequest) -> AccessTokenInfo:
        self.asked += 1
        if self.asked > 1:
            raise self.error
        return AccessTokenInfo("first", int(self.host.clock.time()) + 3600)


async def settle() -> None:
    """Let what is in the background end."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_first_token_is_told_from_attempt_to_selection(fake_clock: FakeClock) -> None:
    """Begun, acquired, finished, selected: in this order, with names, times and expiry."""
    world = World(fake_clock, token_response("first", expires_in=3600))

    world.do(world.chain.get_token(SCOPE))

    assert world.heard[:2] == [
        AttemptStarted("client_secret", None),
        TokenAcquired("client_secret", fake_clock.time() + 3600, 0.0),
    ]
    assert world.kinds() == ["AttemptStarted", "TokenAcquired", "AttemptFinished", "SourceSelected"]
    assert (world.heard[3].source, str(world.heard[2].attempt.outcome)) == ("client_secret", "token")


def test_a_failure_is_told_as_an_attempt(fake_clock: FakeClock) -> None:
    """With its reason; nothing was acquired, and nothing selected."""
    world = World(fake_clock, REFUSED)

    with pytest.raises(ChainStoppedError):
        world.do(world.chain.get_token(SCOPE))

    assert world.kinds() == ["AttemptStarted", "AttemptFinished"]
    assert (str(world.heard[1].attempt.outcome), "AADSTS7000215" in world.heard[1].attempt.reason) == ("failed", True)


def test_a_source_that_is_passed_over_is_told_before_the_next(fake_clock: FakeClock) -> None:
    """Unavailable, then a token: each attempt has ended when the next begins."""
    world = World(fake_clock, token_response("first"))
    chain = ChainedTokenCredential(Broken(CredentialUnavailableError("not here")), world.credential, host=world.host)

    world.do(chain.get_token(SCOPE))

    assert world.kinds() == [
        *("AttemptStarted", "AttemptFinished"),
        *("AttemptStarted", "TokenAcquired", "AttemptFinished"),
        "SourceSelected",
    ]
    assert world.heard[1] == AttemptFinished(Attempt("Broken", Outcome.UNAVAILABLE, "not here", 0.0))
    assert world.heard[5] == SourceSelected("client_secret", None, 0.0)


def test_an_attempt_that_has_begun_ends_even_with_a_bug(fake_clock: FakeClock) -> None:
    """As a failure by the name of the exception, whose text may hold anything."""
    world = World(fake_clock)

    with pytest.raises(KeyError):
        world.do(ChainedTokenCredential(Broken(KeyError(SECRET)), host=world.host).get_token(SCOPE))

    assert world.heard == [
        AttemptStarted("Broken", None),
        AttemptFinished(Attempt("Broken", Outcome.FAILED, "KeyError", 0.0)),
    ]


def test_a_cached_call_is_told_to_nobody(fake_clock: FakeClock) -> None:
    """It costs what it costs without observers."""
    world = World(fake_clock, token_response("first"))
    world.do(world.chain.get_token(SCOPE))
    before = len(world.heard)

    world.do(world.chain.get_token(SCOPE))
    world.do(world.chain.get_token_info(SCOPE))

    assert len(world.heard) == before


@pytest.mark.parametrize(
    ("later", "claims", "reason"),
    [
        pytest.param(3200.0, None, RefreshReason.ADVISORY, id="in the background"),
        pytest.param(3550.0, None, RefreshReason.MANDATORY, id="while callers wait"),
        pytest.param(10.0, CLAIMS, RefreshReason.CLAIMS, id="for a claims challenge"),
    ],
)
def test_a_refresh_is_told_with_its_reason(
    fake_clock: FakeClock, later: float, claims: str | None, reason: RefreshReason
) -> None:
    """And not as a first token."""
    world = World(fake_clock, token_response("first"), token_response("second"))

    async def main() -> None:
        await world.credential.get_token(SCOPE)
        fake_clock.advance(later)
        await world.credential.get_token(SCOPE, claims=claims)
        await settle()

    world.do(main())

    assert world.kinds() == ["TokenAcquired", "TokenRefreshed"]
    assert world.heard[1] == TokenRefreshed("client_secret", reason, fake_clock.time() + 3600, 0.0)


def test_an_expired_token_is_acquired_anew(fake_clock: FakeClock) -> None:
    """There was nothing left to refresh."""
    world = World(fake_clock, token_response("first"), token_response("second"))

    async def main() -> None:
        await world.credential.get_token(SCOPE)
        fake_clock.advance(4000)
        await world.credential.get_token(SCOPE)

    world.do(main())

    assert world.kinds() == ["TokenAcquired", "TokenAcquired"]


def test_a_failed_refresh_is_told_with_the_next_try(fake_clock: FakeClock) -> None:
    """And with the time until which the old token serves."""
    world = World(fake_clock, token_response("first"), DOWN)

    async def main() -> float:
        token = await world.credential.get_token(SCOPE)
        fake_clock.advance(3200)
        await world.credential.get_token(SCOPE)
        await asyncio.sleep(60)  # of the fake clock's: the tries of a retry plan
        return token.expires_on

    expires_on = world.do(main())

    failed = world.heard[1]
    assert isinstance(failed, RefreshFailed)
    assert (failed.source, failed.expires_on) == ("client_secret", expires_on)
    assert 0 < failed.retry_in <= 30
    assert "503" in failed.reason


@pytest.mark.parametrize("later", [pytest.param(3200.0, id="background"), pytest.param(3550.0, id="callers wait")])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(TransportError("failing: no answer\nand more"), "failing: no answer", id="an error"),
        pytest.param(KeyError(SECRET), "KeyError", id="a bug"),
    ],
)
def test_the_reason_of_a_failed_refresh_is_one_sentence(
    fake_clock: FakeClock, later: float, error: Exception, reason: str
) -> None:
    """Of a bug it is the exception's name, as its text may hold anything."""
    world = World(fake_clock)
    source = Failing(error, host=world.host)

    async def main() -> None:
        await source.get_token(SCOPE)
        fake_clock.advance(later)
        with contextlib.suppress(KeyError):
            await source.get_token(SCOPE)
        await settle()

    world.do(main())

    assert world.kinds() == ["TokenAcquired", "RefreshFailed"]
    assert world.heard[1].reason == reason


def test_no_event_holds_a_token_a_secret_or_a_claim(fake_clock: FakeClock) -> None:
    """Whatever happens; they are looked for in every field of every event."""
    world = World(fake_clock, token_response("the-first-token"), token_response("the-second-token"), REFUSED)

    async def main() -> None:
        await world.chain.get_token(SCOPE)
        await world.chain.get_token(SCOPE, claims=CLAIMS)
        fake_clock.advance(9999)
        with pytest.raises(ClientAuthenticationError):
            await world.chain.get_token(SCOPE)

    world.do(main())

    told = repr([attrs.asdict(event) for event in world.heard])
    assert len(world.heard) > 6
    for hidden in (SECRET, "the-first-token", "the-second-token", "1700000000", "essential"):
        assert hidden not in told


@pytest.mark.parametrize("kind", get_args(events.Event), ids=lambda kind: kind.__name__)
def test_events_are_frozen_records(kind: type[Any]) -> None:
    """An observer cannot change what the next one hears; every field is told in the docstring."""
    assert attrs.has(kind)
    assert kind.__setattr__ is not object.__setattr__
    names = [field.name for field in attrs.fields(kind)]
    assert all(f"{name}:" in (kind.__doc__ or "") for name in names)


def test_a_configured_chain_tells_which_package_a_source_is_from(fake_clock: FakeClock) -> None:
    """Known once it was opened."""
    heard: list[Any] = []
    host = Host(
        transport=FakeTransport(token_response()),
        clock=fake_clock,
        environment={"AZURE_TENANT_ID": "contoso", "AZURE_CLIENT_ID": "app", "AZURE_CLIENT_SECRET": "s"},
        emit=heard.append,
    )

    run(load_chain(host=host).get_token(SCOPE), clock=fake_clock)

    finished = [event for event in heard if isinstance(event, AttemptFinished)]
    selected = [event for event in heard if isinstance(event, SourceSelected)]
    assert [event.attempt.distribution for event in finished] == [selected[0].distribution]
    assert str(selected[0].distribution).startswith("credchain ")


def test_the_page_tells_every_record_with_its_fields() -> None:
    """So that nobody has to look into the code."""
    page = (Path(__file__).parents[2] / "docs/how-to/observe.md").read_text()
    rows = {row.split("|")[1].strip(" `"): row for row in page.splitlines() if row.startswith("| `")}

    for kind in get_args(events.Event):
        for field in attrs.fields(kind):
            assert f"`{field.name}`" in rows[kind.__name__]
