"""What a source reads and sends while somebody looks on: names of variables, endpoints and statuses, never a body."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from credchain.host import Host
    from credchain.http import Request, Response, Transport


@attrs.frozen
class Exchange:
    """One request and what came back.

    Attributes:
        method: The HTTP method.
        url: Where to, without the query.
        status: The status of the answer; None if none came.
        content_type: Of the answer, without its parameters.
        ahead: Seconds that this machine's clock is ahead of the service's; None if the answer has no date.
        trust_env: Whether a proxy might have been used.
    """

    method: str
    url: str
    status: int | None = None
    content_type: str = ""
    ahead: float | None = None
    trust_env: bool = True


@attrs.define(eq=False)
class Witness:
    """What one source has read and sent."""

    names: dict[str, None] = attrs.field(factory=dict)
    exchanges: list[Exchange] = attrs.field(factory=list)

    def world(self, host: Host) -> Host:
        """*host*, so that what goes through it is noted here."""
        return attrs.evolve(
            host,
            environment=WatchedEnvironment(host.environment, self.names),
            transport=WatchedTransport(host.transport, self.exchanges),
        )


@attrs.frozen(eq=False)
class WatchedEnvironment(Mapping[str, str]):
    """Environment variables that note which of them are asked for."""

    inner: Mapping[str, str] = attrs.field(repr=False)
    names: dict[str, None] = attrs.field(repr=False)

    def __getitem__(self, name: str) -> str:
        self.names[name] = None
        return self.inner[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.inner)

    def __len__(self) -> int:
        return len(self.inner)


@attrs.frozen(eq=False)
class WatchedTransport:
    """A transport that notes what goes through it."""

    inner: Transport
    exchanges: list[Exchange] = attrs.field(repr=False)

    async def send(self, request: Request) -> Response:
        """Send what was given; see `credchain.http.Transport`."""
        noted = Exchange(request.method, request.url, trust_env=request.trust_env)
        try:
            response = await self.inner.send(request)
        except BaseException:
            self.exchanges.append(noted)
            raise
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        ahead = clock_ahead(response.headers.get("date", ""), now=time.time())
        self.exchanges.append(attrs.evolve(noted, status=response.status, content_type=kind, ahead=ahead))
        return response

    async def close(self) -> None:
        """Close the inner transport."""
        await self.inner.close()


def clock_ahead(date: str, *, now: float) -> float | None:
    """Seconds that *now* is ahead of an answer's ``Date`` (RFC 9110, section 6.6.1); None if that cannot be read."""
    try:
        return now - parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, IndexError):
        return None
