"""The declarative priority list, read from priority.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = Path(__file__).parent.parent / "priority.toml"


@attrs.frozen
class Listed:
    """A source's place in the default order; the fields are explained in priority.toml."""

    name: str
    group: str
    credential_class: str
    exclude: str
    timeout: float | None = None
    platforms: tuple[str, ...] = ()


def default_order(text: str | None = None) -> tuple[Listed, ...]:
    """The default order; *text* replaces the file, for tests."""
    table = tomllib.loads(FILE.read_text(encoding="utf-8") if text is None else text)
    return tuple(_listed(entry) for entry in table["source"])


def _listed(entry: Mapping[str, Any]) -> Listed:
    return Listed(
        name=entry["name"],
        group=entry["group"],
        credential_class=entry["class"],
        exclude=entry["exclude"],
        timeout=entry.get("timeout"),
        platforms=tuple(entry.get("platforms", ())),
    )
