"""The question and the answer: TokenRequest, and azure-core's tokens with a repr that shows no token."""

from __future__ import annotations

from typing import Any

import attrs
from azure.core.credentials import AccessToken as _AccessToken
from azure.core.credentials import AccessTokenInfo as _AccessTokenInfo


class AccessToken(_AccessToken):
    """azure-core's ``AccessToken``; its repr shows when it expires and nothing of the token."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"AccessToken(token=<hidden>, expires_on={self.expires_on})"


class AccessTokenInfo(_AccessTokenInfo):
    """azure-core's ``AccessTokenInfo``; its repr shows times and type and nothing of the token."""

    def __repr__(self) -> str:
        return (
            f"AccessTokenInfo(token=<hidden>, expires_on={self.expires_on}, "
            f"token_type={self.token_type!r}, refresh_on={self.refresh_on})"
        )


@attrs.frozen
class TokenRequest:
    """What a caller wants a token for.

    Attributes:
        scopes: At least one, as the caller wrote them.
        tenant_id: Another tenant than the credential's own, or None.
        claims: A claims challenge to answer, as JSON text, or None. Such a request never reads the cache.
        enable_cae: Whether the caller can handle continuous access evaluation.
    """

    scopes: tuple[str, ...]
    tenant_id: str | None = None
    claims: str | None = attrs.field(default=None, repr=False)
    enable_cae: bool = False


def to_info(token: Any) -> AccessTokenInfo:
    """An AccessTokenInfo out of whatever a credential returned: either of azure-core's types, or a look-alike."""
    if isinstance(token, AccessTokenInfo):
        return token
    return AccessTokenInfo(
        str(token.token),
        int(token.expires_on),
        token_type=getattr(token, "token_type", None) or "Bearer",
        refresh_on=getattr(token, "refresh_on", None),
    )


def to_token(token: Any) -> AccessToken:
    """An AccessToken out of whatever a credential returned."""
    if isinstance(token, AccessToken):
        return token
    return AccessToken(str(token.token), int(token.expires_on))
