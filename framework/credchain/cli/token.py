"""`credchain token`: a token from the default chain, on standard output."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from credchain.cli.run import run

if TYPE_CHECKING:
    from credchain.tokens import AccessTokenInfo


@click.command("token")
@click.argument("scopes", nargs=-1, required=True, metavar="SCOPE...")
@click.option("--tenant-id", help="Another tenant than the configured one.")
@click.option("--claims", help="A claims challenge to answer, as JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print the token with its type and times.")
def command(scopes: tuple[str, ...], tenant_id: str | None, claims: str | None, *, as_json: bool) -> None:
    """Print an access token for SCOPE from the default chain.

    The bare token is printed, for use in a header; with --json also when it expires.
    """
    source, token = run(_token(scopes, tenant_id, claims))
    click.echo(json.dumps(_record(source, token), indent=2) if as_json else token.token)


async def _token(
    scopes: tuple[str, ...], tenant_id: str | None, claims: str | None
) -> tuple[str | None, AccessTokenInfo]:
    from credchain.cli.progress import Progress
    from credchain.default import DefaultAzureCredential

    allowed = [tenant_id] if tenant_id else []
    options = {"tenant_id": tenant_id, "claims": claims}
    async with DefaultAzureCredential(additionally_allowed_tenants=allowed) as credential:
        with Progress() as progress:
            credential.sources.watch(progress)
            token = await credential.get_token_info(*scopes, options=options)
        return credential.selected, token


def _record(source: str | None, token: AccessTokenInfo) -> dict[str, Any]:
    expires = datetime.fromtimestamp(token.expires_on, UTC)
    return {
        "token": token.token,
        "token_type": token.token_type,
        "expires_on": token.expires_on,
        "expires_on_iso": expires.isoformat().replace("+00:00", "Z"),
        "source": source,
    }
