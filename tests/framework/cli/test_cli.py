"""The command line, as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from credchain.cli import main

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from credchain.emulator import Emulator

SCOPE = "https://vault.azure.net/.default"
RULING = (
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_TENANT_ID",
    "AZURE_TOKEN_CREDENTIALS",
    "CREDCHAIN_DISABLE",
    "CREDCHAIN_ENABLE",
    "CREDCHAIN_ORDER",
)


def call(*arguments: str, environment: Mapping[str, str] | None = None) -> Result:
    """The command in this process, with these of the ruling variables and no others."""
    variables: dict[str, str | None] = dict.fromkeys(RULING)
    return CliRunner().invoke(main, list(arguments), env={**variables, **(environment or {})})


def started(*arguments: str) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-u", "-m", "credchain", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(stderr: str) -> str:
    """Standard error without what asyncio's debug mode says of a machine under load."""
    return "".join(line for line in stderr.splitlines(keepends=True) if not line.startswith("Executing <"))


def test_demo_goes_as_told() -> None:
    """Exit code 0, each act told, nothing on standard error, and done in seconds."""
    began = time.monotonic()
    with started("demo") as process:
        out, err = process.communicate(timeout=60)

    assert (process.returncode, told(err)) == (0, "")
    for expected in (
        "1. environment: token",
        "2. managed_identity: not asked",
        "from the cache",
        "1. environment: unavailable",
        "2. managed_identity: token",
        "AADSTS7000215",
    ):
        assert expected in out
    assert time.monotonic() - began < 30


def test_token_is_printed_bare(emulator: Emulator) -> None:
    """Standard output holds the token and a line end, so that it can stand in a header."""
    application = emulator.add_application()

    result = call("token", SCOPE, environment=emulator.environment(application))

    assert result.exit_code == 0
    assert emulator.claims_of(result.stdout.removesuffix("\n"))["appid"] == application.client_id
    assert result.stderr == ""


def test_token_as_json_tells_its_times(emulator: Emulator) -> None:
    """expires_on as seconds since the epoch and as ISO 8601, and the source."""
    application = emulator.add_application()

    result = call("token", SCOPE, "--json", environment=emulator.environment(application))

    record = json.loads(result.stdout)
    assert record["source"] == "environment"
    assert record["token_type"] == "Bearer"
    assert datetime.fromisoformat(record["expires_on_iso"]).timestamp() == record["expires_on"]


def test_claims_and_tenant_are_sent(emulator: Emulator) -> None:
    """The options reach the token endpoint."""
    application = emulator.add_application()
    environment = emulator.environment(application)

    result = call("token", SCOPE, "--claims", '{"access_token": {}}', environment=environment)
    other = call("token", SCOPE, "--tenant-id", "11111111-2222-3333-4444-555555555555", environment=environment)

    assert result.exit_code == 0
    assert emulator.requests[0].form["claims"] == '{"access_token": {}}'
    assert other.exit_code == 1
    assert "AADSTS90002" in other.stderr


def test_no_token_is_told_in_sentences(emulator: Emulator) -> None:
    """Exit code 1, the attempts on standard error, nothing on standard output, no traceback."""
    environment = {**emulator.environment(), "AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://127.0.0.1:1"}

    result = call("token", SCOPE, environment=environment)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "environment (unavailable" in result.stderr
    assert "managed_identity (unavailable" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "told", "code"),
    [
        (["token"], {}, "Missing argument 'SCOPE...'", 2),
        (["token", "sc*pe"], {"CREDCHAIN_ORDER": "environment"}, "no identity is described", 1),
        (["token", SCOPE], {"CREDCHAIN_ORDER": "enviroment"}, "did you mean 'environment'", 3),
        (["sources"], {"CREDCHAIN_DISABLE": "nosuch"}, "no installed package has a source 'nosuch'", 3),
        (["sources"], {"CREDCHAIN_DISABLE": "environment,managed_identity"}, "no source is enabled", 3),
        (["toke"], {}, "No such command 'toke'", 2),
        (["emulator", "--port", "70000"], {}, "70000 is not in the range", 2),
    ],
    ids=["no scope", "no identity", "unknown source", "unknown name", "nothing enabled", "unknown command", "port"],
)
def test_mistakes_are_told_in_sentences(
    arguments: list[str], environment: dict[str, str], told: str, code: int
) -> None:
    """1: no token; 2: a wrong argument; 3: a wrong setting; always with a sentence."""
    result = call(*arguments, environment=environment)

    assert result.exit_code == code
    assert told in result.stderr
    assert "Traceback" not in result.output


def test_sources_are_listed_with_their_place() -> None:
    """Each installed source: name, distribution and version, its place or the reason why it has none."""
    result = call("sources", environment={"CREDCHAIN_DISABLE": "environment"})

    lines = result.stdout.splitlines()
    assert lines[0].split() == ["SOURCE", "PACKAGE", "PLACE"]
    assert lines[1].startswith("managed_identity")
    assert "credchain 0.1.0" in lines[1]
    assert "1 (in the default order; sees IMDS)" in lines[1]
    rest = "\n".join(lines[2:])
    assert "disabled by the environment variable CREDCHAIN_DISABLE" in rest
    assert "not in the default order; it needs tenant_id, client_id, client_secret" in rest


def test_sources_of_a_configuration_have_their_rows(tmp_path: Path) -> None:
    """Under their own names; what has settings and no place is told, and so is what a policy denies."""
    file = tmp_path / "credchain.toml"
    file.write_text(
        "[chain]\norder = ['reader']\n[source.reader]\nprovider = 'managed_identity'\n[source.writer]\n"
        "provider = 'managed_identity'\n[policy]\ndeny = ['shared_cache']\n"
    )

    rows = {
        line.split()[0]: line
        for line in call("sources", environment={"CREDCHAIN_CONFIG": str(file)}).stdout.splitlines()
        if line
    }

    assert "1 (in the order of the file" in rows["reader"]
    assert "; a managed_identity; sees IMDS)" in rows["reader"]
    assert "not named in the order of the file" in rows["managed_identity"]
    assert "neither order nor enable names it" in rows["writer"]
    assert "denied by the policy in the file" in rows["shared_cache"]


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as on POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["interrupted", "terminated"])
def test_emulator_serves_until_it_is_stopped(number: signal.Signals) -> None:
    """It prints what to export, the values work, and it leaves no file behind."""
    with started("emulator") as process:
        assert process.stdout is not None
        exported = {}
        for line in process.stdout:
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").strip().partition("=")
                exported[name] = value.strip("'")
            if "Serving" in line:
                break
        result = call("token", SCOPE, environment=exported)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)

    assert (process.returncode, told(err)) == (0, "")
    assert result.exit_code == 0
    assert not os.path.exists(exported["SSL_CERT_FILE"])


def test_taken_port_is_told() -> None:
    """A sentence that names the port, and an exit code."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with started("emulator", "--port", str(port)) as process:
            _, err = process.communicate(timeout=30)

    assert process.returncode == 1
    assert f"cannot listen on port {port}" in err
    assert "Traceback" not in err


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as on POSIX")
def test_interrupted_demo_ends_with_a_sentence() -> None:
    """No traceback, no orphan."""
    with started("demo") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)

    assert "Traceback" not in err
    assert process.returncode in (0, 130)


def test_help_names_every_command() -> None:
    """And importing the group loads none of them."""
    result = call("--help")

    named = [line.split()[0] for line in result.stdout.split("Commands:\n")[1].splitlines() if line[2:3].strip()]
    assert named == sorted(named)
    assert {"config", "demo", "emulator", "sources", "token"} <= set(named)
