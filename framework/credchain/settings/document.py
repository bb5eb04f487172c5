"""A configuration document, as TOML has it, becomes a layer; every fault in it is gathered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs

from credchain.naming import did_you_mean
from credchain.settings.faults import Fault
from credchain.settings.layers import Layer, Value, merge
from credchain.settings.policy import Allowed, Policy
from credchain.settings.structuring import converted, fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _positive(_instance: object, _attribute: object, value: float | None) -> None:
    if value is not None and not value > 0:
        raise ValueError("must be a number of seconds above 0")


@attrs.frozen
class ChainTable:
    """The table ``[chain]``.

    Attributes:
        order: Names of sources in order; ``"..."`` stands for the rest of the default order.
        enable: Names of sources that take part beside the default order.
        disable: Names of sources that take no part.
        timeout: Seconds that finding a token may take in all.
        observe: Names of observers that hear the events.
    """

    order: tuple[str, ...] = ()
    enable: tuple[str, ...] = ()
    disable: tuple[str, ...] = ()
    timeout: float | None = attrs.field(default=None, validator=_positive)
    observe: tuple[str, ...] = ()


@attrs.frozen
class PlaceTable:
    """What the chain itself reads in a table ``[source.<name>]``; the other keys are its provider's.

    Attributes:
        provider: The provider, where the source is not called like it.
        timeout: Seconds that the source may take for a token, retries included.
        on_failure: ``"stop"`` or ``"continue"``: what the chain does when the source applies and fails.
    """

    provider: str | None = None
    timeout: float | None = attrs.field(default=None, validator=_positive)
    on_failure: Literal["stop", "continue"] = "stop"


@attrs.frozen
class PolicyTable:
    """The table ``[policy]``.

    Attributes:
        deny: Names of sources or providers that take no part, whatever anybody else says.
        require: Names of sources without which there must be no chain.
        allowed_authorities: The only authorities that token requests may go to.
        allowed_tenants: The only tenants that token requests may go to.
        trusted_distributions: The only packages whose sources may take part beside credchain's own.
    """

    deny: tuple[str, ...] = ()
    require: tuple[str, ...] = ()
    allowed_authorities: tuple[str, ...] | None = None
    allowed_tenants: tuple[str, ...] | None = None
    trusted_distributions: tuple[str, ...] | None = None


@attrs.define
class Reading:
    """What came out of a document: a layer, the profiles that it has, and its faults."""

    layer: Layer
    profiles: list[str]
    faults: list[Fault]


_TABLES = ("chain", "source", "policy")
_SAID: dict[type, str] = {str: "a text", int: "a number", float: "a number", bool: "true or false", list: "a list"}


def read_document(document: Mapping[str, Any], *, origin: str, profile: str | None, form: str = "toml") -> Reading:
    """The layer that a document makes, the tables of *profile* laid over the others.

    Args:
        document: The parsed document.
        origin: What its values are said to come from.
        profile: The profile that is chosen, if one is; a document need not have it.
        form: How its values are written; see `Value`.
    """
    faults: list[Fault] = []
    tables = {name: table for name, table in document.items() if name != "profile"}
    layers = [_layer(tables, origin=origin, form=form, prefix="", faults=faults)]
    profiles = _table(document.get("profile", {}), origin, "profile", faults)
    for name, overlay in profiles.items():
        content = _table(overlay, origin, f"profile.{name}", faults)
        layer = _layer(content, origin=origin, form=form, prefix=f"profile.{name}.", faults=faults)
        if name == profile:
            layers.append(layer)
    return Reading(merge(layers), list(profiles), faults)


def place_and_settings(values: Mapping[str, Value]) -> tuple[dict[str, Value], dict[str, Value]]:
    """What the chain reads of a source's table, and what its provider does."""
    own = fields(PlaceTable)
    place = {key: value for key, value in values.items() if key in own}
    return place, {key: value for key, value in values.items() if key not in own}


