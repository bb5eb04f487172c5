"""get_bearer_token_provider: a credential as the function that OpenAI's and other clients call before each request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def get_bearer_token_provider(credential: Any, *scopes: str) -> Callable[[], Awaitable[str]]:
    """A coroutine function that returns a token's text for *scopes*, cached and refreshed by *credential*.

    Args:
        credential: Anything with a coroutine ``get_token``; stays the caller's, who closes it.
        scopes: At least one, such as ``https://cognitiveservices.azure.com/.default``.

    Raises:
        ValueError: No scope.
    """
    if not scopes:
        raise ValueError("scopes: at least one is needed, such as 'https://cognitiveservices.azure.com/.default'")

    async def token() -> str:
        found = await credential.get_token(*scopes)
        return str(found.token)

    return token
