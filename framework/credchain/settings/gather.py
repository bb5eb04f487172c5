"""All layers of settings, from the built-in ones to the code's, merged; all their faults in one error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from credchain.naming import did_you_mean
from credchain.settings.environment import environment_layer
from credchain.settings.faults import Fault, refusal
from credchain.settings.layers import Layer, merge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike
    from typing import Any

    from credchain.settings.document import Reading
    from credchain.settings.files import ConfigFile
    from credchain.settings.layers import Settings
    from credchain.settings.priority import Listed

    Config = str | PathLike[str] | Mapping[str, Any]


@attrs.frozen
class Given:
    """What the code gives beside single values.

    Attributes:
        layer: Single values, from keywords.
        config: A file's path, or what would stand in a file.
        profile: The profile that is chosen; ``CREDCHAIN_PROFILE`` unless given.
    """

    layer: Layer = attrs.field(factory=Layer)
    config: Config | None = attrs.field(default=None, repr=False)
    profile: str | None = None


def gather(
    environment: Mapping[str, str],
    given: Given,
    *,
    listed: Sequence[Listed],
    files: Callable[[], Sequence[ConfigFile]],
    check: Callable[[Settings], list[Fault]] = lambda _: [],
) -> Settings:
    """Every layer merged; the later wins: system file, user file, ``CREDCHAIN_CONFIG``, environment, code.

    Args:
        environment: The environment variables.
        given: What the code says.
        listed: The default order.
        files: Gives the system's and the user's file.
        check: Finds faults in what is merged.

    Raises:
        ConfigurationError: Something is wrong; the error tells all of it.
    """
    profile = given.profile or environment.get("CREDCHAIN_PROFILE", "").strip() or None
    readings = [*_files(environment, files, profile), *_code(given, profile)]
    faults: list[Fault] = []
    variables = environment_layer(environment, listed, faults)
    below = [reading.layer for reading, code in readings if not code]
    above = [reading.layer for reading, code in readings if code]
    for reading, _ in readings:
        faults += reading.faults
    faults += _unknown_profile(profile, given, [name for reading, _ in readings for name in reading.profiles])
    merged = merge([*below, variables, *above, given.layer])
    faults += [*_twice(merged), *_cycles(merged), *check(merged)]
    if faults:
        raise refusal(faults)
    return merged


def _files(
    environment: Mapping[str, str], files: Callable[[], Sequence[ConfigFile]], profile: str | None
) -> list[tuple[Reading, bool]]:
    from credchain.settings.files import named_file, read_file

    found = list(files())
    named = environment.get("CREDCHAIN_CONFIG", "").strip()
    if named:
        found.append(named_file(named, by="named by CREDCHAIN_CONFIG"))
    readings = [read_file(file, profile=profile) for file in found]
    return [(reading, False) for reading in readings if reading is not None]


def _code(given: Given, profile: str | None) -> list[tuple[Reading, bool]]:
    """The configuration that the code gives: a layer above the environment."""
    if given.config is None:
        return []
    import os

    if isinstance(given.config, str | os.PathLike):
        from credchain.settings.files import named_file, read_file

        reading = read_file(named_file(os.fspath(given.config), by="the keyword config"), profile=profile)
        return [] if reading is None else [(reading, True)]
    from credchain.settings.document import read_document

    return [(read_document(given.config, origin="the keyword config", profile=profile, form="table"), True)]


def _unknown_profile(profile: str | None, given: Given, known: list[str]) -> list[Fault]:
    if profile is None or profile in known:
        return []
    origin = "the keyword profile" if given.profile else "the environment variable CREDCHAIN_PROFILE"
    there = f" (known: {', '.join(dict.fromkeys(known))})" if known else "; no file that was read has any"
    return [Fault(origin, "", f"there is no profile {profile!r}{did_you_mean(profile, known)}{there}")]


def _twice(settings: Settings) -> list[Fault]:
    """Names that stand more than once in the order: which of the places was meant, nobody can tell."""
    if settings.order is None:
        return []
    names = list(settings.order.value)
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    return [Fault(settings.order.origin, "chain.order", f"{name!r} stands there twice") for name in twice]


def _cycles(settings: Settings) -> list[Fault]:
    """Sources whose providers lead to each other."""
    faults = []
    for name, values in settings.places.items():
        named = values.get("provider")
        path = [name]
        while named is not None and named.value not in path:
            path.append(named.value)
            named = settings.places.get(named.value, {}).get("provider")
        if named is not None and named.value == name and len(path) > 1:
            told = " -> ".join([*path, name])
            faults.append(Fault(values["provider"].origin, f"source.{name}.provider", f"leads back to itself: {told}"))
    return faults
