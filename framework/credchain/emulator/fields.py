"""Reading a token request: its fields, its scopes and its claims, each refused where it is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from credchain.emulator import refusals
from credchain.emulator.directory import GRAPH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credchain.emulator.wire import Call
    from credchain.emulator.world import World

DEFAULT = "/.default"
"""What the scope of an application on its own ends with; the resource stands before it, to the letter."""

_ABOUT_THE_USER = frozenset({"openid", "profile", "email", "offline_access"})


def required(call: Call, name: str) -> str:
    """A field that must be there and not be empty.

    Raises:
        RefusedError: It is not.
    """
    value = call.form.get(name, "")
    if not value.strip():
        raise refusals.missing(name)
    return value


def application_audience(scope: str) -> str:
    """The resource that an application on its own asks for.

    Raises:
        RefusedError: Several scopes, or one that does not end in `/.default`.
    """
    scopes = scope.split()
    for each in scopes:
        if not each.endswith(DEFAULT) or each == DEFAULT:
            raise refusals.scope_without_default(each)
    if len(scopes) > 1:
        raise refusals.invalid_scope(scope, "names more than one resource")
    return scopes[0].removesuffix(DEFAULT)


def user_audience(scope: str) -> tuple[str, str]:
    """The resource that is asked for in a user's name, and the permissions at it, separated by spaces.

    A permission without a resource is Microsoft Graph's.

    Raises:
        RefusedError: Several resources, or `/.default` together with other permissions.
    """
    scopes = [each for each in scope.split() if each not in _ABOUT_THE_USER]
    split = [each.rpartition("/") for each in scopes]
    audiences = {resource or GRAPH for resource, _, _ in split}
    permissions = [permission for _, _, permission in split]
    if len(audiences) > 1:
        raise refusals.invalid_scope(scope, "names more than one resource")
    if ".default" in permissions and len(permissions) > 1:
        raise refusals.invalid_scope(scope, "puts .default together with other permissions")
    granted = ["user_impersonation" if each == ".default" else each for each in permissions]
    return next(iter(audiences), GRAPH), " ".join(granted) or "User.Read"


def check_resource(world: World, audience: str, tenant: str) -> None:
    """Refuse a resource that nobody added, once any was added.

    Raises:
        RefusedError: It is unknown.
    """
    if not world.directory.has_resource(audience):
        raise refusals.unknown_resource(audience, tenant)


def requested_claims(world: World, call: Call) -> Mapping[str, object]:
    """The claims parameter (OpenID Connect Core, section 5.5), empty if there is none.

    Raises:
        RefusedError: It is no JSON object, or does not ask for what the emulator was told to require.
    """
    text = call.form.get("claims", "")
    try:
        claims = parse_claims(text) if text else {}
    except ValueError:
        raise refusals.malformed("the claims parameter is no JSON object") from None
    wanted = world.required_claims
    if wanted is not None and not _covers(claims, wanted):
        raise refusals.interaction_required(json.dumps(wanted))
    return claims


def parse_claims(text: str) -> Mapping[str, object]:
    """What a claims parameter asks for.

    Raises:
        ValueError: It is no JSON object.
    """
    found: object = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("claims: must be a JSON object")
    return found


def _covers(asked: object, wanted: object) -> bool:
    if not isinstance(wanted, dict):
        return asked == wanted
    return isinstance(asked, dict) and all(name in asked and _covers(asked[name], wanted[name]) for name in wanted)
