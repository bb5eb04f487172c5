"""Gathering: files, environment and code become one set of settings, with every fault of all of them in one error."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from credchain.errors import ConfigurationError
from credchain.settings import Allowed, Given, Layer, Settings, Value, default_order, gather
from credchain.settings.files import ConfigFile, standard_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LISTED = default_order()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a file; gives its path."""

    def written(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return written


def gathered(
    *files: Path, environment: dict[str, str] | None = None, layer: Layer | None = None, **given: Any
) -> Settings:
    """What these files, as the system's and the user's, and the rest make."""
    return gather(
        environment or {},
        Given(layer or Layer(), **given),
        listed=LISTED,
        files=lambda: [ConfigFile(file, f"the file {file.name}") for file in files],
    )


def refusal(*files: Path, **rest: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        gathered(*files, **rest)
    return str(caught.value)


def test_a_file_s_tables_are_a_layer(write: Callable[[str, str], Path]) -> None:
    """Each value with the file as its origin; what the chain reads of a source apart from what its provider does."""
    file = write(
        "user.toml",
        """
        [chain]
        order = ["environment", "vault", "..."]
        enable = ["shared_cache"]
        disable = ["managed_identity"]
        timeout = 5
        observe = ["opentelemetry"]
        [source.vault]
        provider = "acme-vault/vault"
        timeout = 2.5
        on_failure = "continue"
        address = "https://vault.internal"
        [policy]
        deny = ["authorization_code"]
        require = ["environment"]
        allowed_authorities = ["login.microsoftonline.com"]
        allowed_tenants = ["Contoso"]
        trusted_distributions = ["acme-vault"]
        """,
    )
    origin = "the file user.toml"

    found = gathered(file)

    assert found.order == Value(("environment", "vault", "..."), origin)
    assert found.wanted == {"shared_cache": Value(True, origin), "managed_identity": Value(False, origin)}
    assert (found.timeout, found.observe) == (Value(5.0, origin), Value(("opentelemetry",), origin))
    assert found.places["vault"] == {
        "provider": Value("acme-vault/vault", origin),
        "timeout": Value(2.5, origin),
        "on_failure": Value("continue", origin),
    }
    assert found.sources["vault"] == {"address": Value("https://vault.internal", origin, "toml")}
    assert (found.policy.deny, found.policy.require) == ({"authorization_code": origin}, {"environment": origin})
    assert found.policy.authorities == Allowed(frozenset({"https://login.microsoftonline.com"}), (origin,))
    assert found.policy.tenants == Allowed(frozenset({"contoso"}), (origin,))
    assert found.policy.distributions == Allowed(frozenset({"acme-vault"}), (origin,))


def test_the_later_layer_wins(write: Callable[[str, str], Path]) -> None:
    """System file, user file, the file that CREDCHAIN_CONFIG names, environment, the code's file, the code's keywords."""
    files = [write(f"{name}.toml", f'[source.x]\naddress = "{name}"\n') for name in ("system", "user")]
    named = write("named.toml", '[source.x]\naddress = "named"\n')
    code = write("code.toml", '[source.x]\naddress = "code"\n')
    keyword = Layer(sources={"x": {"address": Value("keyword", "the keyword address")}})
    variables = {"CREDCHAIN_CONFIG": str(named)}
    variable = {**variables, "CREDCHAIN_SOURCE__X__ADDRESS": "variable"}

    found = [
        gathered(files[0]),
        gathered(*files),
        gathered(*files, environment=variables),
        gathered(*files, environment=variable),
        gathered(*files, environment=variable, config=str(code)),
        gathered(*files, environment=variable, config=code),
        gathered(*files, environment=variable, config={"source": {"x": {"address": "table"}}}),
        gathered(*files, environment=variable, config=code, layer=keyword),
    ]

    said = [settings.sources["x"]["address"].value for settings in found]
    assert said == ["system", "user", "named", "variable", "code", "code", "table", "keyword"]


def test_every_value_knows_its_layer(write: Callable[[str, str], Path]) -> None:
    """A file, a variable, a keyword."""
    named = write("named.toml", "[chain]\ntimeout = 5\n")
    variables = {"CREDCHAIN_CONFIG": str(named), "CREDCHAIN_ENABLE": "shared_cache"}

    found = gathered(environment=variables, config={"chain": {"observe": ["x"]}})

    assert found.timeout is not None
    assert found.timeout.origin == f"the file {named} (named by CREDCHAIN_CONFIG)"
    assert found.wanted["shared_cache"].origin == "the environment variable CREDCHAIN_ENABLE"
    assert found.observe == Value(("x",), "the keyword config")


def test_a_profile_is_laid_over_its_own_file(write: Callable[[str, str], Path]) -> None:
    """So a later file still wins over an earlier file's profile; and only the chosen profile counts."""
    system = write(
        "system.toml",
        '[chain]\ntimeout = 1\n[profile.test.chain]\ntimeout = 2\nobserve = ["a"]\n[profile.live.chain]\ntimeout = 9\n',
    )
    user = write("user.toml", "[chain]\ntimeout = 3\n")

    found = gathered(system, user, environment={"CREDCHAIN_PROFILE": "test"})

    assert (found.timeout, found.observe) == (
        Value(3.0, "the file user.toml"),
        Value(("a",), "the file system.toml"),
    )


def test_the_code_s_profile_wins(write: Callable[[str, str], Path]) -> None:
    """Over the environment's."""
    file = write("user.toml", "[profile.a.chain]\ntimeout = 1\n[profile.b.chain]\ntimeout = 2\n")

    found = gathered(file, environment={"CREDCHAIN_PROFILE": "a"}, profile="b")

    assert found.timeout == Value(2.0, "the file user.toml")


def test_a_profile_can_only_narrow_a_policy(write: Callable[[str, str], Path]) -> None:
    """As any other layer."""
    file = write(
        "user.toml",
        '[policy]\ndeny = ["a"]\nallowed_tenants = ["t", "u"]\n[profile.p.policy]\nallowed_tenants = ["u", "v"]\n',
    )

    policy = gathered(file, profile="p").policy

    assert set(policy.deny) == {"a"}
    assert policy.tenants is not None
    assert policy.tenants.values == {"u"}


def test_a_profile_that_nobody_has_is_refused(write: Callable[[str, str], Path]) -> None:
    """With the nearest, and who chose it."""
    file = write("user.toml", "[profile.staging.chain]\ntimeout = 1\n")

    assert refusal(file, profile="stagin") == (
        "the keyword profile: there is no profile 'stagin'; did you mean 'staging'? (known: staging)"
    )
    assert refusal(environment={"CREDCHAIN_PROFILE": "x"}).endswith("no file that was read has any")


def test_files_of_the_machine_need_not_exist(tmp_path: Path) -> None:
    """Most machines have none."""
    assert gathered(tmp_path / "none.toml", tmp_path / "no" / "folder.toml") == Layer()


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    """Who names a file wants it read."""
    for rest in ({"environment": {"CREDCHAIN_CONFIG": str(tmp_path / "x.toml")}}, {"config": tmp_path / "x.toml"}):
        assert refusal(**rest).endswith("there is no such file")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A directory in its place, or bytes that are no text."""
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")

    assert "it cannot be read: " in refusal(config=tmp_path)
    assert refusal(config=binary).endswith("it is not UTF-8 text")


def test_bad_toml_is_told_with_its_line(write: Callable[[str, str], Path]) -> None:
    """As the parser tells it."""
    wrong = write("user.toml", "[chain]\ntimeout = 5\norder = x\n")
    cut_off = write("system.toml", "[chain]\norder = [\n")

    assert refusal(wrong) == "the file user.toml, line 3: it is no TOML: Invalid value"
    assert "(at end of document)" in refusal(cut_off)


def test_what_stands_in_the_place_of_a_table_is_not_repeated(write: Callable[[str, str], Path]) -> None:
    """It may be a secret that somebody put there."""
    file = write("user.toml", "[source]\nclient_secret = 'hunter2'\n")

    assert refusal(file) == "the file user.toml: source.client_secret: must be a table, not a text"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[chian]\n", "chian: there is no such table; did you mean 'chain'?"),
        ("[profil.x]\n", "profil: there is no such table; did you mean 'profile'?"),
        ("[profile.x.chian]\n", "profile.x.chian: there is no such table; did you mean 'chain'?"),
        ("[chain]\nordre = []\n", "chain.ordre: there is no such setting; did you mean 'order'?"),
        ("[chain]\norder = 'environment'\n", "chain.order: must be a list of strings, not 'environment'"),
        ("[chain]\ntimeout = 'soon'\n", "chain.timeout: must be a number, not 'soon'"),
        ("[chain]\ntimeout = -1\n", "chain.timeout: must be a number of seconds above 0, not -1.0"),
        ("[source.x]\non_failure = 'go on'\n", "source.x.on_failure: must be one of 'stop', 'continue', not 'go on'"),
        ("[source.x]\ntimeout = true\n", "source.x.timeout: must be a number, not True"),
        ("[source]\nx = 5\n", "source.x: must be a table, not a number"),
        ("chain = 5\n", "chain: must be a table, not a number"),
        ("[policy]\nallow = ['x']\n", "policy.allow: there is no such setting"),
        ("[policy]\nallowed_authorities = ['http://x']\n", "policy.allowed_authorities: must use https"),
        ("[profile]\nx = 1\n", "profile.x: must be a table, not a number"),
    ],
)
def test_each_fault_is_told_with_file_and_key(write: Callable[[str, str], Path], text: str, told: str) -> None:
    """And what was expected, or the nearest name."""
    assert refusal(write("user.toml", text)).startswith(f"the file user.toml: {told}")


def test_all_faults_of_all_layers_are_one_error(write: Callable[[str, str], Path]) -> None:
    """Whoever repairs a configuration sees everything at once."""
    files = [write("system.toml", "[chian]\n"), write("user.toml", "[chain]\ntimeout = 0\nordre = []\n")]
    variables = {"CREDCHAIN_TIMEOUT": "x", "CREDCHAIN_ODER": "a", "AZURE_TOKEN_CREDENTIALS": "pro"}

    said = refusal(*files, environment=variables, config={"policy": 5})

    assert said.splitlines()[0] == "7 settings are wrong:"
    for part in ("chian", "chain.timeout", "chain.ordre", "CREDCHAIN_TIMEOUT", "CREDCHAIN_ORDER'?", "prod'?", "policy"):
        assert part in said


@pytest.mark.parametrize("name", ["environment", "..."])
def test_a_name_that_stands_twice_in_the_order_is_a_fault(name: str) -> None:
    """A second place could only mislead; in any layer that has the last word."""
    order = f"{name},shared_cache,{name}"

    said = refusal(environment={"CREDCHAIN_ORDER": order})

    assert said == f"the environment variable CREDCHAIN_ORDER: chain.order: {name!r} stands there twice"


def test_providers_that_lead_to_each_other_are_a_fault(write: Callable[[str, str], Path]) -> None:
    """There is no provider at the end of a circle."""
    file = write("user.toml", "[source.a]\nprovider = 'b'\n[source.b]\nprovider = 'a'\n[source.c]\nprovider = 'c'\n")

    said = refusal(file)

    assert "source.a.provider: leads back to itself: a -> b -> a" in said
    assert "source.c" not in said


def test_the_machine_has_a_system_file_and_a_user_file() -> None:
    """In this order; both are called credchain.toml and lie in absolute places."""
    system, user = standard_files()

    assert (system.path.name, user.path.name) == ("credchain.toml", "credchain.toml")
    assert system.path.is_absolute()
    assert str(user.path).startswith(os.path.expanduser("~"))
    assert not system.needed
    assert not user.needed
