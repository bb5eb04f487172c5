"""`credchain explain`: the chain of this machine as a picture, and what becomes of each source when it is asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from credchain.cli.config import effective
from credchain.cli.pictures import NOT_ASKED, Member, Picture, mermaid, svg
from credchain.cli.run import WRONG_USE, Told, run
from credchain.errors import ClientAuthenticationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from credchain.attempts import Attempt
    from credchain.settings import Place, Settings
    from credchain.settings.plan import Plan


@click.command("explain")
@click.option(
    "--format", "form", type=click.Choice(["mermaid", "svg"]), help="What to draw; by the name of FILE unless given."
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Where to put it.")
@click.option("--profile", help="The profile to use; CREDCHAIN_PROFILE unless given.")
@click.option(
    "--ask", metavar="SCOPE", help="Ask the chain for a token for SCOPE, and mark what became of each source."
)
def command(form: str | None, output: Path | None, profile: str | None, ask: str | None) -> None:
    """Draw the chain: the sources in order, why each has its place or none, and what follows each outcome.

    Nothing is sent without --ask. With it the outcomes are drawn with their times, a failure as well; the token is thrown
    away.
    """
    sources = effective(profile)
    attempts = None if ask is None else run(_asked(ask, profile))
    picture = pictured(sources.plan, sources.settings, attempts=attempts, scope=ask)
    drawn = svg(picture) if (form or _by_name(output)) == "svg" else mermaid(picture)
    if output is None:
        click.echo(drawn, nl=False)
        return
    try:
        output.write_text(drawn, encoding="utf-8", newline="\n")
    except OSError as error:
        raise Told(f"Error: {output} cannot be written: {error.strerror}", exit_code=WRONG_USE) from None


def pictured(
    plan: Plan, settings: Settings, *, attempts: Sequence[Attempt] | None = None, scope: str | None = None
) -> Picture:
    """A plan as a picture, with what became of each source if the chain was walked for a scope."""
    notes = (
        [] if settings.timeout is None else [f"at most {settings.timeout.value:g} s in all ({settings.timeout.origin})"]
    )
    if scope is not None:
        notes.append(f"scope {scope}")
    members = tuple(_member(place, attempts) for place in plan.places)
    return Picture(members, tuple(plan.left_out.items()), tuple(notes))


def _member(place: Place, attempts: Sequence[Attempt] | None) -> Member:
    goes_on = place.on_failure == "continue"
    notes = []
    if place.provider is not None:
        notes.append(f"provider: {place.provider}")
    if place.timeout is not None:
        notes.append(f"at most {place.timeout:g} s")
    if goes_on:
        notes.append("on_failure = continue")
    drawn = Member(place.name, place.because, tuple(notes), goes_on)
    return drawn if attempts is None else _told(drawn, attempts)


def _told(member: Member, attempts: Sequence[Attempt]) -> Member:
    """The member with what became of it."""
    import attrs

    for attempt in attempts:
        if attempt.source == member.name:
            reason = f": {attempt.reason}" if attempt.reason else ""
            told = f"{attempt.outcome} after {attempt.seconds * 1000:.0f} ms{reason}"
            return attrs.evolve(member, outcome=attempt.outcome.value, told=told)
    return attrs.evolve(member, outcome=NOT_ASKED, told=NOT_ASKED)


async def _asked(scope: str, profile: str | None) -> tuple[Attempt, ...]:
    """What becomes of each source that is asked; the token itself is not kept."""
    from credchain.cli.progress import Progress
    from credchain.default import DefaultAzureCredential

    async with DefaultAzureCredential(profile=profile) as credential:
        try:
            with Progress() as progress:
                credential.sources.watch(progress)
                await credential.get_token(scope)
        except ClientAuthenticationError:
            if not credential.attempts:
                raise
        return credential.attempts


def _by_name(output: Path | None) -> str:
    return "svg" if output is not None and output.suffix.lower() == ".svg" else "mermaid"
