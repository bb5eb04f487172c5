"""A given number of cached calls and nothing else, for counting instructions."""

from __future__ import annotations

import asyncio
import sys

from sides import SCOPE, credential


async def main(side: str, kind: str, method: str, calls: str) -> None:
    one = credential(side, kind)
    call = getattr(one, method)
    await call(SCOPE)
    for _ in range(int(calls)):
        await call(SCOPE)
    await one.close()


asyncio.run(main(*sys.argv[1:]))
