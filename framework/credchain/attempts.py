"""Attempt: what became of one source in a chain, as data."""

from __future__ import annotations

import enum

import attrs


class Outcome(enum.StrEnum):
    """How an attempt ended."""

    TOKEN = "token"  # noqa: S105  # the name of an outcome, no secret
    UNAVAILABLE = "unavailable"
    FAILED = "failed"


@attrs.frozen
class Attempt:
    """One source's turn in a chain.

    Attributes:
        source: The source's name, or the class name of a credential that was given as an object.
        outcome: How it ended.
        reason: One sentence on why, empty for a token. Never holds a token or a secret.
        seconds: How long the source was asked; 0.0 if its last answer was remembered.
        distribution: The package the source came from, if known.
    """

    source: str
    outcome: Outcome
    reason: str = ""
    seconds: float = 0.0
    distribution: str | None = None

    def __str__(self) -> str:
        said = f": {self.reason}" if self.reason else ""
        return f"{self.source} ({self.outcome}, {self.seconds * 1000:.0f} ms){said}"

    def to_dict(self) -> dict[str, object]:
        """The attempt as values that JSON has, for structured logs; a reason or distribution that is empty is left out."""
        told: dict[str, object] = {"source": self.source, "outcome": self.outcome.value, "seconds": self.seconds}
        if self.reason:
            told["reason"] = self.reason
        if self.distribution:
            told["distribution"] = self.distribution
        return told
