"""ChainedTokenCredential: the law of the chain.

*Unavailable: note it, go on. A token: return it. Anything else: stop, and tell everything.*

A source that can find out cheaply whether it applies has a method ``detect``. Detection may run side by side, since it
commits to nothing; but a source is accepted only when every source before it has said that it does not apply. So the
winner depends on the order alone, never on timing.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

from credchain.links import link_of
from credchain.naming import refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Never, Self

    from credchain.attempts import Attempt
    from credchain.credential import Entry
    from credchain.flight import Flight
    from credchain.host import Host
    from credchain.links import Link
    from credchain.tokens import AccessToken, AccessTokenInfo, TokenRequest

logger = logging.getLogger("credchain")


class ChainedTokenCredential:
    """Credentials in order, and itself a credential.

    Members may be credchain's, azure-identity's, or any object with a coroutine ``get_token`` or ``get_token_info``.
    The first that gives a token is remembered, and asked first from then on.

    Args:
        credentials: At least one.
        timeout: Seconds that finding a token may take in all; None leaves it to the members.
        host: Clock, randomness and environment, for tests; the machine's own unless given.

    Raises:
        ValueError: No credential was given, or the timeout is none.
        TypeError: A member cannot give tokens, or a keyword is unknown.
    """

    source = "chain"

    def __init__(
        self, *credentials: Any, timeout: float | None = None, host: Host | None = None, **unknown: Never
    ) -> None:
        refuse_unknown(ChainedTokenCredential.__init__, unknown)
        if not credentials:
            raise ValueError("credentials: a chain needs at least one credential")
        links = [link_of(credential) for credential in credentials]
        self._set_up(links, timeout=timeout, make_host=_machine_host if host is None else lambda: host)

    def _set_up(self, links: list[Link], *, timeout: float | None, make_host: Callable[[], Host]) -> None:
        if timeout is not None and not (isinstance(timeout, int | float) and timeout > 0):
            raise ValueError(f"timeout: must be a number of seconds above 0, not {timeout!r}")
        self._links = links
        self._timeout = timeout
        self._make_host = make_host
        self._winner: Link | None = None
        self._peek: Callable[[tuple[str, ...], str | None, bool], Entry | None] | None = None
        self._attempts: tuple[Attempt, ...] = ()
        self._furnished = False

    @functools.cached_property
    def _host(self) -> Host:
        return self._make_host()

    @functools.cached_property
    def _flight(self) -> Flight[Any]:
        from credchain.flight import Flight

        return Flight()

    @property
    def selected(self) -> str | None:
        """The name of the source that gives the tokens, or None before the first token."""
        return None if self._winner is None else self._winner.name

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """What became of each source when the chain was last walked."""
        return self._attempts

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **_: Any,
    ) -> AccessToken:
        """An access token from the first source that gives one. Arguments as of `TokenCredential.get_token`.

        Raises:
            credchain.ChainUnavailableError: No source applied.
            credchain.ChainStoppedError: A source applied, and failed.
            ValueError: No scope, or something that cannot be one.
        """
        if not claims and self._peek is not None:
            entry = self._peek(scopes, tenant_id, enable_cae)
            if entry is not None:
                return entry.token
        token = await self._obtain(scopes, claims, tenant_id, enable_cae)
        from credchain.tokens import to_token

        return to_token(token)

    async def get_token_info(self, *scopes: str, options: Any = None) -> AccessTokenInfo:
        """As `get_token`, with the token's type and refresh time; *options* as azure-core's TokenRequestOptions."""
        claims, tenant_id, enable_cae = None, None, False
        if options:
            claims, tenant_id = options.get("claims"), options.get("tenant_id")
            enable_cae = bool(options.get("enable_cae"))
        if not claims and self._peek is not None:
            entry = self._peek(scopes, tenant_id, enable_cae)
            if entry is not None:
                return entry.info
        token = await self._obtain(scopes, claims, tenant_id, enable_cae)
        from credchain.tokens import to_info

        return to_info(token)

    def peek(self, scopes: tuple[str, ...], tenant_id: str | None = None, enable_cae: bool = False) -> Entry | None:
        """The cached token of the selected source that needs nothing done, or None."""
        return None if self._peek is None else self._peek(scopes, tenant_id, enable_cae)

    def invalidate(self, token: str) -> bool:
        """Forget *token*, which a service has rejected; see `TokenCredential.invalidate`."""
        dropped = [link.credential.invalidate(token) for link in self._links if hasattr(link.credential, "invalidate")]
        return any(dropped)

    def reset(self) -> None:
        """Forget which source was selected, and which ones did not apply; the next call walks the chain anew."""
        self._winner = None
        self._peek = None
        for link in self._links:
            link.absent = None
            link.absences = 0
            if hasattr(link.credential, "reset"):
                link.credential.reset()

    async def close(self) -> None:
        """Close the members. The chain can be used again afterwards."""
        if "_flight" in self.__dict__:
            await self._flight.close()
        for link in self._links:
            if hasattr(link.credential, "close"):
                await link.credential.close()

    async def __aenter__(self) -> Self:
        for link in self._links:
            if hasattr(link.credential, "__aenter__"):
                await link.credential.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {', '.join(link.name for link in self._links)}>"

    def __reduce__(self) -> Any:
        members = tuple(link.credential for link in self._links)
        return functools.partial(ChainedTokenCredential, timeout=self._timeout), members

    async def _obtain(
        self, scopes: tuple[str, ...], claims: str | None, tenant_id: str | None, enable_cae: bool
    ) -> Any:
        if not self._furnished:
            await self._flight.run("rooms", self._furnish)
            self._furnished = True
        from credchain.credential import requested

        request = requested(scopes, claims, tenant_id, enable_cae)
        _, token = await self._flight.run(request, functools.partial(self._find, request))
        return token

    async def _furnish(self) -> None:
        """Prepare the longer way in a worker thread, as that takes longer than an event loop should be held up."""
        import asyncio

        await asyncio.to_thread(self._prepare)

    def _prepare(self) -> None:
        """Import the rooms of the longer way."""
        from credchain import credential, walk  # noqa: F401

    async def _find(self, request: TokenRequest) -> tuple[Link, Any]:
        """The token of the first source that gives one, within the chain's deadline."""
        import asyncio

        from credchain.walk import Walk

        walk = Walk(self._links, self._winner, request, self._host)
        deadline = asyncio.timeout(self._timeout)
        try:
            async with deadline:
                found = await walk.find()
        except TimeoutError:
            if not deadline.expired():
                raise
            raise walk.late(self._timeout) from None
        finally:
            self._attempts = tuple(walk.attempts)
            await walk.end()
        self._select(*found, seconds=walk.seconds)
        return found

    def _select(self, link: Link, _token: Any, *, seconds: float) -> None:
        self._peek = getattr(link.credential, "peek", None)
        if link is self._winner:
            return
        self._winner = link
        package = f" of {link.distribution}" if link.distribution else ""
        logger.info("selected the source %s%s after %.0f ms", link.name, package, seconds * 1000)
        if self._host.emit is not None:
            from credchain.events import SourceSelected

            self._host.emit(SourceSelected(link.name, link.distribution, seconds))


def _machine_host() -> Host:
    from credchain.credential import machine_host

    return machine_host()
