"""Grants in a user's name: codes are good once, refresh tokens go far, passwords are judged as the service does."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid

import pytest

from credchain.emulator import Emulator, serve_in_thread

SCOPE = "https://vault.azure.net/.default"
REDIRECT = "http://localhost:8400/back"
FAMILY = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"


@pytest.fixture
def user(local):
    """A user of the emulator's own tenant."""
    return local.add_user()


@pytest.fixture
def public(local):
    """An application on the user's own machine."""
    return local.add_application(client_secret="")


def code_form(application, code, **changes):
    """The form that redeems a code; None takes a field out."""
    form = {
        "client_id": application.client_id,
        "client_secret": application.client_secret,
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT,
        "scope": SCOPE,
        **changes,
    }
    return {name: value for name, value in form.items() if value is not None}


def refresh_form(client_id, value, **more):
    """The form that redeems a refresh token."""
    return {"client_id": client_id, "grant_type": "refresh_token", "refresh_token": value, "scope": SCOPE, **more}


def password_form(application, user, **changes):
    """The form of the password grant."""
    form = {
        "client_id": application.client_id,
        "grant_type": "password",
        "username": user.username,
        "password": user.password,
        "scope": SCOPE,
    }
    return {**form, **changes}


def test_a_code_buys_the_users_tokens(local, application, user, token):
    """A code is worth an access token, an id token and a refresh token of that user, and says whose they are."""
    code = local.issue_code(application, user, redirect_uri=REDIRECT, scope=SCOPE)

    answer = token(user.tenant_id, **code_form(application, code, client_info="1")).json

    claims = local.claims_of(str(answer["access_token"]))
    identity = local.claims_of(str(answer["id_token"]))
    info = str(answer["client_info"])
    assert (claims["oid"], claims["aud"]) == (user.object_id, "https://vault.azure.net")
    assert (claims["scp"], claims["upn"]) == ("user_impersonation", user.username)
    assert (identity["aud"], identity["sub"]) == (application.client_id, user.object_id)
    assert identity["iss"] == f"{local.authority}/{user.tenant_id}/v2.0"
    assert json.loads(base64.urlsafe_b64decode(info + "=" * (-len(info) % 4))) == {
        "uid": user.object_id,
        "utid": user.tenant_id,
    }
    assert answer["refresh_token"]
    assert answer["scope"] == "https://vault.azure.net/user_impersonation https://vault.azure.net/.default"
    assert "foci" not in answer


def test_client_info_comes_to_those_who_ask(local, application, user, token):
    """Without `client_info=1` the answer tells the account in the id token alone."""
    code = local.issue_code(application, user, redirect_uri=REDIRECT, scope=SCOPE)

    answer = token(user.tenant_id, **code_form(application, code)).json

    assert "client_info" not in answer
    assert "id_token" in answer


def test_a_code_is_good_once(local, application, user, token):
    """The second redemption has a number of its own."""
    code = local.issue_code(application, user, redirect_uri=REDIRECT, scope=SCOPE)

    first = token(user.tenant_id, **code_form(application, code))
    second = token(user.tenant_id, **code_form(application, code))

    assert first.status == 200
    assert second.refused == (400, "invalid_grant", 54005)


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"code": None}, (400, "invalid_request", 900144)),
        ({"code": "made up"}, (400, "invalid_grant", 70008)),
        ({"redirect_uri": None}, (400, "invalid_request", 900144)),
        ({"redirect_uri": "http://localhost:8400/elsewhere"}, (400, "invalid_request", 50011)),
        ({"client_secret": "wrong"}, (401, "invalid_client", 7000215)),
        ({"client_secret": None}, (401, "invalid_client", 7000218)),
        ({"client_id": str(uuid.UUID(int=5))}, (400, "unauthorized_client", 700016)),
        ({"scope": f"{SCOPE} https://graph.microsoft.com/User.Read"}, (400, "invalid_scope", 70011)),
        ({"scope": f"{SCOPE} https://vault.azure.net/Secrets.Read"}, (400, "invalid_scope", 70011)),
    ],
)
def test_a_refused_code_is_not_spent(local, application, user, token, *, changes, refused):
    """A mistake is refused by its number, and the code can be redeemed afterwards."""
    code = local.issue_code(application, user, redirect_uri=REDIRECT, scope=SCOPE)

    mistaken = token(user.tenant_id, **code_form(application, changes.pop("code", code), **changes))
    right = token(user.tenant_id, **code_form(application, code))

    assert mistaken.refused == refused
    assert right.status == 200


