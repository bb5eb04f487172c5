"""StaticCredential: a credential that always gives the token it was made with."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from credchain.tokens import AccessToken, AccessTokenInfo

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class StaticCredential:
    """A credential for tests of applications.

    Args:
        token: What it gives, for every scope.
        lifetime: Seconds that each token given is valid for.

    Attributes:
        scopes: The scopes it was asked for, call by call.
        closed: How often it was closed.
    """

    def __init__(self, token: str, *, lifetime: float = 3600.0) -> None:
        self._token = token
        self._lifetime = lifetime
        self.scopes: list[tuple[str, ...]] = []
        self.closed = 0

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """The token."""
        self.scopes.append(scopes)
        return AccessToken(self._token, int(time.time() + self._lifetime))

    async def get_token_info(self, *scopes: str, options: Any = None) -> AccessTokenInfo:
        """The token, with its type."""
        return AccessTokenInfo(self._token, (await self.get_token(*scopes)).expires_on)

    async def close(self) -> None:
        """Count that it was closed."""
        self.closed += 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.close()
