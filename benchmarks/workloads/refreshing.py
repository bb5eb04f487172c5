"""The token is valid and its refresh is due: a thousand callers while the service takes 300 ms, or one in an outage."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from typing import Any

import moved
from sides import SCOPE, credential
from talk import ask, tell

AHEAD = {"secret": 3600 - 200, "imds": 21 * 3600, "default": 3600 - 200}
"""Seconds after which both sides want another token while the old one has minutes or hours left."""

FAULTS: dict[str, dict[str, Any]] = {
    "503": {"status": 503, "body": '{"error":"temporarily_unavailable"}'},
    "429": {"status": 429, "body": '{"error":"throttled"}', "headers": {"Retry-After": "60"}},
    "reset": {"reset": True},
}
CAP = 40.0


async def main(side: str, kind: str, what: str) -> None:
    one = credential(side, kind)
    old = (await one.get_token(SCOPE)).token
    moved.forward(AHEAD[kind])
    await (crowd(one, old) if what == "crowd" else outage(one, kind, old, what))
    with contextlib.suppress(Exception):
        await one.close()


async def crowd(one: Any, old: str) -> None:
    ask("set", answer_delay=0.3)
    before = ask("counts")["requests"]
    waits = await asyncio.gather(*(timed(one) for _ in range(1000)))
    while (await one.get_token(SCOPE)).token == old:
        await asyncio.sleep(0.05)
    blocked = sum(seconds > 0.001 for seconds in waits)
    tell(blocked=blocked, slowest=max(waits) * 1000, requests=ask("counts")["requests"] - before)


async def timed(one: Any) -> float:
    start = time.perf_counter()
    await one.get_token(SCOPE)
    return time.perf_counter() - start


async def outage(one: Any, kind: str, old: str, fault: str) -> None:
    ask("fail", route="imds" if kind == "imds" else "token", **FAULTS[fault])
    start = time.perf_counter()
    try:
        token = await asyncio.wait_for(one.get_token(SCOPE), CAP)
    except TimeoutError:
        outcome = "still waiting"
    except Exception as error:
        outcome = f"{type(error).__name__}"
    else:
        outcome = "old token" if token.token == old else "another token"
    waited = time.perf_counter() - start
    tell(outcome=outcome, wait=waited * 1000, capped=["wait"] if outcome == "still waiting" else [])


asyncio.run(main(*sys.argv[1:]))
