"""Names that people mistype: the nearest right one, and the refusal that tells it."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


_CLOSE = 0.6


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that *name* most resembles, or None if nothing comes close."""
    close = {candidate: _likeness(name.lower(), candidate.lower()) for candidate in known}
    best = max(close, key=close.__getitem__, default=None)
    return best if best is not None and close[best] >= _CLOSE else None


def _likeness(name: str, known: str) -> float:
    """How much two names resemble each other, from 0 to 1; what they differ in counts, not the words they share."""
    import difflib

    whole = difflib.SequenceMatcher(None, name, known).ratio()
    mine, theirs = (re.split(r"[_/-]", one) for one in (name, known))
    rest = "".join(word for word in mine if word not in theirs)
    other = "".join(word for word in theirs if word not in mine)
    return min(whole, difflib.SequenceMatcher(None, rest, other).ratio()) if rest and other else whole


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A half sentence to end an error with: "; did you mean 'x'?", or nothing."""
    match = nearest(name, known)
    return f"; did you mean {match!r}?" if match else ""


def refuse_unknown(callable_: Callable[..., object], unknown: Mapping[str, object]) -> None:
    """Refuse keywords that *callable_* does not have, naming the nearest one that it has.

    Raises:
        TypeError: *unknown* is not empty.
    """
    if not unknown:
        return
    known = [
        parameter.name
        for parameter in inspect.signature(callable_).parameters.values()
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    name = next(iter(unknown))
    owner = callable_.__qualname__.removesuffix(".__init__")
    raise TypeError(f"{owner}() has no keyword {name!r}{did_you_mean(name, known)}")
