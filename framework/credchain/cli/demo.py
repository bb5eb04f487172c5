"""`credchain demo`: the default chain against a local Entra ID, over real sockets, told as it happens."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from credchain.cli.run import FAILED, run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credchain.default import DefaultAzureCredential
    from credchain.emulator import Emulator

SCOPE = "https://vault.azure.net/.default"
WRONG_SECRET = 7000215


@click.command("demo")
@click.pass_context
def command(context: click.Context) -> None:
    """Show the default chain at work against a local Entra ID. Needs no network and no Azure account."""
    from credchain.emulator import Emulator  # before the event loop runs: it takes a moment

    if not run(_demo(Emulator())):
        click.echo("Something went otherwise than told above.", err=True)
        context.exit(FAILED)


async def _demo(local: Emulator) -> bool:
    async with local as emulator:
        application = emulator.add_application()
        identity = emulator.add_machine_identity()
        click.echo(f"A local Entra ID listens at {emulator.authority}, a metadata service at {emulator.imds_host}.")
        as_told = [
            await _service_principal(emulator, emulator.environment(application, identity=True), application.client_id),
            await _machine(emulator, emulator.environment(identity=True), identity.client_id),
            await _wrong_secret(emulator, emulator.environment(application, identity=True)),
        ]
    return all(as_told)


async def _service_principal(emulator: Emulator, environment: Mapping[str, str], client_id: str) -> bool:
    _heading("A service principal in the environment")
    async with _credential(environment) as credential:
        claims = await _first_call(emulator, credential)
        cached = await _second_call(emulator, credential)
        return cached and credential.selected == "environment" and claims.get("appid") == client_id


async def _machine(emulator: Emulator, environment: Mapping[str, str], client_id: str) -> bool:
    _heading("No variables, but a machine with an identity")
    async with _credential(environment) as credential:
        claims = await _first_call(emulator, credential)
        return credential.selected == "managed_identity" and claims.get("appid") == client_id


async def _wrong_secret(emulator: Emulator, environment: Mapping[str, str]) -> bool:
    from credchain.errors import ChainStoppedError

    _heading("A wrong secret")
    asked = emulator.count("imds")
    async with _credential({**environment, "AZURE_CLIENT_SECRET": "not-the-secret"}) as credential:
        try:
            await credential.get_token(SCOPE)
        except ChainStoppedError as error:
            click.echo(_indented(error.message))
            click.echo("  The machine's identity was not asked: a broken set-up must not lead to another identity.")
            return WRONG_SECRET in error.error_codes and emulator.count("imds") == asked
    return False


def _credential(environment: Mapping[str, str]) -> DefaultAzureCredential:
    """The real thing, for a machine whose environment is *environment*."""
    from credchain._aiohttp import AiohttpTransport
    from credchain.default import DefaultAzureCredential
    from credchain.host import Host

    transport = AiohttpTransport(environment=environment)
    return DefaultAzureCredential(host=Host(transport=transport, environment=environment))


async def _first_call(emulator: Emulator, credential: DefaultAzureCredential) -> dict[str, object]:
    begun = time.perf_counter()
    token = await credential.get_token(SCOPE)
    milliseconds = (time.perf_counter() - begun) * 1000
    asked = {attempt.source: attempt for attempt in credential.attempts}
    for number, place in enumerate(credential.plan.places, start=1):
        attempt = asked.get(place.name)
        told = "not asked" if attempt is None else f"{attempt.outcome}, {attempt.seconds * 1000:.0f} ms"
        click.echo(f"  {number}. {place.name}: {told}")
        if attempt is not None and attempt.reason:
            click.echo(f"       {attempt.reason}")
    click.echo(f"  {credential.selected} won, in {milliseconds:.0f} ms. The token says:")
    claims = emulator.claims_of(token.token)
    for name in ("tid", "appid", "aud"):
        click.echo(f"       {name:5}  {claims.get(name)}")
    click.echo(f"       exp    {datetime.fromtimestamp(token.expires_on, UTC):%Y-%m-%d %H:%M:%S} UTC")
    return claims


async def _second_call(emulator: Emulator, credential: DefaultAzureCredential) -> bool:
    before = len(emulator.requests)
    begun = time.perf_counter()
    await credential.get_token(SCOPE)
    microseconds = (time.perf_counter() - begun) * 1e6
    requests = len(emulator.requests) - before
    click.echo(f"  Called again: from the cache, in {microseconds:.1f} us, with {requests} requests.")
    return requests == 0


def _heading(text: str) -> None:
    click.echo(f"\n{click.style(text, bold=True)}")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
