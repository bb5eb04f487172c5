"""FakeClock and a loop that runs on it: hours pass in no time."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


class FakeClock:
    """A clock that stands still until it is moved.

    Args:
        now: The wall clock's start, in seconds since the epoch.
    """

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._wall = now
        self._monotonic = 1000.0

    def time(self) -> float:
        """Seconds since the epoch."""
        return self._wall

    def monotonic(self) -> float:
        """Seconds since some moment, never going back."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._wall += seconds
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Put the wall clock on or back, as its owner or a time server does. No time passes."""
        self._wall += seconds

    def suspend(self, seconds: float) -> None:
        """Let time pass while the machine sleeps: the monotonic clock stands still."""
        self._wall += seconds


def run(main: Coroutine[Any, Any, T], *, clock: FakeClock, debug: bool | None = None) -> T:
    """Run a coroutine as ``asyncio.run`` does, on an event loop whose time is *clock*'s.

    Where the loop would wait for a timer, the clock is moved instead. For code without sockets: a loop that moves time
    on whenever nothing is ready does not wait for an answer from outside.

    Args:
        main: The coroutine.
        clock: The clock; moved by what the coroutine waits for.
        debug: asyncio's debug mode.
    """
    with asyncio.Runner(debug=debug, loop_factory=lambda: _FakeLoop(clock)) as runner:
        return runner.run(main)


class _FakeLoop(asyncio.SelectorEventLoop):
    """An event loop on a fake clock."""

    def __init__(self, clock: FakeClock) -> None:
        self._fake_clock = clock
        self.in_threads = 0
        super().__init__(_JumpingSelector(clock, self))

    def time(self) -> float:
        return self._fake_clock.monotonic()

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """As usual; time stands still while a worker thread works."""
        future = super().run_in_executor(executor, func, *args)
        self.in_threads += 1
        future.add_done_callback(self._back)
        return future

    async def shutdown_default_executor(self, *arguments: Any) -> None:
        """As usual; time stands still until the worker threads have ended."""
        self.in_threads += 1
        try:
            await super().shutdown_default_executor(*arguments)
        finally:
            self.in_threads -= 1

    def _back(self, _future: asyncio.Future[Any]) -> None:
        self.in_threads -= 1


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc, valid-type, unused-ignore]
    """A selector that moves the clock instead of waiting for a timer."""

    def __init__(self, clock: FakeClock, loop: _FakeLoop) -> None:
        super().__init__()
        self._fake_clock = clock
        self._fake_loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready; if nothing is, the clock is moved to the next timer."""
        if timeout is None or self._fake_loop.in_threads:
            return super().select(None if timeout is None or timeout > 0 else 0)
        ready = super().select(0)
        if not ready and timeout > 0:
            self._fake_clock.advance(timeout + 1e-6)
        return ready
