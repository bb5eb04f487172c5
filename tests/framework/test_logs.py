"""The log: one logger, what is worth which level, and that no secret is in it."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.credentials import AccessToken

from credchain import load_chain
from credchain.aio import ClientSecretCredential
from credchain.chain import ChainedTokenCredential
from credchain.credential import TokenCredential
from credchain.errors import ChainStoppedError, ChainUnavailableError, CredentialUnavailableError, TransportError
from credchain.host import Host
from credchain.testing import FakeClock, FakeTransport, json_response, run, token_response
from credchain.tokens import AccessTokenInfo

if TYPE_CHECKING:
    from credchain.tokens import TokenRequest

SCOPE = "https://vault.azure.net/.default"
SECRET = "the-client-secret"
CLAIMS = '{"access_token": {"nbf": {"essential": true, "value": "1700000000"}}}'
VARIABLES = {"AZURE_TENANT_ID": "contoso", "AZURE_CLIENT_ID": "app", "AZURE_CLIENT_SECRET": SECRET}
REFUSED = json_response(
    {"error": "invalid_client", "error_description": "AADSTS7000215: no.", "claims": CLAIMS}, status=401
)


class Source(TokenCredential):
    """A source whose tokens live an hour and are refreshed from half of it on, and that can be made to fail."""

    source = "numbers"

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(host=Host(transport=FakeTransport(), clock=clock, random=random.Random(7)))
        self.clock = clock
        self.fails: Exception | None = None

    async def acquire(self, request: TokenRequest) -> AccessTokenInfo:
        if self.fails is not None:
            raise self.fails
        now = int(self.clock.time())
        return AccessTokenInfo("a-token", now + 3600, refresh_on=now + 1800)

    async def at(self, seconds: float) -> None:
        """Pass the time, ask, and let what is in the background end."""
        self.clock.advance(seconds)
        await self.get_token(SCOPE)
        for _ in range(10):
            await asyncio.sleep(0)


class Member:
    """A member of a chain that has a token, or has none."""

    def __init__(self, *, here: bool) -> None:
        self.here = here

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        if not self.here:
            raise CredentialUnavailableError("not here")
        return AccessToken("a-token", 4_000_000_000)


class Second(Member):
    """Another of another name."""


class Log:
    """What the log holds, of all levels."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, logger="credchain")
        self._caplog = caplog

    @property
    def records(self) -> list[logging.LogRecord]:
        return [record for record in self._caplog.records if record.name.startswith("credchain")]

    def at(self, level: int) -> list[str]:
        return [record.getMessage() for record in self.records if record.levelno == level]

    def above_debug(self) -> list[str]:
        return [record.getMessage() for record in self.records if record.levelno > logging.DEBUG]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    return Log(caplog)


def test_the_selection_names_source_package_and_milliseconds(fake_clock: FakeClock, log: Log) -> None:
    """In one record at INFO, of the one logger; nothing else is above DEBUG."""
    transport = FakeTransport(token_response(), delay=0.25)
    chain = load_chain(host=Host(transport=transport, clock=fake_clock, environment=VARIABLES))

    run(chain.get_token(SCOPE), clock=fake_clock)

    package = chain.attempts[0].distribution
    assert str(package).startswith("credchain ")
    assert log.above_debug() == [f"selected the source environment of {package} after 250 ms"]
    assert {record.name for record in log.records} == {"credchain"}


def test_another_winner_is_told_again(fake_clock: FakeClock, log: Log) -> None:
    """A program that from now on runs as somebody else says so."""
    first, second = Member(here=True), Second(here=True)
    chain = ChainedTokenCredential(first, second, host=Host(transport=FakeTransport(), clock=fake_clock))

    run(chain.get_token(SCOPE), clock=fake_clock)
    first.here = False
    run(chain.get_token(SCOPE), clock=fake_clock)

    assert [text.split(" after ")[0] for text in log.at(logging.INFO)] == [
        "selected the source Member",
        "selected the source Second",
    ]


@pytest.mark.parametrize(
    ("environment", "error"),
    [
        pytest.param(VARIABLES, ChainStoppedError, id="a source failed"),
        pytest.param({}, ChainUnavailableError, id="no source applied"),
    ],
)
def test_a_walk_in_vain_is_told_to_its_caller_alone(
    fake_clock: FakeClock, log: Log, environment: dict[str, str], error: type[Exception]
) -> None:
    """The error says everything, and whoever catches it decides what it is worth; the log has it at DEBUG."""
    host = Host(transport=FakeTransport(REFUSED), clock=fake_clock, environment=environment)
    chain = load_chain(order=["environment"], host=host)

    with pytest.raises(error):
        run(chain.get_token(SCOPE), clock=fake_clock)

    assert log.above_debug() == []
    assert str(chain.attempts[0]) in log.at(logging.DEBUG)


