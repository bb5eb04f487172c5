"""DefaultAzureCredential: the default chain is priority.toml and nothing else, and every setting is felt or refused."""

from __future__ import annotations

import inspect
import os
import pickle
import random
import subprocess
import sys
from importlib.metadata import Distribution
from typing import TYPE_CHECKING, Any

import pytest

from credchain.chain import ChainedTokenCredential
from credchain.default import DefaultAzureCredential
from credchain.errors import ChainUnavailableError, ConfigurationError, ProviderLoadError
from credchain.host import Host
from credchain.installed import Packages
from credchain.registry import Registry
from credchain.settings import default_order
from credchain.testing import FakeClock, FakeTransport, json_response, run, token_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

SCOPE = "https://vault.azure.net/.default"
LISTED = default_order()
HERE = [one.name for one in LISTED if not one.platforms or sys.platform in one.platforms]
SERVICE_PRINCIPAL = {"AZURE_TENANT_ID": "contoso", "AZURE_CLIENT_ID": "app", "AZURE_CLIENT_SECRET": "secret"}

VAULT = """
from credchain import Provider, hookimpl
from credchain.testing import StaticCredential

@hookimpl
def credchain_provider():
    return Provider(name="vault", build=lambda settings, host: StaticCredential("from the vault"))
"""


class Installed(Distribution):
    """A package with sources, as it stands in metadata."""

    def __init__(self, name: str, **sources: str) -> None:
        lines = [f"{source} = {value}" for source, value in sources.items()]
        self._files = {
            "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
            "entry_points.txt": "\n".join(["[credchain.providers]", *lines]),
        }

    def read_text(self, filename: str) -> str | None:
        return self._files.get(filename)

    def locate_file(self, path: object) -> Path:
        raise NotImplementedError(path)


OWN = Installed("credchain", **{name: f"credchain_plugins.{name}" for name in (*HERE, "client_secret")})


def registry(*others: Distribution) -> Registry:
    """A registry where credchain and these are installed."""
    return Registry(Packages(own=lambda: OWN, installed=lambda: [OWN, *others]))


def world(
    transport: FakeTransport | None = None,
    environment: Mapping[str, str] | None = None,
    *,
    clock: FakeClock | None = None,
) -> Host:
    return Host(
        transport=transport or FakeTransport(token_response()),
        environment={} if environment is None else environment,
        clock=clock or FakeClock(),
        random=random.Random(1),
    )


def names(
    environment: Mapping[str, str] | None = None, /, *, known: Registry | None = None, **keywords: Any
) -> list[str]:
    """The sources of the chain that these settings make."""
    credential = DefaultAzureCredential(host=world(environment=environment), registry=known or registry(), **keywords)
    return [place.name for place in credential.plan.places]


def refusal(environment: Mapping[str, str] | None = None, /, **keywords: Any) -> str:
    """What the error says that these settings make."""
    with pytest.raises(ConfigurationError) as caught:
        names(environment, **keywords)
    return str(caught.value)


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Callable[[str], Distribution]]:
    """Writes a stranger's package with the source `vault`; gives its metadata."""
    sys.path.insert(0, str(tmp_path))

    def write(code: str) -> Distribution:
        (tmp_path / "acme_vault.py").write_text(code, encoding="utf-8")
        return Installed("acme", vault="acme_vault")

    yield write
    sys.path.remove(str(tmp_path))
    sys.modules.pop("acme_vault", None)


