"""Making tokens: signed access tokens and the times that an answer tells about them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credchain.emulator.world import World

_SHORT = 60


@attrs.frozen
class Issued:
    """An access token and its times.

    Attributes:
        token: The signed token.
        issued_at: Whole seconds since the epoch.
        expires_on: Whole seconds since the epoch.
        expires_in: Whole seconds from now on.
    """

    token: str = attrs.field(repr=False)
    issued_at: int
    expires_on: int
    expires_in: int

    def payload(self, refresh_in: float | None) -> dict[str, object]:
        """The members of a token endpoint's answer (RFC 6749, section 5.1)."""
        found: dict[str, object] = {
            "token_type": "Bearer",
            "expires_in": self.expires_in,
            "ext_expires_in": self.expires_in,
            "access_token": self.token,
        }
        return found if refresh_in is None else {**found, "refresh_in": int(refresh_in)}


def issue(world: World, *, tenant: str, audience: str, lifetime: float, claims: Mapping[str, object]) -> Issued:
    """An access token for *audience*, with *claims* about its subject.

    Like the service, the answer tells a second less than the token lives: 3599 of 3600. A lifetime of a
    minute or less is told as it is.

    Raises:
        RuntimeError: The emulator has not been started yet.
    """
    if world.key is None:
        raise RuntimeError("emulator: has not been started, so that it has no key to sign with")
    issued_at = int(world.clock())
    seconds = int(lifetime if world.lifetime is None else world.lifetime)
    content: dict[str, object] = {
        "aud": audience,
        "iss": f"https://sts.windows.net/{tenant}/",  # a v1.0 token, as first-party services get it
        "iat": issued_at,
        "nbf": issued_at,
        "exp": issued_at + seconds,
        "tid": tenant,
        "uti": secrets.token_urlsafe(16),
        "ver": "1.0",
        **claims,
    }
    expires_in = seconds if seconds <= _SHORT else seconds - 1
    return Issued(world.key.sign(content), issued_at, issued_at + seconds, expires_in)


def subject(client_id: str, object_id: str) -> dict[str, object]:
    """The claims that name an application as the bearer."""
    return {"appid": client_id, "azp": client_id, "oid": object_id, "sub": object_id}


def marks(requested: Mapping[str, object]) -> dict[str, object]:
    """The claims of a token that stem from the claims parameter (OpenID Connect Core, section 5.5).

    `requested_claims` repeats the parameter, for a test to see; `xms_cc` grants a capability.
    """
    if not requested:
        return {}
    found: dict[str, object] = {"requested_claims": dict(requested)}
    if "CP1" in _capabilities(requested):
        found["xms_cc"] = ["CP1"]
    return found


def _capabilities(requested: Mapping[str, object]) -> list[str]:
    token = requested.get("access_token")
    asked = token.get("xms_cc") if isinstance(token, dict) else None
    values = asked.get("values") if isinstance(asked, dict) else None
    return [str(value).upper() for value in values] if isinstance(values, list) else []
