"""What is measured: each workload, the figures that are taken from it, and what each figure should reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Value = float | str
Figures = dict[str, Value]


@dataclass(frozen=True)
class Target:
    """What our figure should reach: at most `limit`, times the figure of `of` if that is named; or equal a text."""

    limit: float | str
    of: Literal["peer", "floor"] | None = None

    def __str__(self) -> str:
        if isinstance(self.limit, str):
            return self.limit
        return f"<= {self.limit:g}" + (f" x {self.of}" if self.of else "")

    def reached(self, ours: Value | None, other: dict[str, Value | None]) -> bool | None:
        """None where it cannot be told."""
        if isinstance(self.limit, str) or isinstance(ours, str):
            return None if ours is None else ours == self.limit
        base = other.get(self.of) if self.of else 1.0
        return None if ours is None or not isinstance(base, float | int) else ours <= self.limit * base


@dataclass(frozen=True)
class Metric:
    """One row of the table: a figure of a workload."""

    key: str
    title: str
    unit: str = ""
    target: Target | None = None


@dataclass(frozen=True)
class Workload:
    """One program, run for each side in turn.

    `environment` says what the process finds: a service principal, a machine with an identity, or nothing.
    `prod` restricts both default chains to their production sources. `packages` stand beside the others on the path, each
    with a source that nobody names.
    """

    name: str
    script: str
    metrics: tuple[Metric, ...]
    arguments: tuple[str, ...] = ()
    environment: Literal["principal", "machine", "nothing"] = "principal"
    sides: tuple[str, ...] = ("peer", "floor", "ours")
    samples: int = 7
    quick: int = 3
    how: Literal["plain", "start", "import"] = "plain"
    prod: bool = False
    packages: int = 0


def everything() -> list[Workload]:
    """All workloads, in the order of the table."""
    return [
        *_starts(),
        *_cached(),
        *_growth(),
        *_concurrent(),
        *_refresh(),
        *_nothing(),
        *_holding(),
        *_uncached(),
    ]


def _starts() -> list[Workload]:
    found = [
        Workload(
            "import",
            "importing.py",
            (
                Metric(
                    "wall",
                    "`from … import DefaultAzureCredential`, beyond a bare interpreter",
                    "ms",
                    Target(0.35, "peer"),
                ),
                Metric("modules", "modules that it loads"),
                Metric("peak", "memory of that process", "MiB"),
                Metric("heavy", "aiohttp, msal or cryptography loaded", target=Target("none")),
            ),
            samples=15,
            quick=5,
            how="import",
        )
    ]
    for title, environment, requests in (("secret", "principal", 1.0), ("IMDS", "machine", 2.0)):
        metrics = (
            Metric("start", f"process start to first token, default chain, {title}", "ms", Target(1.15, "floor")),
            Metric("requests", "requests", target=Target(requests)),
            Metric("peak", "memory of that process", "MiB"),
        )
        name = f"first-token-{title.lower()}"
        one = Workload(name, "first_token.py", metrics, samples=15, quick=5, how="start", environment=environment)  # type: ignore[arg-type]
        found.append(one)
    beside = "process start to first token, default chain, secret, beside 300 packages with sources that nobody names"
    crowded = (Metric("start", beside, "ms", Target(1.15, "floor")),)
    found.append(
        Workload("first-token-crowded", "first_token.py", crowded, samples=15, quick=5, how="start", packages=300)
    )
    return found


def _cached() -> list[Workload]:
    cases = (
        ("secret", "secret", "principal", "client secret"),
        ("imds", "imds", "machine", "managed identity (IMDS)"),
        ("default-secret", "default", "principal", "default chain, secret"),
        ("default-imds", "default", "machine", "default chain, IMDS"),
    )
    return [
        Workload(
            f"cached-{name}",
            "cached.py",
            (
                Metric("get_token", f"cached `get_token`, {title}", "us", Target(2.5, "floor")),
                Metric("get_token_info", f"cached `get_token_info`, {title}", "us", Target(2.5, "floor")),
                Metric("records", "log records a call, at INFO", target=Target(0)),
            ),
            (kind,),
            environment=environment,  # type: ignore[arg-type]
        )
        for name, kind, environment, title in cases
    ]


def _growth() -> list[Workload]:
    return [
        Workload(
            f"growth-{what}-{count}",
            "growth.py",
            (
                Metric(
                    "call",
                    f"cached `get_token`, a random one of {count:,} {what}",
                    "us",
                    Target(1.5 if count == 10_000 else 2.5, "floor"),
                ),
            ),
            (what, str(count)),
            samples=5,
            quick=2,
        )
        for what in ("scopes", "tenants")
        for count in (1, 100, 1_000, 10_000)
    ]


def _concurrent() -> list[Workload]:
    cases = (
        ("secret", "secret", "principal", 1, 1.0, "client secret"),
        ("certificate", "certificate", "principal", 1, 1.0, "certificate"),
        ("imds", "default", "machine", 1, 2.0, "default chain, IMDS"),
        ("threads", "secret", "principal", 4, 1.0, "client secret, over the loops of 4 threads"),
    )
    return [
        Workload(
            f"concurrent-{name}",
            "concurrent_calls.py",
            (
                Metric("requests", f"1,000 concurrent first calls, {title}: requests", target=Target(requests)),
                Metric("wall", "wall time, where the service takes 50 ms", "s", Target(0.1) if loops == 1 else None),
                Metric("cpu", "CPU time", "s"),
                Metric("connections", "connections"),
                Metric("failed", "calls that failed", target=Target(0)),
            ),
            (kind, str(loops)),
            environment=environment,  # type: ignore[arg-type]
            samples=5,
            quick=2,
        )
        for name, kind, environment, loops, requests, title in cases
    ]


def _refresh() -> list[Workload]:
    both = (("secret", "principal", "client secret"), ("imds", "machine", "managed identity"))
    crowds = [
        Workload(
            f"refresh-{kind}",
            "refreshing.py",
            (
                Metric(
                    "blocked", f"refresh under 1,000 callers, {title}: callers that wait over 1 ms", target=Target(0)
                ),
                Metric("slowest", "slowest caller", "ms", Target(1.0)),
                Metric("requests", "requests"),
            ),
            (kind, "crowd"),
            environment=environment,  # type: ignore[arg-type]
            sides=("peer", "ours"),
            samples=5,
            quick=2,
        )
        for kind, environment, title in both
    ]
    outages = [
        Workload(
            f"outage-{kind}-{fault}",
            "refreshing.py",
            (
                Metric(
                    "outcome",
                    f"refresh is due, service is down ({fault}), {title}: outcome",
                    target=Target("old token"),
                ),
                Metric("wait", "the caller waits", "ms", Target(1.0)),
            ),
            (kind, fault),
            environment=environment,  # type: ignore[arg-type]
            sides=("peer", "ours"),
            samples=3,
            quick=1,
        )
        for kind, environment, title in both
        for fault in ("503", "429", "reset")
    ]
    return crowds + outages


def _nothing() -> list[Workload]:
    found = []
    for what, title, first, second, outcome in (
        ("refused", "address refuses", 10.0, 1.0, "ChainUnavailableError"),
        ("drops", "address drops packets", 1100.0, 1.0, "ChainUnavailableError"),
        ("silent", "address accepts and never answers", 1100.0, 1.0, "ChainUnavailableError"),
        ("page", "answers with a page that is not JSON", 20.0, 1.0, "ChainUnavailableError"),
        ("sick", "answers 503 as JSON", 10500.0, None, "ChainStoppedError"),
    ):
        cold = (Metric("cold", "the same in a process that has loaded no source yet", "ms"),)
        metrics = (
            Metric("outcome", f"nothing available, IMDS {title}: outcome", target=Target(outcome)),
            Metric("first", "first call", "ms", Target(first)),
            *(cold if what not in ("silent", "sick") else ()),
            Metric("second", "second call", "ms", Target(second) if second else None),
        )
        one = Workload(
            f"nothing-{what}",
            "nothing.py",
            metrics,
            (what,),
            environment="nothing",
            sides=("peer", "ours"),
            samples=5 if what in ("refused", "page", "drops") else 3,
            quick=1,
            prod=True,
        )
        found.append(one)
    return found


def _holding() -> list[Workload]:
    memory = (Metric("bytes", "a cached token of 10,000: memory beyond its text", "B", Target(400)),)
    insertion = (Metric("insertion", "from an answer's text to a cached token", "us", Target(20)),)
    return [
        Workload("memory", "holding.py", memory, ("memory",), samples=3, quick=1),
        Workload("insertion", "holding.py", insertion, ("insertion",), samples=5, quick=2),
    ]


def _uncached() -> list[Workload]:
    cases = (
        ("secret", "principal", "client secret"),
        ("certificate", "principal", "certificate, RSA 2048"),
        ("certificate4096", "principal", "certificate, RSA 4096"),
        ("imds", "machine", "managed identity (IMDS)"),
    )
    return [
        Workload(
            f"uncached-{kind}",
            "uncached.py",
            (
                Metric(
                    "cpu",
                    f"one uncached request, {title}: CPU time",
                    "ms",
                    Target(1.5, "floor") if kind == "secret" else None,
                ),
                Metric("wall", "wall time", "ms"),
                Metric("blocked", "longest time the loop is blocked", "ms", Target(0.5) if kind != "imds" else None),
            ),
            (kind,),
            environment=environment,  # type: ignore[arg-type]
        )
        for kind, environment, title in cases
    ]
