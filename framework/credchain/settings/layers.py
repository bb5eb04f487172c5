"""Layers of settings, each value with its origin, and their merger into one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from credchain.settings.policy import Policy, intersect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@attrs.frozen
class Value:
    """A setting and where it came from.

    Attributes:
        value: The setting.
        origin: Such as "the environment variable CREDCHAIN_ORDER" or "the file credchain.toml".
        form: How it was written: ``"object"`` as the settings class wants it, ``"toml"`` in a file, ``"table"`` in a
            program's own table, ``"text"`` in a variable. Only in a file a secret must be a reference.
    """

    value: Any = attrs.field(repr=False)
    origin: str
    form: str = "object"


@attrs.frozen
class Layer:
    """What one place says. None and empty mean that it says nothing.

    Attributes:
        order: Names of sources in order; ``"..."`` stands for the rest of the default order.
        wanted: For a source's name, whether it is enabled or disabled.
        group: ``"dev"`` or ``"prod"``: the part of the default order that is used.
        only: The one source that is used.
        timeout: Seconds that finding a token may take in all.
        observe: Names of observers that hear the events.
        places: For a source's name, what the chain wants to know of it: ``provider``, ``timeout``, ``on_failure``.
        sources: For a source's name, the settings of its provider.
        policy: What no later layer can allow again.
    """

    order: Value | None = None
    wanted: Mapping[str, Value] = attrs.field(factory=dict)
    group: Value | None = None
    only: Value | None = None
    timeout: Value | None = None
    observe: Value | None = None
    places: Mapping[str, Mapping[str, Value]] = attrs.field(factory=dict)
    sources: Mapping[str, Mapping[str, Value]] = attrs.field(factory=dict)
    policy: Policy = attrs.field(factory=Policy)

    def configured(self) -> list[str]:
        """The names of the sources that have settings of any kind."""
        return list(dict.fromkeys([*self.places, *self.sources]))

    def provider_of(self, name: str) -> str:
        """The provider of a source: the one that its settings name, else the one that is called like it.

        Where a source names another one in place of a provider, it has that one's provider.
        """
        passed = {name}
        while True:
            named = self.places.get(name, {}).get("provider")
            if named is None or named.value in passed:
                return name
            name = named.value
            passed.add(name)


Settings = Layer
"""All layers merged: of the same shape as one."""


def merge(layers: Iterable[Layer]) -> Settings:
    """One layer out of several; for each value the last one that says something wins. Policies are intersected."""
    merged = Layer()
    for layer in layers:
        merged = Layer(
            order=layer.order or merged.order,
            wanted={**merged.wanted, **layer.wanted},
            group=layer.group or merged.group,
            only=layer.only or merged.only,
            timeout=layer.timeout or merged.timeout,
            observe=layer.observe or merged.observe,
            places=_merged(merged.places, layer.places),
            sources=_merged(merged.sources, layer.sources),
            policy=intersect(merged.policy, layer.policy),
        )
    return merged


def _merged(
    lower: Mapping[str, Mapping[str, Value]], higher: Mapping[str, Mapping[str, Value]]
) -> dict[str, dict[str, Value]]:
    merged = {name: dict(values) for name, values in lower.items()}
    for name, values in higher.items():
        merged.setdefault(name, {}).update(values)
    return merged
