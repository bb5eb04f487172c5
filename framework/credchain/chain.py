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

import attrs

from credchain.naming import refuse_unknown

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType
    from typing import Never, Self

    from azure.core.exceptions import AzureError

    from credchain.attempts import Attempt, Outcome
    from credchain.credential import Entry
    from credchain.flight import Flight
    from credchain.host import Host
    from credchain.tokens import AccessToken, AccessTokenInfo, TokenRequest

logger = logging.getLogger("credchain")

_STAGGER_SECONDS = 0.05
_SOURCE_SECONDS = 10.0


@attrs.define(eq=False)
class Link:
    """A chain's place for one source.

    Attributes:
        name: The source's name, or the class name of a credential that was given as an object.
        open: Gives the credential; called when the chain first reaches the link.
        distribution: The package the source came from, if known.
        explicit: Whether the user named this very source: then it is not asked whether it applies, and that it does
            not is not remembered.
        timeout: Seconds for one turn; None takes the chain's usual 10 s, or no limit where the link is alone.
        on_failure: ``"continue"`` goes on after a failure, where the settings say so.
        credential: What `open` gave.
        absent: What is remembered of a source that does not apply.
    """

    name: str
    open: Callable[[], Awaitable[Any]]
    distribution: str | None = None
    explicit: bool = False
    timeout: float | None = None
    on_failure: str = "stop"
    credential: Any = None
    absent: Absence | None = None
    absences: int = 0


@attrs.frozen
class Absence:
    """That a source does not apply: why, until when that is believed, and what the environment was."""

    reason: str
    until: float
    variables: tuple[str | None, ...]


class ChainedTokenCredential:
    """Credentials in order, and itself a credential.

    Members may be credchain's, azure-identity's, or any object with a coroutine ``get_token`` or ``get_token_info``.
    The first that gives a token is remembered, and asked first from then on.

    Args:
        credentials: At least one.
        timeout: Seconds that finding a token may take in all; None leaves it to the members.
        host: Clock, randomness and environment, for tests; the machine's own unless given.

    Raises:
        ValueError: No credential was given.
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
        self._links = links
        self._timeout = timeout
        self._make_host = make_host
        self._winner: Link | None = None
        self._peek: Callable[[tuple[str, ...], str | None, bool], Entry | None] | None = None
        self._attempts: tuple[Attempt, ...] = ()

    @functools.cached_property
    def _host(self) -> Host:
        return self._make_host()

    @functools.cached_property
    def _flight(self) -> Flight[tuple[Link, Any]]:
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
        from credchain.tokens import to_token

        return to_token(await self._obtain(scopes, claims, tenant_id, enable_cae))

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
        from credchain.tokens import to_info

        return to_info(await self._obtain(scopes, claims, tenant_id, enable_cae))

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
        return ChainedTokenCredential, tuple(link.credential for link in self._links)

    async def _obtain(
        self, scopes: tuple[str, ...], claims: str | None, tenant_id: str | None, enable_cae: bool
    ) -> Any:
        from credchain.credential import requested

        request = requested(scopes, claims, tenant_id, enable_cae)
        _, token = await self._flight.run(request, functools.partial(self._find, request))
        return token

    async def _find(self, request: TokenRequest) -> tuple[Link, Any]:
        """The token of the first source that gives one, within the chain's deadline."""
        import asyncio

        walk = _Walk(self, request)
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
        from credchain.events import SourceSelected

        self._winner = link
        package = f" of {link.distribution}" if link.distribution else ""
        logger.info("selected the source %s%s after %.0f ms", link.name, package, seconds * 1000)
        if self._host.emit is not None:
            self._host.emit(SourceSelected(link.name, link.distribution, seconds))


