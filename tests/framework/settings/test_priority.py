"""priority.toml: the declarative list that the default chain is built from."""

from __future__ import annotations

import pytest

from credchain.registry import Registry
from credchain.settings import Listed, default_order
from credchain.settings.priority import FILE

LISTED = default_order()


def test_the_list_is_read_in_order() -> None:
    """Each entry as it stands; platforms may be left out."""
    text = """
        [[source]]
        name = "two"
        group = "dev"
        class = "TwoCredential"
        exclude = "exclude_two"
        platforms = ["win32"]
        timeout = 2.5
        [[source]]
        name = "one"
        group = "prod"
        class = "OneCredential"
        exclude = "exclude_one"
    """

    assert default_order(text) == (
        Listed("two", "dev", "TwoCredential", "exclude_two", timeout=2.5, platforms=("win32",)),
        Listed("one", "prod", "OneCredential", "exclude_one"),
    )


def test_the_list_is_the_shipped_file() -> None:
    """Nothing else decides the default order."""
    assert default_order(FILE.read_text(encoding="utf-8")) == LISTED


def test_a_machine_s_own_identity_follows_the_explicit_one() -> None:
    """Whoever sets variables means them: they come before what the machine happens to have."""
    names = [one.name for one in LISTED]

    assert names[:2] == ["environment", "managed_identity"]


@pytest.mark.parametrize("field", ["name", "credential_class", "exclude"])
def test_each_source_is_told_apart(field: str) -> None:
    """No two share a name, a class or a keyword."""
    found = [getattr(one, field).lower() for one in LISTED]

    assert len(set(found)) == len(found)


@pytest.mark.parametrize("one", LISTED, ids=lambda one: one.name)
def test_each_source_is_built_in(one: Listed) -> None:
    """The default order speaks of credchain's own sources alone, each in a known group."""
    assert one.name in Registry().packages.builtins()
    assert one.group in ("prod", "dev")
    assert one.exclude.startswith("exclude_")
    assert one.exclude.endswith("_credential")


@pytest.mark.parametrize("one", LISTED, ids=lambda one: one.name)
def test_each_class_is_in_the_shop_window(one: Listed) -> None:
    """What AZURE_TOKEN_CREDENTIALS may name, a program can import."""
    from credchain import aio

    assert one.credential_class in aio.__all__


@pytest.mark.parametrize("one", LISTED, ids=lambda one: one.name)
def test_each_source_loads_under_its_name(one: Listed) -> None:
    """The entry point, the provider and the list agree, and the class calls itself by that name."""
    from credchain import aio

    provider = Registry().load(one.name)

    assert provider.name == one.name
    assert provider.summary
    assert getattr(aio, one.credential_class).source == one.name
