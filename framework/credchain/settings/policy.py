"""Policy: what an operator rules out. Layers are intersected, so that none can allow what another denies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@attrs.frozen
class Allowed:
    """The only values that policies allow, and who said so."""

    values: frozenset[str]
    origins: tuple[str, ...]

    @property
    def origin(self) -> str:
        """Who said so, in words."""
        return " and ".join(self.origins)


@attrs.frozen
class Policy:
    """What no later layer can allow again.

    Attributes:
        deny: Names of sources or providers that take no part, and who said so.
        require: Names of sources without which there must be no chain, and who said so.
        authorities: The authorities that token requests may go to, as https URLs; None for all.
        tenants: The tenants that token requests may go to, in lower case; None for all.
        distributions: The packages whose sources and observers may take part beside credchain's own; None for all.
    """

    deny: Mapping[str, str] = attrs.field(factory=dict)
    require: Mapping[str, str] = attrs.field(factory=dict)
    authorities: Allowed | None = None
    tenants: Allowed | None = None
    distributions: Allowed | None = None

    def denial(self, names: Iterable[str]) -> str | None:
        """Why a source that goes by any of *names* takes no part, or None."""
        for name in names:
            if name in self.deny:
                return f"denied by the policy in {self.deny[name]}"
        return None

    def distrust(self, distribution: str | None) -> str | None:
        """Why the sources of a package take no part, or None; *distribution* is None for credchain's own."""
        if distribution is None or self.distributions is None or distribution in self.distributions.values:
            return None
        return f"the policy in {self.distributions.origin} does not trust the package {distribution}"


def intersect(one: Policy, other: Policy) -> Policy:
    """What both allow."""
    return Policy(
        deny={**other.deny, **one.deny},
        require={**other.require, **one.require},
        authorities=_both(one.authorities, other.authorities),
        tenants=_both(one.tenants, other.tenants),
        distributions=_both(one.distributions, other.distributions),
    )


def _both(one: Allowed | None, other: Allowed | None) -> Allowed | None:
    if one is None or other is None:
        return one or other
    return Allowed(one.values & other.values, tuple(dict.fromkeys([*one.origins, *other.origins])))
