"""TokenCredential: what every source of ours is. It keeps tokens and refreshes them; a source only acquires them.

A token's way: `get_token` looks into the cache (one dictionary look-up, nothing else). A token that needs something done
takes the longer way through `_obtain`: fetch it, refresh it in the background, or wait for the refresh, as
`credchain.refresh` decides. Each fetch runs in the one flight of its key.
"""

from __future__ import annotations

import abc
import asyncio
import functools
import logging
import os
from typing import TYPE_CHECKING, Any, ClassVar, Never

import attrs

from credchain import refresh
from credchain._aiohttp import AiohttpTransport
from credchain.errors import (
    AuthenticationFailedError,
    ClientAuthenticationError,
    TransportError,
    is_unavailable,
)
from credchain.flight import Flight
from credchain.host import Host
from credchain.http import RetryPlan
from credchain.oauth import retry_after
from credchain.refresh import State
from credchain.tokens import AccessToken, AccessTokenInfo, TokenRequest

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    import aiohttp

    from credchain.http import Request, Response, Transport

logger = logging.getLogger("credchain")

Key = str | tuple[tuple[str, ...], str | None, bool]
"""What tokens of one credential are told apart by; see `cache_key`."""

_IN_FLIGHT_SECONDS = 5.0
_REFUSED_LIMIT = 1000
_RETRIED = RetryPlan()


class Entry:
    """A cached token and the times of its life, in seconds since the epoch.

    Attributes:
        token: What `get_token` returns.
        due: When a caller next has to take the longer way.
        offset: Wall clock minus monotonic clock when the token came: a wall clock that is put back, or a monotonic one
            that stood still in a suspended machine, cannot prolong the token's life, as the later of both counts.
        failures: Failed refreshes in a row.
    """

    __slots__ = ("_info", "due", "failures", "mandatory_at", "offset", "refresh_at", "token", "token_type")

    def __init__(self, info: AccessTokenInfo, *, now: float, offset: float, rng: random.Random) -> None:
        self.token = AccessToken(info.token, info.expires_on)
        self.token_type = info.token_type
        self.refresh_at = refresh.refresh_at(now=now, expires_at=info.expires_on, refresh_on=info.refresh_on, rng=rng)
        self.mandatory_at = refresh.mandatory_at(now=now, expires_at=info.expires_on)
        self.due = self.refresh_at
        self.offset = offset
        self.failures = 0
        self._info: AccessTokenInfo | None = None

    @property
    def info(self) -> AccessTokenInfo:
        """What `get_token_info` returns; made when it is first asked for."""
        if self._info is None:
            self._info = AccessTokenInfo(
                self.token.token,
                self.token.expires_on,
                token_type=self.token_type,
                refresh_on=int(self.refresh_at),
            )
        return self._info

    def state(self, now: float) -> State:
        """What the token's age means for a caller."""
        return refresh.decide(
            now, refresh_at=self.refresh_at, mandatory_at=self.mandatory_at, expires_at=self.token.expires_on
        )


