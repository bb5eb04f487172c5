"""When to refresh a token, and when to ask again: pure functions of tokens, moments and randomness."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from credchain.http import RetryPlan

MANDATORY_SECONDS = 60.0
SHORT_LIVED_SECONDS = 20 * 60.0
FIRST_BACKOFF_SECONDS = 30.0
LAST_BACKOFF_SECONDS = 300.0


class State(enum.Enum):
    """What a token's age means for a caller.

    FRESH: take it. ADVISORY: take it, and have it refreshed in the background. MANDATORY: wait for a refresh, and
    take it if that fails. EXPIRED: never take it.
    """

    FRESH = "fresh"
    ADVISORY = "advisory"
    MANDATORY = "mandatory"
    EXPIRED = "expired"


def decide(now: float, *, refresh_at: float, mandatory_at: float, expires_at: float) -> State:
    """The state of a token at *now*. All are seconds since the epoch."""
    if now >= expires_at:
        return State.EXPIRED
    if now >= mandatory_at:
        return State.MANDATORY
    return State.ADVISORY if now >= refresh_at else State.FRESH


def mandatory_at(*, now: float, expires_at: float) -> float:
    """From when on callers wait for a refresh: a minute before expiry, or a tenth of a short life."""
    return expires_at - min(MANDATORY_SECONDS, max(0.0, expires_at - now) / 10)


def refresh_at(*, now: float, expires_at: float, refresh_on: float | None, rng: random.Random) -> float:
    """From when on a token is refreshed in the background.

    That is when its service says (*refresh_on*), else at a random point of 75-85 % of its life (60-70 % if it lives
    under 20 minutes), so that processes which started together do not refresh together.
    """
    latest = mandatory_at(now=now, expires_at=expires_at)
    if refresh_on is not None:
        return min(refresh_on, latest)
    life = max(0.0, expires_at - now)
    low, high = (0.60, 0.70) if life < SHORT_LIVED_SECONDS else (0.75, 0.85)
    return min(now + life * rng.uniform(low, high), latest)


def backoff(failures: int, *, retry_after: float | None, rng: random.Random) -> float:
    """Seconds until the next try after *failures* failures in a row.

    30 s doubling to 300 s, with full jitter (anything from a second up to that), so that processes which failed
    together do not come back together. What the service asked for (Retry-After) is the least.
    """
    ceiling = min(LAST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(failures - 1, 10))
    jittered = rng.uniform(1.0, ceiling)
    return max(jittered, retry_after) if retry_after is not None else jittered


def unavailable_for(failures: int, *, rng: random.Random) -> float:
    """Seconds for which a source's "I do not apply here" is remembered: 30 s doubling to 300 s, half of it jitter."""
    ceiling = min(LAST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(failures - 1, 10))
    return ceiling * rng.uniform(0.75, 1.25) if ceiling < LAST_BACKOFF_SECONDS else ceiling * rng.uniform(0.75, 1.0)


def hard_failure_for(*, rng: random.Random) -> float:
    """Seconds for which a refusal is remembered, so that a retry loop does not hammer the service."""
    return rng.uniform(1.0, 5.0)


def retry_delay(
    plan: RetryPlan, tried: int, *, status: int | None, retry_after: float | None, elapsed: float, rng: random.Random
) -> float | None:
    """Seconds until a request is sent again, or None to give up.

    Args:
        plan: What is retried, how often.
        tried: How many tries there were.
        status: The last answer's status; None if there was no answer.
        retry_after: What the service asked for; taken as it is.
        elapsed: Seconds since the first try.
        rng: Jitter: a fifth more or less.
    """
    if status is not None and status not in plan.statuses:
        return None
    patience = plan.at_least.get(status, 0.0) if status is not None else 0.0
    if tried > plan.retries and elapsed >= patience:
        return None
    if retry_after is not None:
        return retry_after
    return plan.first * 2.0 ** min(tried - 1, 10) * rng.uniform(0.8, 1.2)
