"""Ten thousand cached tokens: memory beyond the tokens' own text, and the time to take one in."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import statistics
import sys
import time
import tracemalloc
from typing import Any

from filling import TEXT, answer, fill, make, peer_event, scopes
from talk import tell

COUNT = 10_000
ROUND = 2_000


async def main(side: str, what: str) -> None:
    if what == "memory":
        tell(bytes=await held(side))
    else:
        tell(insertion=statistics.median(insertions(side)))


async def held(side: str) -> float:
    """Bytes an entry."""
    one = make(side)
    await fill(side, one, [("https://first.example/.default", None)])
    wanted: list[tuple[str, str | None]] = [(scope, None) for scope in scopes(COUNT)]
    text = sys.getsizeof("t" * TEXT)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    await fill(side, one, wanted)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    await one.close()
    return (after - before) / COUNT - text


def insertions(side: str) -> list[float]:
    """Microseconds from an answer's text to a cached token, in rounds. There is no public door to this alone."""
    one = make(side)
    taken = []
    for begin in range(0, COUNT, ROUND):
        some = [
            (f"https://resource-{number}.example/.default", answer(number)) for number in range(begin, begin + ROUND)
        ]
        insert = INSERT[side](one)
        start = time.perf_counter()
        for scope, body in some:
            insert(scope, body)
        taken.append((time.perf_counter() - start) / ROUND * 1e6)
    return taken


def _peer(one: Any) -> Any:
    cache = one._client._get_cache()
    return lambda scope, body: cache.add(peer_event(scope, None, json.loads(body)), now=int(time.time()))


def _floor(one: Any) -> Any:
    from floor import Token

    def insert(scope: str, body: bytes) -> None:
        payload = json.loads(body)
        one._tokens[scope] = Token(payload["access_token"], int(time.time()) + int(payload["expires_in"]))

    return insert


def _ours(one: Any) -> Any:
    from credchain.credential import Entry, cache_key
    from credchain.http import Response
    from credchain.oauth import parse_token

    rng = random.Random()
    headers = {"content-type": "application/json"}

    def insert(scope: str, body: bytes) -> None:
        now = time.time()
        info = parse_token(Response(200, headers=headers, body=body), source="client_secret", now=now)
        entry = Entry(info, now=now, offset=now - time.monotonic(), rng=rng)
        one._store(cache_key((scope,), None, False), entry)

    return insert


INSERT = {"peer": _peer, "floor": _floor, "ours": _ours}

os.environ.setdefault("AZURE_AUTHORITY_HOST", "https://localhost")
asyncio.run(main(*sys.argv[1:]))