class TokenCredential(abc.ABC):
    """A source of tokens. Subclasses write `acquire`; caching, single flight and refresh come for nothing.

    One object may be used from any number of tasks, threads and event loops, in successive ``asyncio.run`` calls, and
    after `close`.

    Args:
        transport: The way out; stays the caller's, who closes it.
        session: An ``aiohttp.ClientSession`` to send over; stays the caller's, who closes it.
        host: The world, from whoever builds the source. Without it, the machine's own.

    Attributes:
        source: The source's name; begins each error's message.
        cache_size: How many tokens are kept; beyond it the expired go first, then the oldest.
    """

    source: ClassVar[str] = "credential"
    cache_size: int = 50_000

    def __init__(
        self,
        *,
        transport: Transport | None = None,
        session: aiohttp.ClientSession | None = None,
        host: Host | None = None,
    ) -> None:
        self.host = host if host is not None else machine_host(transport=transport, session=session)
        self._closes_transport = host is None and transport is None
        self._home_tenant: str | None = None
        self._entries: dict[Key, Entry] = {}
        self._refused: dict[Key, tuple[float, BaseException]] = {}
        self._flight: Flight[Entry] = Flight()
        self._time = self.host.clock.time
        self._monotonic = self.host.clock.monotonic

    @abc.abstractmethod
    async def acquire(self, request: TokenRequest) -> AccessTokenInfo:
        """A new token from the source itself. Called at most once at a time for one key.

        Raises:
            credchain.CredentialUnavailableError: The source does not apply here; a chain goes on.
            credchain.AuthenticationFailedError: The source applies, and refused; a chain stops.
            ValueError: The request cannot be one.
        """

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **_: Any,
    ) -> AccessToken:
        """An access token for *scopes*, from the cache where possible.

        Args:
            scopes: At least one, such as ``https://vault.azure.net/.default``.
            claims: A claims challenge to answer, as JSON text; leads to a new token.
            tenant_id: Another tenant than the credential's own, where that is allowed.
            enable_cae: Whether the caller handles continuous access evaluation.

        Keywords beyond these are accepted, as SDK clients send them, and have no effect.

        Raises:
            azure.core.exceptions.ClientAuthenticationError: No token; `credchain.errors` has the kinds.
            ValueError: No scope, or something that cannot be one.
        """
        if not claims:
            entry = self.peek(scopes, tenant_id, enable_cae)
            if entry is not None:
                return entry.token
        return (await self._obtain(scopes, claims, tenant_id, enable_cae)).token

    async def get_token_info(self, *scopes: str, options: Any = None) -> AccessTokenInfo:
        """As `get_token`, with the token's type and refresh time; *options* as azure-core's TokenRequestOptions."""
        claims, tenant_id, enable_cae = None, None, False
        if options:
            claims, tenant_id = options.get("claims"), options.get("tenant_id")
            enable_cae = bool(options.get("enable_cae"))
        if not claims:
            entry = self.peek(scopes, tenant_id, enable_cae)
            if entry is not None:
                return entry.info
        return (await self._obtain(scopes, claims, tenant_id, enable_cae)).info

    def peek(self, scopes: tuple[str, ...], tenant_id: str | None = None, enable_cae: bool = False) -> Entry | None:
        """The cached token that needs nothing done, or None. This is the whole of the cached path."""
        if len(scopes) == 1 and not tenant_id and not enable_cae:
            entry = self._entries.get(scopes[0])
        else:
            entry = self._entries.get(self._key(scopes, tenant_id, enable_cae))
        if entry is not None:
            due = entry.due
            if self._time() < due and self._monotonic() + entry.offset < due:
                return entry
        return None

    def invalidate(self, token: str) -> bool:
        """Forget *token*, which a service has rejected, so that the next call fetches a new one.

        Only exactly this token is dropped: a rejection that comes late takes nothing from a newer token.

        Returns:
            Whether it was cached.
        """
        stale = [key for key, entry in list(self._entries.items()) if entry.token.token == token]
        for key in stale:
            self._entries.pop(key, None)
        return bool(stale)

    def adopt(self, other: TokenCredential) -> None:
        """Take over the tokens of another credential of the same identity, such as one whose secret was replaced."""
        self._entries.update(other._entries)  # one class, two objects

    async def send(self, request: Request, *, plan: RetryPlan = _RETRIED) -> Response:
        """Send *request*, again where *plan* says so, within ``request.timeout`` seconds for all tries together.

        A Retry-After that lies beyond the deadline is not waited for; the answer that carries it is returned.

        Raises:
            credchain.TransportError: No answer; the message begins with the source.
        """
        clock, rng = self.host.clock, self.host.random
        limit = request.timeout if self.host.timeout is None else min(request.timeout, self.host.timeout)
        start = clock.monotonic()
        tried = 0
        while True:
            tried += 1
            left = max(0.001, limit - (clock.monotonic() - start))
            response, error = await self._try(attrs.evolve(request, timeout=left))
            delay = refresh.retry_delay(
                plan,
                tried,
                status=None if response is None else response.status,
                retry_after=None if response is None else retry_after(response, now=clock.time()),
                elapsed=clock.monotonic() - start,
                rng=rng,
            )
            if delay is None or clock.monotonic() - start + delay >= limit:
                break
            logger.debug("%s: trying again in %.1f s (%s)", self.source, delay, error or response)
            await asyncio.sleep(delay)
        if response is None:
            raise TransportError(f"{self.source}: {error.message if error else 'no answer'}") from error
        return response

    async def close(self) -> None:
        """Stop what is under way and close connections that this credential opened. It can be used again afterwards."""
        await self._flight.close()
        if self._closes_transport:
            await self.host.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce__(self) -> Never:
        raise TypeError(
            f"{type(self).__name__} cannot be pickled, since it holds a secret; "
            f"make one in the other process, or use DefaultAzureCredential there"
        )

    def _key(self, scopes: tuple[str, ...], tenant_id: str | None, enable_cae: bool) -> Key:
        return cache_key(scopes, None if tenant_id == self._home_tenant else tenant_id, enable_cae)

    async def _obtain(
        self, scopes: Sequence[str], claims: str | None, tenant_id: str | None, enable_cae: bool
    ) -> Entry:
        """The token of a request that the cache alone cannot answer."""
        request = requested(scopes, claims, tenant_id, enable_cae)
        key = self._key(request.scopes, tenant_id, enable_cae)
        if request.claims:
            reason = "claims" if key in self._entries else None
            return await self._flight.run(request, functools.partial(self._fetch, key, request, reason=reason))
        entry = self._entries.get(key)
        if entry is None:
            return await self._first(key, request)
        now = max(self._time(), self._monotonic() + entry.offset)
        match entry.state(now):
            case State.EXPIRED:
                return await self._first(key, request)
            case State.MANDATORY if not entry.failures:
                return await self._awaited_refresh(key, request, entry)
            case State.FRESH:
                return entry
        if now >= entry.due:
            self._flight.start(key, functools.partial(self._background_refresh, key, request, entry))
            latest = entry.token.expires_on if entry.failures else entry.mandatory_at
            entry.due = min(now + _IN_FLIGHT_SECONDS, latest)
        return entry

    async def _first(self, key: Key, request: TokenRequest) -> Entry:
        """A token where there is none; a refusal just heard is repeated instead of asked for again."""
        refused = self._refused.get(key)
        if refused is not None and self._monotonic() < refused[0]:
            raise refused[1].with_traceback(None)  # or it would grow with each caller
        return await self._flight.run(key, functools.partial(self._fetch_or_remember, key, request))

    async def _fetch_or_remember(self, key: Key, request: TokenRequest) -> Entry:
        try:
            entry = await self._fetch(key, request)
        except AuthenticationFailedError as error:
            if is_refusal(error):
                if len(self._refused) >= _REFUSED_LIMIT:
                    self._refused.clear()
                self._refused[key] = self._monotonic() + refresh.hard_failure_for(rng=self.host.random), error
            raise
        self._refused.pop(key, None)
        return entry

    async def _awaited_refresh(self, key: Key, request: TokenRequest, entry: Entry) -> Entry:
        """A new token, or the old one if that fails while it is valid."""
        try:
            return await self._flight.run(key, functools.partial(self._refresh, key, request, entry, "mandatory"))
        except ClientAuthenticationError:
            if entry.state(max(self._time(), self._monotonic() + entry.offset)) is State.EXPIRED:
                raise
            return entry

    async def _background_refresh(self, key: Key, request: TokenRequest, entry: Entry) -> Entry:
        try:
            return await self._refresh(key, request, entry, "advisory")
        except ClientAuthenticationError:
            return entry  # told by _refresh; a caller that has joined meanwhile gets the old token too

    async def _refresh(self, key: Key, request: TokenRequest, entry: Entry, reason: str) -> Entry:
        try:
            return await self._fetch(key, request, reason=reason)
        except Exception as error:
            self._refresh_failed(entry, error)
            raise

    def _refresh_failed(self, entry: Entry, error: Exception) -> None:
        """Set the time of the next try. An outage is logged once; a programming error each time, with its traceback."""
        entry.failures += 1
        wait = refresh.backoff(entry.failures, retry_after=getattr(error, "retry_after", None), rng=self.host.random)
        now = max(self._time(), self._monotonic() + entry.offset)
        entry.due = min(now + wait, entry.token.expires_on)
        expected = isinstance(error, ClientAuthenticationError)
        level = logging.WARNING if entry.failures == 1 or not expected else logging.DEBUG
        logger.log(
            level,
            "%s: refreshing a token failed, the old one serves for another %.0f s, next try in %.0f s: %s",
            self.source,
            entry.token.expires_on - now,
            wait,
            error,
            exc_info=None if expected else error,
        )
        if self.host.emit is not None:
            from credchain.events import RefreshFailed

            told = str(error).partition("\n")[0] if expected else type(error).__name__  # a bug's text may hold anything
            self.host.emit(RefreshFailed(self.source, told, entry.token.expires_on, wait))

    async def _fetch(self, key: Key, request: TokenRequest, *, reason: str | None = None) -> Entry:
        start = self._monotonic()
        info = await self.acquire(request)
        now, monotonic = self._time(), self._monotonic()
        if info.expires_on <= now:
            raise AuthenticationFailedError(
                f"{self.source}: the token that came has already expired, {now - info.expires_on:.0f} s ago by this "
                f"machine's clock; is the clock right?"
            )
        entry, old = Entry(info, now=now, offset=now - monotonic, rng=self.host.random), self._entries.get(key)
        self._store(key, entry)
        logger.debug("%s: a token for another %.0f s came", self.source, info.expires_on - now)
        if old is not None and old.failures:
            logger.warning("%s: tokens can be refreshed again, after %d failures", self.source, old.failures)
        if self.host.emit is not None:
            from credchain.events import RefreshReason, TokenAcquired, TokenRefreshed

            seconds = monotonic - start
            self.host.emit(
                TokenAcquired(self.source, info.expires_on, seconds)
                if reason is None
                else TokenRefreshed(self.source, RefreshReason(reason), info.expires_on, seconds)
            )
        return entry

    def _store(self, key: Key, entry: Entry) -> None:
        self._entries.pop(key, None)  # so that the order of the dictionary is the order of age
        self._entries[key] = entry
        if len(self._entries) > self.cache_size:
            self._make_room()

    def _make_room(self) -> None:
        """Drop the expired, then the oldest until a tenth of the cache is free, so that this is rare."""
        now = self._time()
        entries = list(self._entries.items())
        kept = [(key, entry) for key, entry in entries if entry.token.expires_on > now]
        room = max(1, self.cache_size - self.cache_size // 10)
        doomed = {key for key, _ in entries} - {key for key, _ in kept[-room:]}
        for key in doomed:
            self._entries.pop(key, None)

    async def _try(self, request: Request) -> tuple[Response | None, TransportError | None]:
        try:
            return await self.host.transport.send(request), None
        except TransportError as error:
            return None, error


def machine_host(*, transport: Transport | None = None, session: aiohttp.ClientSession | None = None) -> Host:
    """The world of a credential that somebody made by hand: this machine's clock, environment and network.

    Raises:
        TypeError: Both a transport and a session were given.
    """
    if transport is not None and session is not None:
        raise TypeError("transport and session exclude each other: a transport has its own way out")
    if transport is None:
        transport = AiohttpTransport(session=session, environment=os.environ)
    return Host(transport=transport, environment=os.environ)


def cache_key(scopes: tuple[str, ...], tenant_id: str | None, enable_cae: bool) -> Key:
    """One scope in the credential's own tenant is its own key; everything else is a tuple of all that matters.

    The order of scopes does not matter, and an empty tenant means the credential's own. Claims are no part of it, since
    a request with claims does not read the cache.
    """
    if len(scopes) == 1 and not tenant_id and not enable_cae:
        return scopes[0]
    return tuple(sorted(scopes)), tenant_id or None, bool(enable_cae)


def requested(scopes: Sequence[str], claims: str | None, tenant_id: str | None, enable_cae: bool) -> TokenRequest:
    """A call's arguments as a request; what is empty counts as not given.

    Raises:
        ValueError: No scope, or one that is no text.
    """
    if not scopes:
        raise ValueError("scopes: at least one is needed, such as 'https://management.azure.com/.default'")
    for scope in scopes:
        if not isinstance(scope, str) or not scope:
            raise ValueError(f"scopes: each is a non-empty string, not {scope!r}")
    return TokenRequest(tuple(scopes), tenant_id or None, claims or None, bool(enable_cae))


def is_refusal(error: BaseException) -> bool:
    """Whether asking again at once would be refused again: the service said no to the credential itself."""
    if isinstance(error, TransportError) or is_unavailable(error) or not isinstance(error, AuthenticationFailedError):
        return False
    status = error.http_status
    return error.retry_after is None and (status is None or (400 <= status < 500 and status not in (408, 429)))
