"""What real callers do to a credential object: SDK policies, OpenAI's client, Graph, Cosmos and others."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from azure.core.credentials import AccessToken, AccessTokenInfo
from azure.core.credentials_async import AsyncSupportsTokenInfo, AsyncTokenCredential
from azure.core.pipeline import AsyncPipeline
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy
from azure.core.rest import HttpRequest

from credchain.aio import (
    ChainedTokenCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    EnvironmentCredential,
    ManagedIdentityCredential,
    get_bearer_token_provider,
)
from credchain.host import Host
from credchain.testing import FakeTransport, token_response

SCOPE = "https://vault.azure.net/.default"
VARIABLES = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"}


def _answers() -> FakeTransport:
    return FakeTransport(token_response("the-token"))


def _client_secret() -> ClientSecretCredential:
    return ClientSecretCredential("t", "c", "s", transport=_answers())


def _default() -> DefaultAzureCredential:
    return DefaultAzureCredential(host=Host(transport=_answers(), environment=VARIABLES))


def _environment() -> EnvironmentCredential:
    from credchain.sources import Sources

    host = Host(transport=_answers(), environment=VARIABLES)
    return EnvironmentCredential(host=Sources(VARIABLES).with_source(host))


def _managed_identity() -> ManagedIdentityCredential:
    return ManagedIdentityCredential(transport=_answers())


def _chained() -> ChainedTokenCredential:
    return ChainedTokenCredential(_client_secret())


MAKERS = [_client_secret, _default, _environment, _managed_identity, _chained]
every_credential = pytest.mark.parametrize("make", MAKERS, ids=[make.__name__[1:] for make in MAKERS])


@every_credential
def test_both_protocols_are_satisfied(make: Any) -> None:
    """isinstance against azure-core's protocols, of which most callers require get_token."""
    credential = make()

    assert isinstance(credential, AsyncTokenCredential)
    assert isinstance(credential, AsyncSupportsTokenInfo)


@every_credential
def test_tokens_are_azure_cores(make: Any) -> None:
    """Graph wants an instance of AccessToken; Key Vault and Cosmos an exact str; everybody a number."""

    async def main() -> None:
        credential = make()
        token, info = await credential.get_token(SCOPE), await credential.get_token_info(SCOPE)

        assert isinstance(token, AccessToken)
        assert isinstance(info, AccessTokenInfo)
        assert (type(token.token), type(token.expires_on)) == (str, int)
        assert (type(info.token), type(info.expires_on)) == (str, int)
        text, expires_on = token
        assert (text, expires_on) == ("the-token", token.expires_on)
        assert info.token_type == "Bearer"

    asyncio.run(main())


@every_credential
def test_object_is_plain(make: Any) -> None:
    """Truthy, neither iterable nor a mapping, methods on the class, and none of the names that callers sniff for."""
    credential = make()

    assert credential
    assert not isinstance(credential, Iterable | Mapping)
    assert inspect.iscoroutinefunction(inspect.getattr_static(credential, "get_token"))
    assert inspect.iscoroutinefunction(inspect.getattr_static(credential, "get_token_info"))
    assert not hasattr(credential, "account_name")
    assert not hasattr(credential, "token_type")
    assert "the-token" not in repr(credential)


@every_credential
def test_keywords_arrive_as_callers_send_them(make: Any) -> None:
    """None values, enable_cae, and keywords beyond the protocol."""

    async def main() -> None:
        credential = make()

        await credential.get_token(SCOPE, claims=None, tenant_id=None, enable_cae=True, something="else")
        await credential.get_token_info(SCOPE, options={"claims": None, "enable_cae": True})
        await credential.get_token_info(SCOPE, options={})
        await credential.get_token_info(SCOPE)

    asyncio.run(main())


@every_credential
def test_object_serves_several_lives(make: Any) -> None:
    """Two runs, two uses as a context, closing twice: all with the same object."""
    credential = make()

    async def life() -> str:
        async with credential:
            token = await credential.get_token(SCOPE)
        await credential.close()
        return str(token.token)

    assert [asyncio.run(life()), asyncio.run(life())] == ["the-token"] * 2


@every_credential
def test_missing_scope_is_a_value_error(make: Any) -> None:
    """Before anything is asked."""
    with pytest.raises(ValueError, match="scopes"):
        asyncio.run(make().get_token())


@every_credential
def test_bearer_token_provider(make: Any) -> None:
    """What OpenAI's client calls before each request."""
    provider = get_bearer_token_provider(make(), SCOPE)

    assert asyncio.run(_called(provider)) == "the-token"


async def _called(provider: Any) -> str:
    return str(await provider())


class Recorder:
    """An azure-core transport that answers 200 and keeps the header."""

    def __init__(self) -> None:
        self.headers: list[str] = []

    async def __aenter__(self) -> Recorder:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def send(self, request: Any, **_: Any) -> Any:
        self.headers.append(request.headers["Authorization"])
        return _Answer()


class _Answer:
    def __init__(self) -> None:
        self.status_code = 200
        self.headers: dict[str, str] = {}


@every_credential
def test_azure_core_pipeline_takes_it(make: Any) -> None:
    """The policy that every SDK client is built on fetches and sends the token, as with CAE."""

    async def main() -> list[str]:
        recorder = Recorder()
        policy = AsyncBearerTokenCredentialPolicy(make(), SCOPE, enable_cae=True)
        async with AsyncPipeline(recorder, policies=[policy]) as pipeline:  # type: ignore[arg-type, var-annotated]
            await pipeline.run(HttpRequest("GET", "https://vault.azure.net/secrets"))
            await pipeline.run(HttpRequest("GET", "https://vault.azure.net/secrets"))
        return recorder.headers

    assert asyncio.run(main()) == ["Bearer the-token"] * 2


def test_claims_challenge_of_a_service_leads_to_a_new_token() -> None:
    """Key Vault and ARM answer 401 with claims; the policy asks again with them, and sends the new token."""
    transport = FakeTransport(token_response("first"), token_response("second"))
    credential = ClientSecretCredential("t", "c", "s", transport=transport)
    challenge = (
        'Bearer authorization_uri="https://login.microsoftonline.com/", error="insufficient_claims", '
        'claims="eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxIn19fQ=="'
    )

    class Challenging(Recorder):
        async def send(self, request: Any, **keywords: Any) -> Any:
            answer = await super().send(request, **keywords)
            if len(self.headers) == 1:
                answer.status_code = 401
                answer.headers = {"WWW-Authenticate": challenge}
            return answer

    async def main() -> list[str]:
        recorder = Challenging()
        policy = AsyncBearerTokenCredentialPolicy(credential, SCOPE, enable_cae=True)
        async with AsyncPipeline(recorder, policies=[policy]) as pipeline:  # type: ignore[arg-type, var-annotated]
            await pipeline.run(HttpRequest("GET", "https://vault.azure.net/secrets"))
        return recorder.headers

    assert asyncio.run(main()) == ["Bearer first", "Bearer second"]
    sent = [(request.form or {}).get("claims", "") for request in transport.requests]
    assert ["nbf" in claims for claims in sent] == [False, True]
    assert all("CP1" in claims for claims in sent)
