"""Names that people mistype: the nearest right one, and the refusal that tells it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that *name* most resembles, or None if nothing comes close."""
    import difflib

    by_lower = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


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
