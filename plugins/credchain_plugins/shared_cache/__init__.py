"""The source `shared_cache`: the account that a person signed in to with one of Microsoft's developer tools.

`places` knows where the cache is, `accounts` whose tokens are meant, `store` reads and writes through msal.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs

from credchain import oauth
from credchain.authority import (
    authority_of,
    check_tenant_id,
    check_text,
    resolve_tenant,
    token_url,
)
from credchain.credential import TokenCredential, cache_key
from credchain.errors import AuthenticationFailedError, CredentialUnavailableError
from credchain.hooks import Provider, hookimpl
from credchain.naming import refuse_unknown
from credchain.tokens import AccessTokenInfo
from credchain_plugins.shared_cache import places, store
from credchain_plugins.shared_cache.accounts import CLIENT_ID, SOURCE, aliases, unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Never

    import aiohttp

    from credchain.credential import Key
    from credchain.host import Host
    from credchain.http import Response, Transport
    from credchain.oauth import Grant
    from credchain.tokens import TokenRequest
    from credchain_plugins.shared_cache.accounts import Account, Refresh
    from credchain_plugins.shared_cache.places import Finder, Place

ORGANIZATIONS = "organizations"

_DEAD = (None, "bad_token", "token_expired", "client_mismatch")
"""What Entra says below ``invalid_grant`` of a token that is good for nothing any more. Others ask for something that
this request lacks (a second factor, a consent), and the token stays good for other requests."""


class SharedTokenCacheCredential(TokenCredential):
    """Tokens of the account that was signed in to with Visual Studio or another of Microsoft's developer tools.

    Args:
        username: Whose tokens, where several accounts are signed in.
        authority: Host or https URL; ``AZURE_AUTHORITY_HOST`` or the public cloud unless given.
        tenant_id: The account's home tenant, and the tenant that tokens are for; the account's own unless given.
        additionally_allowed_tenants: Tenants that a request may name beside *tenant_id*; ``"*"`` for all.
        allow_unencrypted_storage: Whether a cache that is not encrypted may be used, on Linux.
        transport: The way out; stays the caller's, who closes it.
        session: An ``aiohttp.ClientSession`` to send over; stays the caller's, who closes it.
        host: The world, from whoever builds the source.

    Raises:
        ValueError: An argument is empty or malformed.
        TypeError: An unknown keyword.
    """

    source = SOURCE
    variables = ("AZURE_USERNAME", "AZURE_TENANT_ID", "LOCALAPPDATA", "HOME")

    def __init__(
        self,
        username: str | None = None,
        *,
        authority: str | None = None,
        tenant_id: str | None = None,
        additionally_allowed_tenants: Sequence[str] = (),
        allow_unencrypted_storage: bool = False,
        transport: Transport | None = None,
        session: aiohttp.ClientSession | None = None,
        host: Host | None = None,
        _find: Finder = places.find,
        **unknown: Never,
    ) -> None:
        refuse_unknown(SharedTokenCacheCredential.__init__, unknown)
        super().__init__(transport=transport, session=session, host=host)
        self._username = None if username is None else check_text(username, argument="username")
        self._tenant_id = None if tenant_id in (None, ORGANIZATIONS, "common") else check_tenant_id(tenant_id)
        self._home_tenant = self._tenant_id or ORGANIZATIONS
        self._authority = authority_of(authority, self.host.environment)
        self._allowed = tuple(additionally_allowed_tenants)
        self._allow_unencrypted = allow_unencrypted_storage
        self._find = _find
        self._served: dict[Key, str] = {}

    async def detect(self) -> None:
        """Find out cheaply whether there is a cache at all; a chain asks this first.

        Raises:
            credchain.CredentialUnavailableError: There is not.
        """
        looked = self._places()
        if not await self.host.in_thread(_any_present, looked):
            raise unavailable(store.missing(looked))

    async def acquire(self, request: TokenRequest) -> AccessTokenInfo:
        """The account's cached access token, or a new one for its refresh token.

        Raises:
            CredentialUnavailableError: There is no cache, or not exactly one such account in it.
            AuthenticationFailedError: The refresh token was refused.
        """
        oauth.check_scopes(request.scopes)
        tenant_id = self._tenant_of(request)
        found = await self.host.in_thread(store.look, self._places(), self._question(request, tenant_id))
        token = None if request.claims or found.cached is None else _info(found.cached)
        if token is None or token.token == self._served.get(
            cache_key(request.scopes, request.tenant_id, request.enable_cae)
        ):
            token = await self._redeemed(request, tenant_id, found.account)
        self._served[cache_key(request.scopes, request.tenant_id, request.enable_cae)] = token.token
        return token

    def refused(self, error: AuthenticationFailedError) -> AuthenticationFailedError | CredentialUnavailableError:
        """What a failed refresh means to the caller; a chain's member says something else than a credential alone."""
        return error

    async def _redeemed(self, request: TokenRequest, tenant_id: str, account: Account) -> AccessTokenInfo:
        """A token for one of the account's refresh tokens; one that is refused for good gives way to the next."""
        failure: AuthenticationFailedError | None = None
        for refresh in account.refresh_tokens:
            try:
                return await self._redeem(refresh, request, tenant_id, account)
            except AuthenticationFailedError as error:
                failure = error
                if not _is_dead(error):
                    break
                await self.host.in_thread(store.evict, refresh)
        assert failure is not None
        raise self.refused(failure) from failure.__cause__

    async def _redeem(
        self, refresh: Refresh, request: TokenRequest, tenant_id: str, account: Account
    ) -> AccessTokenInfo:
        """Exchange a refresh token, and write what came back into the cache that it is from."""
        url = token_url(self._authority, tenant_id)
        asked = oauth.token_request(
            url,
            request,
            client_id=CLIENT_ID,
            grant_type="refresh_token",
            refresh_token=refresh.secret,
            client_info="1",
        )
        response = await self.send(asked)
        now = self.host.clock.time()
        grant = oauth.parse_grant(response, source=self.source, now=now)
        redeemed = store.Redeemed(
            used=refresh,
            account=account,
            url=url,
            scopes=_scopes(request, response),
            token=_storable(grant, refresh, request),
            refresh_token=grant.refresh_token,
            family=_family(response) or str(refresh.entry["family_id"]),
        )
        await self.host.in_thread(store.keep, redeemed, now)
        return grant.token

    def _tenant_of(self, request: TokenRequest) -> str:
        default = self._tenant_id or ORGANIZATIONS
        return resolve_tenant(default, request.tenant_id, allowed=self._allowed, environment=self.host.environment)

    def _question(self, request: TokenRequest, tenant_id: str) -> store.Question:
        return store.Question(
            environments=aliases(urlsplit(self._authority).hostname or ""),
            username=self._username,
            tenant_id=self._tenant_id,
            scopes=request.scopes,
            realm=tenant_id,
            cae=request.enable_cae,
            now=self.host.clock.time(),
        )

    def _places(self) -> tuple[Place, ...]:
        return self._find(self.host.environment, sys.platform, self._allow_unencrypted)


