"""The source authorization_code: a code that is good once, a refresh token, and one account."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import pickle
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from credchain._aiohttp import AiohttpTransport
from credchain.aio import AuthorizationCodeCredential
from credchain.errors import AuthenticationFailedError, TransportError
from credchain.host import Host
from credchain.testing import FakeClock, FakeTransport, json_response, run, token_response

if TYPE_CHECKING:
    from credchain.emulator import Application, Emulator, User
    from credchain.http import Request, Response

SCOPE = "https://graph.microsoft.com/.default"
OTHER = "https://vault.azure.net/.default"
REDIRECT = "https://application.example/signed-in"


def client_info(uid: str, utid: str = "tenant") -> str:
    return base64.urlsafe_b64encode(json.dumps({"uid": uid, "utid": utid}).encode()).rstrip(b"=").decode()


class Endpoint(FakeTransport):
    """A token endpoint that numbers its refresh tokens and counts grants."""

    def __init__(self, *, delay: float = 0.0, refresh: bool = True) -> None:
        super().__init__(self._answer, delay=delay)
        self.refresh = refresh
        self.account = "user"
        self.revoked: set[str] = set()
        self.grants: list[str] = []

    def _answer(self, request: Request) -> Response:
        form = dict(request.form or {})
        self.grants.append(form["grant_type"])
        if form.get("refresh_token") in self.revoked or (
            form["grant_type"] == "authorization_code" and self.grants.count("authorization_code") > 1
        ):
            return json_response({"error": "invalid_grant", "error_description": "AADSTS70008: expired"}, status=400)
        fields = {"client_info": client_info(self.account)}
        if self.refresh:
            fields["refresh_token"] = f"refresh-{len(self.grants)}"
        return token_response(f"token-{len(self.grants)}", **fields)


def made(endpoint: FakeTransport, clock: FakeClock, **keywords: Any) -> AuthorizationCodeCredential:
    host = Host(transport=endpoint, clock=clock)
    return AuthorizationCodeCredential("tenant", "client", "the-code", REDIRECT, host=host, **keywords)


def test_code_is_redeemed_once_for_many_callers_and_scopes(fake_clock: FakeClock) -> None:
    """However many ask, for whatever scopes: one redeems the code, the refresh token serves the other scopes."""
    endpoint = Endpoint(delay=0.1)
    credential = made(endpoint, fake_clock)

    async def main() -> set[str]:
        calls = [credential.get_token(scope) for scope in (SCOPE, OTHER, "third") for _ in range(100)]
        return {token.token for token in await asyncio.gather(*calls)}

    tokens = run(main(), clock=fake_clock)

    assert sorted(endpoint.grants) == ["authorization_code", "refresh_token", "refresh_token"]
    assert len(tokens) == 3


def test_fields_are_those_of_the_protocol(fake_clock: FakeClock) -> None:
    """RFC 6749, sections 4.1.3 and 6, and RFC 7636; the scope as it was asked for."""
    endpoint = Endpoint()
    credential = made(endpoint, fake_clock, client_secret="secret", code_verifier="verifier")

    async def main() -> None:
        await credential.get_token(SCOPE)
        await credential.get_token(OTHER)

    run(main(), clock=fake_clock)

    assert [dict(request.form or {}) for request in endpoint.requests] == [
        {
            "grant_type": "authorization_code",
            "client_id": "client",
            "client_secret": "secret",
            "code": "the-code",
            "code_verifier": "verifier",
            "redirect_uri": REDIRECT,
            "scope": SCOPE,
            "client_info": "1",
        },
        {
            "grant_type": "refresh_token",
            "client_id": "client",
            "client_secret": "secret",
            "refresh_token": "refresh-1",
            "scope": OTHER,
            "client_info": "1",
        },
    ]


def test_cached_token_is_returned_and_rotation_followed(fake_clock: FakeClock) -> None:
    """Later calls use the cache, later still the newest refresh token."""
    endpoint = Endpoint()
    credential = made(endpoint, fake_clock)

    async def main() -> None:
        await credential.get_token(SCOPE)
        await credential.get_token(SCOPE)
        fake_clock.advance(3601)
        await credential.get_token(SCOPE)
        fake_clock.advance(3601)
        await credential.get_token(SCOPE)

    run(main(), clock=fake_clock)

    used = [(request.form or {}).get("refresh_token") for request in endpoint.requests]
    assert used == [None, "refresh-1", "refresh-2"]


def test_refused_refresh_token_is_evicted(fake_clock: FakeClock) -> None:
    """The error says what the user has to do, and nobody asks in vain again."""
    endpoint = Endpoint()
    credential = made(endpoint, fake_clock)

    async def main() -> int:
        await credential.get_token(SCOPE)
        endpoint.revoked.add("refresh-1")
        with pytest.raises(AuthenticationFailedError) as caught:
            await credential.get_token(OTHER)
        assert caught.value.error == "invalid_grant"
        fake_clock.advance(60)
        asked = len(endpoint.requests)
        with pytest.raises(AuthenticationFailedError, match="revoked or expired; the user has to sign in again"):
            await credential.get_token("third")
        assert (await credential.get_token(SCOPE)).token == "token-1"
        return len(endpoint.requests) - asked

    assert run(main(), clock=fake_clock) == 0


def test_used_code_is_not_sent_again(fake_clock: FakeClock) -> None:
    """invalid_grant for the code is final."""
    endpoint = Endpoint()
    endpoint.grants.append("authorization_code")
    credential = made(endpoint, fake_clock)

    async def main() -> None:
        with pytest.raises(AuthenticationFailedError, match="AADSTS70008"):
            await credential.get_token(SCOPE)
        fake_clock.advance(60)
        with pytest.raises(AuthenticationFailedError, match="used up or expired; the user has to sign in again"):
            await credential.get_token(OTHER)

    run(main(), clock=fake_clock)

    assert len(endpoint.requests) == 1


def test_code_survives_an_outage(fake_clock: FakeClock) -> None:
    """A redemption that was not answered can be tried again."""
    endpoint = FakeTransport(*[TransportError("down")] * 4, token_response())
    credential = made(endpoint, fake_clock)

    async def main() -> str:
        with pytest.raises(TransportError):
            await credential.get_token(SCOPE)
        return (await credential.get_token(SCOPE)).token

    assert run(main(), clock=fake_clock) == "a-token"


def test_without_a_refresh_token_other_scopes_are_refused(fake_clock: FakeClock) -> None:
    """With a sentence; the first scope's token still serves."""
    endpoint = Endpoint(refresh=False)
    credential = made(endpoint, fake_clock)

    async def main() -> None:
        first = await credential.get_token(SCOPE)
        with pytest.raises(AuthenticationFailedError, match="no refresh token came"):
            await credential.get_token(OTHER)
        assert await credential.get_token(SCOPE) is first

    run(main(), clock=fake_clock)


