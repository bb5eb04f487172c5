"""The most memory that this process has held."""

from __future__ import annotations

from pathlib import Path


def peak_mebibytes() -> float:
    """In mebibytes. Linux tells it in a file; getrusage would tell the parent's if that was larger."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
