"""Broken set-ups as folders: `credchain doctor` tells the cause and the remedy within ten lines.

A folder has about.txt, environment.json (the variables), perhaps world.json (what is to be there) and files/, and
expected.json: the exit code, the texts of the first ten lines, texts of any line, and texts that must not be there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from credchain.cli import main
from credchain.emulator import Emulator, Fault, serve_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HERE = Path(__file__).parent
FOLDERS = sorted(path.parent for path in HERE.glob("*/about.txt"))
RULING = ("AZURE_", "ARM_", "CREDCHAIN_", "IDENTITY_", "IMDS_", "MSI_", "SSL_", "SYSTEM_OIDC", "ACTIONS_")
TOP = 10


@pytest.fixture(scope="module")
def world() -> Iterator[Emulator]:
    """An emulator of this module's own, so that it can forget what a folder has put in."""
    with serve_in_thread(Emulator()) as emulator:
        yield emulator


def read(folder: Path, name: str, places: Mapping[str, str]) -> Any:
    """A folder's file, with what is only known now put into its places."""
    path = folder / name
    text = path.read_text(encoding="utf-8") if path.exists() else "{}"
    for place, value in places.items():
        text = text.replace("{" + place + "}", value)
    return json.loads(text)


def furnish(emulator: Emulator, said: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Make the world that a folder wants; gives the values of the places."""
    emulator.reset()
    emulator.add_application()  # so that there is a tenant
    application = emulator.add_application(**said.get("application", {}))
    if said.get("identity"):
        emulator.add_machine_identity()
    if "fault" in said:
        wanted = dict(said["fault"])
        emulator.fail(wanted.pop("route"), Fault(**wanted))
    if "certificate_ends_in_days" in said:
        (folder / "certificate.pem").write_bytes(certificate(said["certificate_ends_in_days"]))
    return {
        "authority": emulator.authority,
        "imds": emulator.imds_host,
        "ca": emulator.ca_file,
        "tenant_id": application.tenant_id,
        "client_id": application.client_id,
        "secret": str(application.client_secret),
        "folder": str(folder),
    }


def certificate(ends_in_days: int) -> bytes:
    """A self-made certificate with its key, as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an application")])
    end = datetime.now(UTC) + timedelta(days=ends_in_days)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = builder.not_valid_before(end - timedelta(days=90)).not_valid_after(end).sign(key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + made.public_bytes(Encoding.PEM)


def called(environment: Mapping[str, str], home: Path, *, own_process: bool) -> tuple[int, str]:
    """The exit code and all that the command prints, on a machine with these variables and none of its own."""
    ruling = [name for name in os.environ if name.startswith(RULING) or name.lower().endswith("_proxy")]
    variables = {"XDG_CONFIG_HOME": str(home), "HOME": str(home), **environment}
    if not own_process:
        result = CliRunner().invoke(main, ["doctor"], env={**dict.fromkeys(ruling), **variables})
        return result.exit_code, result.output
    kept = {name: value for name, value in os.environ.items() if name not in ruling}
    done = subprocess.run(
        [sys.executable, "-m", "credchain", "doctor"],
        env={**kept, **variables},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def flat(lines: list[str]) -> str:
    """Lines as one, so that it does not matter where they were broken."""
    return " ".join(" ".join(lines).split())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_cause_and_remedy_stand_at_the_top(folder: Path, world: Emulator, tmp_path: Path) -> None:
    """Within ten lines the reader knows what is wrong and what to do; no secret is anywhere."""
    here, home = tmp_path / "here", tmp_path / "home"
    home.mkdir()
    shutil.copytree(folder / "files", here) if (folder / "files").exists() else here.mkdir()
    said = read(folder, "world.json", {})
    places = furnish(world, said, here)
    environment, expected = (read(folder, name, places) for name in ("environment.json", "expected.json"))

    exit_code, output = called(environment, home, own_process=said.get("process", False))

    lines = output.splitlines()
    top = flat(lines[:TOP])
    assert exit_code == expected["exit_code"], output
    assert [text for text in expected["top"] if text not in top] == [], output
    assert [text for text in expected.get("anywhere", []) if text not in flat(lines)] == [], output
    assert [text for text in expected["never"] if text in output] == []
    assert [line for line in lines if len(line) > 80 and len(line.split()) > 2] == []  # a path may be longer


def test_there_are_a_dozen() -> None:
    """Each folder tells what it is about, and no other folder is left without a runner."""
    folders = {path.parent for path in HERE.glob("*/expected.json")}

    assert len(FOLDERS) >= 12
    assert folders == set(FOLDERS)
    assert all((folder / "about.txt").read_text(encoding="utf-8").strip() for folder in FOLDERS)
