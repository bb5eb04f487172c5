"""What observers hear: frozen records of names, outcomes and times; never a token, a secret or a claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from credchain.attempts import Attempt


@attrs.frozen
class AttemptFinished:
    """A chain has asked a source."""

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
    """A source gave a token.

    Attributes:
        source: The source's name.
        expires_on: When the token expires, in seconds since the epoch.
        seconds: How long it took.
        refreshed: Whether it replaces a token that was still valid.
    """

    source: str
    expires_on: float
    seconds: float
    refreshed: bool


@attrs.frozen
class RefreshFailed:
    """A token could not be replaced, and is still valid.

    Attributes:
        source: The source's name.
        reason: The error, in one sentence.
        expires_on: When the old token expires, in seconds since the epoch.
        retry_in: Seconds until the next try.
    """

    source: str
    reason: str
    expires_on: float
    retry_in: float


Event = AttemptFinished | SourceSelected | TokenAcquired | RefreshFailed
