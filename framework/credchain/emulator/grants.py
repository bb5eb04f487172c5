"""The token endpoint: which grant is asked for, and an application's own (RFC 6749, sections 3.2 and 4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credchain.emulator import refusals
from credchain.emulator.clients import authenticate_alone, client_of_tenant
from credchain.emulator.directory import SHARED_TENANTS
from credchain.emulator.fields import application_audience, check_resource, requested_claims, required
from credchain.emulator.issue import issue, marks, subject
from credchain.emulator.users import authorization_code, password, refresh_token
from credchain.emulator.wire import json_answer, not_allowed
from credchain.emulator.world import APPLICATION_LIFETIME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from credchain.emulator.wire import Answer, Call
    from credchain.emulator.world import World

_USER_GRANTS: Mapping[str, Callable[[World, Call, str], dict[str, object]]] = {
    "authorization_code": authorization_code,
    "password": password,
    "refresh_token": refresh_token,
}


def token_endpoint(world: World, call: Call) -> Answer:
    """`POST /{tenant}/oauth2/v2.0/token`."""
    if call.method != "POST":
        return not_allowed("POST")
    try:
        return json_answer(_grant(world, call, tenant_of(call)))
    except refusals.RefusedError as refusal:
        return refusals.error_answer(refusal, call, now=world.clock())


def tenant_of(call: Call) -> str:
    """The tenant in the path, its first segment."""
    return call.path.split("/")[1].lower()


def _grant(world: World, call: Call, tenant: str) -> dict[str, object]:
    if tenant not in SHARED_TENANTS and not world.directory.has_tenant(tenant):
        raise refusals.unknown_tenant(tenant)
    for name in sorted(call.repeated):
        raise refusals.malformed(f"the parameter '{name}' is included more than once")
    grant = required(call, "grant_type")
    if grant == "client_credentials":
        return _client_credentials(world, call, tenant)
    if grant not in _USER_GRANTS:
        raise refusals.unsupported_grant(grant)
    return _USER_GRANTS[grant](world, call, tenant)


def _client_credentials(world: World, call: Call, tenant: str) -> dict[str, object]:
    if tenant in SHARED_TENANTS:
        raise refusals.no_tenant()
    required(call, "client_id")
    audience = application_audience(required(call, "scope"))
    application = client_of_tenant(world, call, tenant)
    authenticate_alone(world, call, application)
    check_resource(world, audience, tenant)
    claims = subject(application.client_id, application.object_id)
    if application.roles:
        claims["roles"] = list(application.roles)
    issued = issue(
        world,
        tenant=application.tenant_id,
        audience=audience,
        lifetime=APPLICATION_LIFETIME,
        claims={**claims, **marks(requested_claims(world, call))},
    )
    return issued.payload(world.refresh_in)
