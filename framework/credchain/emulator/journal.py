"""What has arrived and what is to go wrong: the request log and the faults, both safe for other threads."""

from __future__ import annotations

import difflib
import threading
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from credchain.emulator.records import Fault, Recorded

ROUTES = (
    "token",
    "metadata",
    "imds",
    "app_service",
    "arc",
    "azure_ml",
    "cloud_shell",
    "service_fabric",
)
"""Every route by name; `metadata` is what the authority tells about itself: discovery documents and keys."""

_KEPT = 20_000


def check_route(route: str) -> None:
    """Refuse what is no route.

    Raises:
        ValueError: With the nearest name there is.
    """
    if route not in ROUTES:
        near = difflib.get_close_matches(route, ROUTES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"route: no route is named {route!r}{hint} There are {', '.join(ROUTES)}")


class Journal:
    """The requests in the order of their arrival, the latest 20,000 of them; counts go on beyond that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[int, Recorded] = {}
        self._counts: Counter[str] = Counter()
        self._serials = count()
        self._connections = 0

    def enter(self, recorded: Recorded) -> int:
        """Note a request; the number returned is for `finish`."""
        with self._lock:
            serial = next(self._serials)
            self._entries[serial] = recorded
            self._counts[recorded.route] += 1
            if len(self._entries) > _KEPT:
                del self._entries[next(iter(self._entries))]
        return serial

    def finish(self, serial: int, status: int) -> None:
        """Note what was answered."""
        with self._lock:
            if serial in self._entries:
                self._entries[serial] = attrs.evolve(self._entries[serial], status=status)

    def connected(self) -> None:
        """Note a TCP connection."""
        with self._lock:
            self._connections += 1

    @property
    def connections(self) -> int:
        """TCP connections so far."""
        with self._lock:
            return self._connections

    @property
    def requests(self) -> tuple[Recorded, ...]:
        """The log as it is now."""
        with self._lock:
            return tuple(self._entries.values())

    def count(self, route: str) -> int:
        """How many requests came for a route."""
        check_route(route)
        with self._lock:
            return self._counts[route]

    def forget(self) -> None:
        """Begin anew. A request under way is no longer part of the log."""
        with self._lock:
            self._entries.clear()
            self._counts.clear()
            self._connections = 0


class Faults:
    """At most one fault a route."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: dict[str, Fault] = {}

    def put(self, route: str, fault: Fault) -> None:
        """From now on this fault, in the place of an earlier one."""
        check_route(route)
        with self._lock:
            self._pending[route] = fault

    def heal(self, route: str | None) -> None:
        """No fault any more, on one route or on all."""
        if route is not None:
            check_route(route)
        with self._lock:
            for name in (route,) if route is not None else tuple(self._pending):
                self._pending.pop(name, None)

    def take(self, route: str) -> Fault | None:
        """The fault that the next request meets, counted down."""
        with self._lock:
            fault = self._pending.get(route)
            if fault is not None and fault.times is not None:
                if fault.times > 1:
                    self._pending[route] = attrs.evolve(fault, times=fault.times - 1)
                else:
                    del self._pending[route]
            return fault
