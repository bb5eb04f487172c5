"""Settings as they are written become instances of attrs classes; whatever does not fit becomes a fault.

cattrs does the conversion. It is imported only where something has to be converted, which is where a file or a variable
sets something for a source; what a program gives is of the right type already.
"""

from __future__ import annotations

import collections.abc
import sys
import tomllib
import types
import typing
from typing import TYPE_CHECKING, Any

import attrs

from credchain.naming import did_you_mean
from credchain.settings.faults import Fault, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from credchain.settings.layers import Value

_OUTER: dict[Any, Any] = {tuple: tuple, list: list, set: set, frozenset: frozenset}
_SIMPLE = {str: "a string", int: "a whole number", float: "a number", bool: "true or false", bytes: "bytes"}


def structure(
    cls: type[Any], values: Mapping[str, Value], *, source: str, environment: Mapping[str, str] | None = None
) -> Any:
    """A source's settings as an instance of its provider's class, with what they refer to in *environment*.

    Raises:
        ConfigurationError: A key that the class does not have, one that it needs, a value of another type, a secret
            that stands in a file, a reference that leads nowhere, or values that the class refuses.
    """
    found, faults = converted(cls, values, prefix=f"source.{source}.", environment=environment or {})
    faults += missing(cls, values, source=source)
    if faults:
        raise refusal(faults)
    try:
        return cls(**found)
    except (TypeError, ValueError) as error:
        origins = " and ".join(sorted({value.origin for value in values.values()}))
        raise refusal([Fault(origins, f"source.{source}", str(error))]) from error


def converted(
    cls: type[Any], values: Mapping[str, Value], *, prefix: str, environment: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], list[Fault]]:
    """The values that fit, converted, and a fault for each that does not.

    Without *environment*, references are looked at but not followed, and left out of what is returned.
    """
    known = fields(cls)
    found: dict[str, Any] = {}
    faults: list[Fault] = []
    for key, value in values.items():
        if key not in known:
            faults.append(Fault(value.origin, prefix + key, f"there is no such setting{did_you_mean(key, known)}"))
            continue
        try:
            if not _refers(value):
                found[key] = _fitting(value, known[key])
            elif environment is not None:
                found[key] = _typed(_referred(value, environment), known[key].type)
        except ValueError as error:
            faults.append(Fault(value.origin, prefix + key, str(error)))
    return found, faults


def _refers(value: Value) -> bool:
    """Whether a value stands elsewhere.

    Raises:
        ValueError: It is meant as a reference, and is none.
    """
    if value.form not in ("toml", "table"):
        return False
    from credchain.settings.references import reference

    return reference(value.value) is not None


def _referred(value: Value, environment: Mapping[str, str]) -> str:
    """The text that a reference leads to.

    Raises:
        ValueError: It leads nowhere.
    """
    from credchain.settings.references import reference, resolve

    found = reference(value.value)
    assert found is not None
    return resolve(found, environment)


def missing(cls: type[Any], values: Mapping[str, Value], *, source: str) -> list[Fault]:
    """A fault for each key that the class needs and nobody gave."""
    needed = [name for name, field in fields(cls).items() if field.default is attrs.NOTHING and name not in values]
    origins = " and ".join(sorted({value.origin for value in values.values()})) or "the settings"
    return [Fault(origins, f"source.{source}.{name}", "needs a value") for name in needed]


def fields(cls: type[Any]) -> dict[str, attrs.Attribute[Any]]:
    """The settings of a class by the names under which they are given, their types resolved."""
    usual = {**vars(collections.abc), **vars(typing)}  # what stands in a block for the type checker only
    try:
        attrs.resolve_types(cls, {**usual, **vars(sys.modules.get(cls.__module__, typing))})
    except NameError:
        pass  # some other type that only the type checker knows; then the class itself has to check it
    return {field.alias: field for field in attrs.fields(cls) if field.init and field.alias is not None}


def is_secret(field: attrs.Attribute[Any]) -> bool:
    """Whether a setting is a secret: its class keeps it out of its repr."""
    return field.repr is False


