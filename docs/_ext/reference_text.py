"""The reference as Markdown text, drawn from the code: configuration keys, commands and public names. Pure, without Sphinx."""

from __future__ import annotations

import enum
import importlib
import inspect
import re
import sys
import types
import typing
from typing import TYPE_CHECKING, Any

import attrs
import click

from credchain.settings.document import ChainTable, PlaceTable, PolicyTable
from credchain.settings.schema import descriptions
from credchain.settings.structuring import fields, is_secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from credchain.hooks import Provider

TABLES: dict[str, type[Any]] = {"chain": ChainTable, "source": PlaceTable, "policy": PolicyTable}
"""The tables of a configuration file that belong to no source."""

_VARIABLES = {
    "chain": "CREDCHAIN_{key}",
    "source": "CREDCHAIN_SOURCE__<NAME>__{key}",
    "policy": "CREDCHAIN_POLICY__{key}",
}
_WORDS = {str: "string", int: "whole number", float: "number", bool: "true or false", bytes: "bytes"}
_PLURALS = {str: "strings", int: "whole numbers", float: "numbers"}


# Configuration


def keys_of_table(name: str) -> list[str]:
    """The keys of a table: type, default, meaning, and the variable that stands for each."""
    said = descriptions(TABLES[name])
    told = {key: f"{text} Variable `{_VARIABLES[name].format(key=key.upper())}`." for key, text in said.items()}
    return _keys(TABLES[name], told)


def keys_of_source(provider: Provider) -> list[str]:
    """The keys of a source: type, default, whether it is a secret, and meaning."""
    return _keys(provider.settings, meanings(provider.settings, credential_class(provider)))


def _keys(settings: type[Any], said: Mapping[str, str]) -> list[str]:
    items = []
    for key, field in fields(settings).items():
        facts = [in_words(field.type), default_of(field), "secret" if is_secret(field) else ""]
        items.append((f"`{key}` ({', '.join(fact for fact in facts if fact)})", said[key]))
    return definitions(items)


def meanings(settings: type[Any], credential: type[Any] | None) -> dict[str, str]:
    """What each key of a settings class means.

    In its own words; else in those of the credential's argument of that name; else in those that hold for all its keys.
    """
    own = descriptions(settings)
    arguments = {} if credential is None else arguments_of(credential.__doc__ or "")
    common = inspect.getdoc(settings) or ""
    all_of_them = re.split(r"[:;] ", common.split("\n")[0], maxsplit=1)[-1]
    return {
        key: own.get(key) or arguments.get(key) or all_of_them[:1].upper() + all_of_them[1:] for key in fields(settings)
    }


def arguments_of(docstring: str) -> dict[str, str]:
    """What the section ``Args:`` of a docstring says of each argument, on one line each."""
    section = inspect.cleandoc(docstring).partition("\nArgs:\n")[2]
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if line and not line.startswith(" "):
            break  # the next section
        head, colon, rest = line.strip().partition(":")
        if colon and head.lstrip("*").isidentifier() and re.match(r" {4}\S", line):
            name = head.lstrip("*")
            found[name] = rest.strip()
        elif name and line.strip():
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def credential_class(provider: Provider) -> type[Any] | None:
    """The class that a provider says it builds, or None if it does not say."""
    returned = getattr(provider.build, "__annotations__", {}).get("return")
    if isinstance(returned, str):
        returned = getattr(sys.modules[provider.build.__module__], returned, None)
    return returned if isinstance(returned, type) else None


def in_words(kind: Any) -> str:
    """A type as somebody who writes a file thinks of it."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(in_words(one) for one in arguments if one not in (type(None), bytes))
    if origin is typing.Literal:
        return " or ".join(f'`"{one}"`' for one in arguments)
    if origin in (tuple, list, set, frozenset):
        return f"list of {_PLURALS.get(arguments[0], 'values')}"
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return " or ".join(f'`"{one.value}"`' for one in kind)
    return _WORDS.get(kind, "value")


def default_of(field: attrs.Attribute[Any]) -> str:
    """A setting's default in words and as a file has it; empty if there is none."""
    if field.default is attrs.NOTHING:
        return "needed"
    if field.default is None or field.default == ():
        return ""
    if isinstance(field.default, bool):
        return f"default `{str(field.default).lower()}`"
    return f'default `"{field.default}"`' if isinstance(field.default, str) else f"default `{field.default}`"


# Commands


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command below *group* by its path, groups included; hidden ones are not."""
    if path:
        yield path, group
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if command is not None and not command.hidden:
                yield from commands(command, (*path, name))


def command_text(command: click.Command, path: Sequence[str]) -> list[str]:
    """A command's usage, what it does, and its options or commands."""
    context = click.Context(command, info_name=" ".join(("credchain", *path)))
    context.help_option_names = ["-h", "--help"]
    usage = command.get_usage(context).removeprefix("Usage: ")
    lines = ["```text", " ".join(usage.split()), "```", ""]
    lines += [*prose(inspect.cleandoc(command.help or "")).splitlines(), ""]
    if isinstance(command, click.Group):
        below = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
        lines += definitions(
            [(f"`{name}`", prose(one.get_short_help_str(200))) for name, one in below if one is not None]
        )
    options = [param for param in command.get_params(context) if isinstance(param, click.Option)]
    told = [record for option in options if (record := option.get_help_record(context)) is not None]
    return lines + definitions([(f"`{names}`", prose(help_)) for names, help_ in told])


# Names


def public_names(module_name: str) -> dict[str, object]:
    """The public names of a module: those it lists, or those that it defines where it lists none."""
    module = importlib.import_module(module_name)
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return {name: getattr(module, name) for name in listed}
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and home(value, name).startswith(f"{module_name}.")
    }


def home(value: object, name: str) -> str:
    """Where a thing is defined, as ``module.name``; ``?.name`` for a value that does not tell."""
    return f"{getattr(value, '__module__', '?')}.{getattr(value, '__qualname__', name)}"


def names_text(module_name: str) -> list[str]:
    """The public names of a module, each with a sentence and a reference to where it is described."""
    names = public_names(module_name).items()
    return [f"- {_reference(module_name, name, value)}: {_sentence(name, value)}" for name, value in names]


def _reference(module_name: str, name: str, value: object) -> str:
    full = home(value, name)
    if not full.startswith("credchain"):
        return f"`{name}`"
    return f"{{py:obj}}`{name} <{full if isinstance(value, type) else f'{module_name}.{name}'}>`"


def _sentence(name: str, value: object) -> str:
    own = getattr(value, "__qualname__", name)
    if own != name:
        return f"another name of `{own}`"
    if isinstance(value, types.UnionType):
        return "one of " + ", ".join(f"`{one.__name__}`" for one in value.__args__)
    first = (inspect.getdoc(value) or "").split("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=[.:]) (?=[A-Z])", first)[0]


def definitions(items: Iterable[tuple[str, str]]) -> list[str]:
    """A Markdown list of terms and what they mean; it can be read on a narrow screen, where a table cannot."""
    return [line for term, meaning in items for line in (term, f": {meaning}", "")]


def prose(text: str) -> str:
    """A command's help as Markdown: shown as it is, with options as code, since two dashes would become one."""
    escaped = re.sub(r"([\\`*_\[\]<>#])", r"\\\1", text)
    return re.sub(r"(?<!\S)--[a-z][a-z-]*", r"`\g<0>`", escaped)
