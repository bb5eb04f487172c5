"""The reference is whole: every public name, command, option and configuration key is in it, with what it means."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click
import pytest

from credchain.cli import main
from credchain.hooks import Provider
from credchain.registry import Registry
from credchain.settings.environment import VARIABLES
from credchain.settings.structuring import fields, is_secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

DOCS = Path(__file__).parents[1] / "docs"
MODULES = (
    "credchain",
    "credchain.aio",
    "credchain.emulator",
    "credchain.events",
    "credchain.hooks",
    "credchain.settings",
    "credchain.testing",
)


def _loaded() -> ModuleType:
    """The module that draws the reference; it belongs to the documentation, not to the package."""
    spec = importlib.util.spec_from_file_location("reference_text", DOCS / "_ext" / "reference_text.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


text = _loaded()
COMMANDS = dict(text.commands(main))
SOURCES = sorted(Registry().packages.builtins())


def page(name: str) -> str:
    """A page of the reference as it is written."""
    return (DOCS / "reference" / f"{name}.md").read_text(encoding="utf-8")


def drawn_by(name: str, directive: str) -> list[str]:
    """The arguments of a directive on a page."""
    return re.findall(rf"^```{{credchain-{directive}}} (.+)$", page(name), flags=re.MULTILINE)


def described(api: str) -> set[str]:
    """What a page has autodoc describe, by module and name; of a module without a list, every name it defines."""
    found: set[str] = set()
    current = ""
    for kind, name, options in re.findall(
        r"^\.\. (auto\w+|py:data):: ([\w.]+)\n((?: +:.*\n)*)", api, flags=re.MULTILINE
    ):
        if kind != "automodule":
            found.add(name if "." in name else f"{current}.{name}")
            continue
        current = name
        members = re.search(r":members: (.+)", options)
        without = re.search(r":exclude-members: (.+)", options)
        if ":no-members:" not in options:
            names = set(members[1].split(", ")) if members else set(vars(importlib.import_module(name)))
            found |= {f"{name}.{one}" for one in names - set(without[1].split(", ") if without else ())}
    return found


def value_of(full: str) -> object:
    """What a dotted name stands for; None if there is no such thing."""
    module, _, name = full.rpartition(".")
    return getattr(importlib.import_module(module), name, None)


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_described(module: str) -> None:
    """Under any of its names; what is not ours is named at least."""
    api = page("api")
    there = [value_of(full) for full in described(api)]

    missing = [
        name
        for name, value in text.public_names(module).items()
        if not any(value is one for one in there) and f"`{name}` is" not in api
    ]

    assert missing == []


def test_nothing_is_described_that_is_not_there() -> None:
    """Each name that the page has described can be imported."""
    values = {full: value_of(full) for full in described(page("api"))}

    assert len(values) > 60
    assert [full for full, value in values.items() if value is None] == []


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_has_a_sentence(module: str) -> None:
    """The list at the head of a module's section tells of each name what it is, in one line."""
    lines = text.names_text(module)

    assert len(lines) == len(text.public_names(module)) > 0
    assert [line for line in lines if not re.fullmatch(r"- (\{py:obj\})?`[^`]+`: \S.{10,}", line)] == []


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_option_is_described(path: tuple[str, ...]) -> None:
    """A command has its place on the page (a line ``{credchain-command} <its name>``), with all of its options."""
    command = COMMANDS[path]

    lines = text.command_text(command, path)

    options = [option for param in command.params if isinstance(param, click.Option) for option in param.opts]
    told = "\n".join(lines)
    assert " ".join(path) in drawn_by("cli", "command")
    assert lines[1].startswith(f"credchain {' '.join(path)} ")
    assert [
        option for option in [*options, "--help"] if not re.search(rf"^`.*{option}\b.*`$", told, flags=re.MULTILINE)
    ] == []
    assert ": \n" not in told
    assert text.prose(inspect.cleandoc(command.help or "?").splitlines()[0]) in lines


def test_only_commands_are_described() -> None:
    """A command that is gone leaves the page."""
    assert [path for path in drawn_by("cli", "command") if tuple(path.split()) not in COMMANDS] == []


@pytest.mark.parametrize("name", ["chain", "source", "policy"])
def test_every_key_of_a_table_is_described(name: str) -> None:
    """With its type and its meaning, and the variable that stands for it."""
    lines = text.keys_of_table(name)

    keys = list(fields(text.TABLES[name]))
    assert name in drawn_by("configuration", "keys")
    assert [line.split("`")[1] for line in lines[::3]] == keys
    assert all(re.fullmatch(r": \S.{10,} Variable `CREDCHAIN_[A-Z_<>]+`\.", line) for line in lines[1::3])


