"""Which managed identity is meant, and what every hosting environment has in common on the wire."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import attrs

from credchain import oauth
from credchain.errors import AuthenticationFailedError, CredentialUnavailableError
from credchain.oauth import check_scopes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credchain.http import Response
    from credchain.tokens import AccessTokenInfo, TokenRequest

SOURCE = "managed_identity"
KINDS = ("client_id", "object_id", "resource_id")

_DATE = re.compile(
    r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4}) (?P<hour>\d{1,2}):(?P<rest>\d\d:\d\d)"
    r"(?: (?P<half>[AP])M)? (?P<offset>[+-]\d\d:\d\d)",
    re.ASCII | re.IGNORECASE,
)


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
    def only(cls, given: Mapping[str, object]) -> Self | None:
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


def failed(why: str) -> AuthenticationFailedError:
    """The error that stops a chain."""
    return AuthenticationFailedError(f"{SOURCE}: {why}")


def endpoint(environment: Mapping[str, str], variable: str, *, schemes: tuple[str, ...] = ("http", "https")) -> str:
    """The URL that an environment variable holds.

    Raises:
        AuthenticationFailedError: It is no URL of one of *schemes*.
    """
    url = environment[variable].strip()
    try:
        parts = urlsplit(url)
        usable = parts.scheme in schemes and parts.hostname and parts.port != 0 and not re.search(r"\s", url)
    except ValueError:
        usable = False
    if not usable:
        raise failed(f"{variable} must be a URL that begins with {' or '.join(f'{one}://' for one in schemes)}")
    return url


def parse(response: Response, *, now: float, secret: str = "") -> AccessTokenInfo:
    """The token in an answer of a managed-identity endpoint.

    Args:
        response: The answer. The ``resource`` in it is not looked at.
        now: Seconds since the epoch.
        secret: What the request proved itself with; not shown, should the answer repeat it.

    Raises:
        AuthenticationFailedError: There is none.
    """
    return oauth.parse_token(plain(response, secret), source=SOURCE, now=now)


def plain(response: Response, secret: str = "") -> Response:
    """An answer in the words of OAuth 2.0: seconds for dates, flat errors, and no empty token."""
    payload = oauth.json_object(response)
    if payload is None:
        return response
    if isinstance(payload.get("expires_on"), str):
        payload["expires_on"] = _seconds(payload["expires_on"])
    if not payload.get("access_token"):
        payload.pop("access_token", None)
        payload |= _flat(payload)
    body = json.dumps(payload)
    if secret and response.status != 200:
        body = body.replace(json.dumps(secret)[1:-1], "<hidden>")
    return attrs.evolve(response, body=body.encode())


def _flat(payload: Mapping[str, Any]) -> dict[str, Any]:
    """An error that Service Fabric nests in ``error``, or that App Service tells in ``message``."""
    inner = payload.get("error")
    if isinstance(inner, dict):
        told = {
            "error": inner.get("code"),
            "error_description": inner.get("message"),
            "correlation_id": inner.get("correlationId"),
        }
    else:
        told = {"error_description": payload.get("error_description") or payload.get("message")}
    return {name: value if isinstance(value, str) else None for name, value in told.items()}


def _seconds(text: str) -> float | str:
    """A date such as ``1/16/2020 5:24:12 AM +00:00`` as seconds since the epoch; other texts as they are.

    Month and day are in American order. strptime is not asked, since its AM and PM depend on the locale.
    """
    found = _DATE.fullmatch(text.strip())
    if found is None:
        return text
    hour = int(found["hour"])
    if found["half"]:
        hour = hour % 12 + (12 if found["half"] in "Pp" else 0)
    day = f"{found['year']}-{int(found['month']):02}-{int(found['day']):02}"
    try:
        return datetime.fromisoformat(f"{day}T{hour:02}:{found['rest']}{found['offset']}").timestamp()
    except ValueError:
        return text
