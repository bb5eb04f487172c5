"""What plugin authors and applications test with: a clock that jumps, a transport that answers, a loop that does not wait.

``pytest -p credchain.testing.pytest`` offers the same, and the emulator, as fixtures.
"""

from credchain.testing.clock import FakeClock, run
from credchain.testing.static import StaticCredential
from credchain.testing.transport import FakeTransport, json_response, token_response

__all__ = [
    "FakeClock",
    "FakeTransport",
    "StaticCredential",
    "json_response",
    "run",
    "token_response",
]
