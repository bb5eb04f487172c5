"""OAuth 2.0 as Entra ID speaks it, without I/O: a token request as an HTTP request, an HTTP answer as a token or error.

RFC 6749 sections 4.4, 4.1.3, 6 and 5.2; RFC 7521 section 4.2; OpenID Connect Core section 3.1.3.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import uuid
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import attrs

from credchain.errors import AuthenticationFailedError
from credchain.http import Request
from credchain.tokens import AccessTokenInfo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from credchain.http import Response
    from credchain.tokens import TokenRequest

USER_AGENT = "credchain"
TIMEOUT_SECONDS = 30.0
"""For a token request with all its retries."""

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_SCOPE = re.compile(r"[A-Za-z0-9._:/-]+", re.ASCII)
_CAPABILITY = {"access_token": {"xms_cc": {"values": ["CP1"]}}}
_LONG_LIVED = 7200.0
_NUMBER = re.compile(r"\s*AADSTS(\d{1,12}):", re.ASCII)
_TRACES = re.compile(r"\s*Trace ID: .*", re.DOTALL)


@attrs.frozen
class Grant:
    """What the token endpoint gave: an access token, and for users a refresh token and who they are.

    Attributes:
        token: The access token.
        refresh_token: For further tokens, or None.
        home_account_id: ``{uid}.{utid}`` of the account, the ``sub`` of its id token, or None.
        family: Whether the refresh token serves every application of Microsoft's family of client ids.
    """

    token: AccessTokenInfo = attrs.field(repr=False)
    refresh_token: str | None = attrs.field(default=None, repr=False)
    home_account_id: str | None = None
    family: bool = False


def token_request(url: str, request: TokenRequest, **fields: str | None) -> Request:
    """A request to the token endpoint *url*; *fields* are the form fields of the grant, None ones left out.

    Raises:
        ValueError: A scope that cannot be one, or claims that are no JSON object.
    """
    check_scopes(request.scopes)
    form = {name: value for name, value in fields.items() if value is not None}
    form["scope"] = " ".join(request.scopes)
    claims = merge_claims(request.claims, enable_cae=request.enable_cae)
    if claims:
        form["claims"] = claims
    headers = {
        "Accept": "application/json",
        "User-Agent": USER_AGENT,
        "x-ms-client-request-id": str(uuid.uuid4()),
    }
    return Request("POST", url, headers=headers, form=form, timeout=TIMEOUT_SECONDS)


def check_scopes(scopes: Sequence[str]) -> None:
    """Refuse a scope that cannot be one.

    Raises:
        ValueError: A character outside letters, digits and ``. _ : / -``.
    """
    for scope in scopes:
        if not _SCOPE.fullmatch(scope):
            raise ValueError(f"scopes: letters, digits and . _ : / - only, not {scope!r}")


def merge_claims(claims: str | None, *, enable_cae: bool) -> str | None:
    """A claims challenge, with the client's capability for continuous access evaluation added where wanted.

    OpenID Connect Core, section 5.5. Without a challenge and without that capability there are no claims to send.

    Raises:
        ValueError: *claims* is no JSON object.
    """
    if not claims:
        return json.dumps(_CAPABILITY) if enable_cae else None
    try:
        challenge = json.loads(claims)
    except (ValueError, RecursionError):
        challenge = None
    if not isinstance(challenge, dict):
        raise ValueError("claims: must be a JSON object, as it stands in a claims challenge after decoding")
    return json.dumps(_merged(challenge, _CAPABILITY)) if enable_cae else claims


def parse_token(response: Response, *, source: str, now: float) -> AccessTokenInfo:
    """The access token in an answer.

    Raises:
        AuthenticationFailedError: The answer is an error, or no token answer at all.
    """
    return parse_grant(response, source=source, now=now).token


def parse_grant(response: Response, *, source: str, now: float) -> Grant:
    """Everything of use in an answer of the token endpoint.

    Args:
        response: The answer.
        source: Begins the error's message.
        now: Seconds since the epoch, to make ``expires_in`` absolute.

    Raises:
        AuthenticationFailedError: The answer is an error, or no token answer at all.
    """
    payload = json_object(response)
    if response.status != 200 or payload is None or not _text(payload.get("access_token")):
        raise failure(response, source=source, now=now)
    return Grant(
        token=_token(payload, source=source, now=now),
        refresh_token=_text(payload.get("refresh_token")),
        home_account_id=_account(payload),
        family=bool(payload.get("foci")),
    )


def failure(response: Response, *, source: str, now: float) -> AuthenticationFailedError:
    """The error that an answer means. Of a body that is no OAuth error, only the content type is told.

    The message is one line: the source, the first line of what the service said, and what to do about it where that is
    known (`credchain.advice`).
    """
    payload = json_object(response) or {}
    codes = _numbers(payload)
    from credchain.advice import advice_for

    advice = advice_for(codes)
    said = _said(response, payload)
    return AuthenticationFailedError(
        f"{source}: {_with_advice(said, advice) if advice else said}",
        error=_text(payload.get("error")),
        error_codes=codes,
        suberror=_text(payload.get("suberror")),
        correlation_id=_text(payload.get("correlation_id")),
        trace_id=_text(payload.get("trace_id")),
        claims=_text(payload.get("claims")),
        retry_after=retry_after(response, now=now),
        http_status=response.status,
        advice=advice,
        source=source,
    )


def _said(response: Response, payload: Mapping[str, Any]) -> str:
    """What the service answered, in one line."""
    description, code = _text(payload.get("error_description")), _text(payload.get("error"))
    lines = description.strip().splitlines() if description else []
    if lines:
        return f"the service answered: {lines[0]}"
    if code:
        return f"the service answered {code!r} with status {response.status}"
    kind = response.headers.get("content-type") or "no content type"
    size = "an empty body" if not response.body else "a body that is no token answer"
    return f"the service answered with status {response.status}, {kind}, and {size}"


def _numbers(payload: Mapping[str, Any]) -> tuple[int, ...]:
    """Entra's numbers for an error: those it lists, else the one that its sentence begins with."""
    listed = payload.get("error_codes")
    codes = [code for code in listed if type(code) is int] if isinstance(listed, list) else []
    begins = None if codes else _NUMBER.match(_text(payload.get("error_description")) or "")
    return (int(begins[1]),) if begins else tuple(codes)


def _with_advice(said: str, advice: str) -> str:
    """A sentence that ends with what to do; Entra's trace ids, which are attributes, make room for it."""
    return f"{_TRACES.sub('', said).rstrip('. ')}; to do: {advice}"


def retry_after(response: Response, *, now: float) -> float | None:
    """Seconds that an answer asks to wait (RFC 9110, section 10.2.3: seconds or a date), or None."""
    value = response.headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return number(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)


def json_object(response: Response) -> dict[str, Any] | None:
    """The JSON object in a body, or None if it is something else."""
    try:
        payload = json.loads(response.body)
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def lifetime(payload: Mapping[str, Any], *, source: str, now: float) -> tuple[float, float | None]:
    """When a token expires, and when its service would have it refreshed, in seconds since the epoch.

    ``expires_on`` is absolute and wins over ``expires_in``. Without ``refresh_in``, a token that lives two hours or
    longer is refreshed from half of its life on.

    Raises:
        AuthenticationFailedError: Neither tells a time.
    """
    expires_on = number(payload.get("expires_on"))
    if expires_on is None:
        expires_in = number(payload.get("expires_in"))
        if expires_in is None:
            raise AuthenticationFailedError(f"{source}: the answer holds a token but does not say when it expires")
        expires_on = now + expires_in
    refresh_in = number(payload.get("refresh_in"))
    if refresh_in is not None:
        return expires_on, now + refresh_in
    left = expires_on - now
    return expires_on, now + left / 2 if left >= _LONG_LIVED else None


def number(value: object) -> float | None:
    """A number, or a text that is one; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < 1e12 else None


def _token(payload: Mapping[str, Any], *, source: str, now: float) -> AccessTokenInfo:
    expires_on, refresh_on = lifetime(payload, source=source, now=now)
    return AccessTokenInfo(
        payload["access_token"],
        int(expires_on),
        token_type=_text(payload.get("token_type")) or "Bearer",
        refresh_on=None if refresh_on is None else int(refresh_on),
    )


def _account(payload: Mapping[str, Any]) -> str | None:
    info = _decoded(payload.get("client_info"))
    if isinstance(info.get("uid"), str) and isinstance(info.get("utid"), str):
        return f"{info['uid']}.{info['utid']}"
    id_token = payload.get("id_token")
    segments = id_token.split(".") if isinstance(id_token, str) else []
    return _text(_decoded(segments[1]).get("sub")) if len(segments) == 3 else None


def _decoded(segment: object) -> dict[str, Any]:
    """The JSON object in a base64url text (RFC 7515, section 2), or an empty one."""
    if not isinstance(segment, str):
        return {}
    try:
        found = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _merged(challenge: dict[str, Any], addition: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(challenge)
    for name, value in addition.items():
        mine = merged.get(name)
        merged[name] = _merged(mine, value) if isinstance(mine, dict) and isinstance(value, dict) else value
    return merged


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
