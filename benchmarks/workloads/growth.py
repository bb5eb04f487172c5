"""A cached call in a credential that holds many tokens: for many scopes, or one scope in many tenants."""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import time
from typing import Any

from filling import fill, make, scopes, tenants
from sides import SCOPE

ROUND_SECONDS = 0.1


async def main(side: str, what: str, count: int) -> None:
    from talk import tell

    one = make(side)
    await fill(side, one, wanted(what, count))
    picks = random.Random(1).choices(wanted(what, count), k=20_000)
    call = floor_in_tenant(one) if side == "floor" and what == "tenants" else one.get_token
    rounds = [await per_call(call, what, picks) for _ in range(5)]
    tell(call=statistics.median(rounds))
    await one.close()


def wanted(what: str, count: int) -> list[tuple[str, str | None]]:
    if what == "scopes":
        return [(scope, None) for scope in scopes(count)]
    return [(SCOPE, tenant) for tenant in tenants(count)]


def floor_in_tenant(one: Any) -> Any:
    async def get_token(scope: str, *, tenant_id: str | None) -> Any:
        token = one._tokens.get((scope, tenant_id))
        return token if token is not None and time.time() < token.expires_on else None

    return get_token


async def per_call(method: Any, what: str, picks: list[tuple[str, str | None]]) -> float:
    """Microseconds a call, over random picks."""
    calls, start, taken = 0, time.perf_counter(), 0.0
    step = 500
    while taken < ROUND_SECONDS and calls < len(picks):
        some = picks[calls : calls + step] if calls else picks[:5]
        if what == "scopes":
            for scope, _ in some:
                await method(scope)
        else:
            for scope, tenant in some:
                await method(scope, tenant_id=tenant)
        calls += len(some)
        taken = time.perf_counter() - start
    return taken / calls * 1e6


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
