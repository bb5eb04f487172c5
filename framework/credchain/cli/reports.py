"""What became of each source of this machine, and why: in the chain or out of it, with what it reads and has sent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import attrs

from credchain.cli import readings
from credchain.cli.findings import SourceReport, State
from credchain.cli.pictures import clean
from credchain.cli.sources import NOT_NAMED
from credchain.cli.witness import Witness
from credchain.errors import ClientAuthenticationError, ProviderLoadError
from credchain.events import AttemptStarted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from credchain.attempts import Attempt
    from credchain.cli.findings import Variable
    from credchain.events import Event
    from credchain.host import Host
    from credchain.installed import Found
    from credchain.settings import Place
    from credchain.sources import Sources
    from credchain.tokens import AccessTokenInfo


@attrs.define(eq=False)
class Walked:
    """What asking the chain has brought.

    Attributes:
        witnesses: What each source has read and sent.
        attempts: What became of each source that was asked.
        token: The token; it goes no further than its claims.
        error: Why there is none.
        at: The source that was asked last.
    """

    witnesses: dict[str, Witness] = attrs.field(factory=dict)
    attempts: tuple[Attempt, ...] = ()
    token: AccessTokenInfo | None = attrs.field(default=None, repr=False)
    error: Exception | None = None
    at: str | None = None

    @property
    def selected(self) -> str | None:
        """The source that gave the token."""
        return None if self.token is None else self.at

    def seen_by(self, name: str, host: Host) -> Host:
        """The world of a source, with a witness in it."""
        return self.witnesses.setdefault(name, Witness()).world(host)

    def hear(self, event: Event) -> None:
        """Note which source is asked."""
        if isinstance(event, AttemptStarted):
            self.at = event.source


def reports_of(sources: Sources, walked: Walked, environment: Mapping[str, str]) -> Iterator[SourceReport]:
    """The sources in the chain, in its order, then the others."""
    found = sources.registry.packages.discover()
    for number, place in enumerate(sources.plan.places, 1):
        yield _placed(number, place, sources=sources, walked=walked, found=found, environment=environment)
    placed = {place.name for place in sources.plan.places}
    providers = {sources.settings.provider_of(name) for name in placed}
    for one in sorted(found, key=lambda one: (not one.builtin, one.name, one.distribution)):
        if one.refused or one.name not in placed:
            yield _other(one, sources, providers)
    known = {one.name for one in found}
    for name in sources.plan.left_out:
        if name not in known:
            yield SourceReport(name, "", *_absence(name, sources, NOT_NAMED))


def _placed(
    number: int,
    place: Place,
    *,
    sources: Sources,
    walked: Walked,
    found: Sequence[Found],
    environment: Mapping[str, str],
) -> SourceReport:
    """A source in the chain, built here as well, so that what is wrong with it is told before its turn comes."""
    credential, error = _built(place.name, sources, walked)
    witness = walked.witnesses.get(place.name, Witness())
    names = dict.fromkeys([*_variables_of(credential), *witness.names])
    read = tuple(readings.variable(name, environment) for name in names)
    provider = sources.settings.provider_of(place.name)
    package = next((one.package for one in found if provider in (one.name, f"{one.distribution}/{one.name}")), "")
    report = SourceReport(
        place.name,
        package,
        _state(place.name, walked, error),
        place.because,
        place=number,
        hosting=_text(getattr(credential, "hosting", None)),
        reason="" if error is None else clean(str(error)),
        variables=read,
        files=readings.files(_paths(place.name, sources, read)),
        requests=tuple(witness.exchanges),
    )
    attempt = next((one for one in walked.attempts if one.source == place.name), None)
    return _attempted(report, attempt, failed=walked.error is not None and walked.at == place.name)


def _attempted(report: SourceReport, attempt: Attempt | None, *, failed: bool) -> SourceReport:
    """The report with what became of the source; one whose error ended the walk itself has no attempt."""
    if attempt is None:
        outcome = "failed" if failed else report.outcome
        return attrs.evolve(report, outcome=outcome, detection="applies" if failed else report.detection)
    detection = "does not apply" if attempt.outcome == "unavailable" else "applies"
    return attrs.evolve(
        report,
        detection=detection,
        outcome=attempt.outcome.value,
        reason=clean(attempt.reason),
        milliseconds=round(attempt.seconds * 1000, 1),
    )


def _built(name: str, sources: Sources, walked: Walked) -> tuple[Any, Exception | None]:
    from credchain.sources import machine_host

    try:
        return sources.build(name, {}, walked.seen_by(name, machine_host(sources=sources))), None
    except (ValueError, ClientAuthenticationError) as error:
        return None, error


def _state(name: str, walked: Walked, error: Exception | None) -> State:
    if name == walked.selected:
        return State.SELECTED
    if isinstance(error, ProviderLoadError):
        return State.INCOMPATIBLE if "plugin API" in str(error) else State.FAILED_TO_LOAD
    return State.IN_THE_CHAIN


def _variables_of(credential: Any) -> tuple[str, ...]:
    names = getattr(credential, "variables", ())
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, tuple) else ()


def _paths(name: str, sources: Sources, read: Sequence[Variable]) -> Iterator[tuple[str, str]]:
    """The files that variables and settings lead to, each with what names it."""
    for variable in read:
        if variable.value and variable.name.endswith(("_PATH", "_FILE")):
            yield variable.name, variable.value
    for key, value in sources.settings.sources.get(name, {}).items():
        given = value.value
        path = given.get("file") if isinstance(given, dict) else given if key.endswith(("_path", "_file")) else None
        if isinstance(path, str):
            yield f"source.{name}.{key}", path


def _other(one: Found, sources: Sources, providers: set[str]) -> SourceReport:
    """A source without a place; a stranger's code is not loaded to find out more."""
    if one.refused:
        state = State.SHADOWED if "regist" in one.refused else State.DENIED
        return SourceReport(one.name, one.package, state, one.refused)
    why = "the provider of another source" if one.name in providers else _not_named(one, sources)
    return SourceReport(one.name, one.package, *_absence(one.name, sources, why))


