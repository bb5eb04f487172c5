"""Strangers: packages with sources of their own, built, installed beside the wheel, and used as their users do."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import attrs
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
STRANGERS = ROOT / "tests" / "third_party"
PAGE = ROOT / "docs" / "writing-a-plugin.md"
KEY = "the-key-of-this-machine"
SCOPE = "https://vault.azure.net/.default"
OFFLINE = ("--no-index", "--no-deps", "--no-build-isolation")

TOKEN = f"""
import asyncio, json, sys
from credchain.aio import DefaultAzureCredential

async def main():
    async with DefaultAzureCredential() as credential:
        try:
            token = (await credential.get_token_info({SCOPE!r})).token
        except Exception as error:
            token = str(error)
        modules = sorted(name for name in sys.modules if name.startswith("acme"))
        print(json.dumps({{"token": token, "selected": credential.selected, "acme": modules}}))

asyncio.run(main())
"""

SEEN = f"""
import sys
read = []
sys.addaudithook(lambda event, given: read.append(str(given[0])) if event == "open" else None)
{TOKEN}
print(json.dumps([path for path in read if "acme" in path]))
"""


@attrs.frozen
class Fresh:
    """An environment of its own: the wheels are installed in it, what they depend on is borrowed."""

    folder: Path

    @property
    def programs(self) -> Path:
        """Where `python` and `credchain` are."""
        return self.folder / ("Scripts" if sys.platform == "win32" else "bin")

    def call(self, *command: str, cwd: Path, check: bool = True, **variables: str) -> str:
        """What a program prints, errors included, under these variables and hardly any others."""
        first = [variables.pop("PATH")] if "PATH" in variables else []
        path = os.pathsep.join([*first, str(self.programs), os.environ["PATH"]])
        kept = {name: os.environ[name] for name in ("SYSTEMROOT", "TEMP", "TMP", "LANG") if name in os.environ}
        quiet = {"PYTHONDONTWRITEBYTECODE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        environment = {**kept, **quiet, "HOME": str(self.folder), **variables}
        program = shutil.which(command[0], path=path)
        assert program is not None, command[0]
        done = subprocess.run(
            [program, *command[1:]],
            cwd=cwd,
            env={**environment, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0 or not check, f"{command}: {done.stdout}"
        return done.stdout

    def outcome(self, program: str, *, cwd: Path, **variables: str) -> Any:
        """What a Python program prints, as JSON line by line."""
        lines = self.call("python", "-c", program, cwd=cwd, **variables).splitlines()
        found = [json.loads(line) for line in lines]
        return found[0] if len(found) == 1 else found


def _borrow(fresh: Fresh) -> None:
    """Let an environment see the packages of this one, after its own."""
    site = next(fresh.folder.rglob("site-packages"))
    borrowed = [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    (site / "borrowed.pth").write_text("\n".join(borrowed))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """credchain's wheel and the strangers', built as a publisher builds them."""
    target = tmp_path_factory.mktemp("wheels")
    for project in (ROOT, STRANGERS / "acme_broker", STRANGERS / "acme_azure_cli"):
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(project)]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    return sorted(str(path) for path in target.glob("*.whl"))


@pytest.fixture(scope="module")
def fresh(wheels: list[str], tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """An environment with credchain and the strangers."""
    folder = tmp_path_factory.mktemp("fresh")
    made = Fresh(folder / "env")
    subprocess.run([sys.executable, "-m", "venv", str(made.folder)], check=True, capture_output=True, timeout=120)
    made.call("python", "-m", "pip", "install", "-q", *OFFLINE, *wheels, cwd=folder)
    _borrow(made)
    return made


@attrs.frozen
class Broker:
    """A token broker on loopback: where it is, and the forms that it was sent."""

    address: str
    forms: list[dict[str, list[str]]] = attrs.field(factory=list)


@pytest.fixture
def broker() -> Iterator[Broker]:
    """Acme's broker, which knows one key."""

    class Desk(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["content-length"])).decode()
            known = self.path == "/v1/tokens" and self.headers["authorization"] == f"Bearer {KEY}"
            here.forms.append(parse_qs(sent))
            answer = {"access_token": "from the broker", "expires_in": 3600, "token_type": "Bearer"}
            body = json.dumps(answer if known else {"error": "invalid_client"}).encode()
            self.send_response(200 if known else 401)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Desk) as server:
        here = Broker(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield here
        server.shutdown()
        thread.join()


def configuration(folder: Path, address: str, *, chain: str) -> str:
    """A configuration file that sets the broker up, and says this of the chain."""
    path = folder / "credchain.toml"
    path.write_text(f'[chain]\n{chain}\n[source.broker]\naddress = "{address}"\napi_key = {{ env = "ACME_KEY" }}\n')
    return str(path)


def test_source_of_a_stranger_joins_by_a_file(fresh: Fresh, broker: Broker, tmp_path: Path) -> None:
    """Installing a package and naming its source in a file is all: the program that asks is not touched."""
    file = configuration(tmp_path, broker.address, chain='order = ["environment", "broker"]')

    outcome = fresh.outcome(TOKEN, cwd=tmp_path, CREDCHAIN_CONFIG=file, ACME_KEY=KEY)

    assert outcome == {"token": "from the broker", "selected": "broker", "acme": ["acme_broker"]}
    assert broker.forms == [{"scope": [SCOPE]}]


def test_refusal_by_a_stranger_stops_the_chain(fresh: Fresh, broker: Broker, tmp_path: Path) -> None:
    """A stranger's source obeys the same law, and its secret is not told."""
    file = configuration(tmp_path, broker.address, chain='order = ["broker", "..."]')

    outcome = fresh.outcome(TOKEN, cwd=tmp_path, CREDCHAIN_CONFIG=file, ACME_KEY="another-key")

    assert "the chain stopped at broker" in outcome["token"]
    assert "another-key" not in outcome["token"]


def test_disabled_source_is_not_imported(fresh: Fresh, broker: Broker, tmp_path: Path) -> None:
    """Disabling wins over what a file enables, and the package's code never runs."""
    file = configuration(tmp_path, broker.address, chain='order = ["broker", "environment"]')

    outcome = fresh.outcome(TOKEN, cwd=tmp_path, CREDCHAIN_CONFIG=file, CREDCHAIN_DISABLE="broker", ACME_KEY=KEY)

    assert outcome["acme"] == []
    assert outcome["selected"] is None
    assert broker.forms == []


def test_chain_that_names_no_stranger_never_looks_for_one(fresh: Fresh, tmp_path: Path) -> None:
    """Not even their metadata is read; and that is all that is read of one that is named and disabled."""
    without = fresh.outcome(SEEN, cwd=tmp_path, CREDCHAIN_ORDER="environment")
    named = fresh.outcome(SEEN, cwd=tmp_path, CREDCHAIN_ORDER="environment", CREDCHAIN_DISABLE="broker")

    assert without[1] == []
    assert {Path(path).parent.suffix for path in named[1]} == {".dist-info"}


def test_strangers_are_listed_and_not_imported(fresh: Fresh, tmp_path: Path) -> None:
    """`credchain sources` tells of each source that nobody has named."""
    listed = fresh.call("credchain", "sources", cwd=tmp_path)

    (broker,) = [line for line in listed.splitlines() if line.startswith("broker")]
    assert broker.split()[1:3] == ["acme-broker", "1.0"]
    assert "name it in CREDCHAIN_ENABLE" in broker


def test_observer_of_a_stranger_hears_when_it_is_named(fresh: Fresh, tmp_path: Path) -> None:
    """An observer joins as a source does, by its name, and then hears of each attempt."""
    variables = {"CREDCHAIN_ORDER": "environment"}

    silent = fresh.call("python", "-c", TOKEN, cwd=tmp_path, **variables)
    watched = fresh.call("python", "-c", TOKEN, cwd=tmp_path, CREDCHAIN_OBSERVE="acme_audit", **variables)

    assert "environment: unavailable" not in silent.splitlines()
    assert "environment: unavailable" in watched.splitlines()


def test_secret_in_the_file_itself_is_refused(fresh: Fresh, tmp_path: Path) -> None:
    """A stranger's secret is one by its class, and stands in no file."""
    file = tmp_path / "credchain.toml"
    file.write_text(f'[chain]\nenable = ["broker"]\n[source.broker]\naddress = "https://b"\napi_key = "{KEY}"\n')

    told = fresh.call("credchain", "token", SCOPE, cwd=tmp_path, check=False, CREDCHAIN_CONFIG=str(file))

    assert "a secret does not stand in a file" in told
    assert KEY not in told


def test_credential_of_another_library_is_taken_as_it_is(fresh: Fresh, tmp_path: Path) -> None:
    """azure-identity's Azure CLI credential runs `az`, and its token comes through the chain unchanged."""
    expires = int(time.time()) + 3000
    answer = json.dumps({"accessToken": "from the Azure CLI", "expires_on": expires, "tokenType": "Bearer"})
    script = tmp_path / ("az.cmd" if sys.platform == "win32" else "az")
    script.write_text(f"@echo {answer}\n" if sys.platform == "win32" else f"#!/bin/sh\necho '{answer}'\n")
    script.chmod(0o755)

    outcome = fresh.outcome(TOKEN, cwd=tmp_path, CREDCHAIN_ORDER="az", PATH=str(tmp_path))

    assert outcome == {"token": "from the Azure CLI", "selected": "az", "acme": ["acme_azure_cli"]}


def test_contract_holds_where_the_package_is_installed(fresh: Fresh, tmp_path: Path) -> None:
    """A stranger's own tests, with the law that they inherit, run on the installed wheels."""
    shutil.copytree(STRANGERS / "acme_broker" / "tests", tmp_path / "tests")
    shutil.copy(STRANGERS / "acme_broker" / "pyproject.toml", tmp_path)

    told = fresh.call("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path)

    assert re.search(r"^\d\d passed", told, flags=re.MULTILINE)


def test_new_plugin_works_at_once(fresh: Fresh, tmp_path: Path) -> None:
    """What `credchain new-plugin` writes can be installed, keeps the law, and is found by its name."""
    fresh.call("credchain", "new-plugin", "shop-tokens", "--source", "shop", cwd=tmp_path)
    folder = tmp_path / "shop-tokens"
    with gone_afterwards(fresh, "shop-tokens"):
        fresh.call("python", "-m", "pip", "install", "-q", *OFFLINE, "-e", ".[test]", cwd=folder)

        told = fresh.call("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folder)
        listed = fresh.call("credchain", "sources", cwd=tmp_path)

    assert "18 passed" in told
    assert re.search(r"^shop +shop-tokens 0\.1 ", listed, flags=re.MULTILINE)


@contextlib.contextmanager
def gone_afterwards(fresh: Fresh, package: str) -> Iterator[None]:
    """A package that is installed in the block is for the block alone."""
    try:
        yield
    finally:
        fresh.call("python", "-m", "pip", "uninstall", "-q", "-y", package, cwd=fresh.folder)


STEP = re.compile(r"(?:^#+ `(?P<file>[\w./]+)`$.*?)?^```(?P<kind>\w+)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)


def steps(page: str) -> Iterator[tuple[str, str, str]]:
    """What a page tells its reader to do: a file's name and text, or commands and what they print."""
    for block in STEP.finditer(page):
        if block["file"]:
            yield "file", block["file"], block["text"]
        elif block["kind"] == "sh":
            yield "run", block["text"], ""
        elif block["kind"] == "text":
            yield "printed", "", block["text"]


@attrs.define
class Reader:
    """Somebody who follows a page to the letter, beginning in an empty folder."""

    fresh: Fresh
    folder: Path
    variables: dict[str, str] = attrs.field(factory=dict)
    printed: str = ""

    def run(self, line: str) -> None:
        """One line, as a shell understands it."""
        words = shlex.split(line)
        if words[0] in ("pip", "pytest"):
            words = ["python", "-m", *words]
        if words[0] == "cd":
            self.folder /= words[1]
        elif words[0] == "export":
            self.variables |= dict([words[1].split("=", 1)])
        else:
            offline = OFFLINE if words[1:4] == ["-m", "pip", "install"] else ()
            self.printed += self.fresh.call(*words, *offline, cwd=self.folder, **self.variables)

    def do(self, kind: str, what: str, content: str) -> None:
        """One step of the page."""
        if kind == "file":
            (self.folder / what).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / what).write_text(content, encoding="utf-8")
        elif kind == "run":
            self.printed = ""
            for line in what.splitlines():
                self.run(line)
        else:
            missing = [
                line for line in content.splitlines() if line != "..." and plain(line) not in plain(self.printed)
            ]
            assert missing == [], self.printed


def plain(text: str) -> str:
    """A text without what differs from run to run: times, versions of credchain, and the width of columns."""
    return re.sub(r" +", " ", re.sub(r"\d+\.\d+s|(?<=credchain )\d[\w.]+", "#", text)).strip()


def test_page_for_authors_is_right_to_the_letter(fresh: Fresh, tmp_path: Path) -> None:
    """From an empty folder to a source in a chain: each file, each command, and what it prints."""
    reader = Reader(fresh, tmp_path)
    told = list(steps(PAGE.read_text(encoding="utf-8").split("## Publish")[0]))
    kinds = [kind for kind, _, _ in told]

    with gone_afterwards(fresh, "acme-vault"):
        for step in told:
            reader.do(*step)

    assert (kinds.count("file"), kinds.count("run"), kinds.count("printed")) == (3, 4, 4)
