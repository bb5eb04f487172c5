"""Configuration files: where they are, and their content as a layer."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from credchain.settings.faults import Fault
from credchain.settings.layers import Layer

if TYPE_CHECKING:
    from credchain.settings.document import Reading

NAME = "credchain.toml"


@attrs.frozen
class ConfigFile:
    """A file that may hold settings.

    Attributes:
        path: Where it is.
        origin: What its values are said to come from.
        needed: Whether it was named, so that it must be there.
    """

    path: Path
    origin: str
    needed: bool = False


def standard_files() -> tuple[ConfigFile, ...]:
    """The system's file and the user's, the lower layer first; they need not exist."""
    import platformdirs

    system = platformdirs.site_config_path("credchain", appauthor=False) / NAME
    user = platformdirs.user_config_path("credchain", appauthor=False) / NAME
    return (ConfigFile(system, f"the system file {system}"), ConfigFile(user, f"the user file {user}"))


def named_file(path: str, *, by: str) -> ConfigFile:
    """A file that somebody named: the variable ``CREDCHAIN_CONFIG``, or code."""
    return ConfigFile(Path(path), f"the file {path} ({by})", needed=True)


def read_file(file: ConfigFile, *, profile: str | None) -> Reading | None:
    """What a file says; None if it is not there and need not be. One that cannot be read is a fault."""
    try:
        text = file.path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return _unread(file, "there is no such file") if file.needed else None
    except UnicodeDecodeError:
        return _unread(file, "it is not UTF-8 text")
    except OSError as error:
        if isinstance(error, NotADirectoryError) and not file.needed:
            return None
        return _unread(file, f"it cannot be read: {error.strerror}")
    try:
        document = tomllib.loads(text)
    except RecursionError:
        return _unread(file, "it is nested too deeply")
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        said = re.sub(r" ?\(at line [^)]*\)", "", str(error))
        return _unread(file, f"it is no TOML: {said}", line=int(line[1]) if line else None)
    from credchain.settings.document import read_document

    return read_document(document, origin=file.origin, profile=profile)


def _unread(file: ConfigFile, said: str, *, line: int | None = None) -> Reading:
    from credchain.settings.document import Reading

    return Reading(Layer(), [], [Fault(file.origin, "", said, line)])
