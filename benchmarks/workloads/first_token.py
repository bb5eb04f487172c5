"""From the start of a process to its first token out of the default chain."""

from __future__ import annotations

import asyncio
import sys
import time

from sides import SCOPE, credential
from talk import ask, tell


async def main(side: str) -> None:
    chain = credential(side, "default")
    token = await chain.get_token(SCOPE)
    ready = time.time()
    assert token.token

    from memory import peak_mebibytes

    tell(ready=ready, peak=peak_mebibytes(), requests=ask("counts")["requests"])
    await chain.close()


asyncio.run(main(sys.argv[1]))
