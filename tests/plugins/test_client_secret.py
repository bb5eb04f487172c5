"""The source client_secret, against the emulator over TLS and against fakes."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import traceback
import uuid
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from azure.core.credentials_async import AsyncTokenCredential

from credchain._aiohttp import AiohttpTransport
from credchain.aio import ClientSecretCredential
from credchain.emulator import Emulator, Fault
from credchain.errors import AuthenticationFailedError, TransportError
from credchain.host import Host
from credchain.http import Response
from credchain.testing import FakeClock, FakeTransport, json_response, run, token_response

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

SCOPE = "https://vault.azure.net/.default"
SECRET = "the~planted/secret"


def host_for(emulator: Emulator) -> Host:
    environment = emulator.environment()
    return Host(transport=AiohttpTransport(environment=environment), environment=environment)


def against(emulator: Emulator, *arguments: str, **keywords: Any) -> ClientSecretCredential:
    return ClientSecretCredential(*arguments, host=host_for(emulator), **keywords)


async def closing(credential: ClientSecretCredential, call: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await call
    finally:
        await credential.host.transport.close()


def token_for(credential: ClientSecretCredential, *scopes: str, **options: Any) -> Any:
    return asyncio.run(closing(credential, credential.get_token(*scopes, **options)))


def test_token_over_real_sockets(emulator: Emulator) -> None:
    """A service principal gets a token of its own for the resource it asked for, and the second call sends nothing."""
    application = emulator.add_application()
    credential = against(emulator, application.tenant_id, application.client_id, application.client_secret or "")

    token = token_for(credential, SCOPE)
    again = token_for(credential, SCOPE)

    claims = emulator.claims_of(token.token)
    assert (claims["tid"], claims["appid"], claims["aud"]) == (
        application.tenant_id,
        application.client_id,
        "https://vault.azure.net",
    )
    assert again is token
    assert emulator.count("token") == 1
    assert isinstance(credential, AsyncTokenCredential)


def test_first_token_is_one_request_for_a_thousand_callers(emulator: Emulator) -> None:
    """Over real sockets as well."""
    application = emulator.add_application()
    credential = against(emulator, application.tenant_id, application.client_id, application.client_secret or "")

    async def thousand() -> None:
        await asyncio.gather(*(credential.get_token(SCOPE) for _ in range(1000)))

    asyncio.run(closing(credential, thousand()))

    assert emulator.count("token") == 1


def test_double_slash_in_a_scope_survives(emulator: Emulator) -> None:
    """Service Bus names its resource with a slash at the end."""
    application = emulator.add_application()
    credential = against(emulator, application.tenant_id, application.client_id, application.client_secret or "")

    token = token_for(credential, "https://servicebus.azure.net//.default")

    assert emulator.claims_of(token.token)["aud"] == "https://servicebus.azure.net/"


@pytest.mark.parametrize(
    ("change", "code", "error"),
    [
        ({"secret": "wrong"}, 7000215, "invalid_client"),
        ({"client_id": "11111111-1111-1111-1111-111111111111"}, 700016, "unauthorized_client"),
        ({"tenant_id": "22222222-2222-2222-2222-222222222222"}, 90002, "invalid_request"),
        ({"expired": True}, 7000222, "invalid_client"),
    ],
    ids=["secret", "client", "tenant", "expired"],
)
def test_refusals_are_told_with_their_numbers(
    emulator: Emulator, change: Mapping[str, Any], code: int, error: str
) -> None:
    """Each answer of Entra ID becomes attributes of one error, and its sentence the message."""
    application = emulator.add_application(secret_expired=bool(change.get("expired")))
    credential = against(
        emulator,
        change.get("tenant_id", application.tenant_id),
        change.get("client_id", application.client_id),
        change.get("secret", application.client_secret),
    )

    with pytest.raises(AuthenticationFailedError) as caught:
        token_for(credential, SCOPE)

    assert code in caught.value.error_codes
    assert caught.value.error == error
    assert caught.value.message.startswith(f"client_secret: the service answered: AADSTS{code}")
    assert caught.value.correlation_id
    assert caught.value.trace_id
    assert caught.value.response is None


def test_scope_that_the_service_refuses(emulator: Emulator) -> None:
    """A well-formed scope that is no resource's is the service's to refuse."""
    application = emulator.add_application()
    credential = against(emulator, application.tenant_id, application.client_id, application.client_secret or "")

    with pytest.raises(AuthenticationFailedError) as caught:
        token_for(credential, "https://vault.azure.net/user_impersonation")

    assert caught.value.error == "invalid_scope"


def test_fault_that_passes_is_survived(emulator: Emulator) -> None:
    """A 503 with Retry-After: 0 is retried."""
    application = emulator.add_application()
    credential = against(emulator, application.tenant_id, application.client_id, application.client_secret or "")
    emulator.fail("token", Fault(status=503, headers={"Retry-After": "0"}, times=2))

    token = token_for(credential, SCOPE)

    assert token.token
    assert emulator.count("token") == 3


def test_connection_reset_is_survived(emulator: Emulator) -> None:
    """A connection that breaks is tried again."""
    application = emulator.add_application()
    credential = against(emulator, application.tenant_id, application.client_id, application.client_secret or "")
    emulator.fail("token", Fault(reset=True, times=1))

    assert token_for(credential, SCOPE).token


def test_long_retry_after_is_reported_at_once(emulator: Emulator) -> None:
    """An hour's wait becomes an attribute, not a sleep."""
    application = emulator.add_application()
    credential = against(emulator, application.tenant_id, application.client_id, application.client_secret or "")
    emulator.fail("token", Fault(status=429, headers={"Retry-After": "3600"}))

    with pytest.raises(AuthenticationFailedError) as caught:
        token_for(credential, SCOPE)

    assert caught.value.retry_after == 3600
    assert emulator.count("token") == 1


