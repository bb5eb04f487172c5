"""The wheel: what is in it, and what it registers."""

from __future__ import annotations

import configparser
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built as a publisher builds it."""
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(ROOT)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return zipfile.ZipFile(next(target.glob("*.whl")))


def test_wheel_holds_the_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    """Both source roots, their type markers and data; no tests, no caches."""
    names = wheel.namelist()

    tops = {name.split("/")[0] for name in names}
    assert tops == {"credchain", "credchain_plugins", "credchain-0.1.0.dist-info"}
    assert {"credchain/py.typed", "credchain_plugins/py.typed", "credchain/priority.toml"} <= set(names)
    assert not [name for name in names if "test_" in name or "__pycache__" in name]


def test_every_plugin_is_registered(wheel: zipfile.ZipFile) -> None:
    """One entry point for each module or package of credchain_plugins, called the same."""
    parser = configparser.ConfigParser()
    parser.read_string(wheel.read("credchain-0.1.0.dist-info/entry_points.txt").decode())
    registered = {**parser["credchain.providers"], **parser["credchain.observers"]}
    modules = {
        name.removeprefix("credchain_plugins/").split("/")[0].removesuffix(".py")
        for name in wheel.namelist()
        if name.startswith("credchain_plugins/") and name.endswith(".py")
    }

    assert {name: value.split(":")[0] for name, value in registered.items()} == {
        name: f"credchain_plugins.{name}" for name in modules
    }
    assert parser["console_scripts"]["credchain"] == "credchain.cli:main"
