"""Hints: pure functions from what a machine shows to what is off there, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from credchain._aiohttp import proxy_for
from credchain.cli.findings import Hint, State
from credchain.cli.readings import address
from credchain.http import Request

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from credchain.cli.findings import SourceReport
    from credchain.cli.witness import Exchange

SOON_DAYS = 30
CLOCK_SECONDS = 120.0
_DAY = 86400.0
_METADATA_PATH = "/metadata/identity/oauth2/token"
_TYPING_ERRORS = 2

IDENTITY = (
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN",
    "AZURE_USERNAME",
    "AZURE_PASSWORD",
)
"""The variables of the source `environment`."""

KNOWN = (
    *IDENTITY,
    "AZURE_AUTHORITY_HOST",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "AZURE_TOKEN_CREDENTIALS",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_IDENTITY_DISABLE_MULTITENANTAUTH",
    "AZURE_REGIONAL_AUTHORITY_NAME",
)

_COMPLETE = (
    ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"),
    ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_CERTIFICATE_PATH"),
    ("AZURE_CLIENT_ID", "AZURE_USERNAME", "AZURE_PASSWORD"),
)
"""What describes an identity completely."""

_USER = ("AZURE_USERNAME", "AZURE_PASSWORD")

_OTHER_NAMES = {
    "ARM_TENANT_ID": "AZURE_TENANT_ID",
    "ARM_CLIENT_ID": "AZURE_CLIENT_ID",
    "ARM_CLIENT_SECRET": "AZURE_CLIENT_SECRET",
    "AZURE_APP_ID": "AZURE_CLIENT_ID",
    "AZURE_SECRET": "AZURE_CLIENT_SECRET",
}
"""What other programs call the same things."""

_UNSERVED = {
    "AZURE_FEDERATED_TOKEN_FILE": ("workload_identity", "workload identity", "WorkloadIdentityCredential"),
    "SYSTEM_OIDCREQUESTURI": ("azure_pipelines", "Azure Pipelines", "AzurePipelinesCredential"),
    "ACTIONS_ID_TOKEN_REQUEST_URL": ("github_actions", "GitHub Actions", "ClientAssertionCredential"),
}
"""For a variable: the source that would serve it, what it tells of, and azure-identity's class for that."""


def misspelt(environment: Mapping[str, str]) -> Iterator[Hint]:
    """Variables that nobody reads, and that resemble one that is not set."""
    for name in sorted(environment):
        meant = None if name in KNOWN else _meant(name)
        if meant is not None and not environment.get(meant) and environment[name]:
            yield Hint(
                "misspelt_variable",
                f"the environment variable {name} is set, and no source reads a variable of that name",
                f"call it {meant}",
                "environment",
            )


def _meant(name: str) -> str | None:
    upper = name.upper().replace("-", "_")
    if upper in _OTHER_NAMES:
        return _OTHER_NAMES[upper]
    if not upper.startswith(("AZURE", "AZUER", "AZRUE")):
        return None
    flat = upper.replace("_", "")
    distances = {known: _distance(flat, known.replace("_", "")) for known in KNOWN}
    best = min(distances, key=distances.__getitem__)
    return best if distances[best] <= _TYPING_ERRORS else None


def _distance(one: str, other: str) -> int:
    """Letters to insert, drop or replace to make one word of the other (Levenshtein)."""
    row = list(range(len(other) + 1))
    for i, mine in enumerate(one, 1):
        above, row = row, [i]
        for j, theirs in enumerate(other, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (mine != theirs)))
    return row[-1]


def empty(environment: Mapping[str, str]) -> Iterator[Hint]:
    """Variables of an identity that are set to nothing, as an unset secret of a pipeline leaves them."""
    if any(all(environment.get(name, "").strip() for name in needed) for needed in _COMPLETE):
        return
    for name in dict.fromkeys(name for needed in _COMPLETE for name in needed):
        unwanted = name in _USER and not any(environment.get(one) for one in _USER)
        if name in environment and not environment[name].strip() and not unwanted:
            yield Hint(
                "empty_variable",
                f"the environment variable {name} is set but empty",
                "give it a value where the process is started, or unset it; a pipeline's secret that does not exist "
                "leaves a variable empty",
                "environment",
            )


def certificates(ends: Mapping[str, float], *, now: float) -> Iterator[Hint]:
    """Certificates that have ended or soon will; *ends* and *now* in seconds since the epoch."""
    for path, end in ends.items():
        days = (end - now) / _DAY
        if days < 0:
            yield Hint(
                "certificate_expired",
                f"the certificate in {path} expired {-days:.0f} days ago",
                "make a new one, register it with the application, and put it in the place of that file",
            )
        elif days < SOON_DAYS:
            yield Hint(
                "certificate_expires_soon",
                f"the certificate in {path} expires in {days:.0f} days",
                "make a new one and register it with the application before that",
            )


def clock(exchanges: Sequence[Exchange]) -> Iterator[Hint]:
    """A clock that is off, by the date of a service's answer."""
    for exchange in exchanges:
        if exchange.ahead is not None and abs(exchange.ahead) > CLOCK_SECONDS:
            side = "ahead of" if exchange.ahead > 0 else "behind"
            yield Hint(
                "clock_off",
                f"this machine's clock is {abs(exchange.ahead) / 60:.0f} minutes {side} that of "
                f"{urlsplit(exchange.url).netloc}",
                "set it, and let it follow a time server: tokens and assertions are valid by the clock",
            )
            return