def test_a_code_belongs_to_one_application_and_one_tenant(local, application, user, token):
    """Neither another application nor another tenant can redeem it."""
    other = local.add_application()
    away = local.add_application(
        tenant_id=str(uuid.UUID(int=6)), client_id=application.client_id, client_secret=application.client_secret
    )
    code = local.issue_code(application, user, redirect_uri=REDIRECT, scope=SCOPE)

    by_another = token(user.tenant_id, **code_form(other, code))
    elsewhere = token(away.tenant_id, **code_form(away, code))

    assert by_another.refused == (400, "invalid_grant", 70002)
    assert elsewhere.refused == (400, "invalid_grant", 700005)


def test_a_code_expires_after_ten_minutes(ask):
    """A code that waited too long is refused like one that never was."""
    now = [1_000_000.0]
    with serve_in_thread(Emulator(clock=lambda: now[0])) as emulator:
        application, user = emulator.add_application(), emulator.add_user()
        code = emulator.issue_code(application, user, redirect_uri=REDIRECT, scope=SCOPE)
        now[0] += 601

        url = f"{emulator.authority}/{user.tenant_id}/oauth2/v2.0/token"
        reply = ask("POST", url, form=code_form(application, code), ca_file=emulator.ca_file)

    assert reply.refused == (400, "invalid_grant", 70008)


@pytest.mark.parametrize("method", ["S256", "plain"])
def test_a_code_with_a_challenge_needs_its_verifier(local, public, user, token, method):
    """RFC 7636: only who knows the verifier of the challenge redeems the code."""
    verifier = "v" * 43
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    code = local.issue_code(
        public,
        user,
        redirect_uri=REDIRECT,
        scope=SCOPE,
        code_challenge=digest if method == "S256" else verifier,
        code_challenge_method=method,
    )

    without = token(user.tenant_id, **code_form(public, code))
    wrong = token(user.tenant_id, **code_form(public, code, code_verifier="w" * 43))
    right = token(user.tenant_id, **code_form(public, code, code_verifier=verifier))

    assert without.refused == wrong.refused == (400, "invalid_grant", 501481)
    assert right.status == 200


def test_codes_go_to_registered_addresses_only(local, user):
    """A redirect URI that is not the application's gets no code; nor does an unknown challenge method."""
    strict = local.add_application(redirect_uris=[REDIRECT])

    with pytest.raises(ValueError, match="redirect_uri"):
        local.issue_code(strict, user, redirect_uri="http://evil.example", scope=SCOPE)
    with pytest.raises(ValueError, match="challenge_method"):
        local.issue_code(strict, user, redirect_uri=REDIRECT, scope=SCOPE, code_challenge_method="S512")


def test_a_code_may_be_redeemed_where_tenants_are_shared(local, application, user, token):
    """In `organizations` the tokens come from the user's own tenant, and the code's scopes hold if none are sent."""
    code = local.issue_code(application, user, redirect_uri=REDIRECT, scope="openid User.Read")

    answer = token("organizations", **code_form(application, code, scope=None)).json

    claims = local.claims_of(str(answer["access_token"]))
    assert claims["tid"] == user.tenant_id
    assert (claims["aud"], claims["scp"]) == ("00000003-0000-0000-c000-000000000000", "User.Read")


def test_a_refresh_token_serves_other_scopes_and_tenants(local, public, user, token):
    """One refresh token gives tokens for another resource and for another tenant, still in the user's name."""
    away = local.add_machine_identity(tenant_id=str(uuid.UUID(int=9))).tenant_id
    value = local.issue_refresh_token(public, user)

    home = token("organizations", **refresh_form(public.client_id, value)).json
    abroad = token(away, **refresh_form(public.client_id, value, scope="https://other.example/.default")).json

    claims = local.claims_of(str(abroad["access_token"]))
    assert local.claims_of(str(home["access_token"]))["tid"] == user.tenant_id
    assert (claims["tid"], claims["aud"], claims["oid"]) == (away, "https://other.example", user.object_id)
    assert len({value, home["refresh_token"], abroad["refresh_token"]}) == 3


def test_a_rotated_refresh_token_is_void(local, public, user, token):
    """Where refresh tokens rotate, the old one is refused and the new one is good."""
    local.rotate_refresh_tokens = True
    try:
        value = local.issue_refresh_token(public, user)

        fresh = str(token(user.tenant_id, **refresh_form(public.client_id, value)).json["refresh_token"])
        old = token(user.tenant_id, **refresh_form(public.client_id, value))
        new = token(user.tenant_id, **refresh_form(public.client_id, fresh))
    finally:
        local.rotate_refresh_tokens = False

    assert old.refused == (400, "invalid_grant", 70000)
    assert new.status == 200


