"""Authorities, tenants and scopes: what may stand in a URL, and who may be asked for what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credchain.authority import (
    AzureAuthorityHosts,
    KnownAuthorities,
    authority_of,
    check_tenant_id,
    check_text,
    multitenant_enabled,
    normalize_authority,
    resolve_tenant,
    token_url,
)
from credchain.errors import ClientAuthenticationError
from credchain.oauth import check_scopes

PUBLIC = "https://login.microsoftonline.com"
SINGLE_TENANT = {"AZURE_IDENTITY_DISABLE_MULTITENANTAUTH": "1"}


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        pytest.param("login.microsoftonline.com", PUBLIC, id="host"),
        pytest.param("https://login.microsoftonline.com", PUBLIC, id="url"),
        pytest.param("HTTPS://login.microsoftonline.com", PUBLIC, id="scheme in capitals"),
        pytest.param("https://login.microsoftonline.com/", PUBLIC, id="slash"),
        pytest.param("login.microsoftonline.com///", PUBLIC, id="slashes"),
        pytest.param("  login.microsoftonline.com / ", PUBLIC, id="spaces and slashes"),
        pytest.param("localhost:8443", "https://localhost:8443", id="port"),
        pytest.param("[::1]:8443", "https://[::1]:8443", id="IPv6"),
        pytest.param("https://adfs.example.com/adfs/", "https://adfs.example.com/adfs", id="path"),
    ],
)
def test_an_authority_is_a_host_or_an_https_url(given_text: str, expected: str) -> None:
    """No scheme means https; trailing spaces and slashes are stripped."""
    assert normalize_authority(given_text) == expected


@pytest.mark.parametrize("scheme", ["http", "HTTP", "ftp", "file", ""])
def test_another_scheme_than_https_is_refused(scheme: str) -> None:
    """Secrets never leave without TLS, and the message says which argument to change."""
    with pytest.raises(ValueError, match="^authority: must use https"):
        normalize_authority(f"{scheme}://login.microsoftonline.com")


@pytest.mark.parametrize(
    "bad",
    [
        "",
        " ",
        "/",
        "https://",
        "https:///",
        "host name",
        "host?query",
        "host#part",
        "user@host",
        "user:password@host",
        "https://https://host",
        "host\nname",
        "host:port",
        "host:123456",
        "h\u00f6st",
        "[::1",
        None,
        1,
    ],
    ids=repr,
)
def test_what_is_no_authority_is_refused(bad: str) -> None:
    """Only a host, a port and a path can be an authority."""
    with pytest.raises(ValueError, match="^authority: "):
        normalize_authority(bad)


@given(st.from_regex(r"[a-z][a-z0-9.-]{0,20}(:[0-9]{1,5})?", fullmatch=True))
def test_normalizing_twice_is_normalizing_once(host: str) -> None:
    """A normalized authority is one already."""
    once = normalize_authority(host)

    assert normalize_authority(once) == once


@pytest.mark.parametrize(
    ("authority", "environment", "expected"),
    [
        pytest.param(None, {}, PUBLIC, id="nothing said"),
        pytest.param(None, {"AZURE_AUTHORITY_HOST": ""}, PUBLIC, id="empty variable"),
        pytest.param(
            None,
            {"AZURE_AUTHORITY_HOST": "login.chinacloudapi.cn/"},
            "https://login.chinacloudapi.cn",
            id="environment",
        ),
        pytest.param(
            "login.microsoftonline.us",
            {"AZURE_AUTHORITY_HOST": "login.chinacloudapi.cn"},
            "https://login.microsoftonline.us",
            id="argument wins",
        ),
    ],
)
def test_the_authority_is_the_argument_then_the_environment_then_the_public_cloud(
    authority: str | None, environment: dict[str, str], expected: str
) -> None:
    """An argument wins over AZURE_AUTHORITY_HOST, which wins over the default."""
    assert authority_of(authority, environment) == expected


def test_a_bad_variable_is_named_in_the_error() -> None:
    """The error names AZURE_AUTHORITY_HOST, not an argument that nobody gave."""
    with pytest.raises(ValueError, match="^AZURE_AUTHORITY_HOST: must use https"):
        authority_of(None, {"AZURE_AUTHORITY_HOST": "http://login.microsoftonline.com"})


def test_the_known_clouds_are_those_of_azure_identity() -> None:
    """Both names offer the same four hosts."""
    hosts = {name: value for name, value in vars(KnownAuthorities).items() if name.startswith("AZURE_")}

    assert hosts == {
        "AZURE_PUBLIC_CLOUD": "login.microsoftonline.com",
        "AZURE_CHINA": "login.chinacloudapi.cn",
        "AZURE_GOVERNMENT": "login.microsoftonline.us",
        "AZURE_GERMANY": "login.microsoftonline.de",
    }
    assert AzureAuthorityHosts is KnownAuthorities


@pytest.mark.parametrize("tenant", ["common", "contoso.onmicrosoft.com", "72f988bf-86f1-41af-91ab-2d7cd011db47"])
def test_ids_and_domain_names_are_tenants(tenant: str) -> None:
    """Letters, digits, dots and hyphens make a tenant."""
    assert check_tenant_id(tenant) == tenant


@pytest.mark.parametrize(
    "bad", ["", " ", "a b", "a/b", "a_b", "a?b", "a%2fb", "t\u00e9nant", "a\n", "\u0661", None], ids=repr
)
def test_what_cannot_stand_in_a_url_is_no_tenant(bad: str) -> None:
    """A tenant id is a part of a URL, so it holds nothing that could change the URL."""
    with pytest.raises(ValueError, match="^tenant: "):
        check_tenant_id(bad, argument="tenant")


@pytest.mark.parametrize("bad", ["", " ", "\t\n", None, 5], ids=repr)
def test_a_required_text_is_not_blank(bad: str) -> None:
    """The error names the argument."""
    with pytest.raises(ValueError, match="^client_id: must be a non-empty string$"):
        check_text(bad, argument="client_id")


def test_a_refused_text_is_not_shown() -> None:
    """The value may be a secret, so the error does not repeat it."""
    with pytest.raises(ValueError, match="client_secret") as caught:
        check_text(b"hidden-value", argument="client_secret")  # type: ignore[arg-type]

    assert "hidden-value" not in str(caught.value)


@pytest.mark.parametrize(
    "scope",
    [
        "https://vault.azure.net/.default",
        "https://servicebus.azure.net//.default",
        "api://12-34/read_all",
        "User.Read",
        "openid",
    ],
)
def test_scopes_in_use_are_scopes(scope: str) -> None:
    """URLs, with double slashes too, and bare names pass as they are."""
    check_scopes([scope])


@pytest.mark.parametrize("bad", ["", "a b", "a\n", "a&b", "a=b", "sc\u00f6pe", "a%20b", "a?b", "a#b"], ids=repr)
def test_other_characters_make_no_scope(bad: str) -> None:
    """One bad scope among good ones is enough."""
    with pytest.raises(ValueError, match="^scopes: "):
        check_scopes(["https://vault.azure.net/.default", bad])


@pytest.mark.parametrize(
    ("default", "asked", "allowed", "environment", "expected"),
    [
        pytest.param("home", None, (), {}, "home", id="nothing asked"),
        pytest.param("home", "", (), {}, "home", id="empty asked"),
        pytest.param("home", "home", (), {}, "home", id="own tenant asked"),
        pytest.param("home", "other", ("other",), {}, "other", id="listed"),
        pytest.param("home", "other", ("*",), {}, "other", id="star"),
        pytest.param("home", "other", ("*",), SINGLE_TENANT, "home", id="multitenant disabled"),
        pytest.param("home", "other", (), SINGLE_TENANT, "home", id="multitenant disabled, nothing allowed"),
        pytest.param("adfs", "other", ("*",), {}, "adfs", id="adfs"),
    ],
)
def test_a_request_goes_to_the_tenant_asked_for_where_allowed(
    default: str, asked: str | None, allowed: tuple[str, ...], environment: dict[str, str], expected: str
) -> None:
    """Allowed is the configured tenant, a listed one, or each by a star; adfs and the switch keep the configured one."""
    assert resolve_tenant(default, asked, allowed=allowed, environment=environment) == expected


@pytest.mark.parametrize("default", ["home", "organizations", "common"])
@pytest.mark.parametrize("allowed", [(), ("third",)], ids=["none", "another"])
def test_an_unlisted_tenant_is_an_authentication_error(default: str, allowed: tuple[str, ...]) -> None:
    """Also with `organizations`: an empty list opens no tenant. The error names both tenants and the remedy."""
    with pytest.raises(ClientAuthenticationError) as caught:
        resolve_tenant(default, "other", allowed=allowed, environment={})

    for word in (default, "other", "additionally_allowed_tenants"):
        assert word in caught.value.message


def test_a_star_does_not_allow_what_is_no_tenant() -> None:
    """Every tenant is not every text."""
    with pytest.raises(ValueError, match="^tenant_id: "):
        resolve_tenant("home", "../other", allowed=("*",), environment={})


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", True), ("0", True), ("false", True), ("1", False), ("true", False), ("True", False), ("TRUE", False)],
)
def test_one_variable_switches_other_tenants_off(value: str, expected: bool) -> None:
    """AZURE_IDENTITY_DISABLE_MULTITENANTAUTH says no as 1 or true."""
    assert multitenant_enabled({"AZURE_IDENTITY_DISABLE_MULTITENANTAUTH": value}) is expected


def test_other_tenants_are_possible_unless_switched_off() -> None:
    """Without the variable a request may name another tenant."""
    assert multitenant_enabled({})


def test_the_token_endpoint_is_that_of_version_2() -> None:
    """{authority}/{tenant}/oauth2/v2.0/token."""
    assert token_url(PUBLIC, "contoso") == f"{PUBLIC}/contoso/oauth2/v2.0/token"
