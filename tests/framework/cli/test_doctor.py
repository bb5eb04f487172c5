"""`credchain doctor`: its exit codes, its JSON, its hints, and what it never prints."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from click.testing import CliRunner, Result

from credchain.attempts import Attempt, Outcome
from credchain.cli import diagnosis, hints, main, readings
from credchain.cli.findings import Diagnosis, SourceReport, State
from credchain.cli.progress import PATIENCE_SECONDS, Progress
from credchain.cli.reports import Walked
from credchain.cli.witness import Exchange, WatchedEnvironment, clock_ahead
from credchain.emulator import Fault
from credchain.events import AttemptFinished, AttemptStarted
from credchain.testing import FakeClock, assert_no_token_leaks, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from credchain.emulator import Emulator

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "find-out-why.md"
RULING = ("AZURE_", "ARM_", "CREDCHAIN_", "IDENTITY_", "IMDS_", "MSI_", "SYSTEM_OIDC", "ACTIONS_")
SECRET = "a-secret-planted-for-this-test"
NOW = 1_800_000_000.0
DAY = 86400.0
TOKEN_URL = "https://login.example/token"
METADATA_URL = "http://169.254.169.254/metadata/identity/oauth2/token"


def call(*arguments: str, environment: Mapping[str, str] | None = None) -> Result:
    """The command in this process, without the machine's own settings."""
    ruling = {name: None for name in os.environ if name.startswith(RULING) or name.lower().endswith("_proxy")}
    return CliRunner().invoke(main, ["doctor", *arguments], env={**ruling, **(environment or {})})


def told(*arguments: str, environment: Mapping[str, str]) -> Any:
    """What the command prints as JSON."""
    return json.loads(call("--json", *arguments, environment=environment).stdout)


def keys_of(value: object, prefix: str = "") -> Iterator[str]:
    """The keys of a JSON value, dotted, with ``[]`` for each list on the way; a setting's value has none of ours."""
    if isinstance(value, dict) and not prefix.endswith("value."):
        for name, inner in value.items():
            yield prefix + name
            yield from keys_of(inner, f"{prefix}{name}.")
    elif isinstance(value, list):
        for one in value:
            yield from keys_of(one, f"{prefix.removesuffix('.')}[].")


def documented(heading: str) -> set[str]:
    """The first column of the table that begins with a heading."""
    table = PAGE.read_text(encoding="utf-8").partition(f"| {heading} |")[2].split("\n\n")[0]
    return set(re.findall(r"^\| `([^`]+)` \|", table, flags=re.MULTILINE))


# Exit codes and the page


def test_a_token_is_0_and_told_with_its_claims(emulator: Emulator) -> None:
    """The winner, and what its token says of itself; the token itself nowhere."""
    application = emulator.add_application(roles=["Reader"])

    result = call(environment=emulator.environment(application))

    assert result.exit_code == 0
    assert result.stdout.startswith("A token, from the source environment.\n")
    for text in (application.tenant_id, application.object_id, application.client_id, "Reader", "<- gives the token"):
        assert text in result.stdout
    assert "without verifying the signature" in result.stdout


def test_no_source_is_1(emulator: Emulator) -> None:
    """A machine that has nothing is told what it could have."""
    environment = {**emulator.environment(), "CREDCHAIN_ORDER": "environment"}

    result = call(environment=environment)

    assert result.exit_code == 1
    assert "nothing here describes an identity" in result.stdout
    assert "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET" in result.stdout


def test_a_failed_source_is_2(emulator: Emulator) -> None:
    """A source that applies and is refused stops the chain; those behind it are told as not asked."""
    environment = emulator.environment(emulator.add_application())

    found = told(environment={**environment, "AZURE_CLIENT_SECRET": "wrong"})

    assert found["exit_code"] == 2
    outcomes = {one["name"]: one["outcome"] for one in found["sources"] if one["place"]}
    assert outcomes == {"environment": "failed", "managed_identity": "not asked"}


def test_a_failure_that_the_chain_passes_over_is_2(emulator: Emulator) -> None:
    """With on_failure = continue the chain goes on, and the failure is still what is wrong."""
    environment = emulator.environment(emulator.add_application())
    setting = {"CREDCHAIN_SOURCE__ENVIRONMENT__ON_FAILURE": "continue", "CREDCHAIN_ORDER": "environment"}

    found = told(environment={**environment, "AZURE_CLIENT_SECRET": "wrong", **setting})

    assert found["exit_code"] == 2
    assert "AADSTS7000215" in found["cause"]


