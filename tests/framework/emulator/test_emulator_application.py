"""An application's own grant: what the token endpoint gives, and everything it refuses."""

from __future__ import annotations

import json
import uuid

import pytest

from credchain.emulator import Emulator, serve_in_thread

SCOPE = "https://vault.azure.net/.default"


def good(application, **changes):
    """The form of a request that succeeds, with *changes*; None takes a field out."""
    form = {
        "client_id": application.client_id,
        "client_secret": application.client_secret,
        "grant_type": "client_credentials",
        "scope": SCOPE,
        **changes,
    }
    return {name: value for name, value in form.items() if value is not None}


def test_a_secret_buys_a_token_that_names_its_bearer(local, token):
    """The token of a client secret says whose it is, for what, in which tenant, and with which roles."""
    application = local.add_application(roles=["Reader"])

    reply = token(application.tenant_id, **good(application))

    claims = local.claims_of(str(reply.json["access_token"]))
    assert reply.status == 200
    assert claims["aud"] == "https://vault.azure.net"
    assert claims["appid"] == claims["azp"] == application.client_id
    assert claims["oid"] == claims["sub"] == application.object_id
    assert claims["tid"] == application.tenant_id
    assert (claims["iss"], claims["ver"]) == (f"https://sts.windows.net/{application.tenant_id}/", "1.0")
    assert claims["roles"] == ["Reader"]


def test_the_answer_tells_its_times_as_entra_does(application, token):
    """A token of an hour is told as 3599 seconds, as a number, without a recommendation and not to be stored."""
    reply = token(application.tenant_id, **good(application))

    assert {name: value for name, value in reply.json.items() if name != "access_token"} == {
        "token_type": "Bearer",
        "expires_in": 3599,
        "ext_expires_in": 3599,
    }
    assert "no-store" in reply.headers["cache-control"]
    assert reply.headers["content-type"] == "application/json; charset=utf-8"


def test_no_two_tokens_are_alike(application, token):
    """Two answers within one second carry different tokens."""
    first = token(application.tenant_id, **good(application)).json["access_token"]
    second = token(application.tenant_id, **good(application)).json["access_token"]

    assert first != second


def test_lifetime_and_recommendation_follow_the_settings(ask):
    """`token_lifetime` and `refresh_in` decide what the next answer says, and the token itself agrees."""
    with serve_in_thread(Emulator(clock=lambda: 1_000_000.7)) as emulator:
        application = emulator.add_application()
        emulator.token_lifetime, emulator.refresh_in = 7200, 3000

        url = f"{emulator.authority}/{application.tenant_id}/oauth2/v2.0/token"
        reply = ask("POST", url, form=good(application), ca_file=emulator.ca_file)

    claims = emulator.claims_of(str(reply.json["access_token"]))
    assert (reply.json["expires_in"], reply.json["refresh_in"]) == (7199, 3000)
    assert (claims["iat"], claims["exp"]) == (1_000_000, 1_007_200)


@pytest.mark.parametrize(
    ("scope", "audience"),
    [
        ("https://servicebus.azure.net//.default", "https://servicebus.azure.net/"),
        ("https://management.azure.com/.default", "https://management.azure.com"),
        ("api://orders/.default", "api://orders"),
        ("00000003-0000-0000-c000-000000000000/.default", "00000003-0000-0000-c000-000000000000"),
    ],
)
def test_the_audience_is_the_scope_to_the_letter(local, application, token, scope, audience):
    """What stands before `/.default` is the audience, a trailing slash included."""
    reply = token(application.tenant_id, **good(application, scope=scope))

    assert local.claims_of(str(reply.json["access_token"]))["aud"] == audience


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"grant_type": None}, (400, "invalid_request", 900144)),
        ({"client_id": None}, (400, "invalid_request", 900144)),
        ({"scope": None}, (400, "invalid_request", 900144)),
        ({"scope": "  "}, (400, "invalid_request", 900144)),
        ({"grant_type": "device_code"}, (400, "unsupported_grant_type", 70003)),
        ({"client_id": str(uuid.UUID(int=7))}, (400, "unauthorized_client", 700016)),
        ({"client_secret": "guessed"}, (401, "invalid_client", 7000215)),
        ({"client_secret": None}, (401, "invalid_client", 7000216)),
        ({"scope": "https://vault.azure.net/Secrets.Read"}, (400, "invalid_scope", 1002012)),
        ({"scope": "/.default"}, (400, "invalid_scope", 1002012)),
        ({"scope": f"{SCOPE} https://graph.microsoft.com/.default"}, (400, "invalid_scope", 70011)),
        ({"claims": "{"}, (400, "invalid_request", 9002313)),
        ({"claims": "[]"}, (400, "invalid_request", 9002313)),
    ],
)
def test_a_wrong_request_is_refused_by_number(application, token, changes, refused):
    """Each mistake has the status, the OAuth error and the AADSTS number that Entra ID gives it."""
    reply = token(application.tenant_id, **good(application, **changes))

    assert reply.refused == refused


