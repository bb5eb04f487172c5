"""The source environment: which identity the variables describe, and what they lack."""

from __future__ import annotations

import asyncio
import logging
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from credchain._aiohttp import AiohttpTransport
from credchain.aio import EnvironmentCredential
from credchain.default import DefaultAzureCredential
from credchain.errors import AuthenticationFailedError, ChainUnavailableError, CredentialUnavailableError
from credchain.host import Host
from credchain.sources import machine_host
from credchain.testing import FakeClock, FakeTransport, run, token_response
from credchain_plugins.environment import choose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credchain.emulator import Emulator

SCOPE = "https://vault.azure.net/.default"
PRINCIPAL = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"}


def source(
    environment: Mapping[str, str], transport: FakeTransport | None = None, **keywords: Any
) -> EnvironmentCredential:
    """The source on a machine with these variables."""
    from credchain.sources import Sources

    host = Host(transport=transport or FakeTransport(token_response()), environment=environment)
    return EnvironmentCredential(host=Sources(environment).with_source(host), **keywords)


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({**PRINCIPAL, "AZURE_CLIENT_SECRET": "s"}, "client_secret"),
        ({**PRINCIPAL, "AZURE_CLIENT_CERTIFICATE_PATH": "p"}, "certificate"),
        ({"AZURE_CLIENT_ID": "c", "AZURE_USERNAME": "u", "AZURE_PASSWORD": "p"}, "username_password"),
        ({**PRINCIPAL, "AZURE_CLIENT_SECRET": "s", "AZURE_CLIENT_CERTIFICATE_PATH": "p"}, "client_secret"),
        (
            {**PRINCIPAL, "AZURE_CLIENT_CERTIFICATE_PATH": "p", "AZURE_USERNAME": "u", "AZURE_PASSWORD": "p"},
            "certificate",
        ),
        ({**PRINCIPAL, "AZURE_CLIENT_SECRET": "", "AZURE_CLIENT_CERTIFICATE_PATH": "p"}, "certificate"),
    ],
    ids=["secret", "certificate", "user", "secret first", "certificate before user", "empty is not set"],
)
def test_first_complete_identity_is_used(environment: Mapping[str, str], kind: str) -> None:
    """Secret, certificate, user: in this order."""
    assert choose(environment) == kind


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, "no identity is described; set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"),
        (
            PRINCIPAL,
            r"AZURE_CLIENT_ID, AZURE_TENANT_ID set, AZURE_CLIENT_SECRET \(or AZURE_CLIENT_CERTIFICATE_PATH\) missing",
        ),
        ({"AZURE_CLIENT_SECRET": "s"}, "AZURE_CLIENT_SECRET set, AZURE_TENANT_ID, AZURE_CLIENT_ID missing"),
        ({"AZURE_TENANT_ID": "t", "AZURE_CLIENT_SECRET": "s"}, "AZURE_CLIENT_ID missing"),
        ({"AZURE_USERNAME": "u", "AZURE_CLIENT_ID": "c"}, "AZURE_PASSWORD missing"),
        ({**PRINCIPAL, "AZURE_CLIENT_SECRET": ""}, "AZURE_CLIENT_SECRET set but empty"),
    ],
    ids=["nothing", "no secret", "secret alone", "no client", "no password", "empty"],
)
def test_incomplete_environment_is_unavailable_and_says_what_is_missing(
    environment: Mapping[str, str], told: str
) -> None:
    """A chain goes on, and the operator learns which variable to set."""
    with pytest.raises(CredentialUnavailableError, match=f"environment: .*{told}"):
        asyncio.run(source(environment).get_token(SCOPE))


def test_secret_is_used_through_the_source_client_secret(emulator: Emulator) -> None:
    """Over real sockets; both methods give the same token, from one request."""
    application = emulator.add_application()
    environment = emulator.environment(application)

    async def main() -> tuple[str, str]:
        from credchain.sources import Sources

        transport = AiohttpTransport(environment=environment)
        host = Host(transport=transport, environment=environment)
        credential = EnvironmentCredential(host=Sources(environment).with_source(host))
        token = await credential.get_token(SCOPE)
        info = await credential.get_token_info(SCOPE)
        await transport.close()
        return token.token, info.token

    token, info = asyncio.run(main())

    assert token == info
    assert emulator.claims_of(token)["appid"] == application.client_id
    assert emulator.count("token") == 1


def test_thousand_first_calls_build_one_credential(fake_clock: FakeClock) -> None:
    """The inner credential is built once, so its single flight serves all."""
    transport = FakeTransport(token_response(), delay=0.05)
    credential = source({**PRINCIPAL, "AZURE_CLIENT_SECRET": "s"}, transport)

    async def main() -> None:
        await asyncio.gather(*(credential.get_token(SCOPE) for _ in range(1000)))

    run(main(), clock=fake_clock)

    assert len(transport.requests) == 1


def test_user_with_password_is_warned_once(caplog: pytest.LogCaptureFixture) -> None:
    """The legacy way works, in `organizations` unless a tenant is set, and says that it cannot do MFA."""
    transport = FakeTransport(token_response())
    credential = source({"AZURE_CLIENT_ID": "c", "AZURE_USERNAME": "u", "AZURE_PASSWORD": "p~w"}, transport)

    async def main() -> None:
        await credential.get_token(SCOPE)
        await credential.get_token("https://other/.default")

    asyncio.run(main())

    form = transport.requests[0].form or {}
    assert transport.requests[0].url.endswith("/organizations/oauth2/v2.0/token")
    assert (form["grant_type"], form["username"], form["password"], form["client_info"]) == (
        "password",
        "u",
        "p~w",
        "1",
    )
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "multi-factor" in warnings[0].getMessage()
    assert "p~w" not in caplog.text