@pytest.mark.parametrize("arguments", [[], ["--no-network"]], ids=["asked", "not asked"])
def test_a_broken_configuration_is_3(arguments: list[str]) -> None:
    """All faults are told, the first of them as the cause, with the nearest right name."""
    environment = {"CREDCHAIN_ORDER": "enviroment", "CREDCHAIN_DISABEL": "shared_cache"}

    result = call(*arguments, environment=environment)

    assert result.exit_code == 3
    assert "All that is wrong" in result.stdout
    assert "did you mean 'environment'" in " ".join(result.stdout.split())
    assert "CREDCHAIN_DISABEL" in result.stdout


def test_a_wrong_scope_is_a_wrong_argument(emulator: Emulator) -> None:
    """It is told on standard error, with the code that wrong arguments have everywhere."""
    result = call("--scope", "", environment=emulator.environment(emulator.add_application()))

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: ")


def test_one_source_alone(emulator: Emulator) -> None:
    """Only the source that is named is asked; the others are told as left out."""
    emulator.add_machine_identity()
    environment = emulator.environment(emulator.add_application())
    del environment["AZURE_CLIENT_ID"]

    found = told("--source", "managed_identity", environment=environment)

    assert (found["exit_code"], found["token"]["source"]) == (0, "managed_identity")
    assert [one["name"] for one in found["sources"] if one["place"]] == ["managed_identity"]
    assert emulator.count("token") == 0


@pytest.mark.parametrize(
    ("source", "setting", "cause"),
    [
        ("managed_identty", {}, "did you mean 'managed_identity'"),
        ("environment", {"CREDCHAIN_DISABLE": "environment"}, "environment: disabled by the environment variable"),
    ],
    ids=["misspelt", "disabled"],
)
def test_a_source_that_cannot_be_asked(source: str, setting: dict[str, str], cause: str) -> None:
    """A name that nobody has, and a source that is ruled out, are told as what they are."""
    found = told("--source", source, environment=setting)

    assert found["exit_code"] == 3
    assert cause in found["cause"]


def test_without_network_nothing_is_sent(emulator: Emulator) -> None:
    """Settings, sources, variables and files are told; no source is asked for anything."""
    environment = emulator.environment(emulator.add_application(), identity=True)

    found = told("--no-network", environment=environment)

    assert emulator.requests == ()
    assert (found["exit_code"], found["scope"], found["token"]) == (0, None, None)
    assert {one["outcome"] for one in found["sources"]} == {"not asked"}
    assert {"name": "AZURE_CLIENT_SECRET", "state": "set", "value": None} in found["sources"][0]["variables"]


def test_the_page_has_80_columns(emulator: Emulator) -> None:
    """And no escape sequences where no terminal is."""
    environment = {**emulator.environment(emulator.add_application()), "AZURE_CLIENTID": "x", "AZURE_PASSWORD": ""}

    lines = call(environment=environment).stdout.splitlines()

    assert [line for line in lines if len(line) > 80 and len(line.split()) > 2] == []
    assert [line for line in lines if not line.isprintable()] == []


def test_colours_are_for_terminals(emulator: Emulator) -> None:
    """The same text, with colours where they can be seen."""
    environment = {**emulator.environment(), "CREDCHAIN_ORDER": "environment"}
    ruling = {name: None for name in os.environ if name.startswith(RULING)}

    result = CliRunner().invoke(main, ["doctor"], env={**ruling, **environment}, color=True)

    assert "\x1b[31m" in result.stdout


# What is never printed


@pytest.mark.parametrize("arguments", [[], ["--no-network"]], ids=["asked", "not asked"])
def test_a_setting_that_a_source_needs_is_missed(arguments: list[str]) -> None:
    """Whether the source is asked or not; the configuration is not right without it."""
    found = call(*arguments, environment={"CREDCHAIN_ORDER": "client_secret"})

    assert found.exit_code == 3
    assert "source.client_secret.tenant_id: needs a value" in " ".join("".join(found.stdout).split())


@pytest.mark.parametrize("arguments", [[], ["--json"], ["--no-network"]], ids=["page", "json", "no network"])
def test_no_secret_and_no_token_is_printed(arguments: list[str], emulator: Emulator) -> None:
    """Secrets stand in variables that are theirs, in variables that are not, in settings and in a proxy's address."""
    application = emulator.add_application(client_secret=SECRET)
    planted = {
        "AZURE_PASSWORD": SECRET,
        "AZURE_CLIENT_CERTIFICATE_PASSWORD": SECRET,
        "AZURE_USERNAME": SECRET,
        "AZURE_CLIENT_CERTIFICATE_PATH": SECRET,
        "IDENTITY_SERVER_THUMBPRINT": SECRET,
        "CREDCHAIN_SOURCE__CLIENT_SECRET__CLIENT_SECRET": SECRET,
        "HTTP_PROXY": f"http://user:{SECRET}@127.0.0.1:1",
    }

    with assert_no_token_leaks(SECRET):
        result = call(*arguments, environment={**emulator.environment(application), **planted})

    assert result.exit_code == 0
    assert SECRET not in result.output
    assert re.search(r"eyJ[\w-]+\.", result.output) is None


