"""The guard: no token request leaves for an authority or a tenant that the policy does not allow."""

from __future__ import annotations

import asyncio

import pytest

from credchain.errors import AuthenticationFailedError
from credchain.guard import guarded
from credchain.http import Request
from credchain.settings import Allowed, Policy
from credchain.testing import FakeTransport, token_response

PUBLIC = Allowed(frozenset({"https://login.microsoftonline.com"}), ("the file x",))
CONTOSO = Allowed(frozenset({"contoso"}), ("the file x", "the file y"))


def sent(policy: Policy, request: Request) -> bool:
    """Whether a request leaves under a policy."""
    transport = FakeTransport(token_response())
    try:
        asyncio.run(guarded(transport, policy).send(request))
    except AuthenticationFailedError as error:
        assert str(error).startswith("policy: ")
        assert "the file x" in str(error)
    return bool(transport.requests)


def token_request(url: str) -> Request:
    return Request("POST", url, form={"grant_type": "client_credentials"}, timeout=5.0)


@pytest.mark.parametrize(
    ("url", "leaves"),
    [
        ("https://login.microsoftonline.com/contoso/oauth2/v2.0/token", True),
        ("https://LOGIN.microsoftonline.com/contoso/oauth2/v2.0/token", True),
        ("https://login.microsoftonline.us/contoso/oauth2/v2.0/token", False),
        ("https://login.microsoftonline.com.evil.example/contoso/oauth2/v2.0/token", False),
        ("https://login.microsoftonline.com:8443/contoso/oauth2/v2.0/token", False),
    ],
)
def test_tokens_are_asked_for_at_allowed_authorities_only(url: str, leaves: bool) -> None:
    """Whole hosts count, and ports."""
    assert sent(Policy(authorities=PUBLIC), token_request(url)) is leaves


@pytest.mark.parametrize(
    ("url", "leaves"),
    [
        ("https://login.microsoftonline.com/contoso/oauth2/v2.0/token", True),
        ("https://login.microsoftonline.com/Contoso/oauth2/v2.0/token", True),
        ("https://login.microsoftonline.com/fabrikam/oauth2/v2.0/token", False),
        ("https://login.microsoftonline.com/organizations/oauth2/v2.0/token", False),
        ("https://adfs.example/adfs/oauth2/token", False),
        ("https://elsewhere.example/token", False),
    ],
)
def test_tokens_are_asked_for_in_allowed_tenants_only(url: str, leaves: bool) -> None:
    """The tenant of the request's path; what says `organizations` names no tenant that was allowed."""
    assert sent(Policy(tenants=CONTOSO), token_request(url)) is leaves


def test_an_empty_allowance_lets_nothing_out() -> None:
    """Two layers that allow different things allow nothing together."""
    url = "https://login.microsoftonline.com/contoso/oauth2/v2.0/token"

    assert not sent(Policy(tenants=Allowed(frozenset(), ("the file x",))), token_request(url))


def test_other_requests_are_not_judged() -> None:
    """A metadata service is no authority, and a vault has an address of its own."""
    policy = Policy(authorities=PUBLIC, tenants=CONTOSO)

    assert sent(policy, Request("GET", "http://169.254.169.254/metadata/identity/oauth2/token", timeout=1.0))
    assert sent(policy, Request("POST", "https://vault.internal/login", form={"name": "x"}, timeout=1.0))


def test_guarding_twice_is_guarding_once() -> None:
    """And closing a guarded transport closes it."""
    transport = FakeTransport()

    once = guarded(transport, Policy(tenants=CONTOSO))

    assert guarded(once, Policy(tenants=CONTOSO)) is once
    asyncio.run(guarded(transport, Policy(tenants=CONTOSO)).close())
    assert transport.closed == 1
