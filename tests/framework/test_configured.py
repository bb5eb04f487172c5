"""Chains under a configuration: files and policy are felt in what a chain asks, and a broken one never makes a chain."""

from __future__ import annotations

import asyncio
import pickle
import random
import sys
from importlib.metadata import Distribution
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from credchain import load_chain
from credchain.default import DefaultAzureCredential
from credchain.errors import (
    ChainStoppedError,
    ChainUnavailableError,
    ConfigurationError,
    CredentialUnavailableError,
    ProviderLoadError,
)
from credchain.host import Host
from credchain.installed import Packages
from credchain.registry import Registry
from credchain.testing import FakeClock, FakeTransport, json_response, run, token_response

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from credchain.configured import ConfiguredChain
    from credchain.http import Request, Response

SCOPE = "https://vault.azure.net/.default"
SERVICE_PRINCIPAL = {"AZURE_TENANT_ID": "contoso", "AZURE_CLIENT_ID": "app", "AZURE_CLIENT_SECRET": "secret"}

VAULT = """
import attrs
from credchain import CredentialUnavailableError, AuthenticationFailedError, Provider, hookimpl
from credchain.testing import StaticCredential

@attrs.frozen
class Settings:
    address: str = ""
    says: str = ""

class Vault(StaticCredential):
    def __init__(self, settings):
        super().__init__("from " + settings.address)
        self.settings = settings

    async def get_token_info(self, *scopes, options=None):
        if self.settings.says == "unavailable":
            raise CredentialUnavailableError("vault: not here")
        if self.settings.says == "failed":
            raise AuthenticationFailedError("vault: it is sealed")
        return await super().get_token_info(*scopes, options=options)

events = []

@hookimpl
def credchain_provider():
    return Provider(name="vault", settings=Settings, build=lambda settings, host: Vault(settings))

@hookimpl
def credchain_event(event):
    events.append(event)
"""


class Installed(Distribution):
    """A package with sources and observers, as it stands in metadata."""

    def __init__(self, name: str, observers: Mapping[str, str] | None = None, **sources: str) -> None:
        lines = [f"{source} = {value}" for source, value in sources.items()]
        watching = [f"{observer} = {value}" for observer, value in (observers or {}).items()]
        self._files = {
            "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
            "entry_points.txt": "\n".join(["[credchain.providers]", *lines, "[credchain.observers]", *watching]),
        }

    def read_text(self, filename: str) -> str | None:
        return self._files.get(filename)

    def locate_file(self, path: object) -> Path:
        raise NotImplementedError(path)


BUILT_IN = ("environment", "managed_identity", "shared_cache", "client_secret", "certificate", "authorization_code")
OWN = Installed("credchain", **{name: f"credchain_plugins.{name}" for name in BUILT_IN})


@pytest.fixture
def acme(tmp_path: Path) -> Iterator[Distribution]:
    """A stranger's package with the source and the observer `vault`."""
    sys.path.insert(0, str(tmp_path))
    (tmp_path / "acme_vault.py").write_text(VAULT, encoding="utf-8")
    yield Installed("acme", observers={"vault": "acme_vault"}, vault="acme_vault")
    sys.path.remove(str(tmp_path))
    sys.modules.pop("acme_vault", None)


def chain(
    config: Mapping[str, Any],
    *others: Distribution,
    environment: Mapping[str, str] | None = None,
    transport: FakeTransport | None = None,
    **keywords: Any,
) -> ConfiguredChain:
    """The chain that a configuration makes, where these packages are installed."""
    host = Host(
        transport=transport or FakeTransport(token_response()),
        clock=FakeClock(),
        random=random.Random(1),
        environment=environment or {},
    )
    registry = Registry(Packages(own=lambda: OWN, installed=lambda: [OWN, *others]))
    return load_chain(config=config, host=host, registry=registry, **keywords)


def token_of(credential: ConfiguredChain) -> str:
    clock = credential._host.clock
    assert isinstance(clock, FakeClock)
    return run(credential.get_token(SCOPE), clock=clock).token


def names(credential: ConfiguredChain) -> list[str]:
    return [place.name for place in credential.plan.places]


# Sources


def test_a_stranger_joins_when_a_file_names_it(acme: Distribution) -> None:
    """With the settings of its table."""
    config = {"chain": {"order": ["vault", "..."]}, "source": {"vault": {"address": "https://v"}}}

    credential = chain(config, acme)

    assert token_of(credential) == "from https://v"
    assert credential.selected == "vault"


