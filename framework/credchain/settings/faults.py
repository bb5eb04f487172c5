"""Faults: what is wrong in the settings, gathered so that one error can tell all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from credchain.errors import ConfigurationError


@attrs.frozen
class Fault:
    """One thing that is wrong.

    Attributes:
        origin: Where it stands, such as a file or a variable.
        key: The key, such as ``source.vault.address``; empty where it is the whole file.
        said: What is wrong and what was expected. Never holds a secret.
        line: The line, where the parser tells one.
        source: The source, where the fault is that it cannot be loaded.
        distribution: The package of that source, if one registers it.
    """

    origin: str
    key: str
    said: str
    line: int | None = None
    source: str | None = None
    distribution: str | None = None

    def __str__(self) -> str:
        place = f"{self.origin}, line {self.line}" if self.line is not None else self.origin
        return ": ".join(part for part in (place, self.key, self.said) if part)


def refusal(faults: Iterable[Fault]) -> ConfigurationError:
    """One error that tells all *faults*."""
    from credchain.errors import ConfigurationError, ProviderLoadError

    found = tuple(faults)
    if len(found) > 1:
        lines = [f"{len(found)} settings are wrong:", *(f"  {fault}" for fault in found)]
        return ConfigurationError("\n".join(lines), faults=found)
    (only,) = found
    if only.source is not None:
        return ProviderLoadError(str(only), source=only.source, distribution=only.distribution, faults=found)
    return ConfigurationError(str(only), faults=found)
