"""The two virtual environments: credchain from this checkout, and azure-identity beside the same versions of the rest."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PEER = "azure-identity==1.27.0"


@dataclass(frozen=True)
class Environments:
    """The interpreters, and what is installed beside them."""

    ours: Path
    peer: Path
    versions: dict[str, str]

    def of(self, side: str) -> Path:
        """The interpreter of a side; the floor has credchain's environment."""
        return self.peer if side == "peer" else self.ours


def make(workdir: Path) -> Environments:
    """Make what is not there yet."""
    ours = _environment(workdir / "ours", ["-e", str(CHECKOUT)], stamp=(CHECKOUT / "pyproject.toml").read_bytes())
    versions = _versions(ours)
    same = [f"{name}=={version}" for name, version in versions.items() if name in SHARED]
    peer = _environment(workdir / "peer", [PEER, *same], stamp=" ".join([PEER, *same]).encode())
    told = {
        **{name: versions[name] for name in (*SHARED, "pluggy")},
        "azure-identity": _versions(peer)["azure-identity"],
    }
    return Environments(ours, peer, told)


SHARED = ("aiohttp", "azure-core", "cryptography", "msal", "msal-extensions")


def _environment(folder: Path, requirements: list[str], *, stamp: bytes) -> Path:
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    mark = folder / "installed"
    wanted = hashlib.sha256(stamp).hexdigest()
    if mark.exists() and mark.read_text() == wanted:
        return python
    print(f"making the environment {folder.name}", file=sys.stderr)
    venv.create(folder, with_pip=True, clear=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
    mark.write_text(wanted)
    return python


def _versions(python: Path) -> dict[str, str]:
    frozen = subprocess.run(
        [python, "-m", "pip", "list", "--format=freeze"], check=True, capture_output=True, text=True
    )
    return dict(line.split("==", 1) for line in frozen.stdout.splitlines() if "==" in line)


def crowd(home: Path, count: int) -> Path:
    """A directory with so many installed packages, each of which registers a source."""
    directory = home / f"packages-{count}"
    if not directory.exists():
        for number in range(count):
            metadata = directory / f"package_{number}-1.0.dist-info"
            metadata.mkdir(parents=True)
            (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: package-{number}\nVersion: 1.0\n")
            (metadata / "entry_points.txt").write_text(f"[credchain.providers]\nsource_{number} = package_{number}\n")
    return directory
