"""A thousand first calls at once, in one event loop or in four threads with a loop each."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from typing import Any

from sides import SCOPE, AbsentError, credential
from talk import ask, tell

CALLS = 1000
PATIENCE = 60.0


async def main(side: str, kind: str, loops: int) -> None:
    await warm_up(side, kind)
    one = credential(side, kind)
    ask("set", answer_delay=0.05)
    before = ask("counts")
    wall, cpu = time.perf_counter(), time.process_time()
    failed = await gathered(one, CALLS) if loops == 1 else await asyncio.to_thread(in_threads, one, loops)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    after = ask("counts")
    counts = {name: after[name] - before[name] for name in after}
    tell(wall=wall, cpu=cpu, failed=failed, **counts)
    if loops == 1:
        await one.close()


async def warm_up(side: str, kind: str) -> None:
    """Have everything imported, so that the calls alone are measured."""
    async with asyncio.timeout(PATIENCE):
        other = credential(side, kind)
        await other.get_token(SCOPE)
        await other.close()


async def gathered(one: Any, calls: int) -> int:
    """How many of the calls failed."""
    answers = await asyncio.wait_for(
        asyncio.gather(*(one.get_token(SCOPE) for _ in range(calls)), return_exceptions=True), PATIENCE
    )
    return sum(isinstance(answer, BaseException) for answer in answers)


def in_threads(one: Any, loops: int) -> int:
    failed: list[int] = []
    ready = threading.Barrier(loops)

    async def beginning_together() -> None:
        ready.wait()
        failed.append(await gathered(one, CALLS // loops))

    threads = [threading.Thread(target=lambda: asyncio.run(beginning_together())) for _ in range(loops)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(failed)


try:
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
except AbsentError as absent:
    tell(absent=str(absent))
