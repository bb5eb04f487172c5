"""`credchain config`: what rules the chain and where each value came from, whether it is right, and its schema."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from credchain.cli.run import BROKEN, Told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from credchain.settings import Fault, Settings
    from credchain.sources import Sources

HIDDEN = "(hidden)"


@click.group("config")
def command() -> None:
    """Show, check or describe the configuration."""


@command.command("show")
@click.option("--profile", help="The profile to use; CREDCHAIN_PROFILE unless given.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(profile: str | None, *, as_json: bool) -> None:
    """Print the effective configuration, each value with where it came from. Secrets are hidden."""
    from credchain.settings.files import standard_files

    sources = effective(profile)
    rows = list(values(sources))
    places = [(place.name, place.because) for place in sources.plan.places]
    if as_json:
        click.echo(json.dumps(_record(rows, places, sources), indent=2, default=list))
        return
    for file in standard_files():
        click.echo(f"# {'read' if file.path.exists() else 'not there'}: {file.origin}")
    table = ""
    for key, value, origin in rows:
        head, _, name = key.rpartition(".")
        if head != table:
            click.echo(f"\n[{head}]")
            table = head
        click.echo(f"{f'{name} = {_shown(value)}':<40}  # {origin}")
    click.echo("\n# the chain")
    for number, (name, because) in enumerate(places, 1):
        click.echo(f"# {number}. {name}: {because}")
    for name, why in sources.plan.left_out.items():
        click.echo(f"# -  {name}: {why}")


@command.command("check")
@click.argument("file", required=False, type=click.Path(path_type=Path))
def check(file: Path | None) -> None:
    """Check FILE, all of its profiles included; without FILE, what this machine has.

    The settings of third-party sources are checked by their own classes, so their packages are imported. References in
    FILE are not followed. Ends with 0 if everything is right, else with 3.
    """
    faults = list(dict.fromkeys(str(fault) for fault in (_machine_faults() if file is None else _file_faults(file))))
    for fault in faults:
        click.echo(fault, err=True)
    if faults:
        raise Told(f"{len(faults)} fault{'s' * (len(faults) > 1)}.", exit_code=BROKEN)
    click.echo(f"{'The configuration' if file is None else file} is right.")


@command.command("schema")
def print_schema() -> None:
    """Print a JSON Schema of credchain.toml, made from the settings of all installed sources, for editors."""
    from credchain.errors import ProviderLoadError
    from credchain.registry import Registry
    from credchain.settings.schema import schema

    registry = Registry()
    classes: dict[str, type[Any]] = {}
    for found in registry.packages.discover():
        try:
            classes[found.name] = registry.load(found.name).settings
        except ProviderLoadError as error:
            click.echo(f"left out: {error}", err=True)
    click.echo(json.dumps(schema(classes), indent=2))


def effective(profile: str | None = None) -> Sources:
    """The settings of this machine, and its plan; what is wrong ends the command."""
    from credchain.errors import ConfigurationError

    try:
        return _sources_of_this_machine(profile)
    except ConfigurationError as error:
        raise Told(f"Error: {error}", exit_code=BROKEN) from None


def values(sources: Sources) -> Iterator[tuple[str, Any, str]]:
    """Every effective value: its key, what it is (HIDDEN for a secret), where it came from."""
    settings = sources.settings
    yield "chain.order", [place.name for place in sources.plan.places], _order_origin(settings)
    for name, value in (("timeout", settings.timeout), ("observe", settings.observe)):
        if value is not None:
            yield f"chain.{name}", value.value, value.origin
    for name, wish in settings.wanted.items():
        yield f"chain.{'enable' if wish.value else 'disable'}", [name], wish.origin
    for name in settings.configured():
        for key, value in settings.places.get(name, {}).items():
            yield f"source.{name}.{key}", value.value, value.origin
        secrets = _secrets(sources, name)
        for key, value in settings.sources.get(name, {}).items():
            hidden = key in secrets and not isinstance(value.value, dict)
            yield f"source.{name}.{key}", HIDDEN if hidden else value.value, value.origin
    yield from _policy(settings)


def _policy(settings: Settings) -> Iterator[tuple[str, Any, str]]:
    policy = settings.policy
    for name, origin in policy.deny.items():
        yield "policy.deny", [name], origin
    for name, origin in policy.require.items():
        yield "policy.require", [name], origin
    limits = {
        "allowed_authorities": policy.authorities,
        "allowed_tenants": policy.tenants,
        "trusted_distributions": policy.distributions,
    }
    for name, allowed in limits.items():
        if allowed is not None:
            yield f"policy.{name}", sorted(allowed.values), allowed.origin


def _secrets(sources: Sources, name: str) -> set[str]:
    """The settings of a source that are secret; all of them where its package does not tell."""
    from credchain.errors import ProviderLoadError
    from credchain.settings.structuring import fields, is_secret

    try:
        cls = sources.registry.load(sources.settings.provider_of(name)).settings
    except ProviderLoadError:
        return set(sources.settings.sources.get(name, {}))
    known = fields(cls)
    return {key for key in sources.settings.sources.get(name, {}) if key not in known or is_secret(known[key])}


def _order_origin(settings: Settings) -> str:
    return "the default order" if settings.order is None else settings.order.origin


def _shown(value: Any) -> str:
    """A value as TOML has it."""
    if value == HIDDEN:
        return HIDDEN
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_shown(one)}" for key, one in value.items()) + " }"
    return json.dumps(value, default=list)


def _record(rows: list[tuple[str, Any, str]], places: list[tuple[str, str]], sources: Sources) -> dict[str, Any]:
    return {
        "values": [{"key": key, "value": value, "origin": origin} for key, value, origin in rows],
        "chain": [{"source": name, "because": because} for name, because in places],
        "left_out": [{"source": name, "because": why} for name, why in sources.plan.left_out.items()],
    }


def _sources_of_this_machine(profile: str | None = None) -> Sources:
    from credchain.settings import Given
    from credchain.settings.files import standard_files
    from credchain.sources import Sources

    return Sources(os.environ, Given(profile=profile), files=standard_files)


def _machine_faults() -> list[Fault]:
    from credchain.errors import ConfigurationError

    try:
        return _sources_of_this_machine().misfits(os.environ)
    except ConfigurationError as error:
        return _faults_of(error)


def _file_faults(file: Path) -> list[Fault]:
    """What is wrong in a file, alone and with each of its profiles."""
    from credchain.errors import ConfigurationError
    from credchain.settings import Given
    from credchain.settings.files import ConfigFile
    from credchain.sources import Sources

    faults: list[Fault] = []
    alone = [ConfigFile(file, str(file), needed=True)]
    for profile in (None, *_profiles(file)):
        try:
            faults += Sources({}, Given(profile=profile), files=lambda: alone).misfits()
        except ConfigurationError as error:
            faults += _faults_of(error)
    return faults


def _faults_of(error: Any) -> list[Fault]:
    from credchain.settings import Fault

    return list(error.faults) or [Fault("", "", str(error))]


def _profiles(file: Path) -> list[str]:
    try:
        profiles = tomllib.loads(file.read_text(encoding="utf-8")).get("profile")
    except (OSError, ValueError):
        return []  # told when the file is read for its settings
    return list(profiles) if isinstance(profiles, dict) else []
