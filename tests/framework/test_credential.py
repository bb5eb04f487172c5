"""The life of a token in TokenCredential: cached, refreshed, survived, rejected."""

from __future__ import annotations

import asyncio
import logging
import pickle
import random
import traceback
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credchain import refresh
from credchain.credential import TokenCredential
from credchain.errors import AuthenticationFailedError, CredentialUnavailableError, TransportError
from credchain.events import RefreshFailed, TokenAcquired
from credchain.host import Host
from credchain.http import Request, Response
from credchain.testing import FakeClock, FakeTransport, json_response, run
from credchain.tokens import AccessToken, AccessTokenInfo, TokenRequest

if TYPE_CHECKING:
    from collections.abc import Callable

SCOPE = "https://vault.azure.net/.default"
HOUR = 3600.0


class Source(TokenCredential):
    """A source that numbers its tokens, and can be made to wait or to fail."""

    source = "numbers"

    def __init__(self, clock: FakeClock, *, lifetime: float = HOUR, refresh_in: float | None = None) -> None:
        self.events: list[object] = []
        host = Host(transport=FakeTransport(), clock=clock, random=random.Random(7), emit=self.events.append)
        super().__init__(host=host)
        self.clock = clock
        self.lifetime = lifetime
        self.refresh_in = refresh_in
        self.delay = 0.0
        self.fails: Callable[[], Exception] | None = None
        self.asked: list[TokenRequest] = []
        self.born: dict[str, float] = {}

    async def acquire(self, request: TokenRequest) -> AccessTokenInfo:
        self.asked.append(request)
        await asyncio.sleep(self.delay)
        if self.fails is not None:
            raise self.fails()
        now = self.clock.time()
        refresh_on = None if self.refresh_in is None else int(now + self.refresh_in)
        self.born[f"token-{len(self.asked)}"] = self.clock.monotonic()
        return AccessTokenInfo(f"token-{len(self.asked)}", int(now + self.lifetime), refresh_on=refresh_on)


def down() -> Exception:
    return TransportError("numbers: no answer")


def refused() -> Exception:
    return AuthenticationFailedError("numbers: wrong secret", error="invalid_client", http_status=401)


