"""`credchain config`: what rules and why, what is wrong, and the schema for editors."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from credchain.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

GOOD = """
[chain]
order = ["reader", "..."]
timeout = 20

[source.reader]
provider = "managed_identity"
client_id = "an-identity"

[source.client_secret]
tenant_id = "contoso"
client_id = "an-application"
client_secret = { env = "THE_SECRET" }

[policy]
deny = ["authorization_code"]
allowed_tenants = ["contoso"]

[profile.test.chain]
timeout = 5
"""


def call(*arguments: str, environment: Mapping[str, str] | None = None) -> Result:
    """The command in this process, without the machine's own settings."""
    ruling = {name: None for name in os.environ if name.startswith(("AZURE_", "CREDCHAIN_"))}
    return CliRunner().invoke(main, ["config", *arguments], env={**ruling, **(environment or {})})


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """Writes a configuration file; gives its path."""

    def written(text: str) -> str:
        path = tmp_path / "credchain.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return written


def test_every_value_is_shown_with_its_origin(write: Callable[[str], str]) -> None:
    """A file's, a variable's and the built-in ones, and the chain that they make."""
    file = write(GOOD)
    variables = {"CREDCHAIN_CONFIG": file, "CREDCHAIN_DISABLE": "shared_cache", "CREDCHAIN_PROFILE": "test"}

    shown = call("show", environment=variables)

    lines = [" ".join(line.split()) for line in shown.output.splitlines()]
    assert shown.exit_code == 0
    assert f"timeout = 5.0 # the file {file} (named by CREDCHAIN_CONFIG)" in lines
    assert f'client_id = "an-identity" # the file {file} (named by CREDCHAIN_CONFIG)' in lines
    assert 'disable = ["shared_cache"] # the environment variable CREDCHAIN_DISABLE' in lines
    assert "# - shared_cache: disabled by the environment variable CREDCHAIN_DISABLE" in lines
    assert any(line.startswith("# 1. reader: in the order of ") for line in lines)


def test_secrets_are_hidden_and_references_shown(write: Callable[[str], str]) -> None:
    """Where a secret is may be known, and what it is may not."""
    variables = {
        "CREDCHAIN_CONFIG": write(GOOD),
        "CREDCHAIN_SOURCE__CERTIFICATE__PASSWORD": "hunter2",
        "CREDCHAIN_SOURCE__CERTIFICATE__CERTIFICATE_PATH": "/a/file.pem",
        "THE_SECRET": "hunter3",
    }

    for arguments in (["show"], ["show", "--json"]):
        shown = call(*arguments, environment=variables).output
        assert "hunter" not in shown
        assert "THE_SECRET" in shown
        assert "/a/file.pem" in shown


def test_show_speaks_json(write: Callable[[str], str]) -> None:
    """Values as they are, for programs."""
    record = json.loads(call("show", "--json", environment={"CREDCHAIN_CONFIG": write(GOOD)}).output)

    values = {one["key"]: one["value"] for one in record["values"]}
    assert values["chain.timeout"] == 20.0
    assert values["source.client_secret.client_secret"] == {"env": "THE_SECRET"}
    assert values["policy.allowed_tenants"] == ["contoso"]
    assert record["chain"][0]["source"] == "reader"
    assert {one["source"] for one in record["left_out"]} >= {"client_secret"}


def test_a_broken_configuration_is_told_and_ends_with_3(write: Callable[[str], str]) -> None:
    """Every fault, on standard error."""
    shown = call("show", environment={"CREDCHAIN_CONFIG": write("[chian]\n[source.x]\n")})

    assert shown.exit_code == 3
    assert "chian" in shown.stderr
    assert "source 'x'" in shown.stderr


