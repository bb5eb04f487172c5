"""The registry: strangers are seen and not trusted, nothing is imported before its time, failures are their owner's."""

from __future__ import annotations

import logging
import sys
from importlib.metadata import Distribution, EntryPoint
from typing import TYPE_CHECKING

import attrs
import pytest

from credchain.errors import ProviderLoadError
from credchain.events import SourceSelected
from credchain.host import Host
from credchain.registry import Registry
from credchain.testing import FakeTransport, StaticCredential

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GROUP = "credchain.providers"

VAULT = """
from credchain import Provider, hookimpl
from credchain.testing import StaticCredential

@hookimpl
def credchain_provider():
    return Provider(name="vault", build=lambda settings, host: StaticCredential("from MODULE"))
"""

OBSERVER = (
    VAULT
    + """
heard = []

@hookimpl
def credchain_event(event):
    heard.append(event)
    if broken:
        raise RuntimeError("observer's own bug")

broken = False
"""
)


class Installed(Distribution):
    """A package as it stands in metadata: its name, version and entry points."""

    def __init__(self, name: str, version: str, **sources: str) -> None:
        lines = [f"{source} = {value}" for source, value in sources.items()]
        self._files = {
            "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            "entry_points.txt": "\n".join(["[console_scripts]", "tool = x:y", f"[{GROUP}]", *lines]),
        }

    def read_text(self, filename: str) -> str | None:
        return self._files.get(filename)

    def locate_file(self, path: object) -> Path:
        raise NotImplementedError(path)


class Ruined(Installed):
    """A package whose metadata were half removed."""

    def read_text(self, filename: str) -> str | None:
        return None if filename == "METADATA" else super().read_text(filename)


OWN = Installed("credchain", "1.2.3", environment="own_environment", managed_identity="own_managed_identity")


def registry(*others: Distribution, own: Distribution = OWN) -> Registry:
    """A registry in a world where these are installed."""
    return Registry(own=lambda: own, installed=lambda: [*others, own])


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Callable[[str, str], str]]:
    """Writes a module that can be imported during the test; gives its name."""
    before = set(sys.modules)
    sys.path.insert(0, str(tmp_path))

    def write(name: str, code: str) -> str:
        (tmp_path / f"{name}.py").write_text(code.replace("MODULE", name), encoding="utf-8")
        return name

    yield write
    sys.path.remove(str(tmp_path))
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


def host() -> Host:
    return Host(transport=FakeTransport())


# What is installed


def test_everything_installed_is_listed_and_nothing_imported() -> None:
    """Own sources first, strangers by name; the modules named do not even exist."""
    found = registry(
        Installed("zeta", "2", vault="no_such_module"), Installed("acme", "1.0", ledger="no_such_module")
    ).discover()

    assert [(one.name, one.package, one.builtin, one.refused) for one in found] == [
        ("environment", "credchain 1.2.3", True, None),
        ("managed_identity", "credchain 1.2.3", True, None),
        ("ledger", "acme 1.0", False, None),
        ("vault", "zeta 2", False, None),
    ]


def test_own_sources_are_found_without_a_look_at_strangers() -> None:
    """A chain of built-in sources never scans the other packages."""

    def scan() -> list[Distribution]:
        raise AssertionError("scanned")

    lonely = Registry(own=lambda: OWN, installed=scan)

    assert list(lonely.builtins()) == ["environment", "managed_identity"]
    assert lonely.find("environment").package == "credchain 1.2.3"


def test_other_entry_points_are_none_of_ours() -> None:
    """Only the group of providers counts."""
    assert "tool" not in registry().builtins()


def test_a_package_that_claims_a_built_in_name_is_refused() -> None:
    """With both packages in the message; the name stays credchain's."""
    found = registry(Installed("evil", "6.6", environment="evil_module"))

    refused = [one.refused for one in found.discover() if one.distribution == "evil"]

    assert refused == ["environment: evil 6.6 registers 'environment', which belongs to credchain 1.2.3"]
    assert found.find("environment").package == "credchain 1.2.3"


def test_a_built_in_name_is_refused_under_any_spelling() -> None:
    """Naming the package does not make its claim good."""
    found = registry(Installed("evil", "6.6", environment="evil_module"))

    with pytest.raises(ProviderLoadError, match=r"evil 6\.6 .* belongs to credchain 1\.2\.3"):
        found.find("evil/environment")


@pytest.mark.parametrize("name", ["credchain", "Credchain", "CREDCHAIN"])
def test_a_second_credchain_adds_nothing(name: str) -> None:
    """Own sources come from the own distribution alone, whatever else bears its name."""
    found = registry(Installed(name, "9.9", vault="x", environment="y")).discover()

    assert [one.package for one in found] == ["credchain 1.2.3", "credchain 1.2.3"]


