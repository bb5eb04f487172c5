"""Requests one after another over an open connection: wall time and CPU of each, and the longest blocking of the loop."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from typing import Any

from sides import AbsentError, credential
from talk import tell

WARM = 5
COUNT = 60


class Watch:
    """The longest callback since it was asked last."""

    def __init__(self) -> None:
        self.longest = 0.0
        run = asyncio.events.Handle._run
        watch = self

        def timed(handle: Any) -> None:
            start = time.perf_counter()
            run(handle)
            taken = time.perf_counter() - start
            watch.longest = max(watch.longest, taken)

        asyncio.events.Handle._run = timed  # type: ignore[method-assign]

    def take(self) -> float:
        longest, self.longest = self.longest, 0.0
        return longest


async def main(side: str, kind: str) -> None:
    one = credential(side, kind)
    for number in range(WARM):
        await one.get_token(f"https://warm-{number}.example/.default")
    cpu = time.process_time()
    walls = [await timed(one, f"https://plain-{number}.example/.default") for number in range(COUNT)]
    cpu = time.process_time() - cpu
    watch = Watch()
    blocked = []
    for number in range(COUNT):
        await timed(one, f"https://watched-{number}.example/.default")
        await asyncio.sleep(0)  # so that the end of one request and the beginning of the next are told apart
        blocked.append(watch.take())
    tell(
        wall=statistics.median(walls) * 1000,
        cpu=cpu / COUNT * 1000,
        blocked=statistics.median(blocked) * 1000,
    )
    await one.close()


async def timed(one: Any, scope: str) -> float:
    start = time.perf_counter()
    await one.get_token(scope)
    return time.perf_counter() - start


try:
    asyncio.run(main(*sys.argv[1:]))
except AbsentError as absent:
    tell(absent=str(absent))
