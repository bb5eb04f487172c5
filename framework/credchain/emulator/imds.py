"""The instance metadata service of a virtual machine, and how one of the machine's identities is picked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from credchain.emulator.issue import Issued, issue, subject
from credchain.emulator.wire import json_answer, not_allowed
from credchain.emulator.world import MACHINE_LIFETIME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from credchain.emulator.records import MachineIdentity
    from credchain.emulator.wire import Answer, Call
    from credchain.emulator.world import World

_OLDEST = "2018-02-01"
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}")

SELECTORS: Mapping[str, str] = {
    "client_id": "client_id",
    "object_id": "object_id",
    "msi_res_id": "resource_id",
}
"""The parameters that name an identity, and what of it they name."""


def imds(world: World, call: Call) -> Answer:
    """`GET /metadata/identity/oauth2/token`."""
    if call.method != "GET":
        return not_allowed("GET")
    problem = _problem(call)
    if problem is not None:
        return bad_request(problem)
    found = pick(world, call.params, SELECTORS)
    if not found and not named(call.params, SELECTORS):
        found = tuple(each for each in world.directory.machine_identities if not each.system_assigned)
    if len(found) > 1:
        return bad_request("Multiple user assigned identities exist; specify the client id or resource id of one")
    if not found:
        return bad_request("Identity not found")
    return unknown_resource(world, call.params["resource"], found[0]) or _token(world, call, found[0])


def bad_request(description: str, error: str = "invalid_request") -> Answer:
    """An error as the metadata service shapes it."""
    return json_answer({"error": error, "error_description": description}, status=400)


def unknown_resource(world: World, resource: str, identity: MachineIdentity) -> Answer | None:
    """The refusal of a resource that is not known, else None."""
    if world.directory.has_resource(resource):
        return None
    return bad_request(
        f"AADSTS500011: The resource principal named {resource} was not found in the tenant named "
        f"{identity.tenant_id}.",
        "invalid_resource",
    )


def named(params: Mapping[str, str], selectors: Mapping[str, str]) -> Sequence[str]:
    """The parameters that name an identity, of those that came."""
    return [name for name in selectors if params.get(name)]


def pick(world: World, params: Mapping[str, str], selectors: Mapping[str, str]) -> tuple[MachineIdentity, ...]:
    """The identities that were asked for: the named one, or the machine's own when none is named."""
    names = named(params, selectors)
    if not names:
        own = world.directory.system_identity
        return () if own is None else (own,)
    return tuple(
        identity
        for identity in world.directory.machine_identities
        if all(_same(getattr(identity, selectors[name]), params[name]) for name in names)
    )


def machine_token(world: World, identity: MachineIdentity, resource: str) -> Issued:
    """A token for the machine's identity."""
    claims: dict[str, object] = {**subject(identity.client_id, identity.object_id), "idtyp": "app"}
    if identity.resource_id is not None:
        claims["xms_mirid"] = identity.resource_id
    return issue(
        world,
        tenant=identity.tenant_id,
        audience=resource,
        lifetime=MACHINE_LIFETIME,
        claims=claims,
    )


def _problem(call: Call) -> str | None:
    if call.headers.get("Metadata", "").lower() != "true":
        return "Required metadata header not specified"
    if "X-Forwarded-For" in call.headers:
        return "Requests with an X-Forwarded-For header are not served: no proxy may stand in between"
    version = call.params.get("api-version", "")
    if not version:
        return "Required query variable 'api-version' is missing"
    if not _VERSION.fullmatch(version) or version < _OLDEST:
        return f"The api-version {version} is not supported"
    if not call.params.get("resource"):
        return "Required query variable 'resource' is missing"
    if len(named(call.params, SELECTORS)) > 1:
        return "Only one of client_id, object_id and msi_res_id may name the identity"
    return None


def _same(value: str | None, asked: str) -> bool:
    return value is not None and value.lower() == asked.lower()


def _token(world: World, call: Call, identity: MachineIdentity) -> Answer:
    resource = call.params["resource"]
    issued = machine_token(world, identity, resource)
    payload = {
        "access_token": issued.token,
        "client_id": identity.client_id,
        "expires_in": str(issued.expires_in),
        "expires_on": str(issued.expires_on),
        "ext_expires_in": str(issued.expires_in),
        "not_before": str(issued.issued_at),
        "resource": resource,
        "token_type": "Bearer",
    }
    if world.refresh_in is not None:
        payload["refresh_in"] = str(int(world.refresh_in))
    return json_answer(payload)