def test_revoking_voids_what_a_user_has_by_now(local, public, user, token):
    """Revocation strikes the user's refresh tokens, not another's and not later ones."""
    other = local.add_user()
    mine, theirs = (local.issue_refresh_token(public, each) for each in (user, other))
    local.revoke(user)
    later = local.issue_refresh_token(public, user)

    replies = [token(user.tenant_id, **refresh_form(public.client_id, each)) for each in (mine, theirs, later)]

    assert replies[0].refused == (400, "invalid_grant", 50173)
    assert [reply.status for reply in replies[1:]] == [200, 200]


def test_a_refresh_token_dies_of_disuse(ask):
    """After ninety days a refresh token that nobody used is void."""
    now = [1_000_000.0]
    with serve_in_thread(Emulator(clock=lambda: now[0])) as emulator:
        user = emulator.add_user()
        value = emulator.issue_refresh_token(FAMILY, user)
        now[0] += 91 * 86400

        url = f"{emulator.authority}/{user.tenant_id}/oauth2/v2.0/token"
        reply = ask("POST", url, form=refresh_form(FAMILY, value), ca_file=emulator.ca_file)

    assert reply.refused == (400, "invalid_grant", 700082)


def test_a_refresh_token_belongs_to_its_application_or_its_family(local, public, user, token):
    """Another application's token is refused; a family's is good for the command-line client, and stays a family's."""
    own = local.issue_refresh_token(public, user)
    family = local.issue_refresh_token(public, user, family=True)

    stranger = token(user.tenant_id, **refresh_form(FAMILY, own))
    unknown = token(user.tenant_id, **refresh_form(FAMILY, "made up"))
    member = token(user.tenant_id, **refresh_form(FAMILY, family))

    assert stranger.refused == unknown.refused == (400, "invalid_grant", 70000)
    assert member.json["foci"] == "1"
    assert local.claims_of(str(member.json["access_token"]))["appid"] == FAMILY


def test_a_confidential_client_proves_itself_when_it_refreshes(local, application, user, token):
    """A refresh token alone is not enough where the application has a secret."""
    value = local.issue_refresh_token(application, user)

    bare = token(user.tenant_id, **refresh_form(application.client_id, value))
    proven = token(
        user.tenant_id, **refresh_form(application.client_id, value, client_secret=application.client_secret)
    )

    assert bare.refused == (401, "invalid_client", 7000218)
    assert proven.status == 200


def test_a_password_buys_the_users_tokens(local, public, user, token):
    """Name and password are good in the user's tenant and in `organizations`, whatever the case of the name."""
    home = token(user.tenant_id, **password_form(public, user))
    shared = token("organizations", **password_form(public, user, username=user.username.upper()))

    assert [local.claims_of(str(reply.json["access_token"]))["oid"] for reply in (home, shared)] == [
        user.object_id,
        user.object_id,
    ]
    assert home.json["refresh_token"]


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"username": "nobody@example.com"}, (400, "invalid_grant", 50034)),
        ({"password": "wrong"}, (400, "invalid_grant", 50126)),
        ({"password": ""}, (400, "invalid_request", 900144)),
        ({"scope": ""}, (400, "invalid_request", 900144)),
        ({"client_secret": "x"}, (401, "invalid_client", 700025)),
    ],
)
def test_a_wrong_password_request_is_refused_by_number(public, user, token, changes, refused):
    """Each mistake of the password grant has its own number."""
    reply = token(user.tenant_id, **password_form(public, user, **changes))

    assert reply.refused == refused


def test_common_is_no_place_for_passwords(public, user, token):
    """The password grant needs the user's tenant, or `organizations`."""
    assert token("common", **password_form(public, user)).refused == (400, "invalid_request", 9001023)


def test_a_user_who_needs_more_than_a_password_is_told_so(local, public, token):
    """Multi-factor authentication is a challenge with claims, and only after the right password."""
    careful = local.add_user(mfa=True)

    challenged = token(careful.tenant_id, **password_form(public, careful))
    wrong = token(careful.tenant_id, **password_form(public, careful, password="wrong"))

    assert challenged.refused == (400, "interaction_required", 50076)
    assert challenged.json["suberror"] == "basic_action"
    assert "access_token" in json.loads(str(challenged.json["claims"]))
    assert wrong.refused == (400, "invalid_grant", 50126)


def test_users_meet_unknown_resources_too(local, public, user, token):
    """Once a resource was added, a user gets tokens for added ones only."""
    local.add_resource("https://graph.microsoft.com")

    reply = token(user.tenant_id, **password_form(public, user))

    assert reply.refused == (400, "invalid_resource", 500011)