def run_python(script: str) -> str:
    """What a fresh interpreter prints, in an empty environment and with warnings as errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# The order


def test_without_settings_the_chain_is_the_priority_list() -> None:
    """Exactly priority.toml for this platform, in its order, nothing explicit."""
    credential = DefaultAzureCredential(host=world())

    assert [place.name for place in credential.plan.places] == HERE
    assert not any(place.explicit for place in credential.plan.places)
    assert set(credential.plan.left_out) == {one.name for one in LISTED} - set(HERE)
    assert repr(credential) == f"<DefaultAzureCredential of {', '.join(HERE)}>"


@pytest.mark.parametrize(
    ("environment", "keywords", "expected"),
    [
        pytest.param(
            {}, {"order": ["managed_identity", "environment"]}, ["managed_identity", "environment"], id="order"
        ),
        pytest.param({}, {"order": ["managed_identity", "..."]}, ["managed_identity", "environment"], id="rest"),
        pytest.param({"CREDCHAIN_ORDER": "managed_identity"}, {}, ["managed_identity"], id="CREDCHAIN_ORDER"),
        pytest.param({}, {"disable": ["environment"]}, ["managed_identity"], id="disable"),
        pytest.param({"CREDCHAIN_DISABLE": "environment"}, {}, ["managed_identity"], id="CREDCHAIN_DISABLE"),
        pytest.param(
            {"CREDCHAIN_ENABLE": "client_secret"},
            {},
            ["environment", "managed_identity", "client_secret"],
            id="CREDCHAIN_ENABLE",
        ),
        pytest.param(
            {}, {"enable": ["client_secret"]}, ["environment", "managed_identity", "client_secret"], id="enable"
        ),
        pytest.param(
            {"AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential"}, {}, ["environment"], id="AZURE_TOKEN_CREDENTIALS"
        ),
        pytest.param(
            {"AZURE_TOKEN_CREDENTIALS": "Prod"},
            {},
            [one.name for one in LISTED if one.group == "prod"],
            id="AZURE_TOKEN_CREDENTIALS group",
        ),
        pytest.param(
            {"CREDCHAIN_ORDER": "environment"},
            {"order": ["managed_identity"]},
            ["managed_identity"],
            id="order by code",
        ),
        pytest.param(
            {"CREDCHAIN_DISABLE": "environment"},
            {"enable": ["environment"]},
            ["environment", "managed_identity"],
            id="enable by code",
        ),
        pytest.param(
            {"CREDCHAIN_ENABLE": "environment"},
            {"disable": ["environment"]},
            ["managed_identity"],
            id="disable by code",
        ),
        pytest.param(
            {"AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential"},
            {"order": ["managed_identity"]},
            ["managed_identity"],
            id="order by code over AZURE_TOKEN_CREDENTIALS",
        ),
    ],
)
def test_settings_make_the_chain(environment: dict[str, str], keywords: dict[str, Any], expected: list[str]) -> None:
    """Variables and keywords change the order; where both speak, the code wins."""
    placed = [name for name in names(environment, **keywords) if name != "shared_cache"]

    assert placed == expected


def test_what_the_code_enables_takes_part_in_any_case() -> None:
    """Code over environment: one class named by AZURE_TOKEN_CREDENTIALS does not undo an `enable` of the program."""
    placed = names({"AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential"}, enable=["managed_identity"])

    assert placed == ["environment", "managed_identity"]


@pytest.mark.parametrize("one", LISTED, ids=lambda one: one.name)
def test_each_exclude_keyword_of_the_list_is_one(one: Any) -> None:
    """A keyword with the default False, which leaves its source out and says so."""
    parameter = inspect.signature(DefaultAzureCredential).parameters[one.exclude]
    keywords: dict[str, Any] = {one.exclude: True}

    plan = DefaultAzureCredential(host=world(), **keywords).plan

    assert parameter.default is False
    assert plan.left_out[one.name] == f"disabled by the keyword {one.exclude}"
    assert one.name not in [place.name for place in plan.places]


def test_the_environment_is_the_host_s() -> None:
    """A chain in a test is ruled by what the test says."""
    assert names({"CREDCHAIN_ORDER": "managed_identity"}) == ["managed_identity"]
    assert names({}) == HERE


# Refusals


@pytest.mark.parametrize(
    ("keyword", "meant"),
    [
        ("exclude_enviroment_credential", "exclude_environment_credential"),
        ("managed_identity_clientid", "managed_identity_client_id"),
        ("authorty", "authority"),
    ],
)
def test_an_unknown_keyword_is_a_type_error_with_the_nearest(keyword: str, meant: str) -> None:
    """And never silently ignored: an exclusion that does not exclude would be another identity."""
    with pytest.raises(TypeError) as caught:
        DefaultAzureCredential(host=world(), **{keyword: True})  # type: ignore[arg-type]

    assert str(caught.value) == f"DefaultAzureCredential() has no keyword {keyword!r}; did you mean {meant!r}?"


@pytest.mark.parametrize(
    ("environment", "keywords", "origin"),
    [
        ({}, {"order": ["enviroment", "..."]}, "the keyword order"),
        ({}, {"enable": ["enviroment"]}, "the keyword enable"),
        ({}, {"disable": ["enviroment"]}, "the keyword disable"),
        ({"CREDCHAIN_ORDER": "enviroment"}, {}, "the environment variable CREDCHAIN_ORDER"),
        ({"CREDCHAIN_ENABLE": "enviroment"}, {}, "the environment variable CREDCHAIN_ENABLE"),
        ({"CREDCHAIN_DISABLE": "enviroment"}, {}, "the environment variable CREDCHAIN_DISABLE"),
    ],
    ids=["order", "enable", "disable", "CREDCHAIN_ORDER", "CREDCHAIN_ENABLE", "CREDCHAIN_DISABLE"],
)
def test_an_unknown_name_is_told_with_nearest_known_and_origin(
    environment: dict[str, str], keywords: dict[str, Any], origin: str
) -> None:
    """At once, not when the chain gets there."""
    said = refusal(environment, **keywords, known=registry(Installed("acme", vault="acme_vault")))

    assert "'enviroment'; did you mean 'environment'?" in said
    assert all(known in said for known in (*HERE, "vault"))
    assert said.startswith(f"{origin}: ")


def test_an_unknown_selection_is_told_with_the_nearest() -> None:
    """AZURE_TOKEN_CREDENTIALS takes the classes of the priority list."""
    said = refusal({"AZURE_TOKEN_CREDENTIALS": "EnvironmentCredentials"})

    assert said.startswith("AZURE_TOKEN_CREDENTIALS: ")
    assert "did you mean 'EnvironmentCredential'?" in said
    assert all(one.credential_class in said for one in LISTED)


@pytest.mark.parametrize(
    ("environment", "keywords", "setting"),
    [
        ({}, {"disable": [one.name for one in LISTED]}, "the keyword disable"),
        ({}, {one.exclude: True for one in LISTED}, "the keyword exclude_managed_identity_credential"),
        ({"CREDCHAIN_DISABLE": ",".join(one.name for one in LISTED)}, {}, "the environment variable CREDCHAIN_DISABLE"),
        ({}, {"order": []}, "the keyword order"),
        ({}, {"order": ["environment"], "exclude_environment_credential": True}, "exclude_environment_credential"),
    ],
    ids=["disable", "exclude", "CREDCHAIN_DISABLE", "order", "order and exclude"],
)
def test_nothing_enabled_says_which_setting(
    environment: dict[str, str], keywords: dict[str, Any], setting: str
) -> None:
    """A chain without sources is a wrong setting, and the message has it."""
    said = refusal(environment, **keywords)

    assert said.startswith("no source is enabled")
    assert setting in said


@pytest.mark.parametrize(
    "environment", [{}, {"AZURE_TOKEN_CREDENTIALS": ""}, {"AZURE_TOKEN_CREDENTIALS": " "}], ids=repr
)
def test_require_envvar_insists(environment: dict[str, str]) -> None:
    """A variable that says nothing is not set; azure-identity raises ValueError here."""
    with pytest.raises(ValueError, match=r"AZURE_TOKEN_CREDENTIALS .* require_envvar"):
        names(environment, require_envvar=True)


def test_require_envvar_is_content_with_a_value() -> None:
    """And the value rules as ever."""
    assert names({"AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential"}, require_envvar=True) == ["environment"]


def test_transport_and_session_exclude_each_other() -> None:
    """Only one of them can be the way out."""
    with pytest.raises(TypeError, match="transport and session"):
        DefaultAzureCredential(transport=FakeTransport(), session=object())  # type: ignore[arg-type]


def test_a_bad_authority_is_told_at_once() -> None:
    """Whether or not a source will ever use it."""
    with pytest.raises(ValueError, match="^authority: must use https"):
        DefaultAzureCredential(authority="http://login.microsoftonline.com", host=world())


# What the sources get


def test_the_environment_s_service_principal_gives_the_token(fake_clock: FakeClock) -> None:
    """The first source of the list that applies; the request goes to the authority given."""
    transport = FakeTransport(token_response("the-token"))
    credential = DefaultAzureCredential(
        authority="login.microsoftonline.us", host=world(transport, SERVICE_PRINCIPAL, clock=fake_clock)
    )

    token = run(credential.get_token(SCOPE), clock=fake_clock)

    assert token.token == "the-token"
    assert credential.selected == "environment"
    assert [request.url for request in transport.requests] == [
        "https://login.microsoftonline.us/contoso/oauth2/v2.0/token"
    ]


@pytest.mark.parametrize(
    ("environment", "keywords", "expected"),
    [
        ({}, {}, None),
        ({"AZURE_CLIENT_ID": "by-environment"}, {}, "by-environment"),
        ({}, {"managed_identity_client_id": "by-code"}, "by-code"),
        ({"AZURE_CLIENT_ID": "by-environment"}, {"managed_identity_client_id": "by-code"}, "by-code"),
    ],
    ids=["neither", "environment", "code", "both"],
)
def test_the_managed_identity_is_named_by_code_then_environment(
    environment: dict[str, str], keywords: dict[str, Any], expected: str | None, fake_clock: FakeClock
) -> None:
    """Settings reach their source, and the code wins there too."""
    transport = FakeTransport(json_response({"access_token": "t", "expires_in": "3600", "token_type": "Bearer"}))
    credential = DefaultAzureCredential(
        order=["managed_identity"], host=world(transport, environment, clock=fake_clock), **keywords
    )

    run(credential.get_token(SCOPE), clock=fake_clock)

    assert transport.requests[-1].params.get("client_id") == expected


def test_a_disabled_source_is_disabled_for_others_too(fake_clock: FakeClock) -> None:
    """`environment` builds on `client_secret` by name, so disabling that is felt there."""
    transport = FakeTransport(token_response())
    credential = DefaultAzureCredential(
        order=["environment"], disable=["client_secret"], host=world(transport, SERVICE_PRINCIPAL, clock=fake_clock)
    )

    with pytest.raises(ChainUnavailableError, match="client_secret: disabled by the keyword disable"):
        run(credential.get_token(SCOPE), clock=fake_clock)

    assert transport.requests == []


# Strangers


def test_a_stranger_joins_only_if_it_is_named(vault: Callable[[str], Distribution]) -> None:
    """Being installed is no invitation; being broken harms nobody then."""
    known = registry(vault("raise RuntimeError('broken')"))

    assert names(known=known) == HERE
    assert names(known=known, enable=["vault"]) == [*HERE, "vault"]
    assert names(known=known, order=["vault", "..."]) == ["vault", *HERE]
    assert names({"CREDCHAIN_ORDER": "vault,environment"}, known=known) == ["vault", "environment"]
    assert "acme_vault" not in sys.modules


def test_a_named_stranger_gives_the_token(vault: Callable[[str], Distribution], fake_clock: FakeClock) -> None:
    """In its place, with its package in the attempt."""
    credential = DefaultAzureCredential(
        order=["environment", "vault"], host=world(clock=fake_clock), registry=registry(vault(VAULT))
    )

    token = run(credential.get_token(SCOPE), clock=fake_clock)

    assert token.token == "from the vault"
    assert credential.selected == "vault"
    assert credential.attempts[-1].distribution == "acme 1.0"


@pytest.mark.parametrize("keywords", [{"enable": ["vault"]}, {"order": ["vault", "..."]}], ids=["enable", "order"])
def test_a_named_stranger_must_be_usable(
    keywords: dict[str, Any], vault: Callable[[str], Distribution], fake_clock: FakeClock
) -> None:
    """Going on without it would be another identity than the one that was asked for."""
    credential = DefaultAzureCredential(
        **keywords,
        exclude_managed_identity_credential=True,
        host=world(clock=fake_clock),
        registry=registry(vault("raise RuntimeError('broken')")),
    )

    with pytest.raises(ProviderLoadError, match=r"acme 1\.0 cannot be loaded: RuntimeError: broken"):
        run(credential.get_token(SCOPE), clock=fake_clock)


def test_a_stranger_cannot_take_a_built_in_s_place(fake_clock: FakeClock) -> None:
    """Whatever is installed, `environment` is credchain's own."""
    transport = FakeTransport(token_response("the-token"))
    credential = DefaultAzureCredential(
        order=["environment"],
        host=world(transport, SERVICE_PRINCIPAL, clock=fake_clock),
        registry=registry(Installed("evil", environment="no_such_module")),
    )

    run(credential.get_token(SCOPE), clock=fake_clock)

    assert credential.attempts[-1].distribution == "credchain 1.0"


