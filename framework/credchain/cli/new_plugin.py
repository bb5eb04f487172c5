"""`credchain new-plugin`: the folder of a package that adds a source, with tests that pass."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import keyword
import re
import string
from importlib import resources
from pathlib import Path

import attrs
import click

from credchain.cli.run import FAILED, WRONG_USE, Told

_DISTRIBUTION = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", re.IGNORECASE | re.ASCII)
_SOURCE = re.compile(r"[a-z]([a-z0-9_-]*[a-z0-9])?", re.ASCII)


@attrs.frozen
class _Names:
    """What a plugin is called: as a package to install, as a module to import, and in the settings of a chain."""

    distribution: str
    module: str
    source: str

    @property
    def name(self) -> str:
        """What its classes begin with."""
        return "".join(part.capitalize() for part in re.split("[_-]+", self.source))


@click.command("new-plugin")
@click.argument("name")
@click.option("--source", help="What the source is called in settings; as the module unless given.")
@click.option(
    "--directory",
    default=".",
    show_default="the current one",
    type=click.Path(path_type=Path),
    help="Where the new folder is put.",
)
def command(name: str, source: str | None, directory: Path) -> None:
    """Begin a package NAME that adds a source.

    The new folder NAME holds a source that works, its tests, and what it takes to install it. Change it until it speaks
    with your service.
    """
    try:
        names = _names(name, source)
    except ValueError as error:
        raise Told(f"Error: {error}", exit_code=WRONG_USE) from None
    folder = directory / name
    try:
        _write(folder, names)
    except OSError as error:
        raise Told(f"Error: {folder} cannot be written: {error.strerror or error}", exit_code=FAILED) from None
    click.echo(f"{folder} holds a source called {names.source}. Next:")
    for line in (f"cd {_quoted(folder)}", "pip install -e '.[test]'", "pytest", "credchain sources"):
        click.echo(f"  {line}")


def _names(name: str, source: str | None) -> _Names:
    """The names of a new plugin.

    Raises:
        ValueError: One of them is malformed, or belongs to somebody else.
    """
    if not _DISTRIBUTION.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a package: it may hold letters, digits, and . _ - between them")
    module = re.sub("[._-]+", "_", name).lower()
    if not module.isidentifier() or keyword.iskeyword(module):
        raise ValueError(f"{name!r} would be imported as {module}, which is no name of a module in Python")
    if _importable(module):
        raise ValueError(f"{name!r} would be imported as {module}, which is a module that this Python has already")
    source = module if source is None else source
    if not _SOURCE.fullmatch(source):
        raise ValueError(f"{source!r} is no name of a source: small letters, digits, and _ - between them")
    if source in _builtins():
        raise ValueError(f"{source!r} is one of credchain's own sources; choose another name for yours, with --source")
    return _Names(name, module, source)


def _importable(module: str) -> bool:
    """Whether a module of this name is installed; a mere folder does not count."""
    found = importlib.util.find_spec(module)
    return found is not None and found.origin is not None


def _builtins() -> set[str]:
    from credchain.registry import Registry

    return set(Registry().packages.builtins())


def _write(folder: Path, names: _Names) -> None:
    """Write the files of a new plugin.

    Raises:
        OSError: They cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Told(f"Error: {folder} exists and is not an empty folder; nothing was written", exit_code=FAILED)
    words = {
        "distribution": names.distribution,
        "module": names.module,
        "source": names.source,
        "name": names.name,
        "version": importlib.metadata.version("credchain"),
    }
    package = f"src/{names.module}"
    files = {
        "pyproject.toml": "pyproject",
        "README.md": "readme",
        f"{package}/__init__.py": "module",
        f"tests/test_{names.module}.py": "contract",
    }
    for path, template in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        text = string.Template(_template(template)).substitute(words)
        (folder / path).write_text(text, encoding="utf-8", newline="\n")
    (folder / package / "py.typed").touch()


def _template(name: str) -> str:
    return resources.files("credchain.cli").joinpath("templates", f"{name}.txt").read_text(encoding="utf-8")


def _quoted(folder: Path) -> str:
    return f"'{folder}'" if " " in str(folder) else str(folder)