def _fitting(value: Value, field: attrs.Attribute[Any]) -> Any:
    """A value as its field wants it.

    Raises:
        ValueError: It does not fit, or is a secret in a file.
    """
    if value.form == "object":
        return value.value
    if value.form == "toml" and is_secret(field):
        from credchain.settings.references import EXPECTED

        raise ValueError(f"a secret does not stand in a file; write {EXPECTED} instead")
    if value.form == "text":
        return _typed(value.value, field.type, shown=not is_secret(field))
    return _structured(value.value, field.type, shown=not is_secret(field))


def _typed(text: str, kind: Any, *, shown: bool = False) -> Any:
    """A text, as a variable or a file has it, as the type that is wanted."""
    wanted = _without_none(kind)
    if (
        wanted is str
        or (_is_union(kind) and str in typing.get_args(kind))
        or wanted in (Any, None)
        or isinstance(wanted, str)
    ):
        return text
    if _is_sequence(wanted) and not text.strip().startswith("["):
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return tuple(parts) if typing.get_args(wanted) == (str, ...) else _structured(parts, kind, shown=shown)
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        value = text
    return _structured(value, kind, shown=shown)


def _structured(value: Any, kind: Any, *, shown: bool) -> Any:
    if kind is None or kind is Any or isinstance(kind, str):
        return value
    try:
        return _converter().structure(value, kind)
    except Exception as error:  # cattrs raises groups of whatever a type's own constructor raises
        said = "; ".join(dict.fromkeys(_sentence(leaf) for leaf in _leaves(error)))
        raise ValueError(f"{said or 'does not fit'}{f', not {value!r:.60}' if shown else ''}") from None


def _converter() -> Any:
    import cattrs

    made = cattrs.Converter(forbid_extra_keys=True)
    for simple, words in _SIMPLE.items():
        made.register_structure_hook(simple, _strict(simple, words))
    made.register_structure_hook_factory(_is_sequence, lambda kind: _sequence(made, kind))
    made.register_structure_hook_factory(_is_literal, _literal)
    made.register_structure_hook_factory(_is_union, lambda kind: _any_of(made, kind))
    return made


def _strict(simple: type[Any], words: str) -> Any:
    def check(value: Any, _kind: Any) -> Any:
        fits = isinstance(value, simple) and (simple is bool or not isinstance(value, bool))
        if not fits and not (simple is float and isinstance(value, int) and not isinstance(value, bool)):
            raise TypeError(f"must be {words}")
        return simple(value)

    return check


def _sequence(made: Any, kind: Any) -> Any:
    inner = next((part for part in typing.get_args(kind) if part is not Ellipsis), Any)
    outer = _OUTER.get(typing.get_origin(kind), tuple)

    def convert(value: Any, _kind: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise TypeError(f"must be a list of {_plural(inner)}")
        return outer(made.structure(part, inner) for part in value)

    return convert


def _plural(kind: Any) -> str:
    return {str: "strings", int: "whole numbers", float: "numbers"}.get(kind, "values")


def _is_sequence(kind: Any) -> bool:
    return typing.get_origin(kind) in (*_OUTER, collections.abc.Sequence)


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def _any_of(made: Any, kind: Any) -> Any:
    """The first type of a union that a value fits."""

    def convert(value: Any, _kind: Any) -> Any:
        refusals = []
        for one in typing.get_args(kind):
            if one is type(None):
                if value is None:
                    return None
                continue
            try:
                return made.structure(value, one)
            except Exception as error:  # as wide as what cattrs passes on
                refusals.append(error)
        raise refusals[0]

    return convert


def _is_literal(kind: Any) -> bool:
    return typing.get_origin(kind) is typing.Literal


def _literal(kind: Any) -> Any:
    allowed = typing.get_args(kind)

    def check(value: Any, _kind: Any) -> Any:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(map(repr, allowed))}")
        return value

    return check


def _without_none(kind: Any) -> Any:
    if _is_union(kind):
        rest = [part for part in typing.get_args(kind) if part is not type(None)]
        return rest[0] if len(rest) == 1 else kind
    return kind


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _sentence(error: BaseException) -> str:
    said = str(error)
    return said if said.startswith("must be ") else "has the wrong form"