async def background() -> None:
    """Let background work that needs no time finish."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_second_call_is_answered_from_the_cache(fake_clock: FakeClock) -> None:
    """A valid token is fetched once."""

    async def main() -> None:
        source = Source(fake_clock)

        first = await source.get_token(SCOPE)
        second = await source.get_token(SCOPE)

        assert first is second
        assert len(source.asked) == 1

    run(main(), clock=fake_clock)


def test_token_and_info_are_two_views_of_one_token(fake_clock: FakeClock) -> None:
    """get_token and get_token_info share the cache."""

    async def main() -> None:
        source = Source(fake_clock)

        token = await source.get_token(SCOPE)
        info = await source.get_token_info(SCOPE)

        assert (token.token, token.expires_on) == (info.token, info.expires_on)
        assert info.token_type == "Bearer"
        assert info.refresh_on is not None
        assert await source.get_token_info(SCOPE) is info

    run(main(), clock=fake_clock)


def test_none_values_mean_not_given(fake_clock: FakeClock) -> None:
    """SDK clients send claims=None and tenant_id=None; such calls hit the cache, as do unknown keywords."""

    async def main() -> None:
        source = Source(fake_clock)

        first = await source.get_token(SCOPE)
        second = await source.get_token(SCOPE, claims=None, tenant_id=None, enable_cae=False, position="x")
        third = await source.get_token_info(SCOPE, options={"claims": None, "tenant_id": None})

        assert first is second
        assert third.token == first.token

    run(main(), clock=fake_clock)


@pytest.mark.parametrize(
    "other",
    [{"tenant_id": "another"}, {"enable_cae": True}, {"tenant_id": "another", "enable_cae": True}],
    ids=["tenant", "cae", "both"],
)
def test_what_tokens_differ_by_is_cached_apart(fake_clock: FakeClock, other: dict[str, object]) -> None:
    """Another tenant, and continuous access evaluation, each have tokens of their own."""

    async def main() -> None:
        source = Source(fake_clock)

        plain = await source.get_token(SCOPE)
        differing = await source.get_token(SCOPE, **other)  # type: ignore[arg-type]

        assert plain.token != differing.token
        assert await source.get_token(SCOPE, **other) is differing  # type: ignore[arg-type]
        assert await source.get_token(SCOPE) is plain

    run(main(), clock=fake_clock)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True),
            st.sampled_from([None, "t1", "t2"]),
            st.booleans(),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_cache_never_crosses_requests(calls: list[tuple[list[str], str | None, bool]]) -> None:
    """Two calls get the same token if and only if they ask for the same scopes, tenant and CAE."""
    clock = FakeClock()

    async def main() -> None:
        source = Source(clock)
        seen: dict[object, str] = {}
        for scopes, tenant_id, enable_cae in calls:
            token = (await source.get_token(*scopes, tenant_id=tenant_id, enable_cae=enable_cae)).token
            asked = (frozenset(scopes), tenant_id, enable_cae)
            assert seen.setdefault(asked, token) == token
        assert len(set(seen.values())) == len(seen)

    run(main(), clock=clock)


def test_claims_bypass_the_cache_and_store_their_answer(fake_clock: FakeClock) -> None:
    """A claims challenge leads to a new token, which then serves calls without claims."""

    async def main() -> None:
        source = Source(fake_clock)
        await source.get_token(SCOPE)

        challenged = await source.get_token(SCOPE, claims='{"access_token": {}}')
        after = await source.get_token(SCOPE)

        assert challenged.token == "token-2"
        assert after is challenged
        assert source.asked[1].claims == '{"access_token": {}}'

    run(main(), clock=fake_clock)


def test_thousand_first_calls_are_one_request(fake_clock: FakeClock) -> None:
    """However many ask at once, the source is asked once."""

    async def main() -> None:
        source = Source(fake_clock)
        source.delay = 0.05

        tokens = await asyncio.gather(*(source.get_token(SCOPE) for _ in range(1000)))

        assert len(source.asked) == 1
        assert len({token.token for token in tokens}) == 1

    run(main(), clock=fake_clock)


def test_callers_past_the_advisory_time_get_the_old_token_at_once(fake_clock: FakeClock) -> None:
    """A refresh in the background makes nobody wait, and is made once."""

    async def main() -> None:
        source = Source(fake_clock, refresh_in=1800)
        old = await source.get_token(SCOPE)
        fake_clock.advance(1801)
        source.delay = 0.3
        began = fake_clock.monotonic()

        tokens = [await source.get_token(SCOPE) for _ in range(1000)]

        assert fake_clock.monotonic() == began
        assert all(token is old for token in tokens)
        await asyncio.sleep(0.31)
        assert (await source.get_token(SCOPE)).token == "token-2"
        assert len(source.asked) == 2

    run(main(), clock=fake_clock)


def test_without_a_refresh_time_from_the_service_one_is_drawn(fake_clock: FakeClock) -> None:
    """The token is still fresh at 74 % of its life, and refreshed by 86 %."""

    async def main() -> None:
        source = Source(fake_clock)
        await source.get_token(SCOPE)

        fake_clock.advance(0.74 * HOUR)
        await source.get_token(SCOPE)
        await background()
        early = len(source.asked)
        fake_clock.advance(0.12 * HOUR)
        await source.get_token(SCOPE)
        await background()

        assert early == 1
        assert len(source.asked) == 2

    run(main(), clock=fake_clock)


def test_callers_wait_for_the_refresh_shortly_before_expiry(fake_clock: FakeClock) -> None:
    """In the last minute a caller gets the new token."""

    async def main() -> None:
        source = Source(fake_clock)
        await source.get_token(SCOPE)
        fake_clock.advance(HOUR - 50)

        assert (await source.get_token(SCOPE)).token == "token-2"

    run(main(), clock=fake_clock)


def test_token_serves_to_its_end_if_the_refresh_fails(fake_clock: FakeClock) -> None:
    """In the last minute, with the service down, the old token is still given."""

    async def main() -> None:
        source = Source(fake_clock)
        old = await source.get_token(SCOPE)
        source.fails = down
        fake_clock.advance(HOUR - 50)

        assert await source.get_token(SCOPE) is old

    run(main(), clock=fake_clock)


def test_expired_token_is_never_served(fake_clock: FakeClock) -> None:
    """At the second of expiry the old token is gone, and with the service down there is an error."""

    async def main() -> None:
        source = Source(fake_clock)
        await source.get_token(SCOPE)
        source.fails = down
        fake_clock.advance(HOUR)

        with pytest.raises(TransportError):
            await source.get_token(SCOPE)

    run(main(), clock=fake_clock)


def test_outage_costs_no_caller_anything_until_expiry(fake_clock: FakeClock) -> None:
    """From the advisory time to expiry the service hangs and fails; each call is answered at once with the old token."""

    async def main() -> None:
        source = Source(fake_clock, refresh_in=1800)
        old = await source.get_token(SCOPE)
        source.fails, source.delay = down, 20.0
        fake_clock.advance(1801)
        while fake_clock.time() < old.expires_on - 1:
            began = fake_clock.monotonic()
            assert await source.get_token(SCOPE) is old
            assert fake_clock.monotonic() == began
            await asyncio.sleep(1)

        assert 5 <= len(source.asked) <= 60

    run(main(), clock=fake_clock)


def test_recovery_after_an_outage(fake_clock: FakeClock) -> None:
    """When the service is back, the next try brings a new token; the failures are forgotten."""

    async def main() -> None:
        source = Source(fake_clock, refresh_in=1800)
        await source.get_token(SCOPE)
        source.fails = down
        fake_clock.advance(1801)
        await source.get_token(SCOPE)
        await background()
        source.fails = None

        fake_clock.advance(301)
        await source.get_token(SCOPE)
        await background()

        assert (await source.get_token(SCOPE)).token == "token-3"

    run(main(), clock=fake_clock)


def test_retry_after_is_the_least_wait(fake_clock: FakeClock) -> None:
    """A refresh that was told to come back in ten minutes is not tried before, and the token serves meanwhile."""

    async def main() -> None:
        source = Source(fake_clock, refresh_in=600)
        source.fails = None
        old = await source.get_token(SCOPE)
        source.fails = lambda: AuthenticationFailedError("busy", http_status=429, retry_after=600.0)
        fake_clock.advance(601)
        await source.get_token(SCOPE)
        await background()

        fake_clock.advance(590)
        assert await source.get_token(SCOPE) is old
        await background()
        before = len(source.asked)
        fake_clock.advance(15)
        await source.get_token(SCOPE)
        await background()

        assert (before, len(source.asked)) == (2, 3)

    run(main(), clock=fake_clock)


def test_expired_token_does_not_wait_for_the_backoff(fake_clock: FakeClock) -> None:
    """However long the next try was put off, an expired token is asked for at once."""

    async def main() -> None:
        source = Source(fake_clock, refresh_in=1800)
        await source.get_token(SCOPE)
        source.fails = lambda: AuthenticationFailedError("busy", http_status=429, retry_after=86400.0)
        fake_clock.advance(1801)
        await source.get_token(SCOPE)
        await background()
        source.fails = None
        fake_clock.advance(1800)

        assert (await source.get_token(SCOPE)).token == "token-3"

    run(main(), clock=fake_clock)


def test_backoff_belongs_to_the_key(fake_clock: FakeClock) -> None:
    """That one scope fails keeps no other from being refreshed."""

    async def main() -> None:
        source = Source(fake_clock, refresh_in=1800)
        await source.get_token("a")
        await source.get_token("b")
        fake_clock.advance(1801)
        source.fails = down
        await source.get_token("a")
        await background()
        source.fails = None

        await source.get_token("b")
        await background()

        assert (await source.get_token("b")).token == "token-4"

    run(main(), clock=fake_clock)


def test_refusal_is_remembered_for_a_moment(fake_clock: FakeClock) -> None:
    """A retry loop with a wrong secret sends one request, and a new one after at most five seconds."""

    async def main() -> None:
        source = Source(fake_clock)
        source.fails = refused
        for _ in range(20):
            with pytest.raises(AuthenticationFailedError, match="wrong secret"):
                await source.get_token(SCOPE)
        asked = len(source.asked)

        fake_clock.advance(5.1)
        source.fails = None

        assert asked == 1
        assert (await source.get_token(SCOPE)).token == "token-2"

    run(main(), clock=fake_clock)


def test_remembered_refusal_does_not_grow(fake_clock: FakeClock) -> None:
    """However often it is repeated, its traceback stays short."""

    async def main() -> list[int]:
        source = Source(fake_clock)
        source.fails = refused
        lengths = []
        for _ in range(50):
            with pytest.raises(AuthenticationFailedError) as caught:
                await source.get_token(SCOPE)
            lengths.append(len(traceback.extract_tb(caught.value.__traceback__)))
        return lengths

    lengths = run(main(), clock=fake_clock)

    assert lengths[-1] == lengths[1] < 10


@pytest.mark.parametrize(
    "error",
    [
        down(),
        CredentialUnavailableError("numbers: not here"),
        AuthenticationFailedError("busy", http_status=503),
        AuthenticationFailedError("busy", http_status=429),
    ],
    ids=["no answer", "unavailable", "503", "429"],
)
def test_what_may_pass_is_not_remembered(fake_clock: FakeClock, error: Exception) -> None:
    """Only a refusal is; an outage may be over at the next call."""

    async def main() -> None:
        source = Source(fake_clock)
        source.fails = lambda: error
        for _ in range(2):
            with pytest.raises(type(error)):
                await source.get_token(SCOPE)

        assert len(source.asked) == 2

    run(main(), clock=fake_clock)


def test_failing_source_is_asked_once_for_fifty_waiters(fake_clock: FakeClock) -> None:
    """The waiters share the error; they do not queue up to hear it one after another."""

    async def main() -> None:
        source = Source(fake_clock)
        source.fails, source.delay = down, 0.05
        began = fake_clock.monotonic()

        results = await asyncio.gather(*(source.get_token(SCOPE) for _ in range(50)), return_exceptions=True)

        assert {type(result) for result in results} == {TransportError}
        assert len(source.asked) == 1
        assert fake_clock.monotonic() - began < 0.06

    run(main(), clock=fake_clock)


def test_rejected_token_is_replaced(fake_clock: FakeClock) -> None:
    """After a 401, invalidate leads to a new token; a second, late rejection of the old one changes nothing."""

    async def main() -> None:
        source = Source(fake_clock)
        old = await source.get_token(SCOPE)

        assert source.invalidate(old.token)
        new = await source.get_token(SCOPE)
        assert not source.invalidate(old.token)

        assert new.token == "token-2"
        assert await source.get_token(SCOPE) is new

    run(main(), clock=fake_clock)


def test_wall_clock_put_back_does_not_prolong_a_token(fake_clock: FakeClock) -> None:
    """The time that has really passed counts."""

    async def main() -> None:
        source = Source(fake_clock)
        await source.get_token(SCOPE)
        fake_clock.advance(HOUR - 10)
        fake_clock.jump(-HOUR)
        fake_clock.advance(20)

        assert (await source.get_token(SCOPE)).token == "token-2"

    run(main(), clock=fake_clock)


def test_suspended_machine_wakes_up_with_an_expired_token(fake_clock: FakeClock) -> None:
    """The monotonic clock stood still meanwhile; the wall clock tells."""

    async def main() -> None:
        source = Source(fake_clock)
        await source.get_token(SCOPE)
        fake_clock.suspend(2 * HOUR)

        assert (await source.get_token(SCOPE)).token == "token-2"

    run(main(), clock=fake_clock)


def test_token_that_comes_expired_is_an_error(fake_clock: FakeClock) -> None:
    """It would be refused everywhere; the clock may be wrong, and the message asks that."""

    async def main() -> None:
        source = Source(fake_clock, lifetime=-10)

        with pytest.raises(AuthenticationFailedError, match="numbers: .*already expired.*clock"):
            await source.get_token(SCOPE)

    run(main(), clock=fake_clock)


def test_cache_is_bounded(fake_clock: FakeClock) -> None:
    """Beyond its size the expired go first, then the oldest; the newest stay."""

    async def main() -> None:
        source = Source(fake_clock)
        source.cache_size = 20
        await source.get_token("short")
        for number in range(60):
            await source.get_token(f"scope-{number}")

        kept = [number for number in range(60) if source.peek((f"scope-{number}",)) is not None]

        assert 59 in kept
        assert len(kept) <= 20
        assert kept == list(range(kept[0], 60))

    run(main(), clock=fake_clock)


def test_expired_go_before_the_oldest(fake_clock: FakeClock) -> None:
    """A long-lived old token outlasts expired newer ones."""

    async def main() -> None:
        source = Source(fake_clock, lifetime=86400)
        source.cache_size = 10
        await source.get_token("long")
        source.lifetime = 60
        for number in range(9):
            await source.get_token(f"short-{number}")
        fake_clock.advance(61)

        await source.get_token("one more")

        assert source.peek(("long",)) is not None

    run(main(), clock=fake_clock)


def test_cached_path_allocates_no_task_and_writes_no_log(
    fake_clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A cached call is a coroutine that never suspends, and nothing is logged."""

    async def main() -> None:
        source = Source(fake_clock)
        await source.get_token(SCOPE)
        caplog.set_level(logging.DEBUG)
        caplog.clear()

        with pytest.raises(StopIteration) as stopped:
            source.get_token(SCOPE).send(None)

        assert stopped.value.value.token == "token-1"
        assert not caplog.records

    run(main(), clock=fake_clock)