# Imports


def test_making_the_credential_imports_no_source() -> None:
    """Names come from the list; neither sources nor what they need are loaded before a token is wanted."""
    loaded = run_python(
        "import sys\n"
        "from credchain.aio import DefaultAzureCredential\n"
        "DefaultAzureCredential()\n"
        "heavy = ('aiohttp', 'msal', 'cryptography', 'pluggy', 'credchain_plugins')\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in heavy))\n"
    )

    assert loaded == "[]"


@pytest.mark.parametrize(
    ("keywords", "absent"),
    [
        ("disable=['managed_identity']", "credchain_plugins.managed_identity"),
        ("order=['environment', 'managed_identity']", "credchain_plugins.managed_identity"),
        ("exclude_managed_identity_credential=True", "credchain_plugins.managed_identity"),
        ("", "credchain_plugins.shared_cache"),
        ("", "msal"),
        ("", "cryptography"),
        ("", "aiohttp"),
    ],
)
def test_what_is_not_selected_is_not_imported(keywords: str, absent: str) -> None:
    """Neither a disabled source nor one that the chain does not reach."""
    script = f"""
import sys
from credchain.aio import DefaultAzureCredential
from credchain.host import Host
from credchain.testing import FakeClock, FakeTransport, run, token_response

clock = FakeClock()
host = Host(transport=FakeTransport(token_response()), clock=clock, environment={SERVICE_PRINCIPAL!r})
credential = DefaultAzureCredential({keywords}{", " if keywords else ""}host=host)
run(credential.get_token({SCOPE!r}), clock=clock)
print("credchain_plugins.environment" in sys.modules, {absent!r} in sys.modules)
"""

    assert run_python(script) == "True False"