def test_two_strangers_with_one_name_are_both_refused() -> None:
    """Each message names both packages, and how to name the one that is meant."""
    found = registry(Installed("acme", "1.0", vault="a"), Installed("zeta", "2", vault="z"))

    refused = {one.distribution: one.refused or "" for one in found.discover() if not one.builtin}

    for mine, other in (("acme", "zeta 2"), ("zeta", "acme 1.0")):
        assert refused[mine].startswith("vault: ")
        assert other in refused[mine]
        assert f"{mine}/vault" in refused[mine]
    with pytest.raises(ProviderLoadError, match="acme.*zeta"):
        found.find("vault")


def test_a_rival_can_be_named_with_its_package(module: Callable[[str, str], str]) -> None:
    """As the refusal says: it is found, loaded and built."""
    found = registry(
        Installed("acme", "1.0", vault=module("vault_of_acme", VAULT)),
        Installed("zeta", "2", vault=module("vault_of_zeta", VAULT)),
    )

    provider = found.load("zeta/vault")
    credential = found.build(provider, None, host())

    assert found.find("zeta/vault").package == "zeta 2"
    assert isinstance(credential, StaticCredential)
    assert "vault_of_acme" not in sys.modules


def test_a_package_that_is_installed_twice_is_one() -> None:
    """The one that comes first on the path is the one that Python imports."""
    found = registry(Installed("acme", "1.0", vault="a"), Installed("Acme", "0.9", vault="a")).discover()

    assert [(one.package, one.refused) for one in found if not one.builtin] == [("acme 1.0", None)]


def test_a_package_with_ruined_metadata_breaks_nobody() -> None:
    """A half removed package is a stranger's failure; the others are there as before."""
    found = registry(Ruined("ruin", "1", ruin="r"), Installed("acme", "1.0", vault="a"))

    names = [one.name for one in found.discover()]

    assert {"environment", "managed_identity", "vault"} <= set(names)


def test_an_unknown_name_is_told_with_the_nearest_and_all() -> None:
    """What was said, what was perhaps meant, what there is."""
    with pytest.raises(ProviderLoadError) as caught:
        registry(Installed("acme", "1.0", vault="a")).find("vaullt")

    assert str(caught.value) == (
        "no installed package has a source 'vaullt'; did you mean 'vault'? (known: environment, managed_identity, vault)"
    )
    assert (caught.value.source, caught.value.distribution) == ("vaullt", None)


# Loading


def test_a_source_is_imported_when_it_is_loaded_and_once(module: Callable[[str, str], str]) -> None:
    """Not when it is listed or found, and the second time is the first's result."""
    found = registry(Installed("acme", "1.0", vault=module("vault_lazy", VAULT)))
    found.discover()
    found.find("vault")
    before = "vault_lazy" in sys.modules

    provider = found.load("vault")

    assert (before, "vault_lazy" in sys.modules) == (False, True)
    assert found.load("vault") is provider
    assert found.failures == {}


def test_an_object_can_be_a_plugin(module: Callable[[str, str], str]) -> None:
    """An entry point may name an object in a module."""
    code = """
from credchain import Provider, hookimpl

class Plugin:
    @hookimpl
    def credchain_provider(self):
        return Provider(name="vault", build=lambda settings, host: (settings, host))

plugin = Plugin()
"""
    found = registry(Installed("acme", "1.0", vault=f"{module('vault_object', code)}:plugin"))
    world = host()

    provider = found.load("vault")

    assert found.build(provider, "settings", world) == ("settings", world)


def test_a_source_that_nobody_loads_breaks_nobody(module: Callable[[str, str], str]) -> None:
    """A broken neighbour is not even imported."""
    found = registry(
        Installed("acme", "1.0", vault=module("vault_whole", VAULT)),
        Installed("wreck", "1", wreck=module("vault_wreck", "raise RuntimeError('broken')")),
    )

    assert found.load("vault").name == "vault"
    assert found.failures == {}