def test_outage_is_logged_once_and_its_end_too(fake_clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """One warning when refreshing begins to fail while the token serves, one when it works again."""

    async def main() -> None:
        source = Source(fake_clock, refresh_in=1800)
        await source.get_token(SCOPE)
        source.fails = down
        fake_clock.advance(1801)
        for _ in range(4):
            await source.get_token(SCOPE)
            await background()
            fake_clock.advance(301)
        source.fails = None
        await source.get_token(SCOPE)
        await background()

    run(main(), clock=fake_clock)

    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [text.split(",")[0] for text in warnings] == [
        "numbers: refreshing a token failed",
        "numbers: tokens can be refreshed again",
    ]


def test_observers_hear_of_tokens_and_failures(fake_clock: FakeClock) -> None:
    """Events tell what happened to tokens, and hold none."""

    async def main() -> list[object]:
        source = Source(fake_clock, refresh_in=1800)
        await source.get_token(SCOPE)
        fake_clock.advance(1801)
        source.fails = down
        await source.get_token(SCOPE)
        await background()
        return source.events

    acquired, failed = run(main(), clock=fake_clock)

    assert isinstance(acquired, TokenAcquired)
    assert isinstance(failed, RefreshFailed)
    assert "token-" not in repr([acquired, failed])


def test_programming_error_looks_like_one(fake_clock: FakeClock) -> None:
    """An exception that is no authentication error reaches the caller as it is."""

    async def main() -> None:
        source = Source(fake_clock)
        source.fails = lambda: ZeroDivisionError("a bug")

        with pytest.raises(ZeroDivisionError):
            await source.get_token(SCOPE)

    run(main(), clock=fake_clock)


def test_works_in_the_next_loop_and_after_close(fake_clock: FakeClock) -> None:
    """A cached token comes back in a second run and after close, and new ones can be had."""
    source = Source(fake_clock)

    async def one_life() -> AccessToken:
        async with source:
            return await source.get_token(SCOPE)

    first = run(one_life(), clock=fake_clock)
    second = run(one_life(), clock=fake_clock)
    fake_clock.advance(2 * HOUR)
    third = run(one_life(), clock=fake_clock)

    assert first is second
    assert third.token == "token-2"


def test_background_refresh_that_its_loop_cut_off_is_made_up_for(fake_clock: FakeClock) -> None:
    """A loop that ends during a refresh takes nothing but time: the next one refreshes."""
    source = Source(fake_clock, refresh_in=1800)

    async def first() -> None:
        await source.get_token(SCOPE)
        fake_clock.advance(1801)
        source.delay = 100.0
        await source.get_token(SCOPE)

    async def second() -> None:
        source.delay = 0.0
        fake_clock.advance(6)
        await source.get_token(SCOPE)
        await background()

    run(first(), clock=fake_clock)
    run(second(), clock=fake_clock)

    assert len(source.asked) == 3
    assert source.peek((SCOPE,)) is not None


def test_given_transport_is_not_closed(fake_clock: FakeClock, fake_transport: FakeTransport) -> None:
    """Whoever made the transport closes it."""
    source = Source(fake_clock)
    source.host = Host(transport=fake_transport, clock=fake_clock)

    run(source.close(), clock=fake_clock)

    assert fake_transport.closed == 0


def test_pickling_says_why_not(fake_clock: FakeClock) -> None:
    """A credential that may hold a secret is not pickled."""
    with pytest.raises(TypeError, match="Source cannot be pickled, since it holds a secret"):
        pickle.dumps(Source(fake_clock))


@pytest.mark.parametrize("scopes", [(), ("",), (None,)], ids=["none", "empty", "no text"])
def test_missing_scope_is_told_before_anything_is_asked(fake_clock: FakeClock, scopes: tuple[str, ...]) -> None:
    """get_token() without a scope is the caller's mistake."""

    async def main() -> None:
        source = Source(fake_clock)

        with pytest.raises(ValueError, match="scopes: "):
            await source.get_token(*scopes)

        assert not source.asked

    run(main(), clock=fake_clock)


def test_reprs_show_no_token(fake_clock: FakeClock) -> None:
    """Neither the credential nor its tokens show a token."""

    async def main() -> None:
        source = Source(fake_clock)
        shown = repr(source) + repr(await source.get_token(SCOPE)) + repr(await source.get_token_info(SCOPE))

        assert "token-1" not in shown

    run(main(), clock=fake_clock)


class Sender(TokenCredential):
    """A source of one request, for the laws of sending."""

    source = "sender"

    async def acquire(self, request: TokenRequest) -> AccessTokenInfo:
        raise NotImplementedError


def _sender(clock: FakeClock, transport: FakeTransport, *, timeout: float | None = None) -> Sender:
    return Sender(host=Host(transport=transport, clock=clock, random=random.Random(3), timeout=timeout))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_passing_trouble_is_retried(fake_clock: FakeClock, status: int) -> None:
    """Three retries, 0.8 s doubling, then the last answer is returned."""
    transport = FakeTransport(Response(status))
    began = fake_clock.monotonic()

    response = run(_sender(fake_clock, transport).send(Request("GET", "https://x/")), clock=fake_clock)

    assert response.status == status
    assert len(transport.requests) == 4
    assert 0.8 * 5.6 <= fake_clock.monotonic() - began <= 1.2 * 5.7


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404])
def test_final_answers_are_not_retried(fake_clock: FakeClock, status: int) -> None:
    """A yes and a no are taken at once."""
    transport = FakeTransport(Response(status))

    response = run(_sender(fake_clock, transport).send(Request("GET", "https://x/")), clock=fake_clock)

    assert response.status == status
    assert len(transport.requests) == 1


