"""Progress: which source a chain is asking, told on a terminal once it takes longer than half a second."""

from __future__ import annotations

import asyncio
import sys
from typing import IO, TYPE_CHECKING, Self

from credchain.events import AttemptFinished, AttemptStarted

if TYPE_CHECKING:
    from types import TracebackType

    from credchain.events import Event

PATIENCE_SECONDS = 0.5

_ERASE = "\r\x1b[K"


class Progress:
    """Hears the events of one chain, and says on *stream* which source it waits for; nothing unless that is a terminal.

    The line is taken away again when the source has answered, so that what is printed afterwards stands alone.

    Args:
        stream: Where to; standard error unless given.
    """

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._timer: asyncio.TimerHandle | None = None
        self._told = False

    def __call__(self, event: Event) -> None:
        """Hear an event, in the event loop of the chain."""
        if isinstance(event, AttemptStarted) and self._terminal:
            self._quieten()
            self._timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._tell, event.source)
        elif isinstance(event, AttemptFinished):
            self._quieten()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._quieten()

    def _tell(self, source: str) -> None:
        self._stream.write(f"{_ERASE}asking {source} ...")
        self._stream.flush()
        self._told = True

    def _quieten(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._told:
            self._stream.write(_ERASE)
            self._stream.flush()
            self._told = False