def test_a_right_file_is_right(write: Callable[[str], str]) -> None:
    """It ends with 0; what its references lead to is the machine's affair."""
    file = write(GOOD)

    checked = call("check", file)

    assert (checked.exit_code, checked.output) == (0, f"{file} is right.\n")


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("[chain]\nordre = []\n[source.managed_identity]\nclient = 'x'\n", ["chain.ordre", "managed_identity.client"]),
        ("[profile.a.source.nobody]\n[profile.b.chain]\ntimeout = -1\n", ["source.nobody", "profile.b.chain.timeout"]),
        ("[source.client_secret]\nclient_secret = 'hunter2'\n", ["a secret does not stand in a file"]),
        ("[source.client_secret]\nclient_secret = { file = 'x' }\n", ["needs an absolute path"]),
        ("[chain\n", ["line 1"]),
        ("[policy]\nrequire = ['client_secret']\n", ["a chain needs the source 'client_secret'"]),
    ],
    ids=["keys", "profiles", "secret", "reference", "TOML", "policy"],
)
def test_each_fault_of_a_file_is_told(write: Callable[[str], str], text: str, faults: list[str]) -> None:
    """Once, with the file; secrets are not repeated; the exit code is 3."""
    file = write(text)

    checked = call("check", file)

    assert checked.exit_code == 3
    assert checked.stderr.endswith(f"{len(faults)} fault{'s' * (len(faults) > 1)}.\n")
    for fault in faults:
        assert checked.stderr.count(fault) == 1
    assert file in checked.stderr
    assert "hunter2" not in checked.output + checked.stderr


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Whoever checks it has perhaps mistyped it."""
    checked = call("check", str(tmp_path / "none.toml"))

    assert checked.exit_code == 3
    assert "there is no such file" in checked.stderr


def test_without_a_file_this_machine_is_checked(write: Callable[[str], str]) -> None:
    """References are followed then, and what a source of the chain needs has to be there."""
    file = write("[chain]\norder = ['client_secret']\n[source.client_secret]\nclient_secret = { env = 'THE_SECRET' }\n")
    variables = {"CREDCHAIN_CONFIG": file}
    complete = {
        "CREDCHAIN_SOURCE__CLIENT_SECRET__TENANT_ID": "contoso",
        "CREDCHAIN_SOURCE__CLIENT_SECRET__CLIENT_ID": "an-application",
        "THE_SECRET": "x",
    }

    incomplete = call("check", environment=variables)
    right = call("check", environment={**variables, **complete})

    assert incomplete.exit_code == 3
    for fault in ("THE_SECRET is not set", "tenant_id: needs a value", "client_id: needs a value"):
        assert fault in incomplete.stderr
    assert (right.exit_code, right.output) == (0, "The configuration is right.\n")


# The schema


@pytest.fixture(scope="module")
def validator() -> Any:
    """A validator for the schema that the command prints."""
    schema = json.loads(call("schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_schema_takes_what_is_right(validator: Any) -> None:
    """The same file that `check` takes."""
    import tomllib

    assert list(validator.iter_errors(tomllib.loads(GOOD))) == []


@pytest.mark.parametrize(
    "document",
    [
        {"chian": {}},
        {"chain": {"ordre": []}},
        {"chain": {"timeout": "5"}},
        {"source": {"managed_identity": {"clientid": "x"}}},
        {"source": {"client_secret": {"client_secret": "literal"}}},
        {"source": {"client_secret": {"client_secret": {"env": "A", "file": "/b"}}}},
        {"source": {"reader": {"client_id": "x"}}},
        {"source": {"reader": {"provider": "managed_identity", "on_failure": "x"}}},
        {"source": {"client_secret": {"additionally_allowed_tenants": "x"}}},
        {"policy": {"deny": "x"}},
        {"profile": {"a": {"chain": {"timeout": True}}}},
    ],
    ids=json.dumps,
)
def test_the_schema_refuses_what_is_wrong(validator: Any, document: dict[str, Any]) -> None:
    """So that an editor marks it."""
    assert list(validator.iter_errors(document))


def test_every_key_of_every_built_in_source_is_described(validator: Any) -> None:
    """The schema knows each settings class, and tells what the chain's own keys are for."""
    schema = validator.schema
    sources = schema["properties"]["source"]["properties"]

    assert {"client_secret", "managed_identity", "certificate", "environment", "shared_cache"} <= set(sources)
    assert {"tenant_id", "client_id", "client_secret", "timeout", "provider"} <= set(
        sources["client_secret"]["properties"]
    )
    for table in ("chain", "policy"):
        for key, entry in schema["properties"][table]["properties"].items():
            assert entry.get("description"), key