def test_claims_challenge_and_capability_arrive(emulator: Emulator) -> None:
    """With CAE the challenge goes out merged with the client's capability, without it bare."""
    application = emulator.add_application()
    credential = against(emulator, application.tenant_id, application.client_id, application.client_secret or "")
    challenge = '{"access_token": {"nbf": {"essential": true, "value": "1"}}}'

    async def calls() -> None:
        await credential.get_token(SCOPE, claims=challenge, enable_cae=True)
        await credential.get_token(SCOPE, claims=challenge)
        await credential.get_token(SCOPE, enable_cae=True)
        await credential.get_token(SCOPE)

    asyncio.run(closing(credential, calls()))

    sent = [json.loads(request.form["claims"]) for request in emulator.requests if "claims" in request.form]
    capability = {"values": ["CP1"]}
    nbf = {"essential": True, "value": "1"}
    assert sent == [{"access_token": {"nbf": nbf, "xms_cc": capability}}, {"access_token": {"nbf": nbf}}]


def test_other_tenant_only_if_allowed(emulator: Emulator) -> None:
    """A request for another tenant needs a permission; then it goes there."""
    application = emulator.add_application()
    other = emulator.add_application(
        tenant_id=str(uuid.uuid4()), client_id=application.client_id, client_secret=application.client_secret
    )
    arguments = (application.tenant_id, application.client_id, application.client_secret or "")
    closed = against(emulator, *arguments)
    allowing = against(emulator, *arguments, additionally_allowed_tenants=[other.tenant_id])

    with pytest.raises(AuthenticationFailedError, match="additionally_allowed_tenants"):
        token_for(closed, SCOPE, tenant_id=other.tenant_id)
    token = token_for(allowing, SCOPE, tenant_id=other.tenant_id)

    assert emulator.claims_of(token.token)["tid"] == other.tenant_id


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        (("", "c", "s"), {}, "tenant_id: must be"),
        (("a tenant", "c", "s"), {}, "tenant_id: must be"),
        (("te/nant", "c", "s"), {}, "tenant_id: must be"),
        (("t", "", "s"), {}, "client_id: must be a non-empty string"),
        (("t", "c", ""), {}, "client_secret: must be a non-empty string"),
        (("t", "c", None), {}, "client_secret: must be a non-empty string"),
        (("t", "c", "s"), {"authority": "http://login.example"}, "authority: must use https"),
        (("t", "c", "s"), {"authority": ""}, "authority: must be a host or an https URL"),
        (("t", "c", "s"), {"authority": "https://"}, "authority: must be a host"),
        (("t", "c", "s"), {"authority": "https://user@login.example"}, "authority: not a host"),
    ],
)
def test_bad_arguments_are_told_at_once(arguments: Any, keywords: Any, message: str) -> None:
    """The error names the argument and the rule; nothing is sent."""
    with pytest.raises(ValueError, match=message):
        ClientSecretCredential(*arguments, **keywords)


