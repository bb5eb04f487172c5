"""get_bearer_token_provider: a credential as a function."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.credentials import AccessToken as CoreToken

from credchain.bearer import get_bearer_token_provider
from credchain.errors import CredentialUnavailableError
from credchain.testing import StaticCredential

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SCOPE = "https://cognitiveservices.azure.com/.default"


def called(provider: Callable[[], Awaitable[str]]) -> str:
    """What a provider gives."""

    async def call() -> str:
        return await provider()

    return asyncio.run(call())


def test_the_provider_gives_the_text_of_a_token() -> None:
    """An exact str, as an Authorization header wants it, for the scopes given."""
    credential = StaticCredential("the-token")
    provider = get_bearer_token_provider(credential, SCOPE, "other")

    token = called(provider)

    assert (token, type(token)) == ("the-token", str)
    assert credential.scopes == [(SCOPE, "other")]


def test_the_provider_asks_each_time() -> None:
    """Caching is the credential's, so a token that it has refreshed is seen at once."""

    class Counting:
        count = 0

        async def get_token(self, *_scopes: str) -> CoreToken:
            self.count += 1
            return CoreToken(f"token-{self.count}", 4_000_000_000)

    provider = get_bearer_token_provider(Counting(), SCOPE)

    async def twice() -> list[str]:
        return [await provider(), await provider()]

    assert asyncio.run(twice()) == ["token-1", "token-2"]


def test_the_provider_is_a_coroutine_function() -> None:
    """Clients tell synchronous and asynchronous providers apart by that."""
    assert inspect.iscoroutinefunction(get_bearer_token_provider(StaticCredential("t"), SCOPE))


def test_the_text_is_an_exact_str() -> None:
    """Whatever a stranger's credential holds."""

    class Text(str):
        __slots__ = ()

    class Odd:
        async def get_token(self, *_scopes: str) -> CoreToken:
            return CoreToken(Text("t"), 4_000_000_000)

    token = called(get_bearer_token_provider(Odd(), SCOPE))

    assert type(token) is str


def test_making_a_provider_asks_for_nothing() -> None:
    """Only calling it does."""
    credential = StaticCredential("t")

    get_bearer_token_provider(credential, SCOPE)

    assert credential.scopes == []


def test_at_least_one_scope() -> None:
    """Told when the provider is made, not when it is first used."""
    with pytest.raises(ValueError, match="^scopes: at least one"):
        get_bearer_token_provider(StaticCredential("t"))


def test_errors_pass_through() -> None:
    """The client sees what the credential said."""

    class Absent:
        async def get_token(self, *_scopes: str, **_: Any) -> CoreToken:
            raise CredentialUnavailableError("absent: not here")

    with pytest.raises(CredentialUnavailableError, match="^absent: not here$"):
        called(get_bearer_token_provider(Absent(), SCOPE))


def test_the_credential_stays_the_caller_s() -> None:
    """Nobody closes a credential that was lent."""
    credential = StaticCredential("t")

    called(get_bearer_token_provider(credential, SCOPE))

    assert credential.closed == 0