def checked_place(values: Mapping[str, Value], *, name: str, prefix: str, faults: list[Fault]) -> dict[str, Value]:
    """What the chain reads of a source's table, converted."""
    return _checked(PlaceTable, values, prefix=f"{prefix}source.{name}.", faults=faults)


def policy_of(values: Mapping[str, Value], *, prefix: str, faults: list[Fault]) -> Policy:
    """A policy out of the values of its table."""
    from credchain.authority import normalize_authority

    found = _checked(PolicyTable, values, prefix=f"{prefix}policy.", faults=faults)
    authorities: list[str] = []
    named = found.get("allowed_authorities")
    for one in named.value if named is not None else ():
        try:
            authorities.append(normalize_authority(one, argument="").lower())
        except ValueError as error:
            assert named is not None
            faults.append(Fault(named.origin, f"{prefix}policy.allowed_authorities", str(error).removeprefix(": ")))
    return Policy(
        deny=_said(found.get("deny")),
        require=_said(found.get("require")),
        authorities=None if named is None else Allowed(frozenset(authorities), (named.origin,)),
        tenants=_allowed(found.get("allowed_tenants")),
        distributions=_allowed(found.get("trusted_distributions"), normal=lambda name: name.lower().replace("_", "-")),
    )


def chain_layer(values: Mapping[str, Value], *, prefix: str, faults: list[Fault]) -> Layer:
    """The layer of the values of a table ``[chain]``."""
    found = _checked(ChainTable, values, prefix=f"{prefix}chain.", faults=faults)
    wanted = {
        name: Value(key == "enable", found[key].origin)
        for key in ("enable", "disable")  # in this order, so that within one place disabling wins
        if key in found
        for name in found[key].value
    }
    return Layer(order=found.get("order"), wanted=wanted, timeout=found.get("timeout"), observe=found.get("observe"))


def _layer(tables: Mapping[str, Any], *, origin: str, form: str, prefix: str, faults: list[Fault]) -> Layer:
    for name in tables:
        if name not in _TABLES:
            known = _TABLES if prefix else (*_TABLES, "profile")
            faults.append(Fault(origin, prefix + name, f"there is no such table{did_you_mean(name, known)}"))

    def values(name: str, content: object) -> dict[str, Value]:
        table = _table(content, origin, prefix + name, faults)
        return {key: Value(value, origin, form) for key, value in table.items()}

    places: dict[str, dict[str, Value]] = {}
    settings: dict[str, dict[str, Value]] = {}
    for name, content in _table(tables.get("source", {}), origin, f"{prefix}source", faults).items():
        place, settings[name] = place_and_settings(values(f"source.{name}", content))
        places[name] = checked_place(place, name=name, prefix=prefix, faults=faults)
    chain = chain_layer(values("chain", tables.get("chain", {})), prefix=prefix, faults=faults)
    policy = policy_of(values("policy", tables.get("policy", {})), prefix=prefix, faults=faults)
    return attrs.evolve(chain, places=places, sources=settings, policy=policy)


def _checked(cls: type[Any], values: Mapping[str, Value], *, prefix: str, faults: list[Fault]) -> dict[str, Value]:
    """The values that fit their class, converted."""
    found, wrong = converted(cls, values, prefix=prefix)
    for key, value in list(found.items()):
        try:
            cls(**{key: value})
        except ValueError as error:
            wrong.append(Fault(values[key].origin, prefix + key, f"{error}, not {value!r}"))
            del found[key]
    faults += wrong
    return {key: Value(value, values[key].origin) for key, value in found.items()}


def _table(content: object, origin: str, key: str, faults: list[Fault]) -> dict[str, Any]:
    if isinstance(content, dict):
        return content
    faults.append(Fault(origin, key, f"must be a table, not {_SAID.get(type(content), 'a value')}"))
    return {}


def _said(names: Value | None) -> dict[str, str]:
    return {} if names is None else dict.fromkeys(names.value, names.origin)


def _allowed(names: Value | None, *, normal: Callable[[str], str] = str.lower) -> Allowed | None:
    return None if names is None else Allowed(frozenset(map(normal, names.value)), (names.origin,))