def test_settings_alone_name_nobody(acme: Distribution) -> None:
    """A table says how a source is used, and not that it is; the plan says so, and the code is not loaded."""
    credential = chain({"source": {"vault": {"address": "x"}}}, acme)

    assert "vault" not in names(credential)
    assert (
        credential.plan.left_out["vault"]
        == "it has settings (the keyword config), but neither order nor enable names it"
    )
    assert "acme_vault" not in sys.modules


def test_two_sources_of_one_provider() -> None:
    """Each with its own settings and its own name."""
    table = {
        "chain": {"order": ["reader", "writer"]},
        "source": {
            "reader": {"provider": "managed_identity", "client_id": "reader-id"},
            "writer": {"provider": "managed_identity", "client_id": "writer-id"},
        },
    }

    def answer(request: Request) -> Response:
        if request.params.get("client_id") == "writer-id" or "resource" not in request.params:
            return token_response("the writer's", expires_in=3600)
        return json_response({"error": "invalid_request", "error_description": "Identity not found"}, status=400)

    credential = chain(table, transport=FakeTransport(answer))

    assert token_of(credential) == "the writer's"
    assert [(one.source, str(one.outcome)) for one in credential.attempts] == [
        ("reader", "unavailable"),
        ("writer", "token"),
    ]


def test_the_environment_names_settings_of_a_source(acme: Distribution) -> None:
    """CREDCHAIN_SOURCE__<NAME>__<KEY>, a provider included."""
    variables = {
        "CREDCHAIN_ORDER": "second",
        "CREDCHAIN_SOURCE__SECOND__PROVIDER": "vault",
        "CREDCHAIN_SOURCE__SECOND__ADDRESS": "https://v",
    }

    assert token_of(chain({}, acme, environment=variables)) == "from https://v"


def test_a_failure_may_be_passed_over_where_the_settings_say_so(acme: Distribution) -> None:
    """on_failure = "continue" is the one way to soften the stop."""
    vault = {"says": "failed"}
    order = {"order": ["vault", "client_secret"]}
    secret = {"tenant_id": "contoso", "client_id": "app", "client_secret": "s"}
    stops = chain({"chain": order, "source": {"vault": vault, "client_secret": secret}}, acme)
    goes_on = chain(
        {"chain": order, "source": {"vault": {**vault, "on_failure": "continue"}, "client_secret": secret}}, acme
    )

    with pytest.raises(ChainStoppedError):
        token_of(stops)

    assert token_of(goes_on) == "a-token"
    assert [str(one.outcome) for one in goes_on.attempts] == ["failed", "token"]


def test_a_source_s_deadline_is_a_setting() -> None:
    """Seconds, retries included; the chain's own as well."""
    silent = FakeTransport(token_response(), delay=1e6)
    secret = {"tenant_id": "contoso", "client_id": "app", "client_secret": "s"}
    slow = {"chain": {"order": ["client_secret"]}, "source": {"client_secret": {**secret, "timeout": 2.0}}}
    late = {"chain": {"order": ["client_secret"], "timeout": 3.0}, "source": {"client_secret": secret}}

    for table, seconds in ((slow, 2.0), (late, 3.0)):
        credential = chain(table, transport=silent)
        begun = credential._host.clock.monotonic()
        with pytest.raises(ChainStoppedError, match="no token|no answer"):
            token_of(credential)
        assert seconds <= credential._host.clock.monotonic() - begun <= seconds + 0.6


def test_a_disabled_source_is_not_imported(acme: Distribution) -> None:
    """Nor one whose table is in a file, if another layer disables it."""
    config = {"chain": {"enable": ["vault"]}, "source": {"vault": {"address": "x"}}}

    credential = chain(config, acme, environment=SERVICE_PRINCIPAL, disable=["vault"])

    assert token_of(credential) == "a-token"
    assert "acme_vault" not in sys.modules
    assert credential.plan.left_out["vault"] == "disabled by the keyword disable"


# Policy


