"""Settings and the default order become the places of a chain, on names alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from credchain.settings.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from credchain.settings.layers import Settings
    from credchain.settings.priority import Listed

REST = "..."


@attrs.frozen
class Place:
    """A source's place in a chain.

    Attributes:
        name: The source's name.
        explicit: Whether the settings name this very source, so that it must be usable.
        because: Why it is in the chain.
        timeout: Seconds that it may take for a token; None leaves it to the source.
        provider: The provider, where the source is not called like it.
        on_failure: ``"stop"`` or ``"continue"``: what the chain does when the source applies and fails.
    """

    name: str
    explicit: bool
    because: str
    timeout: float | None = None
    provider: str | None = None
    on_failure: str = "stop"


@attrs.frozen
class Identity:
    """By what a policy knows a provider.

    Attributes:
        names: Its name, alone and with its package.
        distribution: Its package; None for credchain's own.
    """

    names: tuple[str, ...]
    distribution: str | None = None


@attrs.frozen
class Plan:
    """The chain's places in order, and why each other source that the settings speak of has none."""

    places: tuple[Place, ...]
    left_out: dict[str, str]


def plan(
    settings: Settings,
    listed: Sequence[Listed],
    *,
    platform: str,
    identify: Callable[[str], Identity] = lambda provider: Identity((provider,)),
) -> Plan:
    """The places of a chain.

    Args:
        settings: All layers merged.
        listed: The default order.
        platform: The value of ``sys.platform``.
        identify: Tells by what the policy knows a provider.

    Raises:
        ConfigurationError: No source is left, or one that the policy requires is not.
    """
    default, left_out = _default_places(settings, listed, platform)
    timeouts = {one.name: one.timeout for one in listed}
    places = default if settings.order is None else _ordered(settings, default, left_out, timeouts)
    _add_enabled(settings, places, left_out, timeouts)
    for name, wanted in settings.wanted.items():
        if not wanted.value:
            left_out[name] = f"disabled by {wanted.origin}"
    for name in settings.configured():
        if name not in left_out and all(place.name != name for place in places) and name in settings.places:
            left_out[name] = f"it has settings ({_origins(settings, name)}), but neither order nor enable names it"
    for name in [*(place.name for place in places), *left_out]:
        ruled_out = _ruled_out(settings, name, identify)
        if ruled_out is not None:
            left_out[name] = ruled_out
    kept = [place for place in places if place.name not in left_out]
    if not kept:
        _refuse_empty(settings, left_out)
    _insist(settings, kept, left_out)
    if len(kept) == 1:
        kept = [attrs.evolve(kept[0], timeout=None)]  # nobody waits behind it
    return Plan(tuple(_configured(settings, place) for place in kept), left_out)


def _ruled_out(settings: Settings, name: str, identify: Callable[[str], Identity]) -> str | None:
    """Why the policy leaves a source out, or None."""
    if settings.policy == Policy():
        return None
    identity = identify(settings.provider_of(name))
    return settings.policy.denial((name, *identity.names)) or settings.policy.distrust(identity.distribution)


def _insist(settings: Settings, kept: list[Place], left_out: dict[str, str]) -> None:
    """Refuse a chain without a source that the policy requires."""
    from credchain.settings.faults import Fault, refusal

    there = {place.name for place in kept}
    faults = [
        Fault(origin, "policy.require", f"a chain needs the source {name!r}: {left_out.get(name, 'nothing names it')}")
        for name, origin in settings.policy.require.items()
        if name not in there
    ]
    if faults:
        raise refusal(faults)


def _configured(settings: Settings, place: Place) -> Place:
    """A place with what its table says of it."""
    said = settings.places.get(place.name)
    if not said:
        return place
    provider = settings.provider_of(place.name)
    changes = {key: said[key].value for key in ("timeout", "on_failure") if key in said}
    return attrs.evolve(place, provider=provider if provider != place.name else None, **changes)


def _origins(settings: Settings, name: str) -> str:
    values = [*settings.places.get(name, {}).values(), *settings.sources.get(name, {}).values()]
    return ", ".join(sorted({value.origin for value in values})) or "an empty table"


def _add_enabled(
    settings: Settings, places: list[Place], left_out: dict[str, str], timeouts: dict[str, float | None]
) -> None:
    """Append the sources that were enabled and have no place yet: the listed ones in their order, then the others."""
    named = {place.name for place in places}
    wanted = {name: value for name, value in settings.wanted.items() if value.value and name not in named}
    for name in sorted(wanted, key=lambda name: list(timeouts).index(name) if name in timeouts else len(timeouts)):
        places.append(Place(name, explicit=True, because=f"enabled by {wanted[name].origin}"))
        left_out.pop(name, None)


def _default_places(settings: Settings, listed: Sequence[Listed], platform: str) -> tuple[list[Place], dict[str, str]]:
    places: list[Place] = []
    left_out: dict[str, str] = {}
    for one in listed:
        why_not = _why_not(one, settings, platform)
        if why_not:
            left_out[one.name] = why_not
            continue
        enabled = settings.wanted.get(one.name)
        if settings.only is not None and settings.only.value == one.name:
            places.append(Place(one.name, explicit=True, because=f"named by {settings.only.origin}"))
        elif enabled is not None and enabled.value:
            places.append(Place(one.name, explicit=True, because=f"enabled by {enabled.origin}"))
        else:
            places.append(Place(one.name, explicit=False, because="in the default order", timeout=one.timeout))
    return places, left_out


def _why_not(one: Listed, settings: Settings, platform: str) -> str | None:
    enabled = settings.wanted.get(one.name)
    if enabled is not None and enabled.value:
        return None
    if settings.only is not None:
        origin = settings.only.origin
        return None if settings.only.value == one.name else f"{origin} names {settings.only.value} alone"
    if settings.group is not None and settings.group.value != one.group:
        return f"{settings.group.origin} selects the group {settings.group.value}; it is in {one.group}"
    if one.platforms and platform not in one.platforms:
        return f"in the default order on {', '.join(one.platforms)} only; enable it by name"
    return None


def _ordered(
    settings: Settings, default: list[Place], left_out: dict[str, str], timeouts: dict[str, float | None]
) -> list[Place]:
    """The order that the settings give, with "..." standing for what of the default order it does not name."""
    assert settings.order is not None
    names, origin = settings.order.value, settings.order.origin
    by_name = {place.name: place for place in default}
    places: list[Place] = []
    for name in names:
        if name == REST:
            places += [place for place in default if place.name not in names]
            continue
        places.append(
            by_name.get(name)
            or Place(name, name not in left_out, f"in the order of {origin}", timeout=timeouts.get(name))
        )
        left_out.pop(name, None)
    if REST not in names:
        left_out |= {name: f"not named in the order of {origin}" for name in by_name if name not in names}
    return places


def _refuse_empty(settings: Settings, left_out: dict[str, str]) -> None:
    from credchain.errors import ConfigurationError

    reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
    origin = f" ({settings.order.origin})" if settings.order is not None else ""
    raise ConfigurationError(f"no source is enabled{origin}{': ' if reasons else ''}{reasons}")