class _Walk:
    """One way along a chain. Detections are tasks of it, and end with it."""

    def __init__(self, chain: ChainedTokenCredential, request: TokenRequest) -> None:
        first = chain._winner
        self.links = chain._links if first is None else [first, *(k for k in chain._links if k is not first)]
        self.host = chain._host
        self.request = request
        self.attempts: list[Attempt] = []
        self.start = self.host.clock.monotonic()
        self.now_at = self.links[0].name
        self._detections: dict[int, asyncio.Task[BaseException | None]] = {}

    @property
    def seconds(self) -> float:
        return self.host.clock.monotonic() - self.start

    async def find(self) -> tuple[Link, Any]:
        from azure.core.exceptions import AzureError

        from credchain.attempts import Outcome
        from credchain.errors import ChainUnavailableError

        for index, link in enumerate(self.links):
            self.now_at = link.name
            begun = self.host.clock.monotonic()
            known = self._remembered(link)
            if known is not None:
                self._note(link, Outcome.UNAVAILABLE, f"{known.reason} (as found before)", None)
                continue
            try:
                token = await self._turn(index, link)
            except AzureError as error:
                self._judge(link, error, begun)
            except Exception as error:
                error.add_note(_told(f"credchain: raised by the source {link.name}, after", self.attempts))
                raise
            else:
                link.absences = 0
                self._note(link, Outcome.TOKEN, "", begun)
                return link, token
        raise ChainUnavailableError(_told("no source could give a token", self.attempts), attempts=self.attempts)

    def late(self, seconds: float | None) -> Exception:
        """The error of a chain that missed its deadline."""
        from credchain.attempts import Outcome
        from credchain.errors import ChainStoppedError, TransportError

        cause = TransportError(f"{self.now_at}: no token within the chain's {seconds:g} s")
        link = next(link for link in self.links if link.name == self.now_at)
        self._note(link, Outcome.FAILED, cause.message, self.start)
        return ChainStoppedError(
            _told(f"the chain stopped at {link.name}", self.attempts), attempts=self.attempts, cause=cause
        )

    async def end(self) -> None:
        """Cancel the detections that nobody waits for any more."""
        import asyncio

        for task in self._detections.values():
            task.cancel()
        if self._detections:
            await asyncio.wait(self._detections.values())

    async def _turn(self, index: int, link: Link) -> Any:
        """What asking one source gives."""
        if link.credential is None:
            link.credential = await link.open()
        if self._detects(link):
            absent = await self._detected(index)
            if absent is not None:
                raise absent
        return await self._ask(link)

    async def _ask(self, link: Link) -> Any:
        import asyncio

        limit = link.timeout if link.timeout is not None else self._usual_limit(link)
        deadline = asyncio.timeout(limit)
        try:
            async with deadline:
                return await _token_from(link.credential, self.request)
        except TimeoutError:
            if not deadline.expired():
                raise
            from credchain.errors import TransportError

            raise TransportError(f"{link.name}: no token within {limit:g} s") from None

    def _usual_limit(self, link: Link) -> float | None:
        return _SOURCE_SECONDS if self._detects(link) else None

    def _detects(self, link: Link) -> bool:
        """Whether the source is asked first whether it applies: not where it is the only one, or named explicitly."""
        return len(self.links) > 1 and not link.explicit and hasattr(link.credential, "detect")

    async def _detected(self, index: int) -> BaseException | None:
        """What a source's detection says; while it takes long, those of the next sources begin."""
        import asyncio

        from credchain.errors import CredentialUnavailableError

        task = self._detect(index)
        following = iter(range(index + 1, len(self.links)))
        limit = self.links[index].timeout or _SOURCE_SECONDS
        begun = self.host.clock.monotonic()
        while not task.done():
            await asyncio.wait([task], timeout=_STAGGER_SECONDS)
            if self.host.clock.monotonic() - begun > limit:
                return CredentialUnavailableError(f"it did not tell within {limit:g} s whether it applies")
            upcoming = None if task.done() else next(following, None)
            if upcoming is not None:
                await self._begin_detection(upcoming)
        return task.result()

    async def _begin_detection(self, index: int) -> None:
        link = self.links[index]
        if self._remembered(link) is not None:
            return
        if link.credential is None:
            try:
                link.credential = await link.open()
            except Exception:
                return  # the source's own turn will open it again, and tell
        if self._detects(link):
            self._detect(index)

    def _detect(self, index: int) -> asyncio.Task[BaseException | None]:
        import asyncio

        task = self._detections.get(index)
        if task is None:
            task = asyncio.create_task(_absence(self.links[index].credential))
            self._detections[index] = task
        return task

    def _judge(self, link: Link, error: AzureError, begun: float) -> None:
        """The law: note that a source is unavailable; stop at everything else."""
        from credchain.attempts import Outcome
        from credchain.errors import ChainStoppedError, is_unavailable

        reason = _reason(link, error)
        if is_unavailable(error):
            self._note(link, Outcome.UNAVAILABLE, reason, begun)
            self._remember(link, reason)
            return
        self._note(link, Outcome.FAILED, reason, begun)
        if link.on_failure == "continue":
            return
        said = _told(f"the chain stopped at {link.name}, which applies here and failed", self.attempts)
        raise ChainStoppedError(said, attempts=self.attempts, cause=error) from error

    def _note(self, link: Link, outcome: Outcome, reason: str, begun: float | None) -> None:
        from credchain.attempts import Attempt
        from credchain.events import AttemptFinished

        seconds = 0.0 if begun is None else self.host.clock.monotonic() - begun
        attempt = Attempt(link.name, outcome, reason, seconds, link.distribution)
        self.attempts.append(attempt)
        logger.debug("%s", attempt)
        if self.host.emit is not None:
            self.host.emit(AttemptFinished(attempt))

    def _remembered(self, link: Link) -> Absence | None:
        known = link.absent
        if known is None or len(self.links) == 1:
            return None
        if self.host.clock.monotonic() >= known.until or self._variables(link) != known.variables:
            link.absent = None
            return None
        return known

    def _remember(self, link: Link, reason: str) -> None:
        if not self._detects(link):
            return
        from credchain.refresh import unavailable_for

        link.absences += 1
        until = self.host.clock.monotonic() + unavailable_for(link.absences, rng=self.host.random)
        link.absent = Absence(reason, until, self._variables(link))

    def _variables(self, link: Link) -> tuple[str | None, ...]:
        """The environment as the source reads it, so that a change of it is noticed."""
        names: tuple[str, ...] = getattr(link.credential, "variables", ())
        return tuple(self.host.environment.get(name) for name in names)


