"""The diagnosis of this machine's chain: settings gathered, sources asked under observation, and all of it judged."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import attrs

from credchain.cli import hints, readings
from credchain.cli.config import values
from credchain.cli.findings import Diagnosis, Hint, Setting, SourceReport
from credchain.cli.pictures import clean
from credchain.cli.reports import Walked, line_in, reports_of
from credchain.cli.run import BROKEN, FAILED, WRONG_USE, Told
from credchain.errors import (
    ClientAuthenticationError,
    ConfigurationError,
    TransportError,
    is_unavailable,
)
from credchain.settings import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from credchain.events import Event
    from credchain.http import Transport
    from credchain.settings import Fault
    from credchain.sources import Sources

NO_SOURCE = FAILED
SOURCE_FAILED = 2

_LEADING = (
    "misspelt_variable",
    "empty_variable",
    "source_left_out",
    "proxy_before_metadata",
    "refused",
    "unserved_source",
    "incomplete_variables",
    "silent_endpoint",
    "broken_package",
)
"""Why no source applies, the likeliest first."""

_PASSED_OVER = ("source_left_out", "misspelt_variable", "empty_variable")
"""Why another source was not taken before one that gets no answer."""

_BEHIND_ANSWERS = {700027: ("certificate_expired",), 700024: ("clock_off", "certificate_expired")}
"""What explains a refusal better than the refusal itself, by AADSTS number."""

_NOTHING = (
    "nothing here describes an identity",
    "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or run it where there is a managed identity",
)


async def walk(
    scope: str, *, source: str | None, progress: Callable[[Event], None], transport: Transport | None = None
) -> Walked:
    """Ask the chain of this machine, or one source of it, for a token.

    Raises:
        ConfigurationError: The settings leave no chain.
        ValueError: The scope cannot be one.
    """
    from credchain.default import DefaultAzureCredential

    walked = Walked()

    def hear(event: Event) -> None:
        walked.hear(event)
        progress(event)

    async with DefaultAzureCredential(order=None if source is None else [source], transport=transport) as credential:
        credential.sources.watch(hear, seen_by=walked.seen_by)
        try:
            walked.token = await credential.get_token_info(scope)
        except Exception as error:  # a stranger's credential may raise whatever it likes; it is told, and judged below
            if walked.at is None:
                raise
            walked.error = error
        walked.attempts = credential.attempts
    return walked


def planned(source: str | None = None) -> Sources:
    """The settings of this machine and its plan, for one source alone if that is named.

    Raises:
        ConfigurationError: Something is wrong in them.
    """
    from credchain.settings import Given
    from credchain.settings.files import standard_files
    from credchain.settings.layers import Layer, Value
    from credchain.sources import Sources

    given = Given() if source is None else Given(Layer(order=Value((source,), "--source")))
    return Sources(os.environ, given, files=standard_files)


def broken(error: ConfigurationError, environment: Mapping[str, str]) -> Diagnosis:
    """The diagnosis of settings that leave no chain."""
    faults = [located(fault) for fault in error.faults]
    said = [str(fault) for fault in faults] or [str(error)]
    origin = faults[0].origin if faults else ""
    where = f" in {origin}" if origin else ""
    return Diagnosis(
        BROKEN,
        "No chain: the configuration is broken.",
        cause=clean(said[0]),
        remedy=f"correct that{where}; credchain config check tells all that is wrong",
        hints=(*hints.misspelt(environment), *hints.empty(environment)),
        faults=tuple(clean(one) for one in said),
    )


def diagnosis(
    sources: Sources, walked: Walked, *, scope: str | None, environment: Mapping[str, str], now: float
) -> Diagnosis:
    """What the settings and the walk amount to; *now* in seconds since the epoch."""
    reports = tuple(reports_of(sources, walked, environment))
    found = tuple(_hints(sources, reports, environment, now))
    token = walked.token
    whole = Diagnosis(
        0,
        "The configuration is right; no source was asked.",
        scope=scope,
        token=None if token is None else readings.claims(str(walked.selected), token.token, token.expires_on),
        sources=reports,
        configuration=tuple(
            Setting(key, readings.setting(key, value), origin) for key, value, origin in values(sources)
        ),
        hints=found,
    )
    if token is not None:
        return attrs.evolve(whole, verdict=f"A token, from the source {walked.selected}.")
    if walked.error is not None:
        return _judged(whole, walked, walked.error)
    return _unasked(whole)


def _unasked(whole: Diagnosis) -> Diagnosis:
    """Without a walk, sources that the chain could not load are all that can be wrong."""
    lead = next((hint for hint in whole.hints if hint.code == "broken_package"), None)
    if lead is None:
        return whole
    return _led(whole, lead, exit_code=BROKEN, verdict=f"The source {lead.source} cannot be loaded.")


def _judged(whole: Diagnosis, walked: Walked, error: Exception) -> Diagnosis:
    """The verdict, the cause and the remedy of an error."""
    failures = [attempt for attempt in walked.attempts if attempt.outcome == "failed"]
    if is_unavailable(error) and not failures:
        verdict = "No token: no source applies here."
        lead = _first([*whole.hints, *hints.outcomes(whole.sources)], _LEADING) or Hint("nothing_set_up", *_NOTHING)
        return _led(whole, lead, exit_code=NO_SOURCE, verdict=verdict)
    if isinstance(error, ConfigurationError):
        lead = _first(whole.hints, ("broken_package",)) or Hint("wrong_setting", str(error), "correct that setting")
        return _led(whole, lead, exit_code=BROKEN, verdict=f"No token: the source {walked.at} cannot be used.")
    failed = failures[-1].source if failures else str(walked.at)
    lead = _behind(whole.hints, failed, error) or _failure(failed, failures[-1].reason if failures else "", error)
    return _led(
        whole, lead, exit_code=SOURCE_FAILED, verdict=f"No token: the source {failed} applies here, and failed."
    )


def _behind(found: Sequence[Hint], failed: str, error: Exception) -> Hint | None:
    """The hint that explains a failure better than the failure itself, if there is one."""
    if isinstance(error.__cause__, TransportError):
        others = [hint for hint in found if hint.source != failed]
        return _first(found, ("proxy_in_the_way",)) or _first(others, _PASSED_OVER) or _first(found, ("clock_off",))
    numbers = getattr(error, "error_codes", ())
    return next((_first(found, codes) for number, codes in _BEHIND_ANSWERS.items() if number in numbers), None)


def _first(found: Sequence[Hint], codes: Sequence[str]) -> Hint | None:
    return next((hint for code in codes for hint in found if hint.code == code), None)


def _led(whole: Diagnosis, lead: Hint, *, exit_code: int, verdict: str) -> Diagnosis:
    rest = tuple(hint for hint in whole.hints if hint is not lead)
    cause, remedy = clean(lead.cause), clean(lead.remedy)
    return attrs.evolve(whole, exit_code=exit_code, verdict=verdict, cause=cause, remedy=remedy, hints=rest)


def _failure(source: str, reason: str, error: Exception) -> Hint:
    """A source's failure in its own words, with what to do about its kind where it does not say."""
    if not isinstance(error, ClientAuthenticationError):
        cause = f"{source}: its code raised a {type(error).__name__}"
        return Hint("bug", cause, "tell whoever wrote its package; credchain token shows where it happened", source)
    cause, remedy = hints.split(reason or str(error.message))
    if not remedy and "not trusted" in reason:
        remedy = "name a file with the certificates of your proxy or company in SSL_CERT_FILE"
    elif not remedy and isinstance(error.__cause__ or error, TransportError):
        remedy = "look whether that address can be reached from here; a proxy is named in HTTPS_PROXY"
    return Hint("failed", f"{source}: {cause}", remedy or _ask_support(error), source)


