"""Samples become medians, ratios, a table and JSON."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rows import Metric, Value, Workload

SIDES = ("peer", "floor", "ours")
HEADER = ("what", "azure-identity", "floor", "credchain", "min - max", "of theirs", "of the floor", "target", "reached")


@dataclass(frozen=True)
class Line:
    """One row of the table: the samples of each side, and whether the target is reached."""

    workload: str
    metric: Metric
    samples: dict[str, list[Any]]
    capped: frozenset[str]

    @property
    def middle(self) -> dict[str, Value | None]:
        """The median of each side, or its most frequent text."""
        return {side: _middle(self.samples.get(side, [])) for side in SIDES}

    @property
    def reached(self) -> bool | None:
        """Whether the target is; None without one, or without figures."""
        return None if self.metric.target is None else self.metric.target.reached(self.middle["ours"], self.middle)

    def ratio(self, other: str) -> float | None:
        """Our median in terms of another side's."""
        ours, base = self.middle["ours"], self.middle[other]
        if isinstance(ours, str) or isinstance(base, str) or ours is None or not base or not self.metric.unit:
            return None
        return ours / base

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        shown = {
            side: _shown(value, self.metric.unit, capped=side in self.capped) for side, value in self.middle.items()
        }
        ratios = [_ratio(self.ratio(side)) for side in ("peer", "floor")]
        reached = {True: "yes", False: "NO", None: ""}[self.reached]
        target = str(self.metric.target or "")
        return (self.metric.title, *(shown[side] for side in SIDES), self._range(), *ratios, target, reached)

    def record(self) -> dict[str, Any]:
        """The row as data."""
        return {
            "row": self.workload,
            "key": self.metric.key,
            "title": self.metric.title,
            "unit": self.metric.unit,
            "median": self.middle,
            "samples": self.samples,
            "at_least": sorted(self.capped),
            "ours_of_peer": self.ratio("peer"),
            "ours_of_floor": self.ratio("floor"),
            "target": str(self.metric.target or ""),
            "reached": self.reached,
        }

    def _range(self) -> str:
        ours = [value for value in self.samples.get("ours", []) if not isinstance(value, str)]
        if not ours or not self.metric.unit:
            return ""
        return f"{_number(min(ours))} - {_number(max(ours))}"


def lines(workload: Workload, samples: dict[str, list[dict[str, Any]]]) -> list[Line]:
    """The rows of one workload."""
    found = []
    for metric in workload.metrics:
        values = {side: [one[metric.key] for one in many if metric.key in one] for side, many in samples.items()}
        capped = {side for side, many in samples.items() if any(metric.key in one.get("capped", []) for one in many)}
        found.append(Line(workload.name, metric, values, frozenset(capped)))
    return found


def table(rows: Iterable[Line]) -> str:
    """A Markdown table."""
    cells = [HEADER, *(row.cells() for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADER))]
    text = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    rule = "-|-".join("-" * width for width in widths)
    return (
        "\n".join(f"| {line} |" for line in [text[0]])
        + f"\n|-{rule}-|\n"
        + "\n".join(f"| {line} |" for line in text[1:])
    )


def _middle(values: list[Any]) -> Value | None:
    if not values:
        return None
    if any(isinstance(value, str) for value in values):
        return str(Counter(values).most_common(1)[0][0])
    return float(statistics.median(values))


def _shown(value: Value | None, unit: str, *, capped: bool) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{'> ' if capped else ''}{_number(value)} {unit}".strip()


def _number(value: float) -> str:
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
