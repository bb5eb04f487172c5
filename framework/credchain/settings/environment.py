"""The layer that environment variables make."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from credchain.naming import did_you_mean
from credchain.settings.faults import Fault
from credchain.settings.layers import Layer, Value, merge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from credchain.settings.priority import Listed

_CHAIN = {
    "CREDCHAIN_ORDER": "order",
    "CREDCHAIN_ENABLE": "enable",
    "CREDCHAIN_DISABLE": "disable",
    "CREDCHAIN_TIMEOUT": "timeout",
    "CREDCHAIN_OBSERVE": "observe",
}
_OTHERS = ("CREDCHAIN_CONFIG", "CREDCHAIN_PROFILE")
_SOURCE = "CREDCHAIN_SOURCE__"
_POLICY = "CREDCHAIN_POLICY__"

VARIABLES = ("AZURE_TOKEN_CREDENTIALS", "AZURE_CLIENT_ID", *_CHAIN, *_OTHERS)
"""The variables with fixed names; those of single sources and of the policy begin with a prefix."""


def environment_layer(
    environment: Mapping[str, str], listed: Sequence[Listed], faults: list[Fault] | None = None
) -> Layer:
    """What the environment says about the chain. Empty variables say nothing.

    Args:
        environment: The environment variables.
        listed: The default order.
        faults: Takes what is wrong; without it the first fault is raised.

    Raises:
        ConfigurationError: There is a fault, and nobody gathers them.
    """
    found: list[Fault] = []
    ours = {name: value for name, value in environment.items() if name.startswith("CREDCHAIN_") and value.strip(" ,")}
    group, only = _selection(environment.get("AZURE_TOKEN_CREDENTIALS", "").strip(), listed, found)
    client_id = environment.get("AZURE_CLIENT_ID")
    azure = Layer(
        group=group,
        only=only,
        sources={"managed_identity": {"client_id": _value(client_id, "AZURE_CLIENT_ID")}} if client_id else {},
    )
    layer = merge([azure, _credchain(ours, found)]) if ours else azure
    if found and faults is None:
        from credchain.settings.faults import refusal

        raise refusal(found)
    if faults is not None:
        faults += found
    return layer


def _credchain(ours: Mapping[str, str], faults: list[Fault]) -> Layer:
    """What the variables say that begin with ``CREDCHAIN_``."""
    from credchain.settings import document

    faults += [Fault(_said(name), "", f"there is no such variable{_hint(name)}") for name in ours if not _known(name)]
    chain = {key: _text(ours[name], name) for name, key in _CHAIN.items() if name in ours}
    policy = {
        name.removeprefix(_POLICY).lower(): _text(value, name)
        for name, value in ours.items()
        if name.startswith(_POLICY)
    }
    places: dict[str, dict[str, Value]] = {}
    sources: dict[str, dict[str, Value]] = {}
    for source, values in _tables(ours).items():
        place, sources[source] = document.place_and_settings(values)
        places[source] = document.checked_place(place, name=source, prefix="", faults=faults)
    return attrs.evolve(
        document.chain_layer(chain, prefix="", faults=faults),
        places=places,
        sources=sources,
        policy=document.policy_of(policy, prefix="", faults=faults),
    )


def _tables(ours: Mapping[str, str]) -> dict[str, dict[str, Value]]:
    """``CREDCHAIN_SOURCE__<NAME>__<KEY>`` by name and key, both in lower case."""
    tables: dict[str, dict[str, Value]] = {}
    for name, value in ours.items():
        if name.startswith(_SOURCE) and _known(name):
            source, _, key = name.removeprefix(_SOURCE).lower().partition("__")
            tables.setdefault(source, {})[key] = _text(value, name)
    return tables


def _known(name: str) -> bool:
    if name.startswith(_SOURCE):
        source, separator, key = name.removeprefix(_SOURCE).partition("__")
        return bool(source and separator and key)
    return name in VARIABLES or (name.startswith(_POLICY) and name != _POLICY)


def _hint(name: str) -> str:
    if name.startswith(_SOURCE):
        return f"; it is written {_SOURCE}<NAME>__<KEY>"
    return did_you_mean(name, VARIABLES)


def _said(variable: str) -> str:
    return f"the environment variable {variable}"


def _text(value: str, variable: str) -> Value:
    return Value(value.strip(), _said(variable), form="text")


def _value(value: object, variable: str) -> Value:
    return Value(value, _said(variable))


def _selection(said: str, listed: Sequence[Listed], faults: list[Fault]) -> tuple[Value | None, Value | None]:
    """``AZURE_TOKEN_CREDENTIALS`` as a group or as one source."""
    if not said:
        return None, None
    if said.lower() in ("dev", "prod"):
        return _value(said.lower(), "AZURE_TOKEN_CREDENTIALS"), None
    for one in listed:
        if said.lower() == one.credential_class.lower():
            return None, _value(one.name, "AZURE_TOKEN_CREDENTIALS")
    known = ["dev", "prod", *(one.credential_class for one in listed)]
    faults.append(
        Fault(
            "AZURE_TOKEN_CREDENTIALS",
            "",
            f"no group or credential is called {said!r}{did_you_mean(said, known)} (known: {', '.join(known)})",
        )
    )
    return None, None