def test_each_decision_is_a_record_at_debug(fake_clock: FakeClock, log: Log) -> None:
    """Passed over, tried again, came, taken: in this order."""
    busy = json_response({}, status=503)
    host = Host(transport=FakeTransport(busy, token_response()), clock=fake_clock)
    credential = ClientSecretCredential("contoso", "app", SECRET, host=host)
    chain = ChainedTokenCredential(Member(here=False), credential, host=host)

    run(chain.get_token(SCOPE), clock=fake_clock)

    told = log.at(logging.DEBUG)
    assert [re.split(r" \(| in | for ", text)[0] for text in told] == [
        "Member",
        "client_secret: trying again",
        "client_secret: a token",
        "client_secret",
    ]
    assert [told[0], told[3]] == [str(attempt) for attempt in chain.attempts]


def test_a_cached_call_of_a_chain_is_told_nowhere(fake_clock: FakeClock, log: Log) -> None:
    """Neither for a token nor for what is known of it."""
    chain = ChainedTokenCredential(Source(fake_clock), host=Host(transport=FakeTransport(), clock=fake_clock))
    run(chain.get_token(SCOPE), clock=fake_clock)
    before = len(log.records)

    run(chain.get_token(SCOPE), clock=fake_clock)
    run(chain.get_token_info(SCOPE), clock=fake_clock)

    assert before > 0
    assert len(log.records) == before


def test_an_outage_is_told_with_what_an_operator_needs(fake_clock: FakeClock, log: Log) -> None:
    """Whose tokens, for how long the old one serves, when the next try is, and why; each outage anew."""
    source = Source(fake_clock)

    async def main() -> None:
        await source.at(0)
        for _ in range(2):
            source.fails = TransportError("numbers: no answer")
            await source.at(1801)
            source.fails = None
            await source.at(301)

    run(main(), clock=fake_clock)

    begun, over, *again = log.at(logging.WARNING)
    assert begun.startswith("numbers: refreshing a token failed, the old one serves for another 1799 s, next try in ")
    assert begun.endswith(" s: numbers: no answer")
    assert over == "numbers: tokens can be refreshed again, after 1 failures"
    assert len(again) == 2


def test_an_outage_that_outlives_the_token_has_an_end_too(fake_clock: FakeClock, log: Log) -> None:
    """Whoever was told of its beginning is told when it is over."""
    source = Source(fake_clock)

    async def main() -> None:
        await source.at(0)
        source.fails = TransportError("numbers: no answer")
        await source.at(1801)
        with pytest.raises(TransportError):
            await source.at(3600)
        source.fails = None
        await source.at(1)
        await source.at(1)

    run(main(), clock=fake_clock)

    assert [text.split(",")[0] for text in log.at(logging.WARNING)] == [
        "numbers: refreshing a token failed",
        "numbers: tokens can be refreshed again",
    ]


def test_a_bug_in_the_background_is_told_each_time_with_its_place(fake_clock: FakeClock, log: Log) -> None:
    """No caller sees it, as the token still serves; so the log is the only place."""
    source = Source(fake_clock)

    async def main() -> None:
        await source.at(0)
        source.fails = ZeroDivisionError("a bug")
        await source.at(1801)
        await source.at(301)

    run(main(), clock=fake_clock)

    records = [record for record in log.records if record.levelno == logging.WARNING]
    assert [record.exc_info[0] for record in records if record.exc_info] == [ZeroDivisionError, ZeroDivisionError]


def test_no_record_holds_a_token_a_secret_or_a_claim(
    fake_clock: FakeClock, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG, through a token, a challenge, a failed refresh and a refusal; in no message, argument or traceback."""
    down = json_response({"claims": CLAIMS}, status=503)
    transport = FakeTransport(token_response("the-first-token"), token_response("the-second-token"), *[down] * 4)
    host = Host(transport=transport, clock=fake_clock, environment=VARIABLES)
    chain = load_chain(host=host)

    async def main() -> None:
        await chain.get_token(SCOPE)
        await chain.get_token(SCOPE, claims=CLAIMS)
        fake_clock.advance(3200)
        await chain.get_token(SCOPE)
        await asyncio.sleep(60)
        fake_clock.advance(3200)
        transport.then(REFUSED)
        with pytest.raises(ChainStoppedError):
            await chain.get_token(SCOPE)

    run(main(), clock=fake_clock)

    told = caplog.text + repr([(record.msg, record.args) for record in log.records])
    assert log.at(logging.WARNING)
    for hidden in (SECRET, "the-first-token", "the-second-token", "1700000000", "essential"):
        assert hidden not in told