def test_user_with_password_against_the_emulator(emulator: Emulator) -> None:
    """Over real sockets, and a wrong password is refused with its number."""
    application = emulator.add_application(client_secret="")
    user = emulator.add_user(tenant_id=application.tenant_id)
    base = {
        **emulator.environment(),
        "AZURE_TENANT_ID": user.tenant_id,
        "AZURE_CLIENT_ID": application.client_id,
        "AZURE_USERNAME": user.username,
    }

    async def token(password: str) -> str:
        environment = {**base, "AZURE_PASSWORD": password}
        transport = AiohttpTransport(environment=environment)
        host = Host(transport=transport, environment=environment)
        try:
            return (await EnvironmentCredential(host=host).get_token(SCOPE)).token
        finally:
            await transport.close()

    assert emulator.claims_of(asyncio.run(token(user.password)))["oid"] == user.object_id
    with pytest.raises(AuthenticationFailedError) as caught:
        asyncio.run(token("wrong"))
    assert 50126 in caught.value.error_codes


def test_malformed_variable_is_a_failure_that_names_the_variables() -> None:
    """It must not be passed over: the operator meant this identity."""
    credential = source({"AZURE_TENANT_ID": "a tenant", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"})

    with pytest.raises(AuthenticationFailedError, match="tenant_id: must be .*AZURE_TENANT_ID") as caught:
        asyncio.run(credential.get_token(SCOPE))

    assert not isinstance(caught.value, CredentialUnavailableError)


def test_malformed_authority_variable_is_named_alone() -> None:
    """The other variables are not in question."""
    credential = source({**PRINCIPAL, "AZURE_CLIENT_SECRET": "s", "AZURE_AUTHORITY_HOST": "http://login.example"})

    with pytest.raises(AuthenticationFailedError) as caught:
        asyncio.run(credential.get_token(SCOPE))

    assert "AZURE_AUTHORITY_HOST: must use https" in caught.value.message
    assert "AZURE_CLIENT_ID" not in caught.value.message


def test_disabling_the_inner_source_is_felt_here() -> None:
    """environment builds on client_secret by name."""
    environment = {**PRINCIPAL, "AZURE_CLIENT_SECRET": "s"}
    host = Host(transport=FakeTransport(token_response()), environment=environment)
    credential = DefaultAzureCredential(host=host, disable=["client_secret"], order=["environment"])

    with pytest.raises(ChainUnavailableError, match="client_secret: disabled by the keyword disable"):
        asyncio.run(credential.get_token(SCOPE))


def test_variables_that_come_later_are_seen() -> None:
    """A source that lacked its variables looks again at the next call."""
    environment: dict[str, str] = {}
    credential = source(environment)
    with pytest.raises(CredentialUnavailableError):
        asyncio.run(credential.get_token(SCOPE))

    environment |= {**PRINCIPAL, "AZURE_CLIENT_SECRET": "s"}

    assert asyncio.run(credential.get_token(SCOPE)).token == "a-token"


def test_authority_argument_wins_over_the_variable() -> None:
    """As for every source."""
    transport = FakeTransport(token_response())
    environment = {**PRINCIPAL, "AZURE_CLIENT_SECRET": "s", "AZURE_AUTHORITY_HOST": "login.from.variable"}
    credential = source(environment, transport, authority="login.from.argument")

    asyncio.run(credential.get_token(SCOPE))

    assert transport.requests[0].url.startswith("https://login.from.argument/")


def test_close_leaves_what_is_not_ours() -> None:
    """A transport that was given is not closed, and the credential can be used again."""
    transport = FakeTransport(token_response())

    async def main() -> None:
        async with EnvironmentCredential(transport=transport) as credential:
            assert repr(credential) == "<EnvironmentCredential>"

    asyncio.run(main())

    assert transport.closed == 0


def test_pickling_keeps_the_arguments() -> None:
    """There is no secret in the object; with a transport it says why not."""
    copy = pickle.loads(pickle.dumps(EnvironmentCredential(authority="login.example")))

    assert isinstance(copy, EnvironmentCredential)
    with pytest.raises(TypeError, match="a transport, session or host was given"):
        pickle.dumps(EnvironmentCredential(transport=FakeTransport()))


@pytest.mark.parametrize("keywords", [{"authority": "http://x"}, {"authority": ""}])
def test_bad_arguments_are_told_at_once(keywords: dict[str, Any]) -> None:
    """Before anything is asked."""
    with pytest.raises(ValueError, match="authority"):
        EnvironmentCredential(**keywords)


def test_unknown_keyword_is_told_with_the_nearest() -> None:
    """A slip of the pen is a TypeError."""
    with pytest.raises(TypeError, match="did you mean 'additionally_allowed_tenants'"):
        EnvironmentCredential(additional_allowed_tenants=["*"])  # type: ignore[arg-type]


def test_made_by_hand_it_finds_its_inner_source(fake_transport: FakeTransport) -> None:
    """Without a chain around it, the inner source comes from credchain's own distribution."""
    host = machine_host(transport=fake_transport)

    built = host.source("client_secret", {"tenant_id": "t", "client_id": "c", "client_secret": "s"})

    assert type(built).__name__ == "ClientSecretCredential"
