"""The managed identity over real sockets, against the emulator's hosting environments."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from credchain.credential import TokenCredential, machine_host
from credchain.emulator import Fault
from credchain.errors import AuthenticationFailedError, CredentialUnavailableError
from credchain.host import Host
from credchain_plugins.managed_identity import ManagedIdentityCredential
from credchain_plugins.managed_identity.azure_arc import Arc
from credchain_plugins.managed_identity.identity import Identity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credchain.emulator import Emulator
    from credchain.tokens import AccessToken, AccessTokenInfo, TokenRequest

SCOPE = "https://vault.azure.net/.default"
RESOURCE = "https://vault.azure.net"
HOSTS = ["imds", "app_service", "azure_ml", "cloud_shell", "service_fabric"]


class ArcSource(TokenCredential):
    """Azure Arc with the emulator's key files."""

    source = "managed_identity"

    def __init__(self, emulator: Emulator, host: Host, identity: Identity | None = None) -> None:
        super().__init__(host=host)
        self._arc = Arc(emulator.arc_key_dir)
        self._identity = identity

    async def acquire(self, request: TokenRequest) -> AccessTokenInfo:
        return await self._arc.acquire(self, request, self._identity)


def token_of(
    emulator: Emulator,
    host: str,
    *,
    changed: Mapping[str, str] | None = None,
    timeout: float | None = None,
    **identity: str,
) -> AccessToken:
    """A token of the emulated machine's identity."""

    async def main() -> AccessToken:
        environment = emulator.host_environment(host) | dict(changed or {})
        world = Host(machine_host().transport, environment=environment, timeout=timeout)
        source: TokenCredential
        if host == "azure_arc":
            named = [Identity(kind, value) for kind, value in identity.items()]
            source = ArcSource(emulator, world, named[0] if named else None)
        else:
            source = ManagedIdentityCredential(identity_config=identity or None, host=world)
        try:
            return await source.get_token(SCOPE)
        finally:
            await world.transport.close()

    return asyncio.run(main())


@pytest.mark.parametrize("host", [*HOSTS, "azure_arc"])
def test_each_hosting_environment_gives_a_token(host: str, emulator: Emulator) -> None:
    """The machine's own identity, for the resource that was asked for."""
    emulator.reset()
    own = emulator.add_machine_identity()

    token = token_of(emulator, host)

    claims = emulator.claims_of(token.token)
    assert claims["oid"] == own.object_id
    assert str(claims["aud"]).rstrip("/") == RESOURCE
    assert token.expires_on == claims["exp"]


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("imds", "client_id"),
        ("imds", "object_id"),
        ("imds", "resource_id"),
        ("app_service", "client_id"),
        ("app_service", "object_id"),
        ("app_service", "resource_id"),
        ("azure_ml", "client_id"),
        ("azure_arc", "client_id"),
    ],
)
def test_user_assigned_identity(host: str, kind: str, emulator: Emulator) -> None:
    """The identity that was named is the one that the token is for."""
    emulator.reset()
    emulator.add_machine_identity()
    wanted = emulator.add_machine_identity(system_assigned=False, resource_id="/subscriptions/s/identities/i")

    named: dict[str, Any] = {kind: getattr(wanted, kind)}
    token = token_of(emulator, host, **named)

    assert emulator.claims_of(token.token)["oid"] == wanted.object_id


@pytest.mark.parametrize("host", ["app_service", "azure_ml", "azure_arc"])
def test_identity_that_the_machine_does_not_have(host: str, emulator: Emulator) -> None:
    """What the endpoint says of it is in the error."""
    emulator.reset()
    emulator.add_machine_identity()

    with pytest.raises(AuthenticationFailedError, match="identity"):
        token_of(emulator, host, client_id="00000000-0000-0000-0000-000000000000")


def test_machine_without_an_identity_at_imds(emulator: Emulator) -> None:
    """IMDS without an identity lets a chain go on."""
    emulator.reset()

    with pytest.raises(CredentialUnavailableError, match="system-assigned"):
        token_of(emulator, "imds")


@pytest.mark.parametrize(
    ("host", "variable"),
    [("app_service", "IDENTITY_HEADER"), ("service_fabric", "IDENTITY_HEADER"), ("azure_ml", "MSI_SECRET")],
)
def test_wrong_header_is_refused(host: str, variable: str, emulator: Emulator) -> None:
    """The endpoint's refusal is an error that stops a chain."""
    emulator.reset()
    emulator.add_machine_identity()

    with pytest.raises(AuthenticationFailedError, match=r"wrong") as caught:
        token_of(emulator, host, changed={variable: "another-header"})

    assert caught.value.http_status == 401


def test_service_fabric_trusts_one_certificate_only(emulator: Emulator) -> None:
    """A server with another certificate than the one named is sent nothing."""
    emulator.reset()
    emulator.add_machine_identity()

    with pytest.raises(AuthenticationFailedError, match="thumbprint"):
        token_of(emulator, "service_fabric", changed={"IDENTITY_SERVER_THUMBPRINT": "0" * 40}, timeout=0.5)

    assert emulator.count("service_fabric") == 0


@pytest.mark.parametrize("host", [*HOSTS, "azure_arc"])
def test_proxy_is_not_asked(host: str, emulator: Emulator) -> None:
    """A proxy that the environment names is not for these endpoints."""
    emulator.reset()
    emulator.add_machine_identity()
    proxies = {
        "HTTP_PROXY": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "ALL_PROXY": "http://127.0.0.1:9",
    }

    token = token_of(emulator, host, changed=proxies)

    assert emulator.claims_of(token.token)


def test_redirect_is_not_followed(emulator: Emulator) -> None:
    """An endpoint that sends the request elsewhere gets no second one."""
    emulator.reset()
    emulator.add_machine_identity()
    emulator.fail("app_service", Fault(status=302, headers={"Location": f"{emulator.imds_host}/msi/token"}))

    with pytest.raises(AuthenticationFailedError, match="status 302"):
        token_of(emulator, "app_service")

    assert emulator.count("app_service") == 1
