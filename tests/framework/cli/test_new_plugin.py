"""`credchain new-plugin`: what it writes, and what it refuses to."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from credchain.cli import main

if TYPE_CHECKING:
    from pathlib import Path


def call(*arguments: str) -> Result:
    """The command in this process."""
    return CliRunner().invoke(main, ["new-plugin", *arguments])


def written(folder: Path) -> list[str]:
    """The files in a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("name", "module", "options", "source"),
    [
        ("acme-vault", "acme_vault", ["--source", "vault"], "vault"),
        ("Acme.Vault", "acme_vault", [], "acme_vault"),
        ("acme-tokens", "acme_tokens", ["--source", "token"], "token"),
        ("acme-a-rather-long-name-for-it", "acme_a_rather_long_name_for_it", [], "acme_a_rather_long_name_for_it"),
    ],
    ids=["named", "capitals", "a class's name", "long"],
)
def test_what_is_written_keeps_the_law(name: str, module: str, options: list[str], source: str, tmp_path: Path) -> None:
    """The files are a package whose tests, the law of a source among them, pass without a change."""
    result = call(name, *options, "--directory", str(tmp_path))

    assert result.exit_code == 0, result.output
    folder = tmp_path / name
    assert written(folder) == [
        "README.md",
        "pyproject.toml",
        f"src/{module}/__init__.py",
        f"src/{module}/py.typed",
        f"tests/test_{module}.py",
    ]
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert (project["name"], project["entry-points"]["credchain.providers"]) == (name, {source: module})
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "18 passed" in tests.stdout, tests.stdout + tests.stderr


def test_next_steps_are_told(tmp_path: Path) -> None:
    """What to type next, with the folder as a shell takes it."""
    folder = tmp_path / "two words"

    result = call("acme-vault", "--directory", str(folder))

    assert result.stdout.splitlines()[1:] == [
        f"  cd '{folder / 'acme-vault'}'",
        "  pip install -e '.[test]'",
        "  pytest",
        "  credchain sources",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-vault"], "No such option"),
        (["acme vault"], "'acme vault' is no name of a package"),
        (["../vault"], "'../vault' is no name of a package"),
        (["väult"], "'väult' is no name of a package"),
        (["7vaults"], "'7vaults' would be imported as 7vaults, which is no name of a module"),
        (["Class"], "'Class' would be imported as class, which is no name of a module"),
        (["json"], "json, which is a module that this Python has already"),
        (["credchain"], "credchain, which is a module that this Python has already"),
        (["environment"], "'environment' is one of credchain's own sources"),
        (["managed-identity"], "'managed_identity' is one of credchain's own sources"),
        (["acme-vault", "--source", "client_secret"], "'client_secret' is one of credchain's own sources"),
        (["acme-vault", "--source", "Vault"], "'Vault' is no name of a source"),
        (["acme-vault", "--source", "v-"], "'v-' is no name of a source"),
    ],
    ids=lambda given: " ".join(given)[:40] if isinstance(given, list) else "",
)
def test_name_that_cannot_be_used_is_refused(arguments: list[str], told: str, tmp_path: Path) -> None:
    """One sentence on standard error, exit code 2, and nothing is written."""
    result = call(*arguments, "--directory", str(tmp_path))

    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("inside", ["acme-vault/notes.txt", "acme-vault"], ids=["a folder in use", "a file"])
def test_what_is_there_is_not_overwritten(inside: str, tmp_path: Path) -> None:
    """A folder that holds something stays as it is."""
    (tmp_path / inside).parent.mkdir(exist_ok=True)
    (tmp_path / inside).write_text("mine")

    result = call("acme-vault", "--directory", str(tmp_path))

    assert result.exit_code == 1
    assert result.stderr.strip().endswith("exists and is not an empty folder; nothing was written")
    assert written(tmp_path) == [inside]


def test_empty_folder_is_filled(tmp_path: Path) -> None:
    """Making the folder first is fine."""
    (tmp_path / "acme-vault").mkdir()

    result = call("acme-vault", "--directory", str(tmp_path))

    assert result.exit_code == 0


def test_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A sentence, not a traceback."""
    (tmp_path / "file").write_text("")

    result = call("acme-vault", "--directory", str(tmp_path / "file"))

    assert result.exit_code == 1
    assert "acme-vault cannot be written: " in result.stderr
