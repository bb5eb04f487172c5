"""A wall clock that can be put forward. Import it before anything that asks for the time."""

from __future__ import annotations

import time

_real = time.time
_ahead = 0.0


def _moved() -> float:
    return _real() + _ahead


def forward(seconds: float) -> None:
    """Let time pass. Both sides take a token's age from the wall clock."""
    global _ahead
    _ahead += seconds


time.time = _moved  # type: ignore[assignment]
