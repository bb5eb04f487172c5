"""What is installed: sources and observers by name, from the packages' metadata alone; nothing is imported."""

from __future__ import annotations

import collections
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from credchain import hooks
from credchain.errors import ProviderLoadError
from credchain.naming import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from importlib.metadata import Distribution, EntryPoint

OWN = "credchain"

_KINDS = {hooks.ENTRY_POINTS: "source", hooks.OBSERVERS: "observer"}


@attrs.frozen
class Found:
    """A source or an observer that an installed package registers.

    Attributes:
        name: Its name.
        distribution: The package.
        version: The package's version.
        entry_point: Where its code is.
        location: The directory that the package is installed in; empty if unknown.
        refused: Why it cannot be used by its name alone, or None.
        final: Whether it cannot be used by its name with its package either.
    """

    name: str
    distribution: str
    version: str
    entry_point: EntryPoint = attrs.field(repr=False)
    location: str = ""
    refused: str | None = None
    final: bool = False

    @property
    def builtin(self) -> bool:
        """Whether it is one of credchain's own."""
        return self.distribution == OWN

    @property
    def kind(self) -> str:
        """Whether it is a source or an observer, in a word."""
        return _KINDS[self.entry_point.group]

    @property
    def package(self) -> str:
        """The distribution with its version."""
        return f"{self.distribution} {self.version}"

    @property
    def place(self) -> str:
        """The package, and where it is."""
        return f"{self.package} in {self.location}" if self.location else self.package


class Packages:
    """The sources and observers of the packages that are installed.

    credchain's own are looked up in credchain's own distribution alone, so no other package can take their place, and a
    chain without strangers never scans the others.

    Args:
        own: Gives credchain's own distribution.
        installed: Gives every distribution.
        directory: The current directory.
    """

    def __init__(
        self,
        *,
        own: Callable[[], Distribution] | None = None,
        installed: Callable[[], Iterable[Distribution]] | None = None,
        directory: Callable[[], str] = os.getcwd,
    ) -> None:
        self._own = own or _own_distribution
        self._installed = installed or _all_distributions
        self._directory = directory
        self._builtins: dict[str, dict[str, Found]] = {}

    def builtins(self, group: str = hooks.ENTRY_POINTS) -> dict[str, Found]:
        """credchain's own by name."""
        if group not in self._builtins:
            self._builtins[group] = {found.name: found for found in _found_in(self._own(), group)}
        return self._builtins[group]

    def discover(self, group: str = hooks.ENTRY_POINTS) -> list[Found]:
        """Everything of every installed package, credchain's own first.

        One that claims a built-in's name or the name of another package's, or that lies where anybody could have put
        it, is in the list and refused.
        """
        own = self.builtins(group)
        others: dict[tuple[str, str], Found] = {}
        for distribution in self._installed():
            for found in _found_in(distribution, group):
                if not found.builtin:
                    others.setdefault((found.name, found.distribution), found)  # what comes first on the path counts
        strangers = sorted(others.values(), key=lambda found: (found.name, found.distribution))
        return [*own.values(), *(self._judged(found, own, strangers) for found in strangers)]

    def find(self, name: str, group: str = hooks.ENTRY_POINTS) -> Found:
        """The source or observer of a name, alone or with its package: ``vault``, ``acme-vault/vault``.

        Raises:
            ProviderLoadError: There is none, or it is refused.
        """
        own = self.builtins(group).get(name)
        if own is not None:
            return own
        known = self.discover(group)
        matching = [found for found in known if name in (found.name, f"{found.distribution}/{found.name}")]
        if not matching:
            names = [found.name for found in known]
            raise ProviderLoadError(
                f"no installed package has {_article(group)} {name!r}{did_you_mean(name, names)} "
                f"(known: {', '.join(names)})",
                source=name,
            )
        found = matching[0]
        if found.refused and (found.final or "/" not in name):
            raise ProviderLoadError(found.refused, source=name, distribution=found.package)
        return found

    def _judged(self, found: Found, own: dict[str, Found], strangers: list[Found]) -> Found:
        """*found*, refused if its name is not its own, or if anybody could have put it there."""
        if found.name in own:
            why = f"{found.place} registers {found.name!r}, which belongs to {own[found.name].place}"
            return attrs.evolve(found, refused=f"{found.name}: {why}", final=True)
        unsafe = _unsafe(found.location, self._directory)
        if unsafe is not None:
            return attrs.evolve(found, refused=f"{found.name}: {found.place} is not used: {unsafe}", final=True)
        if found.refused:
            return found
        rivals = [other.place for other in strangers if other.name == found.name and other is not found]
        if rivals:
            meant = f"{found.distribution}/{found.name}"
            why = f"registered by {found.place} and by {', '.join(rivals)}; name it as {meant}"
            return attrs.evolve(found, refused=f"{found.name}: {why}")
        return found


def _found_in(distribution: Distribution, group: str) -> list[Found]:
    points = [point for point in distribution.entry_points if point.group == group]
    if not points or "Name" not in distribution.metadata:
        return []  # metadata without a name is what a broken removal leaves behind
    name, version, location = _normal(distribution.name), distribution.version, _location(distribution)
    found = [Found(point.name, name, version, point, location) for point in points]
    times = collections.Counter(point.name for point in points)
    twice = [one.name for one in found if times[one.name] > 1]
    return [
        attrs.evolve(one, refused=f"{one.name}: {one.place} registers it twice", final=True)
        if one.name in twice
        else one
        for one in found
    ]


def _unsafe(location: str, directory: Callable[[], str]) -> str | None:
    """Why the place of a package is one where anybody could have put it, or None."""
    if not location:
        return None
    path = Path(location).resolve()
    if path == Path(directory()).resolve():
        return "it lies in the current directory; install it"
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    if os.name == "posix" and mode & stat.S_IWOTH:
        return "everybody may write the directory that it lies in"
    return None


def _location(distribution: Distribution) -> str:
    try:
        return str(distribution.locate_file(""))
    except NotImplementedError:
        return ""  # an importer that has no files


def _article(group: str) -> str:
    kind = _KINDS[group]
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")


def _own_distribution() -> Distribution:
    from importlib.metadata import distribution

    return distribution(OWN)


def _all_distributions() -> Iterable[Distribution]:
    from importlib.metadata import distributions

    return distributions()
