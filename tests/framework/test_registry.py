"""The registry: strangers are seen and not trusted, nothing is imported before its time, failures are their owner's."""

from __future__ import annotations

import logging
import os
import sys
from importlib.metadata import Distribution, EntryPoint
from typing import TYPE_CHECKING

import attrs
import pytest

from credchain.errors import ProviderLoadError
from credchain.events import SourceSelected
from credchain.host import Host
from credchain.installed import Packages
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


class Placed(Installed):
    """A package in a directory."""

    def __init__(self, name: str, version: str, location: Path, **sources: str) -> None:
        super().__init__(name, version, **sources)
        self._location = location

    def locate_file(self, path: object) -> Path:
        return self._location / str(path)


class Twice(Installed):
    """A package that lists its sources two times."""

    def read_text(self, filename: str) -> str | None:
        text = super().read_text(filename)
        return text if text is None or filename != "entry_points.txt" else f"{text}\n{text.splitlines()[-1]}"


class Watching(Installed):
    """A package with observers."""

    def read_text(self, filename: str) -> str | None:
        text = super().read_text(filename)
        return None if text is None else text.replace(GROUP, "credchain.observers")


class Ruined(Installed):
    """A package whose metadata were half removed."""

    def read_text(self, filename: str) -> str | None:
        return None if filename == "METADATA" else super().read_text(filename)


OWN = Installed("credchain", "1.2.3", environment="own_environment", managed_identity="own_managed_identity")


def registry(*others: Distribution, own: Distribution = OWN) -> Registry:
    """A registry in a world where these are installed."""
    return Registry(Packages(own=lambda: own, installed=lambda: [*others, own]))


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
    ).packages.discover()

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

    lonely = Registry(Packages(own=lambda: OWN, installed=scan))

    assert list(lonely.packages.builtins()) == ["environment", "managed_identity"]
    assert lonely.packages.find("environment").package == "credchain 1.2.3"


def test_other_entry_points_are_none_of_ours() -> None:
    """Only the group of providers counts."""
    assert "tool" not in registry().packages.builtins()


def test_a_package_that_claims_a_built_in_name_is_refused() -> None:
    """With both packages in the message; the name stays credchain's."""
    found = registry(Installed("evil", "6.6", environment="evil_module"))

    refused = [one.refused for one in found.packages.discover() if one.distribution == "evil"]

    assert refused == ["environment: evil 6.6 registers 'environment', which belongs to credchain 1.2.3"]
    assert found.packages.find("environment").package == "credchain 1.2.3"


def test_a_built_in_name_is_refused_under_any_spelling() -> None:
    """Naming the package does not make its claim good."""
    found = registry(Installed("evil", "6.6", environment="evil_module"))

    with pytest.raises(ProviderLoadError, match=r"evil 6\.6 .* belongs to credchain 1\.2\.3"):
        found.packages.find("evil/environment")


@pytest.mark.parametrize("name", ["credchain", "Credchain", "CREDCHAIN"])
def test_a_second_credchain_adds_nothing(name: str) -> None:
    """Own sources come from the own distribution alone, whatever else bears its name."""
    found = registry(Installed(name, "9.9", vault="x", environment="y")).packages.discover()

    assert [one.package for one in found] == ["credchain 1.2.3", "credchain 1.2.3"]


def test_two_strangers_with_one_name_are_both_refused() -> None:
    """Each message names both packages, and how to name the one that is meant."""
    found = registry(Installed("acme", "1.0", vault="a"), Installed("zeta", "2", vault="z"))

    refused = {one.distribution: one.refused or "" for one in found.packages.discover() if not one.builtin}

    for mine, other in (("acme", "zeta 2"), ("zeta", "acme 1.0")):
        assert refused[mine].startswith("vault: ")
        assert other in refused[mine]
        assert f"{mine}/vault" in refused[mine]
    with pytest.raises(ProviderLoadError, match="acme.*zeta"):
        found.packages.find("vault")


def test_a_rival_can_be_named_with_its_package(module: Callable[[str, str], str]) -> None:
    """As the refusal says: it is found, loaded and built."""
    found = registry(
        Installed("acme", "1.0", vault=module("vault_of_acme", VAULT)),
        Installed("zeta", "2", vault=module("vault_of_zeta", VAULT)),
    )

    provider = found.load("zeta/vault")
    credential = found.build(provider, None, host())

    assert found.packages.find("zeta/vault").package == "zeta 2"
    assert isinstance(credential, StaticCredential)
    assert "vault_of_acme" not in sys.modules


def test_a_package_that_is_installed_twice_is_one() -> None:
    """The one that comes first on the path is the one that Python imports."""
    found = registry(Installed("acme", "1.0", vault="a"), Installed("Acme", "0.9", vault="a")).packages.discover()

    assert [(one.package, one.refused) for one in found if not one.builtin] == [("acme 1.0", None)]


def test_a_package_with_ruined_metadata_breaks_nobody() -> None:
    """A half removed package is a stranger's failure; the others are there as before."""
    found = registry(Ruined("ruin", "1", ruin="r"), Installed("acme", "1.0", vault="a"))

    names = [one.name for one in found.packages.discover()]

    assert {"environment", "managed_identity", "vault"} <= set(names)


