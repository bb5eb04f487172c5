"""What an import brings: how many modules, how much memory. Its time is taken from outside, by `run.py`."""

from __future__ import annotations

import sys

MODULES = {"peer": "azure.identity.aio", "ours": "credchain.aio", "floor": "aiohttp"}


def main(side: str) -> None:
    before = len(sys.modules)
    if side == "floor":
        import aiohttp  # noqa: F401
    elif side == "peer":
        from azure.identity.aio import DefaultAzureCredential
    else:
        from credchain.aio import DefaultAzureCredential  # noqa: F401
    modules = len(sys.modules) - before
    heavy = [name for name in ("aiohttp", "msal", "cryptography") if name in sys.modules]

    from memory import peak_mebibytes
    from talk import tell

    tell(modules=modules, peak=peak_mebibytes(), heavy=", ".join(heavy) or "none")


main(sys.argv[1])
