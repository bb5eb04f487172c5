"""The question and the answer: TokenRequest, and azure-core's tokens with a repr that shows no token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from azure.core.credentials import AccessToken as _AccessToken
from azure.core.credentials import AccessTokenInfo as _AccessTokenInfo

if TYPE_CHECKING:
    from collections.abc import Iterable

Key = str | tuple[tuple[str, ...], str | None, bool]
"""What tokens of one credential are told apart by; see `cache_key`."""


def _scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    return (scopes,) if isinstance(scopes, str) else tuple(scopes)


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

    scopes: tuple[str, ...] = attrs.field(converter=_scopes)
    tenant_id: str | None = None
    claims: str | None = attrs.field(default=None, repr=False)
    enable_cae: bool = False

    @scopes.validator
    def _at_least_one(self, _attribute: object, scopes: tuple[str, ...]) -> None:
        if not scopes:
            raise ValueError("scopes: at least one is needed, such as 'https://management.azure.com/.default'")
        for scope in scopes:
            if not isinstance(scope, str) or not scope:
                raise ValueError(f"scopes: each is a non-empty string, not {scope!r}")

    @property
    def key(self) -> Key:
        """The cache key; claims are no part of it, since a request with claims does not read the cache."""
        return cache_key(self.scopes, self.tenant_id, self.enable_cae)


def cache_key(scopes: tuple[str, ...], tenant_id: str | None, enable_cae: bool) -> Key:
    """One scope in the credential's own tenant is its own key; everything else is a tuple of all that matters.

    The order of scopes does not matter, and an empty tenant means the credential's own.
    """
    if len(scopes) == 1 and not tenant_id and not enable_cae:
        return scopes[0]
    return tuple(sorted(scopes)), tenant_id or None, bool(enable_cae)


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