def proxies(environment: Mapping[str, str], exchanges: Sequence[Exchange]) -> Iterator[Hint]:
    """A proxy between here and a service that gave no answer of its own."""
    seen = set()
    for exchange in exchanges:
        host = urlsplit(exchange.url).netloc
        if host in seen or not (_is_not_metadata(exchange) or _is_behind_proxy(exchange, environment)):
            continue
        seen.add(host)
        yield _portal(host, exchange) if _is_not_metadata(exchange) else _dead_proxy(host, environment, exchange)


def _is_not_metadata(exchange: Exchange) -> bool:
    """Whether something else than IMDS answers at its address: IMDS speaks JSON alone, and is asked without a proxy."""
    foreign = exchange.status is not None and exchange.status < 500 and exchange.content_type != "application/json"
    return foreign and exchange.url.endswith(_METADATA_PATH)


def _is_behind_proxy(exchange: Exchange, environment: Mapping[str, str]) -> bool:
    no_answer = exchange.status in (None, 407, 502, 504) or exchange.content_type == "text/html"
    return exchange.trust_env and no_answer and _proxy(exchange, environment) is not None


def _proxy(exchange: Exchange, environment: Mapping[str, str]) -> str | None:
    return proxy_for(Request("GET", exchange.url), environment)


def _portal(host: str, exchange: Exchange) -> Hint:
    kind = exchange.content_type or "no content type"
    return Hint(
        "proxy_before_metadata",
        f"what answers at {host} is not the metadata service (status {exchange.status}, {kind}): a proxy or a login "
        "page is in the way",
        f"let {host} past the proxy of this network; a machine without a managed identity needs AZURE_TENANT_ID, "
        "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET instead",
        "managed_identity",
    )


def _dead_proxy(host: str, environment: Mapping[str, str], exchange: Exchange) -> Hint:
    proxy = str(_proxy(exchange, environment))
    named = [
        name for name, value in environment.items() if name.lower().endswith("_proxy") and value and value in proxy
    ]
    by = named[0] if named else ""
    came = "no answer came" if exchange.status is None else f"its answer was a status {exchange.status}"
    return Hint(
        "proxy_in_the_way",
        f"{host} was asked through the proxy {address(proxy) or '(hidden)'}, which {by or 'a variable'} names, "
        f"and {came}",
        f"correct {by or 'the variable'}, or name {urlsplit(exchange.url).hostname} in NO_PROXY if it is to be reached "
        "without a proxy",
    )


def unserved(environment: Mapping[str, str], installed: Collection[str]) -> Iterator[Hint]:
    """Identities that the environment offers, and that no installed package has a source for."""
    for name, (source, told, cls) in _UNSERVED.items():
        if environment.get(name) and source not in installed:
            yield Hint(
                "unserved_source",
                f"{name} tells of {told}, and no installed package has a source for it",
                f"install azure-identity, and make its {cls} a member of a ChainedTokenCredential",
            )


def ruled_out(environment: Mapping[str, str], reports: Sequence[SourceReport]) -> Iterator[Hint]:
    """A source that has its variables here, and no place in the chain."""
    described = environment.get("AZURE_CLIENT_ID") and any(environment.get(name) for name in IDENTITY[2:4])
    for report in reports:
        if report.name != "environment" or report.place is not None or not described:
            continue
        yield Hint(
            "source_left_out",
            f"the variables of a service principal are set, but the source environment is not asked: {report.because}",
            _way_back(report),
            report.name,
        )


def _way_back(report: SourceReport) -> str:
    if report.state is State.DISABLED:
        return f"take {report.name} out of {report.because.removeprefix('disabled by ')}"
    if report.state is State.DENIED:
        return "ask whoever keeps the policy to allow it, or use a source that it allows"
    return f"name {report.name} in the order, or in CREDCHAIN_ENABLE"


def outcomes(reports: Sequence[SourceReport]) -> Iterator[Hint]:
    """What a source that does not apply has seen: the nearest to a token first."""
    absent = [report for report in reports if report.outcome == "unavailable"]
    for report in absent:
        if any(exchange.status is not None for exchange in report.requests):
            yield _of_reason("refused", report, "look at what answers there")
    for report in absent:
        if report.reason.startswith("incomplete: "):
            yield _of_reason(
                "incomplete_variables", report, "set what is missing where the process is started, and start it again"
            )
    for report in absent:
        if report.requests and all(exchange.status is None for exchange in report.requests):
            yield Hint(
                "silent_endpoint",
                f"{report.name}: {report.reason}",
                "on a machine that has an identity, let this process reach that address; elsewhere, set "
                "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
                report.name,
            )


def unloaded(reports: Sequence[SourceReport]) -> Iterator[Hint]:
    """Sources in the chain whose packages are broken."""
    for report in reports:
        if report.state in (State.FAILED_TO_LOAD, State.INCOMPATIBLE):
            package = report.package or f"the package of {report.name}"
            fit = f"bring {package} and credchain to versions that fit"
            mend = fit if report.state is State.INCOMPATIBLE else f"mend or reinstall {package}"
            yield Hint(
                "broken_package",
                report.reason or report.because,
                f"{mend}, or disable the source {report.name}",
                report.name,
            )


def _of_reason(code: str, report: SourceReport, otherwise: str) -> Hint:
    cause, remedy = split(report.reason)
    return Hint(code, f"{report.name}: {cause}", remedy or otherwise, report.name)


def split(reason: str) -> tuple[str, str]:
    """A reason as what was seen and what to do, as all sentences of credchain have it; the second may be empty."""
    for between in ("; to do: ", "; "):
        cause, found, remedy = reason.partition(between)
        if found and not remedy.startswith("a proxy or"):
            return cause, remedy
    return reason, ""