def _not_named(one: Found, sources: Sources) -> str:
    """Why a source that no setting speaks of has no place."""
    from credchain.settings.structuring import fields

    known = fields(sources.registry.load(one.name).settings) if one.builtin else {}
    needed = [name for name, field in known.items() if field.default is attrs.NOTHING]
    return f"not in the default order; it needs {', '.join(needed)}" if needed else NOT_NAMED


def _absence(name: str, sources: Sources, otherwise: str) -> tuple[State, str]:
    """Why a source has no place, with the line of the file that says so."""
    settings = sources.settings
    identity = sources.identity(settings.provider_of(name))
    denied = settings.policy.denial((name, *identity.names)) or settings.policy.distrust(identity.distribution)
    if denied is not None:
        return State.DENIED, _with_line(denied, "policy.deny", name)
    wish = settings.wanted.get(name)
    if wish is not None and not wish.value:
        return State.DISABLED, _with_line(f"disabled by {wish.origin}", "chain.disable", name)
    return State.NOT_NAMED, sources.plan.left_out.get(name, otherwise)


def _with_line(said: str, key: str, word: str) -> str:
    line = line_in(said, key, word)
    return said if line is None else f"{said}, line {line}"


def line_in(said: str, key: str, word: str) -> int | None:
    """The line of a key in the configuration file that a sentence names."""
    from credchain.settings.files import named_file, standard_files

    named = os.environ.get("CREDCHAIN_CONFIG", "").strip()
    profile = os.environ.get("CREDCHAIN_PROFILE", "").strip()
    keys = [f"profile.{profile}.{key}", key] if profile else [key]
    known = [*standard_files(), *([named_file(named, by="named by CREDCHAIN_CONFIG")] if named else [])]
    for file in known:
        if file.origin in said:
            try:
                text = file.path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                return None
            lines = (readings.line_of(text, one, word) for one in keys)
            return next((line for line in lines if line is not None), None)
    return None


def _text(value: object) -> str | None:
    return clean(value) if isinstance(value, str) else None