def test_an_error_has_every_member_that_clients_read(local, application, ask):
    """An error tells its number in the text too, the caller's correlation id, a trace id and the time."""
    correlation_id = str(uuid.uuid4())
    url = f"{local.authority}/{application.tenant_id}/oauth2/v2.0/token"

    reply = ask(
        "POST",
        url,
        form=good(application, client_secret="wrong"),
        headers={"client-request-id": correlation_id},
        ca_file=local.ca_file,
    )

    error = reply.json
    assert set(error) == {
        "error",
        "error_description",
        "error_codes",
        "timestamp",
        "trace_id",
        "correlation_id",
        "error_uri",
    }
    assert error["correlation_id"] == correlation_id
    assert str(error["error_description"]).startswith("AADSTS7000215: ")
    assert f"Trace ID: {error['trace_id']} Correlation ID: {correlation_id}" in str(error["error_description"])
    assert "wrong" not in reply.body.decode()


def test_an_unknown_tenant_is_refused_before_anything_else(application, token):
    """Where nobody was ever added, there is no tenant."""
    reply = token(str(uuid.UUID(int=1)), **good(application))

    assert reply.refused == (400, "invalid_request", 90002)


@pytest.mark.parametrize("tenant", ["organizations", "common"])
def test_an_application_on_its_own_needs_a_tenant_of_its_own(application, token, tenant):
    """The stand-ins for a user's tenant are of no use without a user."""
    reply = token(tenant, **good(application))

    assert reply.refused == (400, "invalid_request", 50059)


def test_an_application_is_known_in_its_own_tenant_only(local, application, token):
    """Another tenant that exists does not know it, unless it is registered there as well."""
    other = local.add_application(tenant_id=str(uuid.UUID(int=2)))

    refused = token(other.tenant_id, **good(application))
    local.add_application(
        tenant_id=other.tenant_id, client_id=application.client_id, client_secret=application.client_secret
    )
    granted = token(other.tenant_id, **good(application))

    assert refused.refused == (400, "unauthorized_client", 700016)
    assert granted.status == 200


def test_an_expired_secret_differs_from_a_wrong_one(local, token):
    """The right secret too late has a number of its own; a wrong one stays wrong."""
    application = local.add_application(secret_expired=True)

    late = token(application.tenant_id, **good(application))
    wrong = token(application.tenant_id, **good(application, client_secret="x"))

    assert late.refused == (401, "invalid_client", 7000222)
    assert wrong.refused == (401, "invalid_client", 7000215)


def test_a_public_client_must_not_show_a_secret(local, token):
    """An application without credentials has nothing to show, and nothing to ask for on its own."""
    application = local.add_application(client_secret="")

    shown = token(application.tenant_id, **good(application, client_secret="made up"))
    silent = token(application.tenant_id, **good(application))

    assert shown.refused == (401, "invalid_client", 700025)
    assert silent.refused == (401, "invalid_client", 7000216)


def test_resources_are_all_known_until_one_is_added(local, application, token):
    """After the first `add_resource`, tokens are for added resources only; a trailing slash does not matter."""
    before = token(application.tenant_id, **good(application))
    local.add_resource("https://graph.microsoft.com")

    other = token(application.tenant_id, **good(application))
    added = token(application.tenant_id, **good(application, scope="https://graph.microsoft.com//.default"))

    assert before.status == 200
    assert other.refused == (400, "invalid_resource", 500011)
    assert added.status == 200


def test_claims_leave_their_mark_in_the_token(local, application, token):
    """A token shows what the claims parameter asked for, and the capability that it declared."""
    asked = {"access_token": {"nbf": {"essential": True, "value": "1"}, "xms_cc": {"values": ["cp1"]}}}

    plain = token(application.tenant_id, **good(application))
    marked = token(application.tenant_id, **good(application, claims=json.dumps(asked)))

    assert {"xms_cc", "requested_claims"}.isdisjoint(local.claims_of(str(plain.json["access_token"])))
    claims = local.claims_of(str(marked.json["access_token"]))
    assert claims["xms_cc"] == ["CP1"]
    assert claims["requested_claims"] == asked


def test_required_claims_must_be_asked_for(local, application, token):
    """Once claims are required, a request without them gets a challenge that carries them; with them, a token."""
    wanted = '{"access_token": {"nbf": {"essential": true, "value": "1600000000"}}}'
    local.require_claims(wanted)

    without = token(application.tenant_id, **good(application))
    more = json.loads(wanted)
    more["access_token"]["xms_cc"] = {"values": ["CP1"]}
    asked = token(application.tenant_id, **good(application, claims=json.dumps(more)))

    assert without.refused == (400, "interaction_required", 50076)
    assert json.loads(str(without.json["claims"])) == json.loads(wanted)
    assert asked.status == 200


