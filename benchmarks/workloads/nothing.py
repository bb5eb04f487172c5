"""A default chain where no source applies: what the first, a second credential's first, and its second call cost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
from typing import Any

import aiohttp  # noqa: F401  # both sides need it; loading it is measured elsewhere
from sides import SCOPE, credential
from talk import ask, tell

CAP = 15.0
FAULTS: dict[str, dict[str, Any]] = {
    "sick": {"status": 503, "body": '{"error":"service_unavailable"}'},
    "page": {"status": 200, "body": "<html>sign in</html>", "content_type": "text/html"},
}


async def main(side: str, what: str) -> None:
    with contextlib.ExitStack() as stack:
        if what in FAULTS:
            ask("fail", route="imds", **FAULTS[what])
        else:
            os.environ["AZURE_POD_IDENTITY_AUTHORITY_HOST"] = f"http://127.0.0.1:{address(what, stack)}"
        slow = what in ("silent", "sick")
        cold = None if slow else await call(credential(side, "default"))
        one = credential(side, "default")
        first, second = await call(one), await call(one)
        figures = {"first": first, "second": second} | ({} if cold is None else {"cold": cold})
        capped = [name for name, (seconds, _) in figures.items() if seconds >= CAP * 1000]
        tell(outcome=first[1], capped=capped, **{name: taken for name, (taken, _) in figures.items()})
        os._exit(0)  # whatever still waits for an answer is not waited for


async def call(one: Any) -> tuple[float, str]:
    """Milliseconds, and how it ended."""
    start = time.perf_counter()
    try:
        await asyncio.wait_for(one.get_token(SCOPE), CAP)
        outcome = "token"
    except TimeoutError:
        outcome = "still waiting"
    except Exception as error:
        outcome = type(error).__name__
    return (time.perf_counter() - start) * 1000, outcome


def address(what: str, stack: contextlib.ExitStack) -> int:
    """A port that refuses, accepts and never answers, or drops whatever is sent to it."""
    listener = stack.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    port: int = listener.getsockname()[1]
    if what == "refused":
        return port
    listener.listen(0 if what == "drops" else 100)
    if what == "drops":
        for _ in range(4):  # a full queue: further attempts are dropped, on Linux
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
    return port


asyncio.run(main(*sys.argv[1:]))