@pytest.mark.parametrize(
    ("code", "why"),
    [
        pytest.param("raise RuntimeError('no licence')", "RuntimeError: no licence", id="import raises"),
        pytest.param("import no_such_dependency", "ModuleNotFoundError: No module named", id="dependency missing"),
        pytest.param("syntax error", "SyntaxError: ", id="no Python"),
        pytest.param("x = 1", "it has no hook credchain_provider", id="no hook"),
        pytest.param("def credchain_provider(): ...", "it has no hook credchain_provider", id="not marked"),
        pytest.param(
            "from credchain import hookimpl\n@hookimpl\ndef credchain_provider(): raise KeyError('k')",
            "KeyError: 'k'",
            id="hook raises",
        ),
        pytest.param(
            "from credchain import hookimpl\n@hookimpl\ndef credchain_provider(): return None",
            "its hook returned NoneType where a Provider belongs",
            id="nothing returned",
        ),
        pytest.param(
            "from credchain import hookimpl\n@hookimpl\ndef credchain_provider(): return {'name': 'vault'}",
            "its hook returned dict where a Provider belongs",
            id="wrong object",
        ),
        pytest.param(
            "from credchain import hookimpl\n@hookimpl\ndef credchain_provider(colour): ...",
            "colour",
            id="wrong signature",
        ),
        pytest.param(
            VAULT.replace('name="vault"', 'name="other"'),
            "its provider is called 'other', unlike its entry point",
            id="wrong name",
        ),
        pytest.param(
            VAULT.replace('name="vault"', 'name="vault", api=99'),
            "it was written for plugin API 99; this credchain has 1",
            id="wrong API version",
        ),
    ],
)
def test_a_broken_package_is_named_and_recorded(module: Callable[[str, str], str], code: str, why: str) -> None:
    """The error names source, package, version and reason; `failures` keeps it; asking again says the same."""
    found = registry(Installed("acme", "1.0", vault=module("vault_broken", code)))

    with pytest.raises(ProviderLoadError) as caught:
        found.load("vault")
    with pytest.raises(ProviderLoadError) as again:
        found.load("vault")

    assert str(caught.value).startswith("vault: the source of acme 1.0 cannot be loaded: ")
    assert why in str(caught.value)
    assert (caught.value.source, caught.value.distribution) == ("vault", "acme 1.0")
    assert found.failures["vault"].reason == str(caught.value) == str(again.value)
    assert found.failures["vault"].found.package == "acme 1.0"


def test_a_module_that_does_not_exist_is_the_package_s_failure() -> None:
    """An entry point into nowhere, and one without the attribute it names."""
    found = registry(Installed("acme", "1.0", vault="no_such_module", ledger="json:no_such_name"))

    for name in ("vault", "ledger"):
        with pytest.raises(ProviderLoadError, match=rf"^{name}: the source of acme 1\.0 cannot be loaded: "):
            found.load(name)
    assert set(found.failures) == {"vault", "ledger"}


def test_a_credchain_of_our_own_that_is_broken_looks_like_a_bug(module: Callable[[str, str], str]) -> None:
    """Only strangers are isolated; a bug of ours is not dressed up."""
    own = Installed("credchain", "1.2.3", environment=module("own_broken", "raise RuntimeError('bug')"))

    with pytest.raises(RuntimeError, match="^bug$"):
        registry(own=own).load("environment")


def test_a_build_that_raises_is_the_package_s_failure(module: Callable[[str, str], str]) -> None:
    """Whatever a stranger's build raises, the error names the package; the cause stays visible."""
    code = VAULT.replace('StaticCredential("from MODULE")', "1 / 0")
    found = registry(Installed("acme", "1.0", vault=module("vault_build", code)))
    provider = found.load("vault")

    with pytest.raises(ProviderLoadError, match=r"^vault: the source of acme 1\.0 .* ZeroDivisionError") as caught:
        found.build(provider, None, host())

    assert isinstance(caught.value.__cause__, ZeroDivisionError)


# Observers


def heard(name: str) -> list[object]:
    """What the observer in a module has heard."""
    events: list[object] = sys.modules[name].heard
    return events


def test_an_observer_hears_events_once_it_is_loaded(module: Callable[[str, str], str]) -> None:
    """Frozen records, as they are emitted; before that, nothing."""
    found = registry(Installed("acme", "1.0", vault=module("vault_observer", OBSERVER)))
    event = SourceSelected("vault", "acme 1.0", 0.5)
    found.emit(event)
    found.load("vault")

    found.emit(event)

    assert heard("vault_observer") == [event]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.source = "other"  # type: ignore[misc]


def test_an_observer_that_raises_is_told_once_and_harms_nobody(
    module: Callable[[str, str], str], caplog: pytest.LogCaptureFixture
) -> None:
    """The others hear every event; the log names the package, with the traceback, a single time."""
    ledger = OBSERVER.replace('name="vault"', 'name="ledger"').replace("broken = False", "broken = True")
    found = registry(
        Installed("acme", "1.0", vault=module("vault_first", OBSERVER)),
        Installed("wreck", "1", ledger=module("vault_second", ledger)),
        Installed("zeta", "2", safe=module("vault_third", OBSERVER.replace('name="vault"', 'name="safe"'))),
    )
    for name in ("vault", "ledger", "safe"):
        found.load(name)
    event = SourceSelected("vault", None, 0.5)

    with caplog.at_level(logging.DEBUG, logger="credchain"):
        for _ in range(3):
            found.emit(event)

    assert [len(heard(name)) for name in ("vault_first", "vault_second", "vault_third")] == [3, 3, 3]
    assert [record.getMessage() for record in caplog.records] == ["the observer wreck/ledger failed; this is told once"]
    assert caplog.records[0].exc_info


# The real thing


def test_the_real_registry_knows_credchain_s_sources() -> None:
    """The installed distribution registers each source by its own name."""
    found = Registry().builtins()

    assert {"environment", "client_secret", "managed_identity"} <= set(found)
    assert all(one.builtin and isinstance(one.entry_point, EntryPoint) for one in found.values())
