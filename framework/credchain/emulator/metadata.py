"""What the authority tells about itself: OpenID Connect discovery, its keys, and which names it goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credchain.emulator import refusals
from credchain.emulator.directory import SHARED_TENANTS
from credchain.emulator.wire import json_answer, not_allowed

if TYPE_CHECKING:
    from credchain.emulator.wire import Answer, Call
    from credchain.emulator.world import World


def openid_configuration(world: World, call: Call) -> Answer:
    """`GET /{tenant}/v2.0/.well-known/openid-configuration` (OpenID Connect Discovery, section 4)."""
    tenant = call.path.split("/")[1].lower()
    if call.method != "GET":
        return not_allowed("GET")
    if tenant not in SHARED_TENANTS and not world.directory.has_tenant(tenant):
        return refusals.error_answer(refusals.unknown_tenant(tenant), call, now=world.clock())
    base = f"{call.authority}/{tenant}"
    # A shared tenant's documents are a template: each user's tokens come from the user's own tenant.
    issuer = "{tenantid}" if tenant in SHARED_TENANTS else tenant
    return json_answer(
        {
            "issuer": f"{call.authority}/{issuer}/v2.0",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "response_types_supported": ["code"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
    )


def keys(world: World, call: Call) -> Answer:
    """`GET /{tenant}/discovery/v2.0/keys`: the key that signs the tokens (RFC 7517, section 5)."""
    if call.method != "GET":
        return not_allowed("GET")
    return json_answer({"keys": [world.key.jwk] if world.key is not None else []})


def instance_discovery(world: World, call: Call) -> Answer:
    """`GET /common/discovery/instance`: every authority asked about is this one."""
    if call.method != "GET":
        return not_allowed("GET")
    asked = call.params.get("authorization_endpoint", "")
    tenant = asked.split("/")[3] if asked.count("/") >= 3 else "common"
    name = call.authority.removeprefix("https://")
    return json_answer(
        {
            "tenant_discovery_endpoint": f"{call.authority}/{tenant}/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [{"preferred_network": name, "preferred_cache": name, "aliases": [name]}],
        }
    )