class ChainedSharedTokenCacheCredential(SharedTokenCacheCredential):
    """The same as a member of a chain: a developer's stale sign-in keeps nobody from the sources after it."""

    def refused(self, error: AuthenticationFailedError) -> CredentialUnavailableError:
        """A failed refresh means that there is no account to be had here."""
        return CredentialUnavailableError(error.message)


@attrs.frozen
class SharedCacheSettings:
    """Settings of the source `shared_cache`; they mean what the credential's arguments mean."""

    username: str | None = None
    tenant_id: str | None = None
    authority: str | None = None
    additionally_allowed_tenants: tuple[str, ...] = attrs.field(default=(), converter=tuple)
    allow_unencrypted_storage: bool = False


def build(settings: SharedCacheSettings, host: Host) -> SharedTokenCacheCredential:
    """The credential of given settings; ``AZURE_USERNAME`` and ``AZURE_TENANT_ID`` fill in what they leave open."""
    environment = host.environment
    return ChainedSharedTokenCacheCredential(
        settings.username or environment.get("AZURE_USERNAME") or None,
        authority=settings.authority,
        tenant_id=settings.tenant_id or environment.get("AZURE_TENANT_ID") or None,
        additionally_allowed_tenants=settings.additionally_allowed_tenants,
        allow_unencrypted_storage=settings.allow_unencrypted_storage,
        host=host,
    )


@hookimpl
def credchain_provider() -> Provider:
    """This source."""
    return Provider(
        name=SOURCE,
        build=build,
        settings=SharedCacheSettings,
        summary="the account signed in to with Microsoft's developer tools",
    )


def _any_present(looked: Sequence[Place]) -> bool:
    return any(place.present() for place in looked)


def _is_dead(error: AuthenticationFailedError) -> bool:
    """Whether the refresh token itself is refused, and not only this request."""
    code: object = error.error
    return code == "invalid_grant" and error.suberror in _DEAD


def _info(entry: Mapping[str, Any]) -> AccessTokenInfo:
    """The access token of a cache's entry."""
    refresh_on = oauth.number(entry.get("refresh_on"))
    return AccessTokenInfo(
        entry["secret"],
        int(float(entry["expires_on"])),
        token_type="Bearer",  # noqa: S106  # a kind of token
        refresh_on=None if refresh_on is None else int(refresh_on),
    )


def _storable(grant: Grant, refresh: Refresh, request: TokenRequest) -> AccessTokenInfo | None:
    """The access token, if it belongs into the refresh token's cache: tokens with and without continuous access
    evaluation are kept apart."""
    return grant.token if refresh.place.cae == request.enable_cae else None


def _scopes(request: TokenRequest, response: Response) -> tuple[str, ...]:
    """The scopes asked for, and those that the answer says were granted."""
    granted = (oauth.json_object(response) or {}).get("scope")
    return tuple(sorted({*request.scopes, *(granted.split() if isinstance(granted, str) else ())}))


def _family(response: Response) -> str | None:
    family = (oauth.json_object(response) or {}).get("foci")
    return str(family) if family else None