def test_account_is_bound(fake_clock: FakeClock) -> None:
    """A token of somebody else is never handed out."""
    endpoint = Endpoint()
    credential = made(endpoint, fake_clock)

    async def main() -> None:
        await credential.get_token(SCOPE)
        endpoint.account = "somebody else"
        with pytest.raises(AuthenticationFailedError, match="another account's token"):
            await credential.get_token(OTHER)

    run(main(), clock=fake_clock)


def test_other_tenant_only_if_allowed(fake_clock: FakeClock) -> None:
    """Then the refresh token is redeemed there."""
    endpoint = Endpoint()
    allowing = made(endpoint, fake_clock, additionally_allowed_tenants=["elsewhere"])

    async def main() -> None:
        await allowing.get_token(SCOPE)
        await allowing.get_token(SCOPE, tenant_id="elsewhere")
        with pytest.raises(AuthenticationFailedError, match="additionally_allowed_tenants"):
            await allowing.get_token(SCOPE, tenant_id="nowhere")

    run(main(), clock=fake_clock)

    assert [request.url.split("/")[3] for request in endpoint.requests] == ["tenant", "elsewhere"]


def test_authority_is_asked(fake_clock: FakeClock) -> None:
    """The one that was given, for the code and for the refresh token."""
    endpoint = Endpoint()
    credential = made(endpoint, fake_clock, authority="login.microsoftonline.us")

    async def main() -> None:
        await credential.get_token(SCOPE)
        await credential.get_token(OTHER)

    run(main(), clock=fake_clock)

    assert {request.url for request in endpoint.requests} == {
        "https://login.microsoftonline.us/tenant/oauth2/v2.0/token"
    }


