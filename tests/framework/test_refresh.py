"""When tokens are refreshed and requests repeated: laws over all moments and all randomness."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credchain.http import ONCE, RetryPlan
from credchain.refresh import (
    State,
    backoff,
    decide,
    hard_failure_for,
    mandatory_at,
    refresh_at,
    retry_delay,
    unavailable_for,
)

NOW = 1_800_000_000.0
ORDER = [State.FRESH, State.ADVISORY, State.MANDATORY, State.EXPIRED]

moments = st.floats(min_value=0.0, max_value=4e9)
lives = st.floats(min_value=1.0, max_value=400_000.0)
rngs = st.integers(min_value=0, max_value=2**32).map(random.Random)
failures = st.integers(min_value=1, max_value=10_000)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (0.0, State.FRESH),
        (99.9, State.FRESH),
        (100.0, State.ADVISORY),
        (199.9, State.ADVISORY),
        (200.0, State.MANDATORY),
        (299.9, State.MANDATORY),
        (300.0, State.EXPIRED),
        (1e9, State.EXPIRED),
    ],
)
def test_each_moment_belongs_to_one_state(now: float, expected: State) -> None:
    """A state begins with its moment."""
    assert decide(now, refresh_at=100.0, mandatory_at=200.0, expires_at=300.0) is expected


@given(st.lists(moments, min_size=5, max_size=5))
def test_a_token_never_gets_younger(times: list[float]) -> None:
    """Whatever the three moments are, a later look never finds a fresher state."""
    first, second = sorted(times[:2])
    refresh, mandatory, expires = times[2:]

    earlier = decide(first, refresh_at=refresh, mandatory_at=mandatory, expires_at=expires)
    later = decide(second, refresh_at=refresh, mandatory_at=mandatory, expires_at=expires)

    assert ORDER.index(earlier) <= ORDER.index(later)


@given(now=moments, refresh=moments, mandatory=moments, expires=moments)
def test_an_expired_token_is_expired(now: float, refresh: float, mandatory: float, expires: float) -> None:
    """Whatever the other moments say, EXPIRED is exactly what has reached its end."""
    state = decide(now, refresh_at=refresh, mandatory_at=mandatory, expires_at=expires)

    assert (state is State.EXPIRED) == (now >= expires)


@pytest.mark.parametrize(
    ("life", "before"),
    [(3600.0, 60.0), (600.0, 60.0), (599.0, 59.9), (300.0, 30.0), (10.0, 1.0), (0.0, 0.0), (-5.0, 0.0)],
)
def test_callers_wait_in_the_last_minute_or_the_last_tenth(life: float, before: float) -> None:
    """A minute before expiry, or a tenth of a life of less than ten minutes."""
    found = mandatory_at(now=NOW, expires_at=NOW + life)

    assert found == pytest.approx(NOW + life - before)


@given(life=lives, rng=rngs)
def test_refresh_begins_at_a_fixed_part_of_life(life: float, rng: random.Random) -> None:
    """75-85 % of a life, 60-70 % of one under twenty minutes."""
    low, high = (0.60, 0.70) if life < 1200 else (0.75, 0.85)

    part = (refresh_at(now=NOW, expires_at=NOW + life, refresh_on=None, rng=rng) - NOW) / life

    assert low - 1e-6 <= part <= high + 1e-6


@given(
    life=st.floats(min_value=-1e6, max_value=1e6),
    refresh_in=st.none() | st.floats(min_value=-1e6, max_value=2e6),
    rng=rngs,
)
def test_refresh_never_begins_after_callers_wait(life: float, refresh_in: float | None, rng: random.Random) -> None:
    """However late the service would have it refreshed, the background goes first."""
    expires_at = NOW + life
    refresh_on = None if refresh_in is None else NOW + refresh_in

    found = refresh_at(now=NOW, expires_at=expires_at, refresh_on=refresh_on, rng=rng)

    assert found <= mandatory_at(now=NOW, expires_at=expires_at) <= expires_at


@given(part=st.floats(min_value=0.0, max_value=0.9), rng=rngs)
def test_the_service_says_when_to_refresh(part: float, rng: random.Random) -> None:
    """refresh_on is taken as it is, without jitter."""
    found = refresh_at(now=NOW, expires_at=NOW + 3600, refresh_on=NOW + 3600 * part, rng=rng)

    assert found == NOW + 3600 * part


def test_processes_that_started_together_do_not_refresh_together() -> None:
    """Two random generators give two moments."""
    found = {refresh_at(now=NOW, expires_at=NOW + 3600, refresh_on=None, rng=random.Random(n)) for n in range(10)}

    assert len(found) == 10


@pytest.mark.parametrize(
    ("count", "ceiling"), [(1, 30), (2, 60), (3, 120), (4, 240), (5, 300), (6, 300), (100, 300), (100_000, 300)]
)
def test_the_wait_after_failures_doubles_to_five_minutes(count: int, ceiling: int) -> None:
    """Full jitter: anything from a second up to the ceiling, and most of that range is used."""
    found = [backoff(count, retry_after=None, rng=random.Random(seed)) for seed in range(200)]

    assert 1.0 <= min(found) < ceiling / 4
    assert ceiling * 3 / 4 < max(found) <= ceiling


@given(count=failures, asked=st.floats(min_value=0.0, max_value=1e6), rng=rngs)
def test_what_the_service_asked_for_is_the_least(count: int, asked: float, rng: random.Random) -> None:
    """Never earlier than Retry-After, and never longer than that or five minutes."""
    found = backoff(count, retry_after=asked, rng=rng)

    assert asked <= found <= max(asked, 300.0)


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(1, 22.5, 37.5), (2, 45, 75), (3, 90, 150), (4, 180, 300), (5, 225, 300), (50, 225, 300), (100_000, 225, 300)],
)
def test_an_absence_is_believed_for_a_while(count: int, low: float, high: float) -> None:
    """30 s doubling to 300 s, never beyond, with a spread of half of it."""
    found = [unavailable_for(count, rng=random.Random(seed)) for seed in range(200)]

    assert low <= min(found) < max(found) <= high
    assert max(found) - min(found) > (high - low) / 2


@given(rngs)
def test_a_refusal_is_remembered_for_some_seconds(rng: random.Random) -> None:
    """Long enough for a retry loop, short enough for a person."""
    assert 1.0 <= hard_failure_for(rng=rng) <= 5.0


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, None])
@pytest.mark.parametrize(("tried", "base"), [(1, 0.8), (2, 1.6), (3, 3.2)])
def test_transient_answers_and_silence_are_retried(status: int | None, tried: int, base: float) -> None:
    """0.8 s doubling, a fifth more or less, three times."""
    found = [
        retry_delay(RetryPlan(), tried, status=status, retry_after=None, elapsed=0.0, rng=random.Random(seed))
        for seed in range(50)
    ]

    assert all(delay is not None and base * 0.8 <= delay <= base * 1.2 for delay in found)
    assert len(set(found)) > 1


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 410, 501])
def test_final_answers_are_not_retried(status: int) -> None:
    """Not even where a Retry-After asks for it."""
    assert retry_delay(RetryPlan(), 1, status=status, retry_after=1.0, elapsed=0.0, rng=random.Random(1)) is None


@pytest.mark.parametrize("status", [503, None])
def test_retries_end(status: int | None) -> None:
    """After the first try and three more, the outcome stands; a plan without retries tries once."""
    rng = random.Random(1)

    assert retry_delay(RetryPlan(), 4, status=status, retry_after=None, elapsed=9.0, rng=rng) is None
    assert retry_delay(RetryPlan(), 4, status=status, retry_after=2.0, elapsed=9.0, rng=rng) is None
    assert retry_delay(ONCE, 1, status=status, retry_after=None, elapsed=0.0, rng=rng) is None


@given(tried=st.integers(min_value=1, max_value=3), asked=st.floats(min_value=0.0, max_value=1e5), rng=rngs)
def test_retry_after_is_taken_as_it_is(tried: int, asked: float, rng: random.Random) -> None:
    """No jitter and no doubling on top of what the service asked for."""
    assert retry_delay(RetryPlan(), tried, status=429, retry_after=asked, elapsed=0.0, rng=rng) == asked


@pytest.mark.parametrize(
    ("status", "elapsed", "again"),
    [(410, 69.9, True), (410, 70.0, False), (404, 5.0, False), (None, 5.0, False)],
    ids=["within its time", "after its time", "another status", "no answer"],
)
def test_a_status_may_be_given_more_time(status: int | None, elapsed: float, again: bool) -> None:
    """`at_least` counts seconds, not tries, and for its own status alone."""
    plan = RetryPlan(retries=5, statuses=frozenset({404, 410}), at_least={410: 70.0})

    found = retry_delay(plan, 6, status=status, retry_after=None, elapsed=elapsed, rng=random.Random(1))

    assert (found is not None) is again


@given(tried=st.integers(min_value=1, max_value=100_000), rng=rngs)
def test_a_delay_is_always_a_sensible_number(tried: int, rng: random.Random) -> None:
    """However often it was tried, the doubling does not overflow."""
    plan = RetryPlan(retries=1_000_000)

    found = retry_delay(plan, tried, status=503, retry_after=None, elapsed=0.0, rng=rng)

    assert found is not None
    assert 0.6 <= found <= 1000.0