def test_lost_connections_are_retried_and_told(fake_clock: FakeClock) -> None:
    """Connection failures are retried; the error names the source."""
    transport = FakeTransport(TransportError("x: cannot connect"))

    with pytest.raises(TransportError, match="sender: x: cannot connect"):
        run(_sender(fake_clock, transport).send(Request("GET", "https://x/")), clock=fake_clock)

    assert len(transport.requests) == 4


def test_retry_after_is_honoured(fake_clock: FakeClock) -> None:
    """The service's own wait replaces ours."""
    transport = FakeTransport(Response(429, headers={"retry-after": "7"}), Response(200))
    began = fake_clock.monotonic()

    run(_sender(fake_clock, transport).send(Request("GET", "https://x/")), clock=fake_clock)

    assert fake_clock.monotonic() - began == pytest.approx(7, abs=0.01)


def test_retry_after_beyond_the_deadline_is_not_slept_through(fake_clock: FakeClock) -> None:
    """An hour's wait is reported at once."""
    transport = FakeTransport(Response(429, headers={"retry-after": "3600"}))
    began = fake_clock.monotonic()

    response = run(_sender(fake_clock, transport).send(Request("GET", "https://x/")), clock=fake_clock)

    assert response.status == 429
    assert fake_clock.monotonic() == began


