"""`credchain sources`: every installed source, and its place in the default chain or why it has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import click

from credchain.cli.run import WRONG_USE, Told
from credchain.errors import ClientAuthenticationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from credchain.installed import Found
    from credchain.settings import Place, Plan
    from credchain.sources import Sources

NOT_NAMED = "not in the default order; name it in CREDCHAIN_ENABLE or CREDCHAIN_ORDER"


@click.command("sources")
def command() -> None:
    """List every installed source: its package, and its place in the chain or why it has none."""
    from credchain.default import DefaultAzureCredential
    from credchain.registry import Registry

    registry = Registry()
    try:
        sources = DefaultAzureCredential(registry=registry).sources
    except ValueError as error:
        raise Told(f"Error: {error}", exit_code=WRONG_USE) from None
    rows = [_row(found, sources) for found in _ordered(registry.packages.discover(), sources.plan)]
    for line in table(("SOURCE", "PACKAGE", "PLACE"), rows):
        click.echo(line)


def table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines with aligned columns; the last column is as wide as it needs."""
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in [heads, *rows]
    ]


def _ordered(found: list[Found], plan: Plan) -> list[Found]:
    """Those in the chain in its order, then the others."""
    positions = {place.name: index for index, place in enumerate(plan.places)}
    return sorted(found, key=lambda one: (positions.get(one.name, len(positions)), not one.builtin, one.name))


def _row(found: Found, sources: Sources) -> tuple[str, str, str]:
    names = (found.name, f"{found.distribution}/{found.name}")
    for index, place in enumerate(sources.plan.places, start=1):
        if place.name in names and not (found.refused and place.name == found.name):
            return found.name, found.package, f"{index} ({place.because}{_seen(place, sources)})"
    why = found.refused or sources.plan.left_out.get(found.name) or _not_named(found, sources)
    return found.name, found.package, why


def _not_named(found: Found, sources: Sources) -> str:
    """Why a source that no setting speaks of has no place; a stranger's code is not loaded to find out more."""
    if found.builtin:
        fields = attrs.fields(sources.registry.load(found.name).settings)
        needed = [field.alias for field in fields if field.init and field.default is attrs.NOTHING]
        if needed:
            return f"made in code: it needs {', '.join(needed)}"
    return NOT_NAMED


def _seen(place: Place, sources: Sources) -> str:
    """What building the source tells: that it cannot be loaded, or which hosting environment it sees."""
    from credchain.sources import machine_host

    try:
        credential = sources.build(place.name, {}, machine_host(sources=sources))
    except (ValueError, ClientAuthenticationError) as error:
        return f"; {error}"
    hosting = getattr(credential, "hosting", None)
    return f"; sees {hosting}" if hosting else ""