def _ask_support(error: ClientAuthenticationError) -> str:
    named = getattr(error, "correlation_id", None)
    return "see what the service said below" + (f"; its support finds the exchange by {named}" if named else "")


def _hints(
    sources: Sources, reports: Sequence[SourceReport], environment: Mapping[str, str], now: float
) -> Iterator[Hint]:
    exchanges = [exchange for report in reports for exchange in report.requests]
    paths = {file.path for report in reports for file in report.files if file.state == "readable"}
    ends = {path: readings.certificate_end(path) for path in sorted(paths)}
    installed = {found.name for found in sources.registry.packages.discover()}
    yield from hints.unloaded(reports)
    yield from hints.misspelt(environment)
    yield from hints.empty(environment)
    yield from hints.certificates({path: end for path, end in ends.items() if end is not None}, now=now)
    yield from hints.clock(exchanges)
    yield from hints.proxies(environment, exchanges)
    yield from hints.unserved(environment, installed)
    yield from hints.ruled_out(environment, reports)


def located(fault: Fault) -> Fault:
    """A fault with the line of its key, where it stands in a file."""
    if fault.line is not None or not fault.key:
        return fault
    return attrs.evolve(fault, line=line_in(fault.origin, fault.key, ""))


async def diagnose(
    scope: str,
    *,
    source: str | None = None,
    progress: Callable[[Event], None] = lambda _: None,
    transport: Transport | None = None,
) -> Diagnosis:
    """Ask the chain of this machine for a token, and tell all about it.

    Args:
        scope: What the token is for.
        source: The only source to ask.
        progress: Hears the events.
        transport: The way out; stays the caller's, who closes it. Its own unless given.

    Raises:
        Told: The scope cannot be one.
    """
    try:
        sources = planned(source)
        walked = await walk(scope, source=source, progress=progress, transport=transport)
    except ConfigurationError as error:
        return broken(error, os.environ)
    except ValueError as error:
        raise Told(f"Error: {error}", exit_code=WRONG_USE) from None
    return diagnosis(sources, walked, scope=scope, environment=os.environ, now=time.time())


def look(*, source: str | None = None) -> Diagnosis:
    """What can be told without sending anything: settings, sources, files and variables."""
    try:
        sources = planned(source)
        faults = [fault for fault in sources.misfits(os.environ) if fault.source is None]  # those of packages are hints
        if faults:
            raise refusal(faults)
    except ConfigurationError as error:
        return broken(error, os.environ)
    return diagnosis(sources, Walked(), scope=None, environment=os.environ, now=time.time())
