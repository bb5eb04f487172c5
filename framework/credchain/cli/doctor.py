"""`credchain doctor`: what the chain of this machine does and why, and what to do about it, on one page."""

from __future__ import annotations

import collections
import json
import textwrap
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from credchain.cli.diagnosis import diagnose, look
from credchain.cli.findings import State
from credchain.cli.progress import Progress
from credchain.cli.run import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from credchain.cli.findings import Diagnosis, SourceReport, TokenReport

SCOPE = "https://management.azure.com/.default"
WIDTH = 80

_LINES_AT_THE_TOP = 4
_COLOURS = {"token": "green", "failed": "red", "unavailable": "yellow"}


@click.command("doctor")
@click.option("--scope", default=SCOPE, show_default=True, help="What to ask a token for.")
@click.option("--source", metavar="NAME", help="Ask this source alone.")
@click.option("--no-network", is_flag=True, help="Send nothing: look at settings, sources, files and variables only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(context: click.Context, scope: str, source: str | None, *, no_network: bool, as_json: bool) -> None:
    """Find out why there is a token, or none, and what to do.

    Secrets and tokens are never printed. Ends with 0 for a token (with --no-network: nothing is wrong), 1 if no source
    applies, 2 if a source failed, 3 if the configuration is broken.
    """
    found = look(source=source) if no_network else run(_asked(scope, source))
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2, default=_plain))
    else:
        for line in page(found):
            click.echo(line)
    context.exit(found.exit_code)


async def _asked(scope: str, source: str | None) -> Diagnosis:
    with Progress() as progress:
        return await diagnose(scope, source=source, progress=progress)


def page(found: Diagnosis) -> Iterator[str]:
    """The diagnosis as lines of at most 80 columns, but for paths and addresses longer than that."""
    yield click.style(found.verdict, bold=True, fg="green" if found.exit_code == 0 else "red")
    if found.cause:
        yield ""
        yield from _entry("cause", found.cause, at_most=_LINES_AT_THE_TOP)
        yield from _entry("remedy", found.remedy, at_most=_LINES_AT_THE_TOP)
    if found.token is not None:
        yield from _token(found.token)
    if found.hints:
        yield from _heading("Also")
        for hint in found.hints:
            yield from _wrapped(f"- {hint.cause}; to do: {hint.remedy}", indent=2, hanging=4)
    if len(found.faults) > 1:
        yield from _heading("All that is wrong")
        for fault in found.faults:
            yield from _wrapped(f"- {fault}", indent=2, hanging=4)
    yield from _sources(found)
    yield from _configuration(found)


def _sources(found: Diagnosis) -> Iterator[str]:
    chain = [report for report in found.sources if report.place is not None]
    others = [report for report in found.sources if report.place is None]
    if chain:
        yield from _heading("The chain" if found.scope is None else f"The chain, asked for {found.scope}")
        wide = max(len(report.name) for report in chain)
        for report in chain:
            yield from _member(report, wide)
    if others:
        yield from _heading("Not in the chain")
        wide = max(len(report.name) for report in others)
        for report in others:
            package = f" ({report.package})" if report.package else ""
            yield f"  {report.name:<{wide}}  {report.state}{package}"
            yield from _wrapped(report.because, indent=6)


def _member(report: SourceReport, wide: int) -> Iterator[str]:
    outcome = report.state.value if report.state in (State.FAILED_TO_LOAD, State.INCOMPATIBLE) else report.outcome
    time = "" if report.outcome == "not asked" else f"  {report.milliseconds:.0f} ms"
    mark = "  <- gives the token" if report.outcome == "token" else ""
    coloured = click.style(outcome, fg=_COLOURS.get(outcome, "red" if outcome != "not asked" else None))
    yield f"  {report.place}. {report.name:<{wide}}  {coloured}{time}{mark}"
    sees = f"; sees {report.hosting}" if report.hosting else ""
    yield from _wrapped(f"{report.because}{sees}; {report.package or 'no package'}", indent=6)
    if report.reason:
        yield from _wrapped(report.reason, indent=6)
    if report.variables:
        yield from _entry("read", _read(report), indent=6)
    for file in report.files:
        yield from _entry("file", f"{file.path} ({file.state}; {file.named_by})", indent=6)
    sent = collections.Counter(f"{one.method} {one.url} -> {one.status or 'no answer'}" for one in report.requests)
    for told, times in sent.items():
        yield from _entry("sent", f"{told} ({times} times)" if times > 1 else told, indent=6)


def _read(report: SourceReport) -> str:
    there = [f"{one.name} ({one.value or one.state})" for one in report.variables if one.state != "not set"]
    missing = [one.name for one in report.variables if one.state == "not set"]
    return "; ".join([*([", ".join(there)] if there else []), *([f"not set: {', '.join(missing)}"] if missing else [])])


def _token(token: TokenReport) -> Iterator[str]:
    yield from _heading("The token")
    yield from _entry("until", f"{datetime.fromtimestamp(token.expires_on, UTC):%Y-%m-%d %H:%M:%S} UTC")
    if token.opaque:
        yield from _entry("claims", "none that can be read; only the service that it is for has to")
        return
    said = {"tid": token.tid, "oid": token.oid, "appid": token.appid, "aud": token.aud, "roles": ", ".join(token.roles)}
    for name, value in said.items():
        yield from _entry(name, value or "-")
    yield "      read without verifying the signature"


def _configuration(found: Diagnosis) -> Iterator[str]:
    if not found.configuration:
        return
    yield from _heading("The configuration")
    for setting in found.configuration:
        value = setting.value if isinstance(setting.value, str) else json.dumps(setting.value, default=_plain)
        yield from _wrapped(f"{setting.key} = {value}  ({setting.origin})", indent=2, hanging=6)


def _plain(value: object) -> object:
    """What JSON has no form for: several values as a list, anything else in words."""
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)


def _heading(text: str) -> Iterator[str]:
    yield ""
    for line in _wrapped(text, indent=0):
        yield click.style(line, bold=True)


def _entry(name: str, text: str, *, indent: int = 2, at_most: int | None = None) -> Iterator[str]:
    wide = 6 if indent == 2 else 4
    lines = textwrap.wrap(text, WIDTH - indent - wide - 2, break_long_words=False, break_on_hyphens=False)
    if at_most is not None and len(lines) > at_most:
        lines = [*lines[: at_most - 1], f"{lines[at_most - 1]} ..."]
    for number, line in enumerate(lines):
        yield f"{' ' * indent}{name if number == 0 else '':<{wide}}  {line}"


def _wrapped(text: str, *, indent: int, hanging: int | None = None) -> list[str]:
    first, others = " " * indent, " " * (indent if hanging is None else hanging)
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=others, break_long_words=False, break_on_hyphens=False
    )