def test_executor_takes_answers_apart(fake_clock: FakeClock) -> None:
    """The reference's `executor`: it runs what is neither network nor waiting."""

    class Counting(ThreadPoolExecutor):
        submitted = 0

        def submit(self, *arguments: Any, **keywords: Any) -> Any:
            Counting.submitted += 1
            return super().submit(*arguments, **keywords)

    credential = made(Endpoint(), fake_clock)
    with Counting(1) as executor:
        token = run(credential.get_token(SCOPE, executor=executor), clock=fake_clock)

    assert token.token == "token-1"
    assert Counting.submitted == 1


def test_executor_that_was_shut_down_is_done_without(fake_clock: FakeClock) -> None:
    """The executor is its owner's, who may be finished with it; later calls go on."""
    credential = made(Endpoint(), fake_clock)

    async def main() -> str:
        with ThreadPoolExecutor(1) as executor:
            await credential.get_token(SCOPE, executor=executor)
        return (await credential.get_token(OTHER)).token

    assert run(main(), clock=fake_clock) == "token-2"


def test_loop_of_another_thread_is_used(fake_clock: FakeClock) -> None:
    """The reference's `loop`: the network's work happens there."""
    threads: list[str] = []

    class Noting(Endpoint):
        async def send(self, request: Request) -> Response:
            threads.append(threading.current_thread().name)
            return await super().send(request)

    credential = made(Noting(), fake_clock)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="the other thread")
    thread.start()

    token = asyncio.run(credential.get_token(SCOPE, loop=loop))
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)
    loop.close()

    assert token.token == "token-1"
    assert threads == ["the other thread"]


def test_loop_that_does_not_run_is_refused(fake_clock: FakeClock) -> None:
    """With a sentence, instead of waiting for ever."""
    loop = asyncio.new_event_loop()

    with pytest.raises(ValueError, match="loop: must be running"):
        asyncio.run(made(Endpoint(), fake_clock).get_token(SCOPE, loop=loop))

    loop.close()


def _signed_in(emulator: Emulator, **keywords: Any) -> tuple[Application, User, str]:
    application = emulator.add_application(redirect_uris=[REDIRECT])
    user = emulator.add_user(tenant_id=application.tenant_id)
    code = emulator.issue_code(application, user, redirect_uri=REDIRECT, scope=SCOPE, **keywords)
    return application, user, code


def _against(emulator: Emulator, application: Application, code: str, **keywords: Any) -> AuthorizationCodeCredential:
    environment = emulator.environment()
    host = Host(transport=AiohttpTransport(environment=environment), environment=environment)
    arguments = {"client_secret": application.client_secret, "redirect_uri": REDIRECT, **keywords}
    return AuthorizationCodeCredential(
        application.tenant_id, application.client_id, code, arguments.pop("redirect_uri"), host=host, **arguments
    )


async def _closing(credential: AuthorizationCodeCredential, *scopes: str) -> list[str]:
    try:
        return [(await credential.get_token(scope)).token for scope in scopes]
    finally:
        await credential.host.transport.close()


def test_user_over_real_sockets(emulator: Emulator) -> None:
    """The tokens are the user's, for one resource after another."""
    application, user, code = _signed_in(emulator)

    tokens = asyncio.run(_closing(_against(emulator, application, code), SCOPE, OTHER))

    claims = [emulator.claims_of(token) for token in tokens]
    assert [one["oid"] for one in claims] == [user.object_id] * 2
    assert [one["aud"] for one in claims] == ["https://graph.microsoft.com", "https://vault.azure.net"]


def test_pkce_over_real_sockets(emulator: Emulator) -> None:
    """The verifier proves that the code is ours; a wrong one is refused with Entra ID's number."""
    verifier = "v" * 50
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    application, _, code = _signed_in(emulator, code_challenge=challenge)
    _, _, second = application, None, _signed_in(emulator, code_challenge=challenge)

    (token,) = asyncio.run(_closing(_against(emulator, application, code, code_verifier=verifier), SCOPE))
    with pytest.raises(AuthenticationFailedError) as caught:
        asyncio.run(_closing(_against(emulator, second[0], second[2], code_verifier="w" * 50), SCOPE))

    assert emulator.claims_of(token)["appid"] == application.client_id
    assert 501481 in caught.value.error_codes


