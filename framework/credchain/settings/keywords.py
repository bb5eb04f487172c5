"""The layer that keyword arguments of DefaultAzureCredential make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credchain.settings.layers import Layer, Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from credchain.settings.priority import Listed

_SETTINGS = {
    "authority": (("environment", "authority"), ("shared_cache", "authority")),
    "additionally_allowed_tenants": (
        ("environment", "additionally_allowed_tenants"),
        ("shared_cache", "additionally_allowed_tenants"),
    ),
    "managed_identity_client_id": (("managed_identity", "client_id"),),
    "shared_cache_username": (("shared_cache", "username"),),
    "shared_cache_tenant_id": (("shared_cache", "tenant_id"),),
}
"""The keywords that are settings of sources: of which ones, and what they are called there."""


def keyword_layer(
    keywords: Mapping[str, object],
    *,
    listed: Sequence[Listed],
) -> Layer:
    """What the keywords of azure-identity say. *keywords* are those that were given, by name; None says nothing."""
    wanted = {one.name: Value(False, f"the keyword {one.exclude}") for one in listed if keywords.get(one.exclude)}
    sources: dict[str, dict[str, Value]] = {}
    for keyword, places in _SETTINGS.items():
        value = keywords.get(keyword)
        if value is None or value == ():
            continue
        for source, key in places:
            sources.setdefault(source, {})[key] = Value(value, f"the keyword {keyword}")
    return Layer(wanted=wanted, sources=sources)


def chain_keywords(
    *,
    order: Sequence[str] | None = None,
    enable: Sequence[str] = (),
    disable: Sequence[str] = (),
    observe: Sequence[str] = (),
    timeout: float | None = None,
) -> Layer:
    """What the keywords say that every chain has. Disabling wins over enabling.

    Raises:
        TypeError: One text stands where a list of names belongs.
    """
    for keyword, names in (("order", order), ("enable", enable), ("disable", disable), ("observe", observe)):
        if isinstance(names, str):
            raise TypeError(f"{keyword}: must be a list of names, such as [{names!r}], not a text")
    wanted = {name: Value(True, "the keyword enable") for name in enable}
    wanted |= {name: Value(False, "the keyword disable") for name in disable}
    return Layer(
        order=None if order is None else Value(tuple(order), "the keyword order"),
        wanted=wanted,
        timeout=None if timeout is None else Value(timeout, "the keyword timeout"),
        observe=Value(tuple(observe), "the keyword observe") if observe else None,
    )
