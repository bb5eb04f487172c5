"""A call that the cache answers: time per call, and log records per call."""

from __future__ import annotations

import asyncio
import logging
import statistics
import sys
import time
from typing import Any

from sides import SCOPE, credential
from talk import tell

ROUND_SECONDS = 0.08
ROUNDS = 7


class Counting(logging.Handler):
    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


async def main(side: str, kind: str) -> None:
    one = credential(side, kind)
    await one.get_token(SCOPE)
    figures = {name: await per_call(getattr(one, name)) for name in ("get_token", "get_token_info")}
    handler = Counting()
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
    await one.get_token(SCOPE)
    logging.getLogger().removeHandler(handler)
    tell(**figures, records=handler.count)
    await one.close()


async def per_call(method: Any) -> float:
    """Microseconds: the median of several rounds."""
    calls = 100
    while await seconds_of(method, calls) < ROUND_SECONDS / 4:
        calls *= 2
    return statistics.median([await seconds_of(method, calls) for _ in range(ROUNDS)]) / calls * 1e6


async def seconds_of(method: Any, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        await method(SCOPE)
    return time.perf_counter() - start


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
