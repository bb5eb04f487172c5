"""What imports what: the floors, the doors, and what importing the package may cost."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

VIOLATIONS = {
    "Imports go down the floors only": ("credchain/tokens.py", "import credchain.chain"),
    "The framework imports no plugin": ("credchain/chain.py", "import credchain_plugins.client_secret"),
    "Plugins do not import each other": (
        "credchain_plugins/client_secret.py",
        "import credchain_plugins.environment",
    ),
    "Plugins import no private room": ("credchain_plugins/client_secret.py", "import credchain._aiohttp"),
    "One door for aiohttp": ("credchain/credential.py", "import aiohttp"),
    "One door for cryptography": ("credchain/credential.py", "import cryptography"),
    "One door for msal": ("credchain/credential.py", "import msal"),
    "The emulator is a wing of its own": ("credchain/__init__.py", "import credchain.emulator"),
    "The emulator imports nothing else of the house": ("credchain/emulator/wire.py", "import credchain.oauth"),
    "One door for click": ("credchain/default.py", "import click"),
    "One door for opentelemetry": ("credchain/default.py", "import opentelemetry"),
    "One door for cattrs": ("credchain/default.py", "import cattrs"),
    "One door for platformdirs": ("credchain/default.py", "import platformdirs"),
}
"""For each contract, a line that breaks it and the file to put it in."""


def _copy(target: Path) -> None:
    """The sources as they are installed, with the contracts of the checkout."""
    for package in ("credchain", "credchain_plugins"):
        spec = find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        shutil.copytree(
            next(iter(spec.submodule_search_locations)), target / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", target)


def _contracts(folder: Path) -> dict[str, bool]:
    """Each contract of the copy, and whether it is kept."""
    program = (
        "import pathlib, sys;"
        "from importlinter.cli import lint_imports;"
        "import importlinter.contracts.forbidden, importlinter.contracts.independence, importlinter.contracts.layers;"
        "import importlinter.contracts.protected;"
        # credchain_plugins is a namespace: its installed portion would be linted as well
        "sys.path[:] = ['.', *(p for p in sys.path if not pathlib.Path(p or '.', 'credchain_plugins').exists())];"
        "sys.exit(lint_imports(no_cache=True))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    verdicts = re.findall(r"^(.+) (KEPT|BROKEN)(?: \(.*\))?\s*$", ended.stdout, flags=re.MULTILINE)
    kept = {name: verdict == "KEPT" for name, verdict in verdicts}
    assert kept, ended.stdout + ended.stderr
    return kept


def test_contracts_are_kept(tmp_path: Path) -> None:
    """As the code stands."""
    _copy(tmp_path)

    assert _contracts(tmp_path) == dict.fromkeys(VIOLATIONS, True)


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_each_contract_can_fail(contract: str, tmp_path: Path) -> None:
    """A planted violation breaks the contract it is meant for."""
    _copy(tmp_path)
    file, line = VIOLATIONS[contract]
    planted = tmp_path / file
    planted.write_text(f"{planted.read_text()}\n{line}\n")

    assert not _contracts(tmp_path)[contract]


HEAVY = (
    "aiohttp",
    "asyncio",
    "azure",
    "click",
    "credchain_plugins",
    "cryptography",
    "msal",
    "msal_extensions",
    "pluggy",
)


@pytest.mark.parametrize(
    "statement",
    ["import credchain", "import credchain.aio", "from credchain.aio import DefaultAzureCredential"],
)
def test_importing_loads_nothing_heavy(statement: str) -> None:
    """A program pays for what it uses, when it uses it."""
    loaded = _modules_after(statement)

    assert [name for name in HEAVY if name in loaded] == []


def test_sources_that_are_not_reached_are_not_loaded() -> None:
    """A chain that found its token loads neither the later sources nor the disabled ones."""
    loaded = _modules_after(
        """
import asyncio
from credchain import Host
from credchain.aio import DefaultAzureCredential
from credchain.testing import FakeTransport, token_response

variables = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"}
host = Host(transport=FakeTransport(token_response()), environment=variables)
credential = DefaultAzureCredential(host=host, disable=["certificate"])
asyncio.run(credential.get_token("https://vault.azure.net/.default"))
"""
    )

    plugins = sorted(name for name in loaded if name.startswith("credchain_plugins."))
    assert plugins == ["credchain_plugins.client_secret", "credchain_plugins.environment"]
    assert not {"msal", "cryptography", "aiohttp"} & loaded


def test_first_call_imports_off_the_event_loop() -> None:
    """What the first call of a process loads, it loads in a worker thread: nothing holds up the loop's other tasks."""
    program = """
import asyncio, json, sys, threading

on_the_loop = set()
watching = False

def note(event, arguments):
    if watching and event == "import" and threading.current_thread() is threading.main_thread():
        on_the_loop.add(arguments[0])

sys.addaudithook(note)
from credchain.aio import DefaultAzureCredential

async def main():
    global watching
    credential = DefaultAzureCredential()
    watching = True
    try:
        await asyncio.gather(*(credential.get_token("https://vault.azure.net/.default") for _ in range(20)))
    except Exception as error:
        assert type(error).__name__ == "ChainUnavailableError", error
    watching = False
    await credential.close()

asyncio.run(main())
print(json.dumps(sorted(on_the_loop)))
"""
    ruling = ("AZURE_", "CREDCHAIN_", "IDENTITY_", "IMDS_", "MSI_")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(ruling)}
    variables["AZURE_POD_IDENTITY_AUTHORITY_HOST"] = "http://127.0.0.1:1"

    ended = subprocess.run(
        [sys.executable, "-c", program], env=variables, capture_output=True, text=True, timeout=60, check=True
    )

    tops = {name.split(".")[0] for name in json.loads(ended.stdout)}
    assert not tops & {"aiohttp", "azure", "pluggy", "importlib_metadata", "credchain_plugins"}


def _modules_after(statement: str) -> set[str]:
    program = f"{statement}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(ended.stdout))
