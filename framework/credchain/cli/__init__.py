"""The command `credchain`: tokens, sources, the emulator and a demonstration, from a terminal."""

from __future__ import annotations

import importlib
from typing import Any

import click

_COMMANDS = ("config", "demo", "doctor", "emulator", "explain", "new-plugin", "sources", "token")


class _Lazy(click.Group):
    """A group that imports the module of a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: Any = importlib.import_module(f"credchain.cli.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        return command


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="credchain")
def main() -> None:
    """Access tokens from Microsoft Entra ID, out of whichever source fits this machine."""
