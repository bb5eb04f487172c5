"""References: a variable or a file in place of a secret, and what is refused of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from credchain.settings.references import File, Variable, reference, resolve, stamp

if TYPE_CHECKING:
    from pathlib import Path


def test_a_table_with_env_or_file_is_a_reference(tmp_path: Path) -> None:
    """Everything else is a value."""
    assert reference({"env": "NAME"}) == Variable("NAME")
    assert reference({"file": str(tmp_path / "x")}) == File(tmp_path / "x")
    assert [reference(value) for value in ("text", 5, {}, {"other": "x"}, ["env"])] == [None] * 5


@pytest.mark.parametrize(
    "bad", [{"env": 5}, {"env": ""}, {"file": None}, {"env": "A", "file": "/b"}, {"env": "A", "other": 1}], ids=repr
)
def test_a_broken_reference_is_told(bad: dict[str, object]) -> None:
    """It was meant as one, so it is not taken for a value."""
    with pytest.raises(ValueError, match="a reference is "):
        reference(bad)


def test_a_relative_path_is_refused() -> None:
    """What the current directory happens to be decides nothing."""
    with pytest.raises(ValueError, match="absolute"):
        reference({"file": "secrets/x"})


def test_a_variable_must_be_set() -> None:
    """Its name is told."""
    assert resolve(Variable("NAME"), {"NAME": "value"}) == "value"
    for environment in ({}, {"NAME": ""}):
        with pytest.raises(ValueError, match="the environment variable NAME is not set"):
            resolve(Variable("NAME"), environment)


def test_a_file_s_text_is_the_value(tmp_path: Path) -> None:
    """Without the end of its line, as editors write one; spaces may belong to a secret."""
    path = tmp_path / "secret"
    path.write_text(" a secret \r\n", newline="")
    path.chmod(0o600)

    assert resolve(File(path), {}) == " a secret "


@pytest.mark.parametrize(
    ("content", "told"), [(None, "cannot be read"), (b"", "is empty"), (b"\n", "is empty"), (b"\xff", "UTF-8")]
)
def test_a_file_without_a_value_is_told(tmp_path: Path, content: bytes | None, told: str) -> None:
    """With its path."""
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ValueError, match=told) as caught:
        resolve(File(path), {})

    assert str(path) in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such modes")
def test_a_file_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    """Whoever can write it could choose the identity. Reading is its owner's own affair."""
    path = tmp_path / "secret"
    path.write_text("a secret")
    path.chmod(0o644)
    assert resolve(File(path), {}) == "a secret"

    path.chmod(0o666)

    with pytest.raises(ValueError, match="everybody may write .*chmod o-w"):
        resolve(File(path), {})


def test_a_stamp_changes_with_its_file(tmp_path: Path) -> None:
    """Also when a file is replaced by one of the same size; None for a file that is not there."""
    path = tmp_path / "secret"
    assert stamp(path) is None
    path.write_text("one")
    before = stamp(path)
    other = tmp_path / "other"
    other.write_text("two")

    other.replace(path)

    assert None not in (before, stamp(path))
    assert stamp(path) != before
