"""Layers of settings, each value with its origin, and their merger into one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from credchain.naming import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@attrs.frozen
class Value:
    """A setting and where it came from, such as "the environment variable CREDCHAIN_ORDER"."""

    value: Any = attrs.field(repr=False)
    origin: str


@attrs.frozen
class Layer:
    """What one place says. None and empty mean that it says nothing.

    Attributes:
        order: Names of sources in order; ``"..."`` stands for the rest of the default order.
        wanted: For a source's name, whether it is enabled or disabled.
        group: ``"dev"`` or ``"prod"``: the part of the default order that is used.
        only: The one source that is used.
        sources: For a source's name, its own settings.
    """

    order: Value | None = None
    wanted: Mapping[str, Value] = attrs.field(factory=dict)
    group: Value | None = None
    only: Value | None = None
    sources: Mapping[str, Mapping[str, Value]] = attrs.field(factory=dict)


Settings = Layer
"""All layers merged: of the same shape as one."""


def merge(layers: Iterable[Layer]) -> Settings:
    """One layer out of several; for each value the last one that says something wins."""
    merged = Layer()
    for layer in layers:
        sources = {name: dict(values) for name, values in merged.sources.items()}
        for name, values in layer.sources.items():
            sources.setdefault(name, {}).update(values)
        merged = Layer(
            order=layer.order or merged.order,
            wanted={**merged.wanted, **layer.wanted},
            group=layer.group or merged.group,
            only=layer.only or merged.only,
            sources=sources,
        )
    return merged


def structure(cls: type[Any], values: Mapping[str, Value], *, source: str) -> Any:
    """A source's settings as an instance of its provider's class.

    Raises:
        ConfigurationError: A key that the class does not have, one that it needs, or a value that it refuses.
    """
    from credchain.errors import ConfigurationError

    fields = {field.alias: field for field in attrs.fields(cls) if field.init}
    for key, value in values.items():
        if key not in fields:
            raise ConfigurationError(
                f"{source}: there is no setting {key!r} ({value.origin}){did_you_mean(key, fields)}"
            )
    missing = [name for name, field in fields.items() if field.default is attrs.NOTHING and name not in values]
    if missing:
        raise ConfigurationError(f"{source}: needs the setting{'s' * (len(missing) > 1)} {', '.join(missing)}")
    try:
        return cls(**{key: value.value for key, value in values.items()})
    except (TypeError, ValueError) as error:
        origins = ", ".join(sorted({value.origin for value in values.values()}))
        raise ConfigurationError(f"{source}: {error} (from {origins})") from error
