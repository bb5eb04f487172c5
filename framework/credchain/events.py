"""What observers hear: frozen records of names, outcomes and times; never a token, a secret or a claim."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from credchain.attempts import Attempt


class RefreshReason(enum.StrEnum):
    """Why a token was replaced that was still there."""

    ADVISORY = "advisory"
    MANDATORY = "mandatory"
    CLAIMS = "claims"


@attrs.frozen
class AttemptStarted:
    """A chain begins to ask a source.

    Attributes:
        source: The source's name.
        distribution: The package it came from, if known; it is not before the source was first opened.
    """

    source: str
    distribution: str | None


@attrs.frozen
class AttemptFinished:
    """A chain has asked a source, or passed over one that it knows not to apply; of that no `AttemptStarted` is told.

    Attributes:
        attempt: What became of it. The reason of an exception that is no authentication error is its name.
    """

    attempt: Attempt


@attrs.frozen
class SourceSelected:
    """A chain has found the source that it asks first from now on.

    Attributes:
        source: The source's name.
        distribution: The package it came from, if known.
        seconds: How long the whole walk took.
    """

    source: str
    distribution: str | None
    seconds: float


@attrs.frozen
class TokenAcquired:
    """A source gave a token where there was none.

    Attributes:
        source: The source's name.
        expires_on: When the token expires, in seconds since the epoch.
        seconds: How long it took.
    """

    source: str
    expires_on: float
    seconds: float


@attrs.frozen
class TokenRefreshed:
    """A source gave a token in the place of one that was there.

    Attributes:
        source: The source's name.
        reason: ``advisory`` in the background, ``mandatory`` while callers waited, ``claims`` for a claims challenge.
        expires_on: When the new token expires, in seconds since the epoch.
        seconds: How long it took.
    """

    source: str
    reason: RefreshReason
    expires_on: float
    seconds: float


@attrs.frozen
class RefreshFailed:
    """A token could not be replaced, and is still valid.

    Attributes:
        source: The source's name.
        reason: The error, in one sentence; of an exception that is no authentication error, its name.
        expires_on: When the old token expires, in seconds since the epoch.
        retry_in: Seconds until the next try.
    """

    source: str
    reason: str
    expires_on: float
    retry_in: float


Event = AttemptStarted | AttemptFinished | SourceSelected | TokenAcquired | TokenRefreshed | RefreshFailed