def test_an_unknown_name_is_told_with_the_nearest_and_all() -> None:
    """What was said, what was perhaps meant, what there is."""
    with pytest.raises(ProviderLoadError) as caught:
        registry(Installed("acme", "1.0", vault="a")).packages.find("vaullt")

    assert str(caught.value) == (
        "no installed package has a source 'vaullt'; did you mean 'vault'? (known: environment, managed_identity, vault)"
    )
    assert (caught.value.source, caught.value.distribution) == ("vaullt", None)


def test_what_lies_in_the_current_directory_is_not_used(tmp_path: Path) -> None:
    """Whoever can put a file where a program is started does not get its tokens. It is listed, with the reason."""
    here = Packages(own=lambda: OWN, installed=lambda: [stray], directory=lambda: str(tmp_path))
    stray = Placed("stray", "1.0", tmp_path, vault="x")

    for name in ("vault", "stray/vault"):
        with pytest.raises(ProviderLoadError, match="lies in the current directory") as caught:
            here.find(name)
        assert str(tmp_path) in str(caught.value)
    assert [one.final for one in here.discover()] == [False, False, True]


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such modes")
def test_what_everybody_may_write_is_not_used(tmp_path: Path) -> None:
    """A package in such a directory may be anybody's."""
    place = tmp_path / "packages"
    place.mkdir()
    open_to_all = registry(Placed("acme", "1.0", place, vault="x")).packages
    assert open_to_all.find("vault").location == str(place)
    place.chmod(0o777)

    with pytest.raises(ProviderLoadError, match=r"acme 1\.0 in .*packages is not used: everybody may write"):
        open_to_all.find("acme/vault")


def test_a_clash_is_told_with_the_places_of_both(tmp_path: Path) -> None:
    """Packages, versions and locations: enough to know what to remove."""
    found = registry(Placed("acme", "1.0", tmp_path / "a", vault="x"), Placed("zeta", "2", tmp_path / "z", vault="y"))

    with pytest.raises(ProviderLoadError) as caught:
        found.packages.find("vault")

    for part in (f"acme 1.0 in {tmp_path / 'a'}", f"zeta 2 in {tmp_path / 'z'}", "name it as acme/vault"):
        assert part in str(caught.value)


def test_a_package_that_registers_one_name_twice_is_refused() -> None:
    """Which of the two was meant, nobody can tell."""
    found = registry(Twice("acme", "1.0", vault="a"))

    for name in ("vault", "acme/vault"):
        with pytest.raises(ProviderLoadError, match=r"vault: acme 1\.0 registers it twice"):
            found.packages.find(name)


# Loading


def test_a_source_is_imported_when_it_is_loaded_and_once(module: Callable[[str, str], str]) -> None:
    """Not when it is listed or found, and the second time is the first's result."""
    found = registry(Installed("acme", "1.0", vault=module("vault_lazy", VAULT)))
    found.packages.discover()
    found.packages.find("vault")
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
            "it was written for plugin API 99; this credchain has 1: it needs a newer credchain",
            id="newer API version",
        ),
        pytest.param(
            VAULT.replace('name="vault"', 'name="vault", api=0'),
            "it was written for plugin API 0; this credchain takes 1 to 1: the package is too old",
            id="older API version",
        ),
        pytest.param(
            VAULT.replace('name="vault"', 'name="vault", api="1"'),
            "its api is '1', and not the number of the plugin API",
            id="no API version",
        ),
        pytest.param(
            VAULT.replace("@hookimpl\n", "@hookimpl(wrapper=True)\n").replace("return", "yield; return"),
            "its hook credchain_provider asks for wrapper; hooks here are plain",
            id="wrapper",
        ),
        pytest.param(
            VAULT.replace("@hookimpl\n", "@hookimpl(hookwrapper=True)\n").replace("return", "yield; return"),
            "its hook credchain_provider asks for hookwrapper",
            id="old wrapper",
        ),
        pytest.param(
            VAULT.replace("@hookimpl\n", "@hookimpl(tryfirst=True)\n"),
            "its hook credchain_provider asks for tryfirst",
            id="tryfirst",
        ),
        pytest.param(
            VAULT + "\n@hookimpl\ndef credchain_events(event): ...",
            "there is no hook credchain_events; did you mean 'credchain_event'?",
            id="unknown hook",
        ),
        pytest.param("raise SystemExit(3)", "SystemExit: 3", id="import exits"),
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
    """It is switched off, and the log names the package, with the traceback; the others hear every event."""
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

    assert [len(heard(name)) for name in ("vault_first", "vault_second", "vault_third")] == [3, 1, 3]
    assert [record.getMessage() for record in caplog.records] == [
        "the observer wreck/ledger failed, and hears nothing more"
    ]
    assert caplog.records[0].exc_info


# The real thing


def test_the_real_registry_knows_credchain_s_sources() -> None:
    """The installed distribution registers each source by its own name."""
    found = Registry().packages.builtins()

    assert {"environment", "client_secret", "managed_identity"} <= set(found)
    assert all(one.builtin and isinstance(one.entry_point, EntryPoint) for one in found.values())


def test_an_observer_of_ours_without_its_extra_says_which(module: Callable[[str, str], str]) -> None:
    """An extra that is not installed is no bug of ours."""
    own = Watching("credchain", "1.2.3", opentelemetry=module("own_observer", "import no_such_dependency"))

    with pytest.raises(ProviderLoadError, match=r"^opentelemetry: the observer .* install credchain\[opentelemetry\]$"):
        Registry(Packages(own=lambda: own, installed=lambda: [own])).observe("opentelemetry")
