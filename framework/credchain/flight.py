"""Single flight: of all callers that want the same thing at the same time, one piece of work serves all.

The work runs in a task of its own, in an empty context, so that it belongs to no caller: a caller that is cancelled takes
nothing from the others, and nothing of one caller's context reaches the work. Callers may sit in other tasks, event
loops and threads. If the loop that runs the work goes away, the callers of other loops do the work themselves.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

V = TypeVar("V")

_OTHER_LOOP_CHECK_SECONDS = 1.0


class _Lost(Exception):  # noqa: N818  # no error that anybody sees
    """The work was cancelled before it was done; whoever still wants it does it again."""


class _Call(Generic[V]):
    """One piece of work under way."""

    def __init__(self, key: Hashable, loop: asyncio.AbstractEventLoop, *, background: bool) -> None:
        self.key = key
        self.loop = loop
        self.background = background
        self.waiters: set[asyncio.Future[V]] = set()
        self.task: asyncio.Task[V] | None = None


class Flight(Generic[V]):
    """Work under way, by key. The lock guards the dictionary and the lists of waiters, and is never held over an await."""

    def __init__(self) -> None:
        self._calls: dict[Hashable, _Call[V]] = {}
        self._lock = threading.Lock()

    async def run(self, key: Hashable, work: Callable[[], Awaitable[V]]) -> V:
        """The result of *work*, or its error, shared with everybody who asks for *key* meanwhile.

        Cancelling this call leaves the work to the other callers; if there are none, the work is cancelled.
        """
        while True:
            call, waiter = self._join(key, work)
            try:
                return await _settled(call, waiter)
            except _Lost:
                continue
            finally:
                self._leave(call, waiter)

    def start(self, key: Hashable, work: Callable[[], Awaitable[V]]) -> bool:
        """Do *work* in the background unless it is under way; False if it is. Its error is for *work* to handle."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._alive(key, loop) is not None:
                return False
            self._begin(work, _Call(key, loop, background=True))
        return True

    async def close(self) -> None:
        """Cancel what is under way, and wait for what runs in this loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            calls = list(self._calls.values())
        for call in calls:
            _cancel(call)
        mine = [call.task for call in calls if call.loop is loop and call.task is not None]
        if mine:
            await asyncio.wait(mine)

    def _join(self, key: Hashable, work: Callable[[], Awaitable[V]]) -> tuple[_Call[V], asyncio.Future[V]]:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[V] = loop.create_future()
        with self._lock:
            call = self._alive(key, loop)
            if call is None:
                call = _Call(key, loop, background=False)
                self._begin(work, call)
            call.waiters.add(waiter)
        return call, waiter

    def _alive(self, key: Hashable, loop: asyncio.AbstractEventLoop) -> _Call[V] | None:
        """The call under way for *key*, unless its loop has stopped running. The lock is held."""
        call = self._calls.get(key)
        return call if call is not None and (call.loop is loop or call.loop.is_running()) else None

    def _begin(self, work: Callable[[], Awaitable[V]], call: _Call[V]) -> None:
        """The lock is held, so that nobody can leave a call that has no task yet."""
        context = contextvars.Context()
        self._calls[call.key] = call
        call.task = call.loop.create_task(_do(work), name=f"credchain {call.key!r}", context=context)
        # A callback, since a task that is cancelled before its first step never runs any of its own code.
        call.task.add_done_callback(functools.partial(self._settle, call), context=context)

    def _leave(self, call: _Call[V], waiter: asyncio.Future[V]) -> None:
        with self._lock:
            if waiter not in call.waiters:
                return  # settled: the call is over
            call.waiters.discard(waiter)
            deserted = not call.waiters and not call.background
            if deserted and self._calls.get(call.key) is call:
                del self._calls[call.key]
        if deserted:
            _cancel(call)

    def _settle(self, call: _Call[V], task: asyncio.Task[V]) -> None:
        with self._lock:
            if self._calls.get(call.key) is call:
                del self._calls[call.key]
            waiters, call.waiters = call.waiters, set()
        error = _Lost() if task.cancelled() else task.exception()
        for waiter in waiters:
            if waiter.get_loop() is call.loop:
                _answer(waiter, task, error)
            else:
                _in_loop(waiter.get_loop(), _answer, waiter, task, error)


async def _do(work: Callable[[], Awaitable[V]]) -> V:
    return await work()


async def _settled(call: _Call[V], waiter: asyncio.Future[V]) -> V:
    """What the call gives; lost if it runs in another loop that stops."""
    if waiter.get_loop() is call.loop:
        return await waiter
    while not waiter.done():
        await asyncio.wait([waiter], timeout=_OTHER_LOOP_CHECK_SECONDS)
        if not waiter.done() and not call.loop.is_running():
            raise _Lost
    return waiter.result()


def _answer(waiter: asyncio.Future[V], task: asyncio.Task[V], error: BaseException | None) -> None:
    if waiter.done():
        return
    if error is None:
        waiter.set_result(task.result())
    else:
        waiter.set_exception(error)


def _cancel(call: _Call[V]) -> None:
    task = call.task
    if task is not None:
        _in_loop(call.loop, task.cancel)


def _in_loop(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: object) -> None:
    try:
        loop.call_soon_threadsafe(function, *args)
    except RuntimeError:
        return  # the loop is closed: nobody waits there any more