@pytest.mark.parametrize("said", ["vault", "reader", "acme/vault"])
def test_what_a_policy_denies_takes_no_part(acme: Distribution, said: str) -> None:
    """By the source's name, its provider's, or with its package; whatever enables it, it is not imported."""
    config = {"source": {"reader": {"provider": "vault"}}, "policy": {"deny": [said]}}

    credential = chain(config, acme, environment={"CREDCHAIN_ORDER": "reader,..."}, enable=["reader"])

    assert "reader" not in names(credential)
    assert credential.plan.left_out["reader"] == "denied by the policy in the keyword config"
    assert "acme_vault" not in sys.modules


@pytest.mark.parametrize("said", ["shared_cach", "Managed_Identity"])
def test_a_misspelt_denial_is_told(said: str) -> None:
    """It would deny nobody. What is merely not installed here may be denied all the same."""
    with pytest.raises(ConfigurationError, match=f"policy.deny: there is no source '{said}'; did you mean"):
        chain({"policy": {"deny": [said]}})

    assert names(chain({"policy": {"deny": ["vault", "acme/vault"]}}))


def test_a_denied_source_is_denied_to_others_that_build_on_it() -> None:
    """`environment` with a secret builds on `client_secret`."""
    credential = chain({"policy": {"deny": ["client_secret"]}}, environment=SERVICE_PRINCIPAL, order=["environment"])

    with pytest.raises(ChainUnavailableError, match="client_secret: denied by the policy"):
        token_of(credential)


def test_the_environment_can_narrow_a_policy(acme: Distribution) -> None:
    """CREDCHAIN_POLICY__<KEY>; it cannot take back what a file says."""
    config = {"policy": {"deny": ["managed_identity"]}}

    credential = chain(
        config, acme, environment={"CREDCHAIN_POLICY__DENY": "shared_cache"}, enable=["managed_identity"]
    )

    assert "managed_identity" not in names(credential)
    assert credential.plan.left_out["shared_cache"] == (
        "denied by the policy in the environment variable CREDCHAIN_POLICY__DENY"
    )


def test_a_policy_may_require_a_source() -> None:
    """Without it there is no chain, and the error says why it has no place."""
    config = {"policy": {"require": ["environment"]}}

    assert "environment" in names(chain(config))
    with pytest.raises(
        ConfigurationError, match="a chain needs the source 'environment': disabled by the keyword disable"
    ):
        chain(config, disable=["environment"])


def test_a_policy_may_trust_some_packages_only(acme: Distribution) -> None:
    """A source or an observer of another package takes no part; credchain's own always may."""
    config = {"policy": {"trusted_distributions": ["other"]}}

    credential = chain(config, acme, order=["vault", "..."])

    assert "vault" not in names(credential)
    assert "does not trust the package acme" in credential.plan.left_out["vault"]
    with pytest.raises(ProviderLoadError, match="does not trust the package acme"):
        token_of(chain(config, acme, observe=["vault"]))
    assert "vault" in names(chain({"policy": {"trusted_distributions": ["Acme"]}}, acme, order=["vault"]))


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ({"allowed_tenants": ["fabrikam"]}, "policy: contoso is none of the tenants that the keyword config allows"),
        ({"allowed_authorities": ["login.microsoftonline.us"]}, "login.microsoftonline.com is none of the authorities"),
    ],
    ids=["tenant", "authority"],
)
def test_a_policy_s_tenants_and_authorities_hold_for_every_source(policy: dict[str, Any], told: str) -> None:
    """The inner source of another included: nothing is sent, and the chain stops."""
    transport = FakeTransport(token_response())
    credential = chain({"policy": policy}, environment=SERVICE_PRINCIPAL, transport=transport, order=["environment"])

    with pytest.raises(ChainStoppedError, match=told):
        token_of(credential)

    assert transport.requests == []


@pytest.mark.parametrize(
    ("builds_on", "told"),
    [({"ring": "ring"}, "ring -> ring"), ({"ring": "wheel", "wheel": "ring"}, "ring -> wheel -> ring")],
    ids=["itself", "each other"],
)
def test_a_source_that_builds_on_itself_is_told(
    tmp_path: Path, acme: Distribution, builds_on: dict[str, str], told: str
) -> None:
    """Instead of building for ever."""
    for name, other in builds_on.items():
        code = (
            "from credchain import Provider, hookimpl\n"
            "@hookimpl\n"
            "def credchain_provider():\n"
            f'    return Provider(name="{name}", build=lambda settings, host: host.source("{other}", {{}}))\n'
        )
        (tmp_path / f"acme_{name}.py").write_text(code)

    package = Installed("ring", **{name: f"acme_{name}" for name in builds_on})

    with pytest.raises(ConfigurationError, match=f"it builds on itself: {told}"):
        token_of(chain({}, package, order=["ring"]))
    for name in builds_on:
        sys.modules.pop(f"acme_{name}", None)


