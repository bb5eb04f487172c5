"""The emulator for programs without an event loop of their own: it serves in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from credchain.emulator.emulator import Emulator


@contextlib.contextmanager
def serve_in_thread(emulator: Emulator) -> Iterator[Emulator]:
    """Start *emulator* in a thread of its own, and stop it and end the thread in the end.

    Raises:
        OSError: A port is taken.
        RuntimeError: It serves already.
    """
    started: Future[Callable[[], None]] = Future()
    thread = threading.Thread(target=_run, args=(emulator, started), name="credchain-emulator", daemon=True)
    thread.start()
    try:
        finish = started.result()
    except BaseException:
        thread.join()
        raise
    try:
        yield emulator
    finally:
        finish()
        thread.join()


def _run(emulator: Emulator, started: Future[Callable[[], None]]) -> None:
    asyncio.run(_serve(emulator, started))


async def _serve(emulator: Emulator, started: Future[Callable[[], None]]) -> None:
    loop, finished = asyncio.get_running_loop(), asyncio.Event()
    try:
        if emulator.serving:
            raise RuntimeError("emulator: serves already")
        await emulator.start()
    except BaseException as error:
        started.set_exception(error)
        return
    started.set_result(lambda: _finish(loop, finished))
    await finished.wait()
    await emulator.stop()


def _finish(loop: asyncio.AbstractEventLoop, finished: asyncio.Event) -> None:
    loop.call_soon_threadsafe(finished.set)