def test_claims_that_are_no_object_cannot_be_required(local):
    """What a client could never ask for cannot be required."""
    with pytest.raises(ValueError, match="JSON object"):
        local.require_claims("[1]")


def test_only_a_form_is_a_form(local, application, ask):
    """A JSON body holds no parameters, whatever is in it."""
    url = f"{local.authority}/{application.tenant_id}/oauth2/v2.0/token"
    body = json.dumps(good(application)).encode()

    reply = ask("POST", url, body=body, headers={"Content-Type": "application/json"}, ca_file=local.ca_file)

    assert reply.refused == (400, "invalid_request", 900144)


def test_a_parameter_comes_once(local, application, ask):
    """RFC 6749, section 3.2: a parameter must not be included more than once."""
    url = f"{local.authority}/{application.tenant_id}/oauth2/v2.0/token"
    body = b"grant_type=client_credentials&grant_type=password"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    reply = ask("POST", url, body=body, headers=headers, ca_file=local.ca_file)

    assert reply.refused == (400, "invalid_request", 9002313)


def test_the_token_endpoint_takes_posts_only(local, application, ask):
    """Any other method is not allowed, and the answer says which is."""
    reply = ask("GET", f"{local.authority}/{application.tenant_id}/oauth2/v2.0/token", ca_file=local.ca_file)

    assert (reply.status, reply.headers["allow"]) == (405, "POST")


def test_an_address_that_nobody_serves_is_not_found(local, ask):
    """Only Entra ID's addresses are served on its port; the machine's are elsewhere."""
    elsewhere = ask("GET", f"{local.authority}/metadata/identity/oauth2/token", ca_file=local.ca_file)

    assert elsewhere.status == 404


def test_the_authority_describes_itself(local, application, ask):
    """The discovery document leads to the token endpoint and to the key that signs the tokens."""
    base = f"{local.authority}/{application.tenant_id}"

    document = ask("GET", f"{base}/v2.0/.well-known/openid-configuration", ca_file=local.ca_file).json
    keys = ask("GET", str(document["jwks_uri"]), ca_file=local.ca_file).json["keys"]

    assert document["issuer"] == f"{base}/v2.0"
    assert document["token_endpoint"] == f"{base}/oauth2/v2.0/token"
    assert isinstance(keys, list)
    assert [key["kty"] for key in keys] == ["RSA"]


def test_discovery_knows_added_tenants_and_the_shared_ones(local, application, ask):
    """A shared tenant's document is a template; an unknown tenant has none."""
    path = "v2.0/.well-known/openid-configuration"

    shared = ask("GET", f"{local.authority}/organizations/{path}", ca_file=local.ca_file)
    unknown = ask("GET", f"{local.authority}/{uuid.UUID(int=3)}/{path}", ca_file=local.ca_file)

    assert shared.json["issuer"] == f"{local.authority}/{{tenantid}}/v2.0"
    assert unknown.refused == (400, "invalid_request", 90002)


def test_instance_discovery_names_this_authority_alone(local, ask):
    """Every authority that is asked about turns out to be this one."""
    asked = f"{local.authority}/organizations/oauth2/v2.0/authorize"

    reply = ask(
        "GET",
        f"{local.authority}/common/discovery/instance",
        params={"api-version": "1.1", "authorization_endpoint": asked},
        ca_file=local.ca_file,
    )

    name = local.authority.removeprefix("https://")
    assert reply.json["metadata"] == [{"preferred_network": name, "preferred_cache": name, "aliases": [name]}]
    assert str(reply.json["tenant_discovery_endpoint"]).startswith(f"{local.authority}/organizations/")


@pytest.mark.parametrize("bad", ["", "a.b", "a.b.c", "a=.b.c", "....", "\u2603.b.c"])
def test_what_is_no_token_has_no_claims(local, bad):
    """`claims_of` reads nothing out of a text that is no signed token."""
    with pytest.raises(ValueError):  # noqa: PT011 (which of several it is, is not the law)
        local.claims_of(bad)


def test_another_emulators_token_is_refused(local, application, token):
    """Tokens are good for the emulator that signed them, and for nothing elsewhere."""
    genuine = str(token(application.tenant_id, **good(application)).json["access_token"])
    header, claims, signature = genuine.split(".")
    flipped = ("B" if signature[0] == "A" else "A") + signature[1:]

    with pytest.raises(ValueError, match="not signed by this emulator"):
        local.claims_of(f"{header}.{claims}.{flipped}")
    with pytest.raises(ValueError, match="not signed by this emulator"):
        Emulator().claims_of(genuine)
