"""One way along a chain: each source's turn, the law's judgement of it, and what is remembered afterwards.

Only a chain walks, and only when the cached path has nothing; so this room may import what it needs.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError

from credchain.attempts import Attempt, Outcome
from credchain.errors import (
    ChainStoppedError,
    ChainUnavailableError,
    ClientAuthenticationError,
    CredentialUnavailableError,
    TransportError,
    is_unavailable,
)
from credchain.links import Absence
from credchain.refresh import unavailable_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from credchain.host import Host
    from credchain.links import Link
    from credchain.tokens import TokenRequest

logger = logging.getLogger("credchain")

_STAGGER_SECONDS = 0.05
_LOADING_SECONDS = 1.0
_SOURCE_SECONDS = 10.0


class Walk:
    """One way along a chain. Opening sources and detection are tasks of it, and end with it.

    Args:
        links: The chain's places, in order.
        first: The one that gave a token before, which is asked first.
        request: What is asked for.
        host: Clock, randomness, environment and observers.
    """

    def __init__(self, links: Sequence[Link], first: Link | None, request: TokenRequest, host: Host) -> None:
        self.links = list(links) if first is None else [first, *(link for link in links if link is not first)]
        self.host = host
        self.request = request
        self.attempts: list[Attempt] = []
        self.start = self.host.clock.monotonic()
        self.now_at = self.links[0], self.start
        self._preparations: dict[int, asyncio.Task[BaseException | None]] = {}

    @property
    def seconds(self) -> float:
        """How long the walk has taken."""
        return self.host.clock.monotonic() - self.start

    async def find(self) -> tuple[Link, Any]:
        """The first source that gives a token, and that.

        Raises:
            ChainUnavailableError: No source applied.
            ChainStoppedError: A source applied, and failed.
        """
        for index, link in enumerate(self.links):
            begun = self.host.clock.monotonic()
            self.now_at = link, begun
            known = self._remembered(link)
            if known is not None:
                self._note(link, Outcome.UNAVAILABLE, f"{known.reason} (as found before)", None)
                continue
            if self.host.emit is not None:
                from credchain.events import AttemptStarted

                self.host.emit(AttemptStarted(link.name, link.distribution))
            try:
                token = await self._turn(index, link)
            except AzureError as error:
                self._judge(link, error, begun)
            except Exception as error:
                error.add_note(_told(f"credchain: raised by the source {link.name}, after", self.attempts))
                self._ended(link, Outcome.FAILED, type(error).__name__, begun)  # its text may hold anything
                raise
            else:
                link.absences = 0
                self._note(link, Outcome.TOKEN, "", begun)
                return link, token
        raise ChainUnavailableError(_told("no source could give a token", self.attempts), attempts=self.attempts)

    def late(self, seconds: float | None) -> Exception:
        """The error of a chain that missed its deadline."""
        link, begun = self.now_at
        cause = TransportError(f"{link.name}: no token within the chain's {seconds:g} s")
        self._note(link, Outcome.FAILED, _reason(link, cause), begun)
        return ChainStoppedError(
            _told(f"the chain stopped at {link.name}", self.attempts), attempts=self.attempts, cause=cause
        )

    async def end(self) -> None:
        """Cancel the preparations that nobody waits for any more."""
        for task in self._preparations.values():
            task.cancel()
        if self._preparations:
            await asyncio.wait(self._preparations.values())

    async def _turn(self, index: int, link: Link) -> Any:
        """What asking one source gives."""
        if link.credential is None or self._detects(link):
            absent = await self._prepared(index)
            if absent is not None:
                raise absent
        return await self._ask(link)

    async def _ask(self, link: Link) -> Any:
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

    async def _prepared(self, index: int) -> BaseException | None:
        """Why a source cannot be asked for a token, or None; while that takes long, the next sources are prepared."""
        task = self._preparation(index)
        following = iter(range(index + 1, len(self.links)))
        limit = self.links[index].timeout or _SOURCE_SECONDS
        begun = self.host.clock.monotonic()
        while not task.done():
            await asyncio.wait([task], timeout=_STAGGER_SECONDS)
            if self.host.clock.monotonic() - begun > limit:
                return self._unprepared(self.links[index], limit)
            loading = self.links[index].credential is None and self.host.clock.monotonic() - begun < _LOADING_SECONDS
            upcoming = None if task.done() or loading else next(following, None)
            if upcoming is not None and self._remembered(self.links[upcoming]) is None:
                self._preparation(upcoming)
        return task.result()

    def _preparation(self, index: int) -> asyncio.Task[BaseException | None]:
        task = self._preparations.get(index)
        if task is None:
            task = asyncio.create_task(self._prepare(self.links[index]))
            self._preparations[index] = task
        return task

    async def _prepare(self, link: Link) -> BaseException | None:
        """Open a source, and ask it whether it applies. What goes wrong is for its turn to tell, so it is a value here."""
        try:
            if link.credential is None:
                link.credential = await link.open()
            if self._detects(link):
                await link.credential.detect()
        except Exception as error:
            return error
        return None

    @staticmethod
    def _unprepared(link: Link, limit: float) -> ClientAuthenticationError:
        """The error of a source that was not ready in time: one that the user named must not be passed over."""
        if link.credential is not None:
            return CredentialUnavailableError(f"it did not tell within {limit:g} s whether it applies")
        late = f"its package was not loaded within {limit:g} s"
        return TransportError(f"{link.name}: {late}") if link.explicit else CredentialUnavailableError(late)

    def _judge(self, link: Link, error: AzureError, begun: float) -> None:
        """The law: note that a source is unavailable; stop at everything else."""
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
        """Keep what became of an attempt, for the chain's errors and its users."""
        self.attempts.append(self._ended(link, outcome, reason, begun))

    def _ended(self, link: Link, outcome: Outcome, reason: str, begun: float | None) -> Attempt:
        """What became of an attempt, told to the log and to observers."""
        seconds = 0.0 if begun is None else self.host.clock.monotonic() - begun
        attempt = Attempt(link.name, outcome, reason, seconds, link.distribution)
        logger.debug("%s", attempt)
        if self.host.emit is not None:
            from credchain.events import AttemptFinished

            self.host.emit(AttemptFinished(attempt))
        return attempt

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

        link.absences += 1
        until = self.host.clock.monotonic() + unavailable_for(link.absences, rng=self.host.random)
        link.absent = Absence(reason, until, self._variables(link))

    def _variables(self, link: Link) -> tuple[str | None, ...]:
        """The environment as the source reads it, so that a change of it is noticed."""
        names: tuple[str, ...] = getattr(link.credential, "variables", ())
        return tuple(self.host.environment.get(name) for name in names)


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


def _reason(link: Link, error: Exception) -> str:
    """The first line of an error, without the source's name where the list names it anyway."""
    message = getattr(error, "message", None) or str(error) or type(error).__name__
    return str(message).removeprefix(f"{link.name}: ").splitlines()[0]


def _told(beginning: str, attempts: list[Attempt]) -> str:
    return "\n".join([f"{beginning}{':' if attempts else ''}", *(f"  {attempt}" for attempt in attempts)])
