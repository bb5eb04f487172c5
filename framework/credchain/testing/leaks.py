"""assert_no_token_leaks: whether a secret has got out through logs, output, warnings or an error."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import sys
import traceback
import warnings
from typing import TYPE_CHECKING, TextIO
from urllib.parse import quote, quote_plus

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_JWT = re.compile(r"eyJ[\w-]{5,}\.eyJ[\w-]{5,}\.")


@contextlib.contextmanager
def assert_no_token_leaks(*secrets: str) -> Iterator[None]:
    """Watch over a block: none of *secrets*, and nothing that looks like a token (a JWT), gets out of it.

    Watched are the log records of all loggers that reach the root logger, which is set to DEBUG meanwhile, with their
    tracebacks; what is written to ``sys.stdout`` and ``sys.stderr``; warnings, which are held back until the end of the
    block; and an exception that leaves the block. A secret is also found in its URL encoding.

    Args:
        secrets: Texts that nobody may see: tokens, passwords, client secrets.

    Raises:
        AssertionError: Something got out. The message says where, and shows nothing of it.
        ValueError: A secret is empty, which would be found everywhere.
    """
    _check(secrets)
    with watching() as seen:
        try:
            yield
        except BaseException as error:
            seen.add("an exception that left the block", told(error))
            refuse(seen.leaks(secrets))
            raise
    refuse(seen.leaks(secrets))
    seen.repeat_warnings()


@attrs.frozen(eq=False)
class Seen:
    """What was seen: texts, and where each of them was."""

    texts: list[tuple[str, str]] = attrs.field(factory=list, repr=False)
    held_back: list[warnings.WarningMessage] = attrs.field(factory=list, repr=False)

    def add(self, where: str, text: str) -> None:
        """Note a text."""
        self.texts.append((where, text))

    def leaks(self, secrets: Iterable[str]) -> list[str]:
        """Sentences on what was found where; they show nothing of it."""
        wanted = list(secrets)
        found: dict[str, None] = {}
        for where, text in self.texts:
            for number, secret in enumerate(wanted, 1):
                if any(form in text for form in _forms(secret)):
                    found[f"secret {number} of {len(wanted)} is in {where}"] = None
            if _JWT.search(text):
                found[f"what looks like a token is in {where}"] = None
        return list(found)

    def repeat_warnings(self) -> None:
        """Give the warnings that were held back, by the filters that are in force now."""
        for one in self.held_back:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno, source=one.source)


@contextlib.contextmanager
def watching() -> Iterator[Seen]:
    """Note everything that is logged, written or warned of in a block."""
    seen = Seen()
    output, errors = _Tee(sys.stdout), _Tee(sys.stderr)
    with (
        warnings.catch_warnings(record=True) as caught,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        _logs_to(_Ear(seen)),
    ):
        warnings.simplefilter("always")
        try:
            yield seen
        finally:
            seen.add("the standard output", output.getvalue())
            seen.add("the standard error output", errors.getvalue())
            for one in caught:
                seen.add(f"a {one.category.__name__} of {one.filename}:{one.lineno}", str(one.message))
                seen.held_back.append(one)


def told(error: BaseException) -> str:
    """All that an error tells: its message, repr and attributes, and its traceback with its causes."""
    lines = traceback.format_exception(error)
    return "\n".join([str(error), repr(error), repr(vars(error)), *lines])


def refuse(leaks: list[str]) -> None:
    """Fail if there are any; without the context, in which a secret may stand."""
    if leaks:
        raise AssertionError("; ".join(leaks)) from None


class _Ear(logging.Handler):
    """Notes log records as a log file would show them."""

    def __init__(self, seen: Seen) -> None:
        super().__init__(logging.DEBUG)
        self._seen = seen

    def emit(self, record: logging.LogRecord) -> None:
        where = f"a log record of {record.name!r} ({record.levelname}, {record.filename}:{record.lineno})"
        self._seen.add(where, self.format(record))


class _Tee(io.StringIO):
    """Keeps what is written, and passes it on."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def write(self, text: str) -> int:
        super().write(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()


@contextlib.contextmanager
def _logs_to(handler: logging.Handler) -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def _forms(secret: str) -> set[str]:
    return {secret, quote(secret, safe=""), quote_plus(secret)}


def _check(secrets: Iterable[str]) -> None:
    if not all(secrets):
        raise ValueError("secrets: each must be a non-empty text, since an empty one is found everywhere")