# Pickling and closing


def test_a_default_credential_crosses_to_another_process() -> None:
    """It is its settings; the other process makes its own."""
    credential = DefaultAzureCredential(
        order=("environment", "managed_identity"),
        authority="login.microsoftonline.us",
        managed_identity_client_id="id",
        additionally_allowed_tenants=["*"],
        timeout=20.0,
    )

    again = pickle.loads(pickle.dumps(credential))

    assert type(again) is DefaultAzureCredential
    assert again.plan == credential.plan
    assert pickle.dumps(again) == pickle.dumps(credential)


@pytest.mark.parametrize("given", ["transport", "host", "registry", "session"])
def test_what_cannot_cross_is_refused(given: str) -> None:
    """A transport, session, host or registry belongs to this process; the error says what to do."""
    things: dict[str, Any] = {
        "transport": FakeTransport(),
        "host": world(),
        "registry": registry(),
        "session": object(),
    }
    credential = DefaultAzureCredential(order=["environment"], **{given: things[given]})

    with pytest.raises(TypeError, match="cannot be pickled.*make one in the other process"):
        pickle.dumps(credential)


def test_a_lent_transport_stays_open(fake_clock: FakeClock) -> None:
    """Closing the credential closes nothing that it did not open, and it can be used again."""
    transport = FakeTransport(token_response())
    credential = DefaultAzureCredential(host=world(transport, SERVICE_PRINCIPAL, clock=fake_clock))

    async def use() -> str:
        async with credential:
            await credential.get_token(SCOPE)
        return (await credential.get_token("https://other/.default")).token

    assert run(use(), clock=fake_clock) == "a-token"
    assert transport.closed == 0


def test_it_is_a_chain() -> None:
    """Programs that look for the reference's base class find it."""
    assert issubclass(DefaultAzureCredential, ChainedTokenCredential)