def test_a_secret_in_the_wrong_variable_stays_hidden() -> None:
    """Ids and addresses are shown only if they look like one."""
    environment = {
        "AZURE_CLIENT_ID": SECRET,
        "AZURE_TENANT_ID": f"{SECRET}~",
        "AZURE_AUTHORITY_HOST": "https://u:p@a.b/c",
    }

    shown = [readings.variable(name, environment).value for name in environment]

    assert shown == [None, None, "https://a.b"]


def test_a_bug_is_told_without_its_message(emulator: Emulator) -> None:
    """What a stranger's code says in an error may hold anything."""
    walked = Walked(error=RuntimeError(SECRET), at="environment")
    sources = diagnosis.planned()

    found = diagnosis.diagnosis(sources, walked, scope="s", environment={}, now=NOW)

    assert (found.exit_code, found.cause) == (2, "environment: its code raised a RuntimeError")
    assert SECRET not in json.dumps(found.to_dict())


# The JSON form


def test_every_key_is_documented(emulator: Emulator, tmp_path: Path) -> None:
    """The table on the page has the keys of the JSON, no more and no fewer."""
    (tmp_path / "a.pem").write_text("no certificate")
    environment = emulator.environment(emulator.add_application())
    full = {**environment, "AZURE_FEDERATED_TOKEN_FILE": "x", "AZURE_CLIENT_CERTIFICATE_PATH": str(tmp_path / "a.pem")}

    keys = set(keys_of(told(environment=full)))

    assert keys == documented("key")


def test_every_key_is_always_there(emulator: Emulator) -> None:
    """Whatever is wrong, the first level has the same keys; so has each source."""
    good = told(environment=emulator.environment(emulator.add_application()))
    broken = told(environment={"CREDCHAIN_ORDER": "nobody"})
    silent = told("--no-network", environment={})

    assert set(good) == set(broken) == set(silent) == {"schema", *(one.name for one in attrs.fields(Diagnosis))}
    assert {frozenset(one) for one in silent["sources"]} == {frozenset(good["sources"][0])}
    assert good["schema"] == 1


def test_states_are_documented() -> None:
    """Each state has its row."""
    assert documented("state") == {state.value for state in State}


def test_each_absence_has_its_state(tmp_path: Path) -> None:
    """Disabled and denied, by which line of which file; or simply not named."""
    file = tmp_path / "credchain.toml"
    file.write_text("[chain]\ndisable = ['shared_cache']\n\n[policy]\ndeny = ['certificate']\n", encoding="utf-8")

    found = told("--no-network", environment={"CREDCHAIN_CONFIG": str(file)})

    told_of = {one["name"]: (one["state"], one["because"]) for one in found["sources"]}
    assert told_of["shared_cache"][0] == "disabled"
    assert told_of["shared_cache"][1].endswith("credchain.toml (named by CREDCHAIN_CONFIG), line 2")
    assert told_of["certificate"][0] == "denied"
    assert told_of["certificate"][1].endswith("line 5")
    assert told_of["client_secret"][0] == "not named"


# Hints


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("AZURE_CLIENTID", "AZURE_CLIENT_ID"),
        ("AZURE_TENANT", "AZURE_TENANT_ID"),
        ("AZURE_CLIENT_SECERT", "AZURE_CLIENT_SECRET"),
        ("azure_client_id", "AZURE_CLIENT_ID"),
        ("ARM_CLIENT_SECRET", "AZURE_CLIENT_SECRET"),
    ],
)
def test_misspelt_variables_are_found(name: str, meant: str) -> None:
    """The right name is told; once that is set, nothing is."""
    (hint,) = hints.misspelt({name: "x"})

    assert (hint.code, hint.remedy) == ("misspelt_variable", f"call it {meant}")
    assert list(hints.misspelt({name: "x", meant: "y"})) == []


