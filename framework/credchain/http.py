"""HTTP as values: what goes out, what comes back, and the one method between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen(eq=False)
class Request:
    """An HTTP request. Headers, query and form may hold secrets and are not shown in the repr.

    Attributes:
        method: ``GET`` or ``POST``.
        url: Scheme, host and path, without the query.
        headers: Sent as they are.
        params: The query.
        form: Sent as ``application/x-www-form-urlencoded``; None sends no body.
        timeout: Seconds for everything together: connecting, sending, reading, and any retries in between.
        trust_env: False keeps the request away from every proxy; for link-local and loopback endpoints.
        thumbprint: SHA-1 of the only server certificate to be trusted, in hexadecimal; None verifies as usual.
    """

    method: str
    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    params: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    form: Mapping[str, str] | None = attrs.field(default=None, repr=False)
    timeout: float = 30.0
    trust_env: bool = True
    thumbprint: str | None = None


@attrs.frozen(eq=False)
class Response:
    """An HTTP answer, read to its end. The body may hold a token and is not shown in the repr.

    Attributes:
        status: The status code.
        headers: By lower-case name; what came several times is joined by a comma and a space.
        body: All of it.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)


@runtime_checkable
class Transport(Protocol):
    """The way out. Whoever makes a transport closes it."""

    async def send(self, request: Request) -> Response:
        """Send one request and read the whole answer; no retries, no redirects.

        Raises:
            credchain.TransportError: No answer within ``request.timeout`` seconds, or no connection.
            credchain.AuthenticationFailedError: The server's certificate does not have ``request.thumbprint``.
        """
        ...

    async def close(self) -> None:
        """Release connections. Closing twice is fine, and sending again afterwards opens new ones."""
        ...


@attrs.frozen
class RetryPlan:
    """When to ask again.

    Attributes:
        retries: How many times at most, after the first try.
        first: Seconds before the first retry, doubled for each further one.
        statuses: HTTP statuses that are worth another try.
        at_least: Seconds that must be given to a status before it is believed, by status.
    """

    retries: int = 3
    first: float = 0.8
    statuses: frozenset[int] = frozenset({408, 429, 500, 502, 503, 504})
    at_least: Mapping[int, float] = attrs.field(factory=dict)


ONCE = RetryPlan(retries=0)
"""The plan of a request that is not repeated."""
