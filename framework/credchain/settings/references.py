"""References: where a file has the place of a secret instead of the secret itself."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

    Stamp = tuple[int, int, int]

EXPECTED = '{ env = "NAME" } or { file = "/path" }'


@attrs.frozen
class Variable:
    """The value is in an environment variable."""

    name: str


@attrs.frozen
class File:
    """The value is the text of a file, without the line's end."""

    path: Path


Reference = Variable | File


def reference(value: object) -> Reference | None:
    """What a value refers to; None if it is no reference.

    Raises:
        ValueError: It is meant as one, and is none.
    """
    if not isinstance(value, dict) or not {"env", "file"} & set(value):
        return None
    ((kind, place),) = value.items() if len(value) == 1 else [("", None)]
    if not isinstance(place, str) or not place.strip():
        raise ValueError(f"a reference is {EXPECTED}, with one name")
    if kind == "env":
        return Variable(place)
    path = Path(place)
    if not path.is_absolute():
        raise ValueError(f"the file of a reference needs an absolute path, not {place!r}")
    return File(path)


def resolve(given: Reference, environment: Mapping[str, str]) -> str:
    """The value that is referred to.

    Raises:
        ValueError: The variable is not set, or the file cannot be read, is empty, or others may write it.
    """
    if isinstance(given, Variable):
        value = environment.get(given.name, "")
        if not value:
            raise ValueError(f"the environment variable {given.name} is not set")
        return value
    return _text(given.path)


def stamp(path: Path) -> Stamp | None:
    """What changes when a file does; None if there is no such file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _text(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ValueError(f"the file {path} cannot be read: {why}") from None
    if os.name == "posix" and mode & stat.S_IWOTH:
        raise ValueError(f"everybody may write the file {path}; take that away with: chmod o-w {path}")
    if not text:
        raise ValueError(f"the file {path} is empty")
    return text