@pytest.mark.parametrize("name", ["AZURE_SUBSCRIPTION_ID", "AZURE_CONFIG_DIR", "PATH", "AZURE_CLIENT_ID", "HOME"])
def test_other_variables_are_left_alone(name: str) -> None:
    """A name that only begins alike is somebody else's."""
    assert list(hints.misspelt({name: "x"})) == []


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"AZURE_CLIENT_SECRET": " ", "AZURE_TENANT_ID": "x", "AZURE_PASSWORD": ""}, ["AZURE_CLIENT_SECRET"]),
        ({"AZURE_USERNAME": "x", "AZURE_PASSWORD": ""}, ["AZURE_PASSWORD"]),
        ({"AZURE_TENANT_ID": "x", "AZURE_CLIENT_ID": "x", "AZURE_CLIENT_SECRET": "x", "AZURE_USERNAME": ""}, []),
        ({"AZURE_CLIENT_CERTIFICATE_PASSWORD": ""}, []),
    ],
)
def test_empty_variables_are_found(environment: dict[str, str], expected: list[str]) -> None:
    """Set to nothing, or to blanks; not where an identity is complete without it."""
    found = [hint.cause for hint in hints.empty(environment)]

    assert found == [f"the environment variable {name} is set but empty" for name in expected]


@pytest.mark.parametrize(
    ("days", "code"),
    [(-3, "certificate_expired"), (29, "certificate_expires_soon"), (31, None)],
)
def test_certificates_are_watched(days: int, code: str | None) -> None:
    """An expired one, and one with less than thirty days to go."""
    found = [hint.code for hint in hints.certificates({"/a.pem": NOW + days * DAY}, now=NOW)]

    assert found == ([code] if code else [])


@pytest.mark.parametrize(
    ("ahead", "words"), [(600.0, "10 minutes ahead of"), (-600.0, "10 minutes behind"), (60.0, "")]
)
def test_a_clock_that_is_off_is_found(ahead: float, words: str) -> None:
    """By the date of an answer; a minute is nothing."""
    found = list(hints.clock([Exchange("GET", TOKEN_URL), Exchange("GET", TOKEN_URL, 200, ahead=ahead)]))

    assert [words in hint.cause for hint in found] == ([True] if words else [])


def test_dates_of_answers_are_read() -> None:
    """As HTTP writes them; what is none tells nothing."""
    assert clock_ahead("Fri, 15 Jan 2027 08:00:00 GMT", now=NOW + 60) == 60
    assert clock_ahead("yesterday", now=NOW) is None
    assert clock_ahead("", now=NOW) is None


def test_a_proxy_in_the_way_is_found() -> None:
    """The proxy and its variable are named, without the password in it; NO_PROXY is minded."""
    environment = {"https_proxy": "http://user:pass@proxy.example:8080"}
    unanswered = [Exchange("POST", TOKEN_URL)]

    (hint,) = hints.proxies(environment, unanswered)

    assert "through the proxy http://proxy.example:8080, which https_proxy names" in hint.cause
    assert "pass" not in hint.cause + hint.remedy
    assert list(hints.proxies({**environment, "NO_PROXY": "login.example"}, unanswered)) == []
    assert list(hints.proxies(environment, [Exchange("POST", TOKEN_URL, 401, "application/json")])) == []
    assert list(hints.proxies({}, unanswered)) == []


def test_what_is_not_the_metadata_service_is_found() -> None:
    """A page at its address is a proxy's or a portal's; silence, and its own answers, are not."""
    page = Exchange("GET", METADATA_URL, 200, "text/html", trust_env=False)
    own = Exchange("GET", METADATA_URL, 400, "application/json", trust_env=False)
    silence = Exchange("GET", METADATA_URL, trust_env=False)

    found = [[hint.code for hint in hints.proxies({}, [one])] for one in (page, own, silence)]

    assert found == [["proxy_before_metadata"], [], []]


def test_an_identity_that_nobody_serves_is_found() -> None:
    """The variable tells of it; the package that would serve it is named, unless its source is installed."""
    environment = {"AZURE_FEDERATED_TOKEN_FILE": "/var/run/token"}

    (hint,) = hints.unserved(environment, {"environment"})

    assert "WorkloadIdentityCredential" in hint.remedy
    assert "azure-identity" in hint.remedy
    assert list(hints.unserved(environment, {"workload_identity"})) == []


@pytest.mark.parametrize(
    ("state", "because", "remedy"),
    [
        (State.DISABLED, "disabled by the file /c.toml, line 3", "take environment out of the file /c.toml, line 3"),
        (State.DENIED, "denied by the policy in /c.toml", "ask whoever keeps the policy"),
        (State.NOT_NAMED, "not named in the order", "name environment in the order"),
    ],
)
def test_a_source_that_is_left_out_though_it_could_serve(state: State, because: str, remedy: str) -> None:
    """Only where its variables are set; the way back is told."""
    report = SourceReport("environment", "credchain", state, because)
    environment = {"AZURE_CLIENT_ID": "x", "AZURE_CLIENT_SECRET": "y"}

    (hint,) = hints.ruled_out(environment, [report])

    assert hint.remedy.startswith(remedy)
    assert list(hints.ruled_out({}, [report])) == []