def test_malformed_authority_variable_is_told_at_once() -> None:
    """It is named as the variable it is."""
    host = Host(transport=FakeTransport(), environment={"AZURE_AUTHORITY_HOST": "http://login.example"})

    with pytest.raises(ValueError, match="AZURE_AUTHORITY_HOST: must use https"):
        ClientSecretCredential("t", "c", "s", host=host)


def test_unknown_keyword_is_told_with_the_nearest() -> None:
    """A slip of the pen is a TypeError."""
    with pytest.raises(TypeError, match="'autority'; did you mean 'authority'"):
        ClientSecretCredential("t", "c", "s", autority="x")  # type: ignore[arg-type]


@pytest.mark.parametrize("scope", ["https://vault azure/.default", "scope\n", "sc*pe"])
def test_malformed_scope_is_not_sent(fake_transport: FakeTransport, scope: str) -> None:
    """ValueError before any I/O."""
    credential = ClientSecretCredential("t", "c", "s", transport=fake_transport)

    with pytest.raises(ValueError, match="scopes: "):
        asyncio.run(credential.get_token(scope))

    assert not fake_transport.requests


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (Response(200, headers={"content-type": "text/html"}, body=b"<html>sign in</html>"), "status 200, text/html"),
        (Response(502, body=b""), "status 502, no content type, and an empty body"),
        (json_response({"access_token": "t"}), "does not say when it expires"),
        (json_response(["no object"]), "status 200, application/json"),
    ],
    ids=["a page", "empty", "no expiry", "no object"],
)
def test_answers_that_are_none_are_told_without_their_body(
    fake_clock: FakeClock, response: Response, message: str
) -> None:
    """The body of a strange answer may hold anything, so only its kind is told."""
    host = Host(transport=FakeTransport(response), clock=fake_clock)
    credential = ClientSecretCredential("t", "c", "s", host=host)

    with pytest.raises(AuthenticationFailedError, match=message) as caught:
        run(credential.get_token(SCOPE), clock=fake_clock)

    assert "sign in" not in str(caught.value)


def test_adfs_uses_its_own_tenant_always(fake_clock: FakeClock) -> None:
    """The tenant `adfs` is never replaced by another."""
    transport = FakeTransport(token_response())
    credential = ClientSecretCredential("adfs", "c", "s", host=Host(transport=transport, clock=fake_clock))

    run(credential.get_token(SCOPE, tenant_id="other"), clock=fake_clock)

    assert transport.requests[0].url == "https://login.microsoftonline.com/adfs/oauth2/v2.0/token"


def test_multitenancy_can_be_switched_off(fake_clock: FakeClock) -> None:
    """AZURE_IDENTITY_DISABLE_MULTITENANTAUTH sends every request to the configured tenant."""
    transport = FakeTransport(token_response())
    environment = {"AZURE_IDENTITY_DISABLE_MULTITENANTAUTH": "true"}
    host = Host(transport=transport, clock=fake_clock, environment=environment)
    credential = ClientSecretCredential("mine", "c", "s", host=host)

    run(credential.get_token(SCOPE, tenant_id="other"), clock=fake_clock)

    assert "/mine/" in transport.requests[0].url


def test_secret_is_seen_nowhere(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """Not in a log at DEBUG, a repr, an error, a traceback or a pickle; nor is the token."""
    caplog.set_level(logging.DEBUG)
    application = emulator.add_application(client_secret=SECRET)
    good = against(emulator, application.tenant_id, application.client_id, SECRET)
    token = token_for(good, SCOPE)
    bad = against(emulator, application.tenant_id, application.client_id, SECRET + "x")

    with pytest.raises(AuthenticationFailedError) as refused:
        token_for(bad, SCOPE)
    emulator.fail("token", Fault(reset=True))
    hurried = attrs.evolve(host_for(emulator), timeout=0.5)
    cut_off = ClientSecretCredential(application.tenant_id, application.client_id, SECRET, host=hurried)
    with pytest.raises(TransportError) as broken:
        token_for(cut_off, SCOPE)
    with pytest.raises(TypeError) as pickled:
        pickle.dumps(good)

    told = [repr(good), repr(token), repr(bad.host), caplog.text]
    for caught in (refused, broken, pickled):
        told += ["".join(traceback.format_exception(caught.value)), repr(caught.value), repr(vars(caught.value))]
    everything = "\n".join(told)
    assert SECRET not in everything
    assert token.token not in everything
