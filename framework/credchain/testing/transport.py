"""FakeTransport: a transport that answers what it was told, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import TYPE_CHECKING, Any

from credchain.errors import TransportError
from credchain.http import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from credchain.http import Request

    Answer = Response | Exception | Callable[[Request], Response]


class FakeTransport:
    """A transport without a network.

    Each answer is a Response, an exception to be raised, or a function from the request to a Response. The last one is
    given again and again.

    Args:
        answers: In the order in which they are given.
        delay: Seconds that each answer takes, by the event loop's time.

    Attributes:
        requests: What was sent.
        closed: How often it was closed.
        most_at_once: The most requests that were under way at the same time.
    """

    def __init__(self, *answers: Answer, delay: float = 0.0) -> None:
        self._answers: deque[Answer] = deque(answers)
        self.delay = delay
        self.requests: list[Request] = []
        self.closed = 0
        self.most_at_once = 0
        self._under_way = 0

    def then(self, *answers: Answer) -> None:
        """Give these answers from now on."""
        self._answers = deque(answers)

    async def send(self, request: Request) -> Response:
        """The next answer; a delay beyond the request's timeout is a TransportError, as it would be over a network."""
        self.requests.append(request)
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            await asyncio.sleep(min(self.delay, request.timeout))
        finally:
            self._under_way -= 1
        if self.delay > request.timeout:
            raise TransportError(f"no answer within {request.timeout:g} s")
        return self._next(request)

    async def close(self) -> None:
        """Count that it was closed."""
        self.closed += 1

    def _next(self, request: Request) -> Response:
        if not self._answers:
            raise TransportError("this fake transport was given no answer")
        answer = self._answers.popleft() if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Response) else answer(request)


def json_response(payload: object, *, status: int = 200, **headers: str) -> Response:
    """A Response with a JSON body; keywords are headers, ``retry_after="3"`` for ``retry-after: 3``."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, headers={"content-type": "application/json", **given}, body=json.dumps(payload).encode())


def token_response(token: str = "a-token", *, expires_in: float = 3600, **fields: Any) -> Response:  # noqa: S107
    """The answer of a token endpoint that gives *token*; keywords are further fields."""
    return json_response({"token_type": "Bearer", "expires_in": expires_in, "access_token": token, **fields})
