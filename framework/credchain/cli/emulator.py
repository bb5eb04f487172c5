"""`credchain emulator`: the local Entra ID, serving until it is interrupted."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import click

from credchain.cli.run import Told, run

if TYPE_CHECKING:
    from credchain.emulator import Emulator


@click.command("emulator")
@click.option(
    "--port",
    default=0,
    type=click.IntRange(0, 65533),
    help="TLS port; the next two are used as well. 0 takes free ones.",
)
def command(port: int) -> None:
    """Serve a local Entra ID with one service principal and one machine identity, until interrupted."""
    from credchain.emulator import Emulator  # before the event loop runs: it takes a moment

    try:
        run(_serve(Emulator(port=port)))
    except OSError as error:
        raise Told(f"Error: cannot listen on port {port}: {error.strerror or error}") from None


async def _serve(local: Emulator) -> None:
    async with local as emulator:
        application = emulator.add_application()
        identity = emulator.add_machine_identity()
        click.echo(f"# Entra ID at {emulator.authority}, IMDS at {emulator.imds_host}")
        click.echo(f"# A machine identity has the client id {identity.client_id}.")
        click.echo("# In the shell whose programs shall use it:")
        for name, value in emulator.environment(application, identity=True).items():
            click.echo(f"export {name}='{value}'")
        click.echo("# Serving; interrupt with Ctrl-C.")
        await _interrupted()
    click.echo("# Stopped.")


async def _interrupted() -> None:
    """Wait for Ctrl-C or a request to terminate, so that temporary files are removed in both cases."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows: KeyboardInterrupt ends the run
            break
    await stop.wait()
