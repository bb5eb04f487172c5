"""Mistyped names: the nearest right one is told, and nothing far-fetched."""

from __future__ import annotations

import pytest

from credchain.naming import did_you_mean, nearest, refuse_unknown

KNOWN = ("environment", "managed_identity", "shared_cache")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("enviroment", "environment"),
        ("ENVIRONMENT", "environment"),
        ("managed-identity", "managed_identity"),
        ("managedidentity", "managed_identity"),
        ("sharedcache", "shared_cache"),
        ("xyz", None),
        ("", None),
    ],
)
def test_the_nearest_name_is_found(name: str, expected: str | None) -> None:
    """Whatever the case; nothing at all if nothing comes close."""
    assert nearest(name, KNOWN) == expected


def test_the_nearest_name_is_told_as_it_is_written() -> None:
    """Comparing ignores case, the answer does not."""
    assert nearest("environmentcredential", ["EnvironmentCredential"]) == "EnvironmentCredential"
    assert nearest("prod", ["DEV", "PROD"]) == "PROD"


def test_nothing_known_has_nothing_near() -> None:
    """An empty list is no error."""
    assert nearest("environment", []) is None


def test_the_half_sentence_ends_an_error() -> None:
    """Or is empty, so that it can always be appended."""
    assert did_you_mean("enviroment", KNOWN) == "; did you mean 'environment'?"
    assert did_you_mean("xyz", KNOWN) == ""


class Credential:
    """Something with keywords."""

    def __init__(self, tenant_id: str, /, *rest: str, authority: str = "", **unknown: object) -> None:
        self.said = (tenant_id, rest, authority)
        refuse_unknown(Credential.__init__, unknown)


def function(client_id: str, *, authority: str = "") -> str:
    """Something with a name that can be passed by keyword."""
    return client_id + authority


def test_nothing_unknown_is_nothing_to_refuse() -> None:
    """The usual case passes."""
    assert Credential("t", authority="a").said == ("t", (), "a")


@pytest.mark.parametrize(
    ("unknown", "message"),
    [
        ({"autority": 1}, "function() has no keyword 'autority'; did you mean 'authority'?"),
        ({"clientid": 1}, "function() has no keyword 'clientid'; did you mean 'client_id'?"),
        ({"colour": 1}, "function() has no keyword 'colour'"),
    ],
)
def test_an_unknown_keyword_is_a_type_error_with_the_nearest(unknown: dict[str, object], message: str) -> None:
    """As Python's own, with help."""
    with pytest.raises(TypeError) as caught:
        refuse_unknown(function, unknown)

    assert str(caught.value) == message


def test_a_class_is_named_by_its_name() -> None:
    """The caller wrote the class's name, not `__init__`."""
    with pytest.raises(TypeError, match=r"^Credential\(\) has no keyword 'authorty'; did you mean 'authority'\?$"):
        Credential("t", authorty="a")


@pytest.mark.parametrize("name", ["tenantid", "rests", "unknwn", "selff"])
def test_only_real_keywords_are_suggested(name: str) -> None:
    """Neither positional arguments nor the names of catch-alls; they would be refused in turn."""
    with pytest.raises(TypeError) as caught:
        Credential("t", **{name: "x"})

    assert "did you mean" not in str(caught.value)


def test_the_value_of_an_unknown_keyword_is_not_shown() -> None:
    """It may be a secret under a mistyped name."""
    with pytest.raises(TypeError) as caught:
        refuse_unknown(function, {"client_secrt": "hidden-value"})

    assert "hidden-value" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("exclude_enviroment_credential", "exclude_environment_credential"),
        ("exclude_managed_identity_credentials", "exclude_managed_identity_credential"),
        ("managed_identity_clientid", "managed_identity_client_id"),
        ("exclude_cli_credential", None),
        ("exclude_workload_identity_credential", None),
    ],
)
def test_words_that_names_share_make_nothing_alike(name: str, expected: str | None) -> None:
    """To leave out another source than the one that was meant would be worse than no suggestion."""
    known = ("exclude_environment_credential", "exclude_managed_identity_credential", "managed_identity_client_id")

    assert nearest(name, known) == expected
