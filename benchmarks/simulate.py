"""Processes that start together: how many refresh their token in the same second, over two days.

The policy is credchain's own (`credchain.refresh.refresh_at`); the naive one refreshes five minutes before expiry. Every
token lives an hour, as a service that does not vary lifetimes would have it.

    pip install -e . -r benchmarks/requirements.txt
    python benchmarks/simulate.py --processes 1000,100000 --out docs/explanation/refresh-spread.png
"""

from __future__ import annotations

import argparse
import random
from array import array

from credchain.refresh import refresh_at

DAYS = 2
LIFETIME = 3600.0
NAIVE_SECONDS_BEFORE = 300.0
START_WITHIN = 5.0
SECONDS = int(DAYS * 86400)


def credchain_next(now: float, rng: random.Random) -> float:
    """When credchain refreshes a token that came at *now*."""
    return refresh_at(now=now, expires_at=now + LIFETIME, refresh_on=None, rng=rng)


def naive_next(now: float, _rng: random.Random) -> float:
    """When a client that refreshes a fixed time before expiry does."""
    return now + LIFETIME - NAIVE_SECONDS_BEFORE


def refreshes(processes: int, policy: object, *, seed: int = 1) -> array[int]:
    """Refreshes in each second of the two days."""
    rng = random.Random(seed)
    counts = array("l", [0]) * SECONDS
    for _ in range(processes):
        at = policy(rng.uniform(0, START_WITHIN), rng)  # type: ignore[operator]
        while at < SECONDS:
            counts[int(at)] += 1
            at = policy(at, rng)  # type: ignore[operator]
    return counts


def main() -> None:
    """Simulate, print the peaks, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--processes", default="1000,100000", help="numbers of processes, separated by commas")
    parser.add_argument("--out", help="a PNG to write; needs matplotlib")
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.processes.split(",")]
    found = {size: (refreshes(size, naive_next), refreshes(size, credchain_next)) for size in sizes}
    for size, (naive, ours) in found.items():
        even = sum(ours) / SECONDS
        print(f"{size} processes: at most {max(naive)} refreshes a second naively, {max(ours)} with credchain", end="")
        print(f" ({max(ours[14400:])} after four hours; evenly spread {even:.2f})")
    if arguments.out:
        draw(found, arguments.out)


def draw(found: dict[int, tuple[array[int], array[int]]], path: str) -> None:
    """One panel for each number of processes: the busiest second of each minute."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(len(found), 1, figsize=(9, 3.2 * len(found)), sharex=True, squeeze=False)
    for panel, (size, (naive, ours)) in zip(panels[:, 0], found.items(), strict=True):
        for counts, label, colour in ((naive, "5 minutes before expiry", "#c05621"), (ours, "credchain", "#2b6cb0")):
            busiest = [max(counts[minute : minute + 60]) for minute in range(0, SECONDS, 60)]
            hours = [minute / 60 for minute in range(len(busiest))]
            panel.plot(hours, busiest, label=label, color=colour, linewidth=0.9)
        panel.set_yscale("symlog", linthresh=1)
        panel.set_ylabel("refreshes in the busiest second")
        panel.set_title(f"{size:,} processes started within {START_WITHIN:g} s", loc="left", fontsize=10)
        panel.grid(alpha=0.3)
        panel.legend(loc="upper right", fontsize=9)
    panels[-1, 0].set_xlabel("hours")
    figure.tight_layout()
    figure.savefig(path, dpi=110, facecolor="white")


if __name__ == "__main__":
    main()
