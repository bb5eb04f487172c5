"""What counts once: authorization codes, refresh tokens, and the ids of client assertions."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from credchain.emulator.records import User

CODE_LIFETIME = 600.0
"""Seconds in which a code must be redeemed."""

REFRESH_LIFETIME = 90 * 86400.0
"""Seconds after which a refresh token that nobody used is void."""


@attrs.frozen
class Code:
    """An authorization code: for whom, and what must be shown with it (RFC 6749, 4.1.3; RFC 7636, 4.6)."""

    client_id: str
    user: User
    redirect_uri: str
    scope: str
    challenge: str | None
    challenge_method: str = attrs.field(validator=attrs.validators.in_(("S256", "plain")))
    issued_at: float
    redeemed: bool = False


@attrs.frozen
class RefreshToken:
    """A refresh token: for whom, by whom, and whether it is still good."""

    client_id: str
    user: User
    scope: str
    family: bool
    issued_at: float
    revoked: bool = False
    used: bool = False


class Ledger:
    """The codes and refresh tokens by their values."""

    def __init__(self) -> None:
        self._codes: dict[str, Code] = {}
        self._refresh_tokens: dict[str, RefreshToken] = {}
        self._assertions: set[str] = set()

    def first_use(self, assertion_id: str) -> bool:
        """Whether a client assertion's `jti` is seen for the first time."""
        first = assertion_id not in self._assertions
        self._assertions.add(assertion_id)
        return first

    def add_code(self, code: Code) -> str:
        """Hand out a code."""
        value = f"0.{secrets.token_urlsafe(48)}"
        self._codes[value] = code
        return value

    def code(self, value: str) -> Code | None:
        """The code, redeemed or not; None if it was never handed out."""
        return self._codes.get(value)

    def redeem(self, value: str) -> None:
        """A code is good for one use."""
        self._codes[value] = attrs.evolve(self._codes[value], redeemed=True)

    def add_refresh_token(self, token: RefreshToken) -> str:
        """Hand out a refresh token."""
        value = f"1.{secrets.token_urlsafe(48)}"
        self._refresh_tokens[value] = token
        return value

    def refresh_token(self, value: str) -> RefreshToken | None:
        """The refresh token, good or not; None if it was never handed out."""
        return self._refresh_tokens.get(value)

    def use(self, value: str) -> None:
        """Where refresh tokens rotate, one is good for one use."""
        self._refresh_tokens[value] = attrs.evolve(self._refresh_tokens[value], used=True)

    def revoke(self, user: User) -> None:
        """Void every refresh token that the user has by now."""
        for value, token in tuple(self._refresh_tokens.items()):
            if token.user.object_id == user.object_id:
                self._refresh_tokens[value] = attrs.evolve(token, revoked=True)
