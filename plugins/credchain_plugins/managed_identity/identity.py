"""Which managed identity is meant, and what every hosting environment has in common on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import attrs

from credchain import oauth
from credchain.authority import check_scopes
from credchain.errors import CredentialUnavailableError
from credchain.tokens import AccessTokenInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credchain.http import Response
    from credchain.tokens import TokenRequest

SOURCE = "managed_identity"
KINDS = ("client_id", "object_id", "resource_id")


@attrs.frozen
class Identity:
    """A user-assigned identity: by which kind of name, and the name."""

    kind: str
    value: str

    @classmethod
    def of(cls, client_id: str | None, config: Mapping[str, str] | None) -> Self | None:
        """The identity that a credential's arguments name; None is the system-assigned one.

        Raises:
            ValueError: It is empty, unknown in kind, or named twice.
        """
        for kind in config or ():
            if kind not in KINDS:
                raise ValueError(f"identity_config: the keys are {', '.join(KINDS)}, not {kind!r}")
        given = dict(config or {})
        if client_id is not None:
            if "client_id" in given:
                raise ValueError("client_id: given twice, as an argument and in identity_config")
            given["client_id"] = client_id
        return cls.only(given)

    @classmethod
    def only(cls, given: Mapping[str, str | None]) -> Self | None:
        """The one identity among names by kind, None ones left out.

        Raises:
            ValueError: There are several, or it is empty.
        """
        named = {kind: value for kind, value in given.items() if value is not None}
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)}: name a user-assigned identity in one way only")
        for kind, value in named.items():
            if not isinstance(value, str) or not value.strip():
                raise ValueError(f"{kind}: must be a non-empty string")
            return cls(kind, value)
        return None

    def __str__(self) -> str:
        return f"the user-assigned identity with {self.kind} {self.value}"


def described(identity: Identity | None) -> str:
    """An identity in words."""
    return "the system-assigned identity" if identity is None else str(identity)


def resource_of(request: TokenRequest) -> str:
    """The resource that a scope stands for.

    Raises:
        ValueError: Not exactly one scope, or a malformed one.
    """
    check_scopes(request.scopes)
    if len(request.scopes) != 1:
        raise ValueError("scopes: a managed identity takes exactly one")
    return request.scopes[0].removesuffix("/.default")


def unavailable(why: str) -> CredentialUnavailableError:
    """The error that lets a chain go on."""
    return CredentialUnavailableError(f"{SOURCE}: {why}")


def parse(response: Response, *, now: float) -> AccessTokenInfo:
    """The token in an answer of a managed-identity endpoint.

    Raises:
        AuthenticationFailedError: There is none.
    """
    return oauth.parse_token(response, source=SOURCE, now=now)
