"""What plugin authors and applications test with: a clock that jumps, a transport that answers, a loop that does not wait.

`ProviderContract` is the law of a source as a pytest class to inherit from. ``pytest -p credchain.testing.pytest`` offers
clock, transport and the emulator as fixtures. Nothing else here needs pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from credchain.testing.clock import FakeClock, run
from credchain.testing.leaks import assert_no_token_leaks
from credchain.testing.static import StaticCredential
from credchain.testing.transport import FakeTransport, json_response, token_response

if TYPE_CHECKING:
    from credchain.testing.contract import ProviderContract

__all__ = [
    "FakeClock",
    "FakeTransport",
    "ProviderContract",
    "StaticCredential",
    "assert_no_token_leaks",
    "json_response",
    "run",
    "token_response",
]


def __getattr__(name: str) -> object:
    if name == "ProviderContract":
        from credchain.testing.contract import ProviderContract

        return ProviderContract
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
