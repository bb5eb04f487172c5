"""A client that knows nothing of this project is satisfied: MSAL, whose every request the emulator must understand."""

from __future__ import annotations

import msal
import pytest
import requests

SCOPES = ["https://vault.azure.net/.default"]
REDIRECT = "http://localhost:8400/back"


@pytest.fixture
def session(local):
    """A session that trusts the emulator."""
    with requests.Session() as session:
        session.trust_env = False  # a variable such as REQUESTS_CA_BUNDLE would overrule the next line
        session.verify = local.ca_file
        yield session


@pytest.fixture
def confidential(local, session):
    """Makes MSAL's client of an application with a secret."""

    def make(application, secret):
        return msal.ConfidentialClientApplication(
            application.client_id,
            secret,
            authority=f"{local.authority}/{application.tenant_id}",
            http_client=session,
            instance_discovery=False,
        )

    return make


def test_msal_gets_a_token_with_a_secret(local, application, confidential):
    """MSAL finds the token endpoint by discovery and takes the answer to its client secret."""
    found = confidential(application, application.client_secret).acquire_token_for_client(SCOPES)

    assert local.claims_of(found["access_token"])["appid"] == application.client_id
    assert found["expires_in"] == 3599


def test_msal_understands_a_refusal(application, confidential):
    """MSAL reads the error and its number."""
    found = confidential(application, "wrong").acquire_token_for_client(SCOPES)

    assert (found["error"], found["error_codes"]) == ("invalid_client", [7000215])


# MSAL's newer flow checks a nonce, which only a browser's sign-in could have carried into the code.
@pytest.mark.filterwarnings("ignore:.*auth_code_flow:DeprecationWarning")
def test_msal_redeems_a_code_and_goes_on_silently(local, application, confidential):
    """MSAL takes account, tokens and refresh token of a code, and refreshes for another resource without the user."""
    user = local.add_user()
    code = local.issue_code(application, user, redirect_uri=REDIRECT, scope=SCOPES[0])
    client = confidential(application, application.client_secret)

    first = client.acquire_token_by_authorization_code(code, SCOPES, redirect_uri=REDIRECT)
    (account,) = client.get_accounts()
    other = client.acquire_token_silent(["https://graph.microsoft.com/.default"], account)

    assert local.claims_of(first["access_token"])["oid"] == user.object_id
    assert account["home_account_id"] == f"{user.object_id}.{user.tenant_id}"
    assert account["username"] == user.username
    assert local.claims_of(other["access_token"])["aud"] == "https://graph.microsoft.com"
