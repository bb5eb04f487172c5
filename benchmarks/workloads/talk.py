"""The line between a workload and `run.py`: a workload asks for things at the emulator, and tells its figures."""

from __future__ import annotations

import json
import sys
from typing import Any


def ask(do: str, **arguments: Any) -> Any:
    """Have the emulator do something, and wait until it has; never called while something is being measured."""
    print(json.dumps({"do": do, **arguments}), flush=True)
    return json.loads(sys.stdin.readline())["answer"]


def tell(**figures: Any) -> None:
    """The figures of this sample. `capped` names those that are only known to be at least so much."""
    print(json.dumps({"figures": figures}), flush=True)