# Faults


def test_a_broken_configuration_makes_no_chain(acme: Distribution) -> None:
    """Everything that is wrong is told at construction: keys of built-in sources, unknown sources, secrets in files."""
    config = {
        "chain": {"order": ["environmnt", "..."]},
        "source": {
            "managed_identity": {"clientid": "x"},
            "nobody": {},
            "client_secret": {"tenant_id": 5},
        },
    }

    with pytest.raises(ConfigurationError) as caught:
        chain(config, acme)

    said = str(caught.value)
    assert said.startswith("4 settings are wrong:")
    for part in (
        "no installed package has a source 'environmnt'; did you mean 'environment'?",
        "source.managed_identity.clientid: there is no such setting; did you mean 'client_id'?",
        "source.nobody: no installed package has a source 'nobody'",
        "source.client_secret.tenant_id: must be a string, not 5",
    ):
        assert part in said


def test_what_a_built_in_source_needs_is_missed_at_once() -> None:
    """Where it has a table and a place; one that has no place may be incomplete."""
    table = {"source": {"client_secret": {"client_id": "app"}}}

    with pytest.raises(ConfigurationError) as caught:
        chain({"chain": {"order": ["client_secret"]}, **table})

    assert [fault.key for fault in caught.value.faults] == [
        "source.client_secret.tenant_id",
        "source.client_secret.client_secret",
    ]
    assert "client_secret" not in names(chain(table))


def test_one_unknown_source_is_its_own_kind_of_error() -> None:
    """With its name as a value."""
    with pytest.raises(ProviderLoadError) as caught:
        chain({"chain": {"order": ["nobody"]}})

    assert caught.value.source == "nobody"
    assert len(caught.value.faults) == 1


def test_a_stranger_s_settings_are_checked_before_it_is_used(acme: Distribution) -> None:
    """Its code is loaded by then, and not before."""
    credential = chain({"source": {"vault": {"adress": "x"}}}, acme, order=["vault"])

    with pytest.raises(
        ConfigurationError, match="source.vault.adress: there is no such setting; did you mean 'address'"
    ):
        token_of(credential)


# Observers


def test_an_observer_is_named_like_a_source(acme: Distribution) -> None:
    """By its name, alone or with its package; it hears from the first attempt on."""
    credential = chain({"chain": {"observe": ["acme/vault"]}}, acme, environment=SERVICE_PRINCIPAL)

    token_of(credential)

    events = sys.modules["acme_vault"].events
    assert {type(event).__name__ for event in events} >= {"AttemptFinished", "SourceSelected", "TokenAcquired"}


def test_what_nobody_asks_for_costs_nothing() -> None:
    """Without observers no event is made, and without limits to requests none is looked at."""
    transport = FakeTransport(token_response())

    world = chain({"policy": {"deny": ["shared_cache"]}}, transport=transport)._host

    assert world.emit is None
    assert world.transport is transport


def test_an_observer_that_nobody_has_is_an_error(acme: Distribution) -> None:
    """It was named, so it is missed; the nearest is told."""
    with pytest.raises(ProviderLoadError, match="no installed package has an observer 'valt'; did you mean 'vault'"):
        token_of(chain({}, acme, observe=["valt"]))


def test_a_module_without_the_hook_is_no_observer(tmp_path: Path, acme: Distribution) -> None:
    """The package is named."""
    (tmp_path / "acme_empty.py").write_text("")

    with pytest.raises(
        ProviderLoadError, match="mute: the observer of mute 1.0 cannot be loaded: it has no hook credchain_event"
    ):
        token_of(chain({}, Installed("mute", observers={"mute": "acme_empty"}), observe=["mute"]))


# As objects


def test_load_chain_is_a_chain_with_the_default_order() -> None:
    """It has no Azure names, and is called what it is."""
    credential = chain({})

    assert "environment" in names(credential)
    assert repr(credential).startswith("<ConfiguredChain of environment")


