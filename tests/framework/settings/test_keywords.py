"""The layer that keyword arguments make: None says nothing, and each keyword lands where it belongs."""

from __future__ import annotations

import pytest

from credchain.settings import Layer, Listed, Value, chain_keywords, keyword_layer

LISTED = (
    Listed("environment", "prod", "EnvironmentCredential", "exclude_environment_credential"),
    Listed("managed_identity", "prod", "ManagedIdentityCredential", "exclude_managed_identity_credential"),
)


def value(what: object, keyword: str) -> Value:
    return Value(what, f"the keyword {keyword}")


@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"authority": None, "managed_identity_client_id": None, "additionally_allowed_tenants": ()},
        {"exclude_environment_credential": False, "exclude_managed_identity_credential": None},
    ],
    ids=["none", "Nones", "nothing excluded"],
)
def test_what_is_not_given_says_nothing(keywords: dict[str, object]) -> None:
    """A default is no wish, so that the environment is heard."""
    assert keyword_layer(keywords, listed=LISTED) == Layer()


def test_order_enable_and_disable_are_taken() -> None:
    """With the keyword as origin; disabling wins over enabling."""
    found = chain_keywords(order=["vault", "..."], enable=["vault", "x"], disable=["x"])

    assert found == Layer(
        order=value(("vault", "..."), "order"),
        wanted={"vault": value(True, "enable"), "x": value(False, "disable")},
    )


def test_an_empty_order_says_something() -> None:
    """No source at all, which is told as an error later; only None is silence."""
    assert chain_keywords(order=[]).order == value((), "order")


@pytest.mark.parametrize("one", LISTED, ids=lambda one: one.name)
def test_each_exclude_keyword_disables_its_source(one: Listed) -> None:
    """The origin is that very keyword."""
    found = keyword_layer({one.exclude: True}, listed=LISTED)

    assert found.wanted == {one.name: value(False, one.exclude)}


@pytest.mark.parametrize(
    ("keyword", "given", "places"),
    [
        ("authority", "https://a", [("environment", "authority"), ("shared_cache", "authority")]),
        (
            "additionally_allowed_tenants",
            ("*",),
            [("environment", "additionally_allowed_tenants"), ("shared_cache", "additionally_allowed_tenants")],
        ),
        ("managed_identity_client_id", "id", [("managed_identity", "client_id")]),
        ("shared_cache_username", "me", [("shared_cache", "username")]),
        ("shared_cache_tenant_id", "t", [("shared_cache", "tenant_id")]),
    ],
)
def test_a_keyword_is_a_setting_of_its_sources(keyword: str, given: object, places: list[tuple[str, str]]) -> None:
    """Of these and no others."""
    found = keyword_layer({keyword: given}, listed=LISTED)

    assert found == Layer(sources={source: {key: value(given, keyword)} for source, key in places})


@pytest.mark.parametrize("keyword", ["order", "enable", "disable", "observe"])
def test_a_text_is_no_list_of_names(keyword: str) -> None:
    """Its letters are not meant; the error shows what is."""
    with pytest.raises(TypeError, match=rf"^{keyword}: must be a list of names, such as \['environment'\]"):
        chain_keywords(**{keyword: "environment"})  # type: ignore[arg-type]
