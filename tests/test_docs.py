"""The documentation tells the truth: its examples run, its links lead somewhere, its commands are the real ones."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser, SkipParser

from credchain.cli import main
from credchain.settings.document import read_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from credchain.emulator import Emulator

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
WITH_EXAMPLES = [page for page in PAGES if "```python" in page.read_text()]
RULING = (
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_PASSWORD",
    "AZURE_TOKEN_CREDENTIALS",
    "AZURE_USERNAME",
    "CREDCHAIN_DISABLE",
    "CREDCHAIN_ENABLE",
    "CREDCHAIN_ORDER",
)


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def machine(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose variables describe a service principal in the emulator."""
    for name in RULING:
        monkeypatch.delenv(name, raising=False)
    for name, value in emulator.environment(emulator.add_application(), identity=True).items():
        monkeypatch.setenv(name, value)
    return


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=_name)
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python example of a page runs, in its order, unless the page says why not."""
    monkeypatch.chdir(tmp_path)
    document = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()]).parse(page)
    examples = list(document.examples())

    for example in examples:
        example.evaluate()

    assert examples


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link and picture of a page is a file of the project."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:|#", target)]

    missing = [target for target in targets if not (page.parent / target.split("#")[0]).exists()]

    assert missing == []


def test_readme_begins_with_the_demonstration() -> None:
    """The first command of the README installs and shows the thing."""
    first = re.search(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)

    assert first is not None
    assert first[1].strip() == "pip install . && credchain demo"


def test_nothing_of_a_machine_is_in_the_project() -> None:
    """No path of somebody's machine stands in a file of the project."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    files = [ROOT / name for name in listed] or [path for path in ROOT.rglob("*.py") if ".venv" not in path.parts]
    pattern = re.compile(r"/(home|root|Users)/\w")

    found = [str(file) for file in files if file.is_file() and pattern.search(file.read_text(errors="ignore"))]

    assert found == []


SHOWN = [
    (page, *found.groups())
    for page in PAGES
    for found in re.finditer(
        r"```sh\n([A-Z_=.,a-z ]*credchain sources)\n```\n+```text\n(SOURCE.*?)```", page.read_text(), flags=re.DOTALL
    )
    if "..." not in found[2]  # a listing of a machine that has more, or other things, is cut
]


@pytest.mark.parametrize(
    ("page", "command", "shown"), SHOWN, ids=lambda part: _name(part) if isinstance(part, Path) else ""
)
def test_listings_are_what_the_command_prints(page: Path, command: str, shown: str) -> None:
    """Each listing of sources on a page, but for the width of its columns and the version."""
    variables = dict(word.split("=", 1) for word in command.split() if "=" in word)
    ruling = {
        name: None for name in os.environ if name.startswith(("AZURE_", "CREDCHAIN_", "IDENTITY_", "MSI_", "IMDS_"))
    }

    printed = CliRunner().invoke(main, ["sources"], env={**ruling, **variables}).stdout

    assert _words(printed) == _words(shown)


def _words(listing: str) -> list[list[str]]:
    return [re.sub(r"credchain [\d.]+", "credchain", line).split() for line in listing.splitlines() if line]


def test_configuration_examples_are_right() -> None:
    """Each example of a configuration file on a page is TOML, and has only the tables and keys that there are."""
    examples = [
        tomllib.loads(block)
        for page in PAGES
        for block in re.findall(r"```toml\n(.*?)```", page.read_text(), flags=re.DOTALL)
    ]
    ours = [document for document in examples if {"chain", "source", "policy", "profile"} & set(document)]

    readings = [read_document(document, origin="the example", profile=None) for document in ours]

    assert len(ours) >= 5
    assert [str(fault) for reading in readings for fault in reading.faults] == []


def test_architecture_page_shows_the_house_as_it_is() -> None:
    """Each room is on the page, and the picture has the floors that the import contracts keep, in their order."""
    page = (ROOT / "docs/explanation/architecture.md").read_text()
    rooms = {path.name for path in (ROOT / "framework/credchain").glob("*.py")} - {"__main__.py"}
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    floors = next(contract["layers"] for contract in contracts if contract["type"] == "layers")

    listed = set(re.findall(r"^  (\w+\.py) ", page, flags=re.MULTILINE))
    pictured = re.findall(r'class="name"[^>]*>([^<]+)<', (ROOT / "docs/explanation/floors.svg").read_text())

    assert listed == rooms
    expected = [name.strip().removeprefix("credchain.") for floor in floors for name in re.split("[:|]", floor)]
    assert [name for text in pictured for name in text.split(" · ")] == [*expected, "plugins"]


def test_proofs_exist() -> None:
    """Each test that a page names as a proof is there."""
    named = {(file, test) for page in PAGES for file, test in re.findall(r"`([\w/]+\.py)::(\w+)`", page.read_text())}

    missing = [
        f"{file}::{test}" for file, test in sorted(named) if f"def {test}(" not in (ROOT / "tests" / file).read_text()
    ]

    assert named
    assert missing == []