def test_a_configured_chain_pickles_with_what_the_code_said(tmp_path: Path) -> None:
    """Settings are read anew in the other process."""
    file = tmp_path / "credchain.toml"
    file.write_text("[chain]\norder = ['environment']\ntimeout = 5\n")
    credential = load_chain(config=file, disable=["shared_cache"])
    azure = DefaultAzureCredential(config=file, managed_identity_client_id="x")

    copies = [pickle.loads(pickle.dumps(one)) for one in (credential, azure)]

    assert [type(copy) for copy in copies] == [type(credential), DefaultAzureCredential]
    assert [(names(copy), copy._timeout) for copy in copies] == [(["environment"], 5.0)] * 2


def test_a_table_that_may_hold_secrets_is_not_pickled() -> None:
    """Nor shown; the error says what to give instead."""
    secret = {"tenant_id": "contoso", "client_id": "app", "client_secret": "hunter2"}
    credential = load_chain(config={"chain": {"order": ["client_secret"]}, "source": {"client_secret": secret}})

    with pytest.raises(TypeError, match="its configuration was given as a table, .* give the path of a file"):
        pickle.dumps(credential)
    assert "hunter2" not in repr(credential._given)


def test_a_host_of_its_own_has_no_files_of_this_machine(tmp_path: Path) -> None:
    """Tests do not depend on whoever runs them; a file that the host's environment names is read."""
    file = tmp_path / "credchain.toml"
    file.write_text("[chain]\norder = ['environment']\n")

    named = chain({}, environment={"CREDCHAIN_CONFIG": str(file)})

    assert names(named) == ["environment"]


def test_configuration_and_inner_errors_are_of_the_right_kind() -> None:
    """A denied inner source does not apply; the message is one that a chain goes on from."""
    credential = chain({"policy": {"deny": ["client_secret"]}}, environment=SERVICE_PRINCIPAL, order=["environment"])

    with pytest.raises(CredentialUnavailableError):
        token_of(credential)
    assert [str(one.outcome) for one in credential.attempts] == ["unavailable"]
    assert attrs.asdict(credential.attempts[0])["source"] == "environment"


# A package that takes its time


SLOW = """
import threading

begun, go_on = threading.Event(), threading.Event()
begun.set()
go_on.wait(30)

from credchain import Provider, hookimpl
from credchain.testing import StaticCredential

@hookimpl
def credchain_provider():
    return Provider(name="slow", build=lambda settings, host: StaticCredential("from the slow one"))
"""


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Distribution]:
    """A package whose import takes long; ended with the test."""
    sys.path.insert(0, str(tmp_path))
    (tmp_path / "acme_slow.py").write_text(SLOW, encoding="utf-8")
    yield Installed("snail", slow="acme_slow")
    module = sys.modules.get("acme_slow")
    if module is not None:
        module.go_on.set()
    sys.path.remove(str(tmp_path))
    sys.modules.pop("acme_slow", None)


def test_a_package_that_loads_for_ever_is_given_up(slow: Distribution) -> None:
    """After its deadline. It was named, so the chain stops; and says so in time, not when the import has ended."""
    host = Host(transport=FakeTransport(token_response()), environment=SERVICE_PRINCIPAL)
    registry = Registry(Packages(own=lambda: OWN, installed=lambda: [OWN, slow]))
    config = {"chain": {"order": ["slow", "environment"]}, "source": {"slow": {"timeout": 0.2}}}
    credential = load_chain(config=config, host=host, registry=registry)

    async def main() -> str:
        try:
            await credential.get_token(SCOPE)
        except ChainStoppedError as error:
            return str(error)
        finally:
            sys.modules["acme_slow"].go_on.set()
        return "a token"

    said = asyncio.run(main())
    assert "the chain stopped at slow" in said
    assert "its package was not loaded within 0.7 s" in said


def test_a_package_that_loads_slowly_may_be_passed_over_where_settings_say_so(slow: Distribution) -> None:
    """The others give their tokens as ever."""
    host = Host(transport=FakeTransport(token_response()), environment=SERVICE_PRINCIPAL)
    registry = Registry(Packages(own=lambda: OWN, installed=lambda: [OWN, slow]))
    table = {"timeout": 0.2, "on_failure": "continue"}
    credential = load_chain(
        config={"chain": {"order": ["slow", "environment"]}, "source": {"slow": table}}, host=host, registry=registry
    )

    async def main() -> str:
        try:
            return (await credential.get_token(SCOPE)).token
        finally:
            sys.modules["acme_slow"].go_on.set()

    assert asyncio.run(main()) == "a-token"
    assert credential.selected == "environment"