def link_of(credential: Any) -> Link:
    """A link for a credential that was given as an object.

    Raises:
        TypeError: It cannot give tokens.
    """
    if isinstance(credential, type) or not (hasattr(credential, "get_token") or hasattr(credential, "get_token_info")):
        raise TypeError(f"credentials: each needs a method get_token or get_token_info, unlike {credential!r:.80}")

    async def given() -> Any:
        return credential

    name = getattr(type(credential), "source", None)
    return Link(name if isinstance(name, str) else type(credential).__name__, given, credential=credential)


async def _token_from(credential: Any, request: TokenRequest) -> Any:
    """Ask a member in the protocol it has, with only those options that were set."""
    options: Mapping[str, Any] = {
        name: value
        for name, value in (
            ("claims", request.claims),
            ("tenant_id", request.tenant_id),
            ("enable_cae", request.enable_cae),
        )
        if value
    }
    if hasattr(credential, "get_token_info"):
        return await (
            credential.get_token_info(*request.scopes, options=options)
            if options
            else credential.get_token_info(*request.scopes)
        )
    return await credential.get_token(*request.scopes, **options)


async def _absence(credential: Any) -> BaseException | None:
    """Why a source does not apply, or None if it does. Other errors are for its turn, so they are values here too."""
    try:
        await credential.detect()
    except Exception as error:
        return error
    return None


def _machine_host() -> Host:
    from credchain.credential import machine_host

    return machine_host()


def _reason(link: Link, error: Exception) -> str:
    """The first line of an error, without the source's name where the list names it anyway."""
    message = getattr(error, "message", None) or str(error) or type(error).__name__
    return str(message).removeprefix(f"{link.name}: ").splitlines()[0]


def _told(beginning: str, attempts: list[Attempt]) -> str:
    return "\n".join([f"{beginning}{':' if attempts else ''}", *(f"  {attempt}" for attempt in attempts)])
