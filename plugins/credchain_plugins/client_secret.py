"""The source `client_secret`: a service principal that proves itself with a secret (RFC 6749, section 4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from credchain.authority import (
    authority_of,
    check_tenant_id,
    check_text,
    resolve_tenant,
    token_url,
)
from credchain.credential import TokenCredential
from credchain.hooks import Provider, hookimpl
from credchain.naming import refuse_unknown
from credchain.oauth import parse_token, token_request

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Never

    import aiohttp

    from credchain.host import Host
    from credchain.http import Transport
    from credchain.tokens import AccessTokenInfo, TokenRequest


class ClientSecretCredential(TokenCredential):
    """Tokens for a service principal, against one of its client secrets.

    Args:
        tenant_id: The service principal's tenant, by id or domain name.
        client_id: The service principal's client id.
        client_secret: One of its secrets.
        authority: Host or https URL; ``AZURE_AUTHORITY_HOST`` or the public cloud unless given.
        additionally_allowed_tenants: Tenants that a request may name beside *tenant_id*; ``"*"`` for all.
        transport: The way out; stays the caller's, who closes it.
        session: An ``aiohttp.ClientSession`` to send over; stays the caller's, who closes it.
        host: The world, from whoever builds the source.

    Raises:
        ValueError: An argument is empty or malformed.
        TypeError: An unknown keyword.
    """

    source = "client_secret"

    def __init__(
        self,
        tenant_id: str,
        client_id: str,
        client_secret: str,
        *,
        authority: str | None = None,
        additionally_allowed_tenants: Sequence[str] = (),
        transport: Transport | None = None,
        session: aiohttp.ClientSession | None = None,
        host: Host | None = None,
        **unknown: Never,
    ) -> None:
        refuse_unknown(ClientSecretCredential.__init__, unknown)
        super().__init__(transport=transport, session=session, host=host)
        self._home_tenant = check_tenant_id(tenant_id)
        self._client_id = check_text(client_id, argument="client_id")
        self._client_secret = check_text(client_secret, argument="client_secret")
        self._authority = authority_of(authority, self.host.environment)
        self._token_url = token_url(self._authority, tenant_id)
        self._allowed = tuple(additionally_allowed_tenants)

    async def acquire(self, request: TokenRequest) -> AccessTokenInfo:
        """A token from the tenant's token endpoint."""
        asked = token_request(
            self._token_url if request.tenant_id is None else self._url_of(request.tenant_id),
            request,
            grant_type="client_credentials",
            client_id=self._client_id,
            client_secret=self._client_secret,
        )
        response = await self.send(asked)
        return parse_token(response, source=self.source, now=self.host.clock.time())

    def _url_of(self, tenant_id: str) -> str:
        """The token endpoint for a request that names a tenant."""
        assert self._home_tenant is not None
        tenant = resolve_tenant(self._home_tenant, tenant_id, allowed=self._allowed, environment=self.host.environment)
        return token_url(self._authority, tenant)


@attrs.frozen
class ClientSecretSettings:
    """Settings of the source `client_secret`; they mean what the credential's arguments mean."""

    tenant_id: str
    client_id: str
    client_secret: str = attrs.field(repr=False)
    authority: str | None = None
    additionally_allowed_tenants: tuple[str, ...] = attrs.field(default=(), converter=tuple)


def build(settings: ClientSecretSettings, host: Host) -> ClientSecretCredential:
    """The credential of given settings."""
    return ClientSecretCredential(
        settings.tenant_id,
        settings.client_id,
        settings.client_secret,
        authority=settings.authority,
        additionally_allowed_tenants=settings.additionally_allowed_tenants,
        host=host,
    )


@hookimpl
def credchain_provider() -> Provider:
    """This source."""
    return Provider(
        name="client_secret",
        build=build,
        settings=ClientSecretSettings,
        summary="a service principal with a client secret",
    )