def test_variables_of_the_chain_are_the_real_ones() -> None:
    """Each fixed variable is on the page: beside the key that it stands for, or by itself."""
    told = "\n".join([page("configuration"), *text.keys_of_table("chain")])

    assert [name for name in VARIABLES if f"`{name}`" not in told] == []
    assert {f"CREDCHAIN_{key.upper()}" for key in fields(text.TABLES["chain"])} <= set(VARIABLES)


@pytest.mark.parametrize("name", SOURCES)
def test_every_key_of_a_source_is_described(name: str) -> None:
    """With its type, whether it is needed and whether it is a secret, and with a meaning of its own or of all keys."""
    provider = Registry().load(name)

    lines = text.keys_of_source(provider)

    known = fields(provider.settings)
    secrets = [key for key, field in known.items() if is_secret(field)]
    needed = [key for key, field in known.items() if field.default is attrs.NOTHING]
    assert name in drawn_by("configuration", "source")
    assert [line.split("`")[1] for line in lines[::3]] == list(known)
    assert [line.split("`")[1] for line in lines[::3] if "secret)" in line] == secrets
    assert [line.split("`")[1] for line in lines[::3] if "needed" in line] == needed
    assert all(re.fullmatch(r": [A-Z].{10,}", line) for line in lines[1::3])


class VaultCredential:
    """Tokens of a vault.

    Args:
        address: Where it is: a URL
            with a port.
        *scopes: What for.

        client_id: Whose.

    Raises:
        ValueError: A malformed address.
    """


@attrs.frozen
class VaultSettings:
    """Settings of the vault: what the operator of the vault says.

    Attributes:
        client_id: Of the application.
    """

    address: str
    client_id: str | None = attrs.field(default=None, repr=False)
    depth: int = 3
    open: bool = False
    mode: str = "slow"


def build(settings: VaultSettings, host: object) -> VaultCredential:
    """The credential of given settings."""
    raise NotImplementedError


def test_arguments_of_a_docstring() -> None:
    """The names of the section with their texts on one line, and nothing of the sections after it."""
    found: Mapping[str, str] = text.arguments_of(VaultCredential.__doc__)

    assert found == {"address": "Where it is: a URL with a port.", "scopes": "What for.", "client_id": "Whose."}
    assert text.arguments_of("No section.") == {}
    assert text.arguments_of("") == {}


def test_meanings_come_from_the_nearest() -> None:
    """A key means what its class says of it, else what the credential's argument means, else what all keys mean."""
    meanings = text.meanings(VaultSettings, VaultCredential)

    assert meanings["client_id"] == "Of the application."
    assert meanings["address"] == "Where it is: a URL with a port."
    assert meanings["depth"] == "What the operator of the vault says."
    assert text.meanings(VaultSettings, None)["address"] == "What the operator of the vault says."


def test_keys_of_a_source_are_drawn() -> None:
    """Type, need, default and secrecy in words that somebody understands who writes a file."""
    provider = Provider("vault", build, VaultSettings)

    lines = text.keys_of_source(provider)

    assert lines[::3] == [
        "`address` (string, needed)",
        "`client_id` (string, secret)",
        "`depth` (whole number, default `3`)",
        "`open` (true or false, default `false`)",
        '`mode` (string, default `"slow"`)',
    ]
    assert lines[1] == ": Where it is: a URL with a port."


def test_a_provider_need_not_tell_its_class() -> None:
    """A function without annotations, and one that names a class out of reach, give no credential class."""

    def silent(settings: Any, host: Any):  # type: ignore[no-untyped-def]
        return None

    assert text.credential_class(Provider("vault", silent)) is None
    assert text.credential_class(Provider("vault", lambda settings, host: None)) is None
    assert text.credential_class(Provider("vault", build)) is VaultCredential


def test_commands_are_drawn_for_markdown() -> None:
    """Usage, help and options as they are, with whatever Markdown would take for its own escaped."""

    @click.command("x", help="Take <FILE> and *all* of [it], with --size.")
    @click.option("--size", type=click.IntRange(0, 5), default=1, show_default=True, help="How much.")
    @click.argument("file")
    def command(size: int, file: str) -> None: ...

    lines = text.command_text(command, ("x",))

    assert lines[:3] == ["```text", "credchain x [OPTIONS] FILE", "```"]
    assert r"Take \<FILE\> and \*all\* of \[it\], with `--size`." in lines
    assert lines[lines.index("`--size INTEGER RANGE`") + 1] == r": How much.  \[default: 1; 0\<=x\<=5\]"


def test_docstring_sections_agree_with_signatures() -> None:
    """Each setting that leans on its credential finds an argument of its name there, or the class speaks for all keys."""
    silent = []
    for name in SOURCES:
        provider = Registry().load(name)
        credential = text.credential_class(provider)
        assert credential is not None
        arguments = set(text.arguments_of(credential.__doc__ or ""))
        parameters = set(inspect.signature(credential).parameters)
        silent += [f"{name}.{one}" for one in arguments - parameters]

    assert silent == []