def test_left_out_explains_a_silence_elsewhere(emulator: Emulator) -> None:
    """Where another source gets no answer, the one that should have served is the cause."""
    emulator.fail("imds", Fault(reset=True))
    environment = emulator.environment(emulator.add_application())
    setting = {"CREDCHAIN_DISABLE": "environment", "CREDCHAIN_SOURCE__MANAGED_IDENTITY__TIMEOUT": "0.2"}

    found = told(environment={**environment, **setting})

    assert found["exit_code"] == 2
    assert "environment is not asked: disabled by the environment variable CREDCHAIN_DISABLE" in found["cause"]


# Readings


def test_the_line_of_a_key_is_found() -> None:
    """In a table, dotted, in a list of several lines, or nowhere."""
    text = '[chain]\norder = [\n  "a",\n  "b",\n]\n\n[source.reader]\nclient_id = "x"\n[source]\nother.timeout = 3\n'

    found = [
        readings.line_of(text, key, word)
        for key, word in (
            ("chain.order", ""),
            ("chain.order", "b"),
            ("source.reader.client_id", ""),
            ("source.reader", ""),
            ("source.other.timeout", ""),
            ("chain.disable", "b"),
        )
    ]

    assert found == [2, 4, 8, 7, 10, None]


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "a.W10.c", "", "a.eyJ", "\x00.\xff.x"])
def test_a_token_that_cannot_be_read_is_fine(token: str) -> None:
    """It is the business of the service that it is for."""
    assert readings.claims("vault", token, NOW).opaque


@pytest.mark.parametrize("data", [b"", b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", b"\x30\x80"])
def test_what_is_no_certificate_has_no_end(data: bytes, tmp_path: Path) -> None:
    """Nothing is told of it, and nothing breaks."""
    path = tmp_path / "a.pem"
    path.write_bytes(data)

    assert readings.certificate_end(str(path)) is None
    assert readings.certificate_end(str(tmp_path / "missing")) is None


def test_files_are_told_with_their_state(tmp_path: Path) -> None:
    """Readable, a directory, or not there."""
    (tmp_path / "a").write_text("x")

    found = readings.files([("A", str(tmp_path / "a")), ("B", str(tmp_path)), ("C", str(tmp_path / "c")), ("D", "")])

    assert [one.state for one in found] == ["readable", "a directory", "no such file or directory"]


def test_what_a_source_reads_is_noted() -> None:
    """By name, whether it is set or not; looking through all of them is no reading."""
    names: dict[str, None] = {}
    environment = WatchedEnvironment({"A": "1", "B": "2"}, names)

    found = (environment.get("A"), environment.get("C"), len(environment), "B" in list(environment))

    assert found == ("1", None, 2, True)
    assert list(names) == ["A", "C"]


# Progress


class Screen(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


async def asked(progress: Progress, seconds: float) -> None:
    """A source that is asked for some time."""
    progress(AttemptStarted("vault", None))
    await asyncio.sleep(seconds)
    progress(AttemptFinished(Attempt("vault", Outcome.TOKEN)))


@pytest.mark.parametrize(("factor", "expected"), [(0.9, ""), (1.1, "\r\x1b[Kasking vault ...\r\x1b[K")])
def test_only_who_waits_long_is_told(factor: float, expected: str, fake_clock: FakeClock) -> None:
    """Half a second goes by in silence; a line that was written is taken away again."""
    screen = Screen()

    run(asked(Progress(screen), factor * PATIENCE_SECONDS), clock=fake_clock)

    assert screen.getvalue() == expected


def test_nothing_is_told_where_no_terminal_is(fake_clock: FakeClock) -> None:
    """A log file gets no lines that take themselves away."""
    stream = io.StringIO()

    run(asked(Progress(stream), 10), clock=fake_clock)

    assert stream.getvalue() == ""


def test_a_walk_that_ends_early_takes_its_line_away(fake_clock: FakeClock) -> None:
    """Whatever ended it."""
    screen = Screen()

    async def interrupted() -> None:
        with Progress(screen) as progress:
            progress(AttemptStarted("vault", None))
            await asyncio.sleep(1)
            raise KeyError

    with pytest.raises(KeyError):
        run(interrupted(), clock=fake_clock)

    assert screen.getvalue().endswith("asking vault ...\r\x1b[K")
