"""`credchain sources`: every installed source, and its place in the default chain or why it has none."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import attrs
import click

from credchain.cli.config import effective
from credchain.errors import ClientAuthenticationError
from credchain.hooks import OBSERVERS
from credchain.settings.structuring import fields
from credchain.sources import machine_host

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from credchain.installed import Found
    from credchain.settings import Place, Value
    from credchain.sources import Sources

NOT_NAMED = "not in the default order; name it in CREDCHAIN_ENABLE or CREDCHAIN_ORDER"

_LONG_SECONDS = 1.0


@click.command("sources")
def command() -> None:
    """List every installed source: its package, and its place in the chain or why it has none."""
    sources = effective()
    registry = sources.registry
    found = registry.packages.discover()
    for line in table(("SOURCE", "PACKAGE", "PLACE"), [*_placed(found, sources), *_others(found, sources)]):
        click.echo(line)
    watching = registry.packages.discover(OBSERVERS)
    if watching:
        named = sources.settings.observe
        click.echo()
        for line in table(("OBSERVER", "PACKAGE", ""), [_observer(one, named) for one in watching]):
            click.echo(line.rstrip())


def table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines with aligned columns; the last column is as wide as it needs."""
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in [heads, *rows]
    ]


def _placed(found: list[Found], sources: Sources) -> Iterator[tuple[str, str, str]]:
    """The sources in the chain, in its order."""
    for index, place in enumerate(sources.plan.places, start=1):
        provider = sources.settings.provider_of(place.name)
        package = next((one.package for one in found if provider in _names(one)), "")
        called = "" if provider == place.name else f"; a {provider}"
        yield place.name, package, f"{index} ({place.because}{called}{_seen(place, sources)})"


def _others(found: list[Found], sources: Sources) -> Iterator[tuple[str, str, str]]:
    """The sources that have no place, credchain's own first, and why."""
    placed = {place.name for place in sources.plan.places}
    providers = {sources.settings.provider_of(name) for name in placed}
    left_out = sources.plan.left_out
    for one in sorted(found, key=lambda one: (not one.builtin, one.name, one.distribution)):
        if not placed & _names(one) or one.final:
            yield one.name, one.package, one.refused or left_out.get(one.name) or _not_named(one, sources, providers)
    known = {name for one in found for name in _names(one)}
    for name, why in left_out.items():
        if name not in known:
            yield name, "", why


def _names(found: Found) -> set[str]:
    """By what settings may name a source."""
    with_package = f"{found.distribution}/{found.name}"
    return {with_package} if found.refused else {found.name, with_package}


def _not_named(found: Found, sources: Sources, providers: set[str]) -> str:
    """Why a source that no setting speaks of has no place; a stranger's code is not loaded to find out more."""
    if providers & _names(found):
        return "the provider of another source"
    if found.builtin:
        needed = [
            name for name, field in fields(sources.registry.load(found.name).settings).items() if _is_needed(field)
        ]
        if needed:
            return f"not in the default order; it needs {', '.join(needed)}"
    return NOT_NAMED


def _is_needed(field: attrs.Attribute[Any]) -> bool:
    return field.default is attrs.NOTHING


def _seen(place: Place, sources: Sources) -> str:
    """What building the source tells: that it cannot be loaded, or took long, or which hosting environment it sees."""
    begun = time.monotonic()
    try:
        credential = sources.build(place.name, {}, machine_host(sources=sources))
    except (ValueError, ClientAuthenticationError) as error:
        return f"; {error}"
    seconds = time.monotonic() - begun
    hosting = getattr(credential, "hosting", None)
    late = f"; took {seconds:.1f} s to load" if seconds > _LONG_SECONDS else ""
    return f"; sees {hosting}{late}" if hosting else late


def _observer(found: Found, named: Value | None) -> tuple[str, str, str]:
    if found.refused:
        return found.name, found.package, found.refused
    origin = named.origin if named is not None and _names(found) & set(named.value) else None
    return found.name, found.package, f"named by {origin}" if origin else "not named; name it in CREDCHAIN_OBSERVE"