def test_deadline_holds_for_all_tries_together(fake_clock: FakeClock) -> None:
    """A service that never answers costs the request's timeout once, not once a try."""
    transport = FakeTransport(Response(200), delay=1e9)
    began = fake_clock.monotonic()

    with pytest.raises(TransportError):
        run(_sender(fake_clock, transport).send(Request("GET", "https://x/", timeout=10)), clock=fake_clock)

    assert fake_clock.monotonic() - began == pytest.approx(10, abs=0.1)


def test_host_may_shorten_the_deadline(fake_clock: FakeClock) -> None:
    """In a chain a source has less time than alone."""
    transport = FakeTransport(Response(503))
    began = fake_clock.monotonic()

    run(_sender(fake_clock, transport, timeout=2).send(Request("GET", "https://x/", timeout=60)), clock=fake_clock)

    assert fake_clock.monotonic() - began <= 2


def test_transport_and_session_exclude_each_other(fake_transport: FakeTransport) -> None:
    """Two ways out would be one too many."""
    with pytest.raises(TypeError, match="transport and session"):
        Sender(transport=fake_transport, session=object())  # type: ignore[arg-type]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 900), st.sampled_from(["up", "down", "refused", "back", "on"]), st.floats(0, 20)),
        min_size=1,
        max_size=40,
    ),
    st.booleans(),
)
def test_no_schedule_breaks_the_laws(schedule: list[tuple[float, str, float]], refresh_on: bool) -> None:
    """Whatever the service and the clocks do: no token past its expiry, and no error while one is valid."""
    clock = FakeClock()

    async def main() -> None:
        source = Source(clock, refresh_in=1200 if refresh_on else None)
        held: AccessToken | None = None

        def valid() -> bool:
            """Whether the token that a caller has can still be given out, by both clocks."""
            if held is None:
                return False
            return clock.time() < held.expires_on and clock.monotonic() - source.born[held.token] < HOUR

        for pause, what, delay in schedule:
            await asyncio.sleep(pause)
            source.delay = delay
            source.fails = {"down": down, "refused": refused}.get(what)
            if what in ("back", "on"):
                clock.jump(-600 if what == "back" else 600)
            was_valid = valid()
            try:
                held = await source.get_token(SCOPE)
            except AuthenticationFailedError:
                assert not (was_valid and valid())
                continue
            assert valid()
        await source.close()

    run(main(), clock=clock)


def test_refresh_module_is_the_only_place_of_times() -> None:
    """The figures of the documentation are those of the code."""
    assert (refresh.MANDATORY_SECONDS, refresh.FIRST_BACKOFF_SECONDS, refresh.LAST_BACKOFF_SECONDS) == (60, 30, 300)


def test_error_answers_carry_nothing_of_the_request(fake_clock: FakeClock) -> None:
    """An error has no request and no response that could hold a secret."""
    transport = FakeTransport(json_response({"error": "invalid_client"}, status=401))

    request = Request("POST", "https://x/", form={"client_secret": "s3cret"})
    response = run(_sender(fake_clock, transport).send(request), clock=fake_clock)

    assert "s3cret" not in repr(response) + repr(transport.requests)
