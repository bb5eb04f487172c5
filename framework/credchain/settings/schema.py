"""A JSON Schema of credchain.toml, made from the settings classes of providers, for editors."""

from __future__ import annotations

import collections.abc
import enum
import inspect
import types
import typing
from typing import TYPE_CHECKING, Any

from credchain.settings.document import ChainTable, PlaceTable, PolicyTable
from credchain.settings.structuring import fields, is_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    Schema = dict[str, Any]

_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean"}
_REFERENCE = {"$ref": "#/$defs/reference"}


def schema(providers: Mapping[str, type[Any]]) -> Schema:
    """The schema (JSON Schema, draft 2020-12) of a file for these providers, given with their settings classes."""
    tables = {
        "chain": _table(ChainTable),
        "source": _sources(providers),
        "policy": _table(PolicyTable),
    }
    profile = {"type": "object", "properties": dict(tables), "additionalProperties": False}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "credchain.toml",
        "type": "object",
        "properties": {**tables, "profile": {"type": "object", "additionalProperties": profile}},
        "additionalProperties": False,
        "$defs": {"reference": _reference()},
    }


def descriptions(cls: type[Any]) -> dict[str, str]:
    """What the section ``Attributes:`` of a class's docstring says of each attribute."""
    found: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")[2].splitlines():
        text = line.strip()
        head, colon, rest = text.partition(": ")
        if colon and head.isidentifier() and line.startswith(" " * 4) and not line.startswith(" " * 5):
            name = head
            found[name] = rest
        elif name and text:
            found[name] = f"{found[name]} {text}"
    return found


def _sources(providers: Mapping[str, type[Any]]) -> Schema:
    """Tables of sources: those that are called like their provider, and those that name it."""
    own = {name: _source(cls, provider=name, needed=False) for name, cls in providers.items()}
    others = [_source(cls, provider=name, needed=True) for name, cls in providers.items()]
    return {"type": "object", "properties": own, "additionalProperties": {"anyOf": others} if others else True}


def _source(cls: type[Any], *, provider: str, needed: bool) -> Schema:
    table = _table(cls)
    place = _table(PlaceTable)["properties"]
    if needed:
        place["provider"] = {"const": provider}
    return {**table, "properties": {**place, **table["properties"]}, **({"required": ["provider"]} if needed else {})}


def _table(cls: type[Any]) -> Schema:
    """A table with the settings of a class. What is needed may stand in another layer, so nothing is required."""
    said = descriptions(cls)
    properties: Schema = {}
    for name, field in fields(cls).items():
        kind = _REFERENCE if is_secret(field) else {"anyOf": [_type(field.type), _REFERENCE]}
        told = {"description": said[name]} if name in said else {}
        properties[name] = {**(_type(field.type) if cls in (ChainTable, PlaceTable, PolicyTable) else kind), **told}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _type(kind: Any) -> Schema:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in _SIMPLE:
        return {"type": _SIMPLE[kind]}
    if origin in (typing.Union, types.UnionType):
        inner = [_type(one) for one in arguments if one not in (type(None), bytes)]
        return inner[0] if len(inner) == 1 else {"anyOf": inner}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (tuple, list, set, frozenset, collections.abc.Sequence):
        return {"type": "array", "items": _type(arguments[0])}
    if origin in (dict, collections.abc.Mapping):
        return {"type": "object", "additionalProperties": _type(arguments[1])}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return {"enum": [one.value for one in kind]}
    return {}


def _reference() -> Schema:
    """A variable or a file in place of a value."""
    one = {"type": "string", "minLength": 1}
    return {
        "type": "object",
        "description": "The value is in an environment variable, or in a file with an absolute path.",
        "properties": {"env": one, "file": one},
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }
