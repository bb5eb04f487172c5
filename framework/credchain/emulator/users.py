"""Grants in a user's name: code, refresh token and password (RFC 6749, sections 4.1.3, 6 and 4.3.2)."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import attrs

from credchain.emulator import jose, refusals
from credchain.emulator.clients import authenticate, client_of_any_tenant, client_of_tenant
from credchain.emulator.directory import FAMILY_CLIENT, SHARED_TENANTS
from credchain.emulator.fields import check_resource, requested_claims, required, user_audience
from credchain.emulator.issue import issue, marks, subject
from credchain.emulator.ledger import CODE_LIFETIME, REFRESH_LIFETIME, Code, RefreshToken
from credchain.emulator.world import APPLICATION_LIFETIME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credchain.emulator.records import User
    from credchain.emulator.wire import Call
    from credchain.emulator.world import World

_MORE_PROOF = json.dumps({"access_token": {"capolids": {"essential": True, "values": ["mfa"]}}})


@attrs.frozen
class _Consent:
    """Who may do what in whose name, once everything was checked."""

    client_id: str
    user: User
    tenant: str
    scope: str
    family: bool
    claims: Mapping[str, object]


def authorization_code(world: World, call: Call, tenant: str) -> dict[str, object]:
    """Redeem a code, once."""
    application = client_of_tenant(world, call, tenant)
    value = required(call, "code")
    redirect_uri = required(call, "redirect_uri")
    authenticate(world, call, application)
    code = _live_code(world, value, application.client_id, tenant)
    if code.redirect_uri != redirect_uri:
        raise refusals.redirect_mismatch(redirect_uri, application.client_id)
    _check_verifier(code, call.form.get("code_verifier"))
    consent = _Consent(
        client_id=application.client_id,
        user=code.user,
        tenant=code.user.tenant_id,
        scope=call.form.get("scope") or code.scope,
        family=application.client_id == FAMILY_CLIENT,
        claims=requested_claims(world, call),
    )
    payload = _answer(world, call, consent)
    world.ledger.redeem(value)
    return _with_refresh_token(world, payload, consent)


def refresh_token(world: World, call: Call, tenant: str) -> dict[str, object]:
    """Further tokens for the user, for other scopes and in other tenants too."""
    application = client_of_any_tenant(world, call, tenant)
    value = required(call, "refresh_token")
    authenticate(world, call, application)
    token = _live_refresh_token(world, value, application.client_id)
    consent = _Consent(
        client_id=application.client_id,
        user=token.user,
        tenant=token.user.tenant_id if tenant in SHARED_TENANTS else tenant,
        scope=call.form.get("scope") or token.scope,
        family=token.family or application.client_id == FAMILY_CLIENT,
        claims=requested_claims(world, call),
    )
    payload = _answer(world, call, consent)
    if world.rotate_refresh_tokens:
        world.ledger.use(value)
    return _with_refresh_token(world, payload, consent)


def password(world: World, call: Call, tenant: str) -> dict[str, object]:
    """The user's name and password, from the application's own hands."""
    if tenant == "common":
        raise refusals.common_password()
    application = client_of_tenant(world, call, tenant)
    username, given = required(call, "username"), required(call, "password")
    scope = required(call, "scope")
    authenticate(world, call, application)
    user = _signed_in(world, tenant, username, given)
    consent = _Consent(
        client_id=application.client_id,
        user=user,
        tenant=user.tenant_id,
        scope=scope,
        family=application.client_id == FAMILY_CLIENT,
        claims=requested_claims(world, call),
    )
    return _with_refresh_token(world, _answer(world, call, consent), consent)


def _live_code(world: World, value: str, client_id: str, tenant: str) -> Code:
    code = world.ledger.code(value)
    if code is None or world.clock() > code.issued_at + CODE_LIFETIME:
        raise refusals.invalid_grant(70008, "The provided authorization code is unknown or has expired.")
    if code.client_id.lower() != client_id.lower():
        raise refusals.invalid_grant(70002, "The authorization code was issued to another application.")
    if code.redeemed:
        raise refusals.invalid_grant(54005, "OAuth2 authorization code was already redeemed.")
    if tenant not in SHARED_TENANTS and tenant != code.user.tenant_id.lower():
        raise refusals.invalid_grant(700005, "The authorization code is intended for use against another tenant.")
    return code


def _check_verifier(code: Code, verifier: str | None) -> None:
    """Proof Key for Code Exchange, RFC 7636, section 4.6."""
    if code.challenge is None:
        return
    shown = verifier or ""
    if code.challenge_method == "S256":
        shown = jose.encode(hashlib.sha256(shown.encode()).digest())
    if not verifier or shown != code.challenge:
        text = "The code_verifier does not match the code_challenge supplied in the authorization request."
        raise refusals.invalid_grant(501481, text)


def _live_refresh_token(world: World, value: str, client_id: str) -> RefreshToken:
    token = world.ledger.refresh_token(value)
    if token is None or token.used:
        raise refusals.invalid_grant(70000, "The provided refresh token is unknown or was replaced by a newer one.")
    if token.revoked:
        raise refusals.invalid_grant(50173, "The provided grant has expired due to it being revoked.")
    if world.clock() > token.issued_at + REFRESH_LIFETIME:
        raise refusals.invalid_grant(700082, "The refresh token has expired due to inactivity.")
    shared = token.family and client_id == FAMILY_CLIENT
    if token.client_id.lower() != client_id.lower() and not shared:
        raise refusals.invalid_grant(70000, "The provided refresh token was issued to another application.")
    return token


def _signed_in(world: World, tenant: str, username: str, given: str) -> User:
    user = world.directory.user(tenant, username)
    if user is None:
        raise refusals.invalid_grant(50034, f"The user account {username} does not exist in the {tenant} directory.")
    if user.password != given:
        raise refusals.invalid_grant(50126, "Error validating credentials due to invalid username or password.")
    if user.mfa:
        raise refusals.interaction_required(_MORE_PROOF)
    return user


def _answer(world: World, call: Call, consent: _Consent) -> dict[str, object]:
    audience, permissions = user_audience(consent.scope)
    check_resource(world, audience, consent.tenant)
    user = consent.user
    person = {
        **subject(consent.client_id, user.object_id),
        "preferred_username": user.username,
        "upn": user.username,
    }
    issued = issue(
        world,
        tenant=consent.tenant,
        audience=audience,
        lifetime=APPLICATION_LIFETIME,
        claims={**person, "scp": permissions, **marks(consent.claims)},
    )
    identity = issue(
        world,
        tenant=consent.tenant,
        audience=consent.client_id,
        lifetime=APPLICATION_LIFETIME,
        claims=_identity(user, f"{call.authority}/{consent.tenant}/v2.0"),
    )
    payload = {**issued.payload(world.refresh_in), "scope": _granted(audience, permissions, consent.scope)}
    payload["id_token"] = identity.token
    if call.form.get("client_info") == "1":
        payload["client_info"] = _client_info(user)
    return payload


def _identity(user: User, issuer: str) -> dict[str, object]:
    """What an id token says; its issuer is the discovery document's (OpenID Connect Core, section 3.1.3.7)."""
    person = {"oid": user.object_id, "sub": user.object_id, "preferred_username": user.username}
    return {**person, "iss": issuer, "ver": "2.0"}


def _granted(audience: str, permissions: str, scope: str) -> str:
    granted = [f"{audience}/{permission}" for permission in permissions.split()]
    if f"{audience}/.default" in scope.split():
        granted.append(f"{audience}/.default")
    return " ".join(granted)


def _with_refresh_token(world: World, payload: dict[str, object], consent: _Consent) -> dict[str, object]:
    token = RefreshToken(consent.client_id, consent.user, consent.scope, consent.family, world.clock())
    answer = {**payload, "refresh_token": world.ledger.add_refresh_token(token)}
    return {**answer, "foci": "1"} if consent.family else answer


def _client_info(user: User) -> str:
    return jose.encode(json.dumps({"uid": user.object_id, "utid": user.tenant_id}).encode())