@pytest.mark.parametrize(
    ("keywords", "number"),
    [({"redirect_uri": "https://elsewhere.example/"}, 50011), ({"client_secret": "wrong"}, 7000215)],
    ids=["redirect", "secret"],
)
def test_refusals_are_told_with_their_numbers(emulator: Emulator, keywords: dict[str, str], number: int) -> None:
    """As the service words them."""
    application, _, code = _signed_in(emulator)

    with pytest.raises(AuthenticationFailedError) as caught:
        asyncio.run(_closing(_against(emulator, application, code, **keywords), SCOPE))

    assert number in caught.value.error_codes


def test_revoked_user_has_to_sign_in_again(emulator: Emulator) -> None:
    """The refresh token is refused by the service."""
    application, user, code = _signed_in(emulator)
    credential = _against(emulator, application, code)

    async def main() -> None:
        await credential.get_token(SCOPE)
        emulator.revoke(user)
        try:
            with pytest.raises(AuthenticationFailedError) as caught:
                await credential.get_token(OTHER)
        finally:
            await credential.host.transport.close()
        assert caught.value.error == "invalid_grant"

    asyncio.run(main())


def test_two_users_never_get_each_others_token(emulator: Emulator) -> None:
    """Two credentials of one application."""
    application, first, code = _signed_in(emulator)
    second = emulator.add_user(tenant_id=application.tenant_id)
    other_code = emulator.issue_code(application, second, redirect_uri=REDIRECT, scope=SCOPE)

    one = asyncio.run(_closing(_against(emulator, application, code), SCOPE))
    two = asyncio.run(_closing(_against(emulator, application, other_code), SCOPE))

    assert [emulator.claims_of(token)["oid"] for token in (*one, *two)] == [first.object_id, second.object_id]


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        (("a b", "c", "code", REDIRECT), {}, "tenant_id"),
        (("t", "", "code", REDIRECT), {}, "client_id"),
        (("t", "c", "", REDIRECT), {}, "authorization_code"),
        (("t", "c", "code", ""), {}, "redirect_uri"),
        (("t", "c", "code", "/relative"), {}, "redirect_uri: must be an absolute URI"),
        (("t", "c", "code", REDIRECT), {"client_secret": ""}, "client_secret"),
        (("t", "c", "code", REDIRECT), {"code_verifier": " "}, "code_verifier"),
        (("t", "c", "code", REDIRECT), {"authority": "http://x"}, "authority"),
    ],
)
def test_bad_arguments_are_told_at_once(arguments: Any, keywords: Any, message: str) -> None:
    """The error names the argument."""
    with pytest.raises(ValueError, match=message):
        AuthorizationCodeCredential(*arguments, **keywords)


def test_unknown_keyword_is_told_with_the_nearest() -> None:
    """A slip of the pen is a TypeError."""
    with pytest.raises(TypeError, match="did you mean 'code_verifier'"):
        AuthorizationCodeCredential("t", "c", "code", REDIRECT, codeverifier="x")  # type: ignore[arg-type]


def test_secrets_are_seen_nowhere(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """Neither code, secret, refresh token nor token: not in a log at DEBUG, a repr, an error, a traceback or a pickle."""
    caplog.set_level(logging.DEBUG)
    application, user, code = _signed_in(emulator)
    credential = _against(emulator, application, code)

    async def main() -> tuple[list[str], str]:
        tokens = [(await credential.get_token(SCOPE)).token]
        refresh_token = credential._refresh_token or ""
        emulator.revoke(user)
        with pytest.raises(AuthenticationFailedError) as caught:
            await credential.get_token(OTHER)
        await credential.host.transport.close()
        told = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
        return [*tokens, refresh_token], told

    secrets, told = asyncio.run(main())
    with pytest.raises(TypeError) as pickled:
        pickle.dumps(credential)

    everything = told + caplog.text + repr(credential) + str(pickled.value)
    for secret in (*secrets, code, application.client_secret or ""):
        assert secret
        assert secret not in everything
