"""Host: the world as a source sees it. Everything that it would otherwise reach for comes in here."""

from __future__ import annotations

import random
import time as _time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from credchain.http import Transport

T = TypeVar("T")

API_VERSION = 1
FEATURES = frozenset({"events", "sources", "threads", "timeout"})


class Clock(Protocol):
    """Time as an argument: the wall clock for expiry, the monotonic one for waiting."""

    def time(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment, never going back."""
        ...


class SystemClock:
    """The machine's own clocks."""

    time = staticmethod(_time.time)
    monotonic = staticmethod(_time.monotonic)


def _no_source(name: str, _settings: Mapping[str, object]) -> Any:
    raise LookupError(f"no source {name!r} here: this host was made without a registry")


@attrs.frozen
class Host:
    """What a provider's ``build`` receives.

    Attributes:
        transport: The way out, shared by all members of a chain. Closed by whoever made the host, not by a source.
        clock: Time.
        environment: The environment variables; read when they are needed, since they may change.
        random: Randomness for jitter; nothing secret is drawn from it.
        source: Another source's credential by name, with settings for it; so that replacing or denying the inner
            source is felt there too.
        emit: Takes the events of `credchain.events` for observers, if there are any.
        timeout: Seconds that the source may take for a token, retries included; None leaves it to its own plan.
        api: The version of the plugin contract that this credchain has.
        features: What a host offers beyond the first version of that contract, by name, so that a plugin for several
            versions of credchain can ask.
    """

    transport: Transport
    clock: Clock = attrs.field(factory=SystemClock)
    environment: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    random: random.Random = attrs.field(factory=random.Random, repr=False)
    source: Callable[[str, Mapping[str, object]], Any] = attrs.field(default=_no_source, repr=False)
    emit: Callable[[Any], None] | None = attrs.field(default=None, repr=False)
    timeout: float | None = None
    api: int = API_VERSION
    features: frozenset[str] = FEATURES

    async def in_thread(self, function: Callable[..., T], *args: object) -> T:
        """Run what would block the event loop (files, locks, key operations) in a worker thread."""
        import asyncio

        return await asyncio.to_thread(function, *args)
