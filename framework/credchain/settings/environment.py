"""The layer that environment variables make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credchain.naming import did_you_mean
from credchain.settings.layers import Layer, Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from credchain.settings.priority import Listed

VARIABLES = ("AZURE_TOKEN_CREDENTIALS", "CREDCHAIN_ORDER", "CREDCHAIN_ENABLE", "CREDCHAIN_DISABLE", "AZURE_CLIENT_ID")


def environment_layer(environment: Mapping[str, str], listed: Sequence[Listed]) -> Layer:
    """What the environment says about the chain. Empty variables say nothing.

    Raises:
        ConfigurationError: ``AZURE_TOKEN_CREDENTIALS`` names nothing that is known.
    """
    order = _names(environment, "CREDCHAIN_ORDER")
    wanted = {name: _value(True, "CREDCHAIN_ENABLE") for name in _names(environment, "CREDCHAIN_ENABLE")}
    wanted |= {name: _value(False, "CREDCHAIN_DISABLE") for name in _names(environment, "CREDCHAIN_DISABLE")}
    group, only = _selection(environment.get("AZURE_TOKEN_CREDENTIALS", "").strip(), listed)
    client_id = environment.get("AZURE_CLIENT_ID")
    return Layer(
        order=_value(order, "CREDCHAIN_ORDER") if order else None,
        wanted=wanted,
        group=group,
        only=only,
        sources={"managed_identity": {"client_id": _value(client_id, "AZURE_CLIENT_ID")}} if client_id else {},
    )


def _names(environment: Mapping[str, str], variable: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in environment.get(variable, "").split(",") if name.strip())


def _value(value: object, variable: str) -> Value:
    return Value(value, f"the environment variable {variable}")


def _selection(said: str, listed: Sequence[Listed]) -> tuple[Value | None, Value | None]:
    """``AZURE_TOKEN_CREDENTIALS`` as a group or as one source."""
    if not said:
        return None, None
    if said.lower() in ("dev", "prod"):
        return _value(said.lower(), "AZURE_TOKEN_CREDENTIALS"), None
    for one in listed:
        if said.lower() == one.credential_class.lower():
            return None, _value(one.name, "AZURE_TOKEN_CREDENTIALS")
    from credchain.errors import ConfigurationError

    known = ["dev", "prod", *(one.credential_class for one in listed)]
    raise ConfigurationError(
        f"AZURE_TOKEN_CREDENTIALS: no group or credential is called {said!r}{did_you_mean(said, known)} "
        f"(known: {', '.join(known)})"
    )
