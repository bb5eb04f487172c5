"""The source `authorization_code`: a user who has signed in, by the code that the sign-in brought (RFC 6749, section 4.1).

The code is good once. What it is exchanged for serves one scope; a refresh token, which comes with it, serves the others.
"""

from __future__ import annotations

import asyncio
import functools
import re
from typing import TYPE_CHECKING, Any

import attrs

from credchain.authority import (
    authority_of,
    check_tenant_id,
    check_text,
    resolve_tenant,
    token_url,
)
from credchain.credential import TokenCredential
from credchain.errors import AuthenticationFailedError
from credchain.flight import Flight
from credchain.hooks import Provider, hookimpl
from credchain.naming import refuse_unknown
from credchain.oauth import Grant, parse_grant, token_request

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor
    from typing import Never

    import aiohttp

    from credchain.host import Host
    from credchain.http import Response, Transport
    from credchain.tokens import AccessToken, AccessTokenInfo, TokenRequest

_REDIRECT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_SIGN_IN_AGAIN = "the user has to sign in again, for a new code"


class AuthorizationCodeCredential(TokenCredential):
    """Tokens for a user, by an authorization code.

    The first call redeems the code, whoever makes it; later ones are answered from the cache or by the refresh token.
    All tokens belong to the one account that signed in.

    Args:
        tenant_id: The application's tenant, by id or domain name.
        client_id: The application's client id.
        authorization_code: The code from the user's sign-in.
        redirect_uri: The one that the code was requested with.
        client_secret: One of the application's secrets; for web applications only.
        code_verifier: What the code challenge was made from (PKCE, RFC 7636), if there was one.
        authority: Host or https URL; ``AZURE_AUTHORITY_HOST`` or the public cloud unless given.
        additionally_allowed_tenants: Tenants that a request may name beside *tenant_id*; ``"*"`` for all.
        transport: The way out; stays the caller's, who closes it.
        session: An ``aiohttp.ClientSession`` to send over; stays the caller's, who closes it.
        host: The world, from whoever builds the source.

    Raises:
        ValueError: An argument is empty or malformed.
        TypeError: An unknown keyword.
    """

    source = "authorization_code"

    def __init__(
        self,
        tenant_id: str,
        client_id: str,
        authorization_code: str,
        redirect_uri: str,
        *,
        client_secret: str | None = None,
        code_verifier: str | None = None,
        authority: str | None = None,
        additionally_allowed_tenants: Sequence[str] = (),
        transport: Transport | None = None,
        session: aiohttp.ClientSession | None = None,
        host: Host | None = None,
        **unknown: Never,
    ) -> None:
        refuse_unknown(AuthorizationCodeCredential.__init__, unknown)
        super().__init__(transport=transport, session=session, host=host)
        self._home_tenant = check_tenant_id(tenant_id)
        self._client_id = check_text(client_id, argument="client_id")
        self._code: str | None = check_text(authorization_code, argument="authorization_code")
        self._redirect_uri = _checked_redirect(redirect_uri)
        self._client_secret = _optional(client_secret, "client_secret")
        self._code_verifier = _optional(code_verifier, "code_verifier")
        self._authority = authority_of(authority, self.host.environment)
        self._allowed = tuple(additionally_allowed_tenants)
        self._refresh_token: str | None = None
        self._account: str | None = None
        self._over: AuthenticationFailedError | None = None
        self._exchange: Flight[tuple[TokenRequest, AccessTokenInfo] | None] = Flight()
        self._executor: Executor | None = None

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        executor: Executor | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        **_: Any,
    ) -> AccessToken:
        """An access token for *scopes*; arguments as of `TokenCredential.get_token`, and two more.

        Args:
            scopes: At least one.
            claims: A claims challenge to answer, as JSON text.
            tenant_id: Another tenant than the credential's own, where that is allowed.
            enable_cae: Whether the caller handles continuous access evaluation.
            executor: Runs what is neither network nor waiting, which is taking the service's answers apart; from now on.
            loop: An event loop of another thread, which is running, to do the network's work in.

        Raises:
            azure.core.exceptions.ClientAuthenticationError: No token; `credchain.errors` has the kinds.
            ValueError: No scope, something that cannot be one, or a loop that does not run.
        """
        if executor is not None:
            self._executor = executor
        call = super().get_token(*scopes, claims=claims, tenant_id=tenant_id, enable_cae=enable_cae)
        if loop is None or loop is asyncio.get_running_loop():
            return await call
        if not loop.is_running():
            call.close()
            raise ValueError("loop: must be running, in another thread")
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call, loop))

    async def acquire(self, request: TokenRequest) -> AccessTokenInfo:
        """A token for the code, if it is still there, else for the refresh token."""
        url = self._url_of(request)
        while self._code is not None and self._over is None:
            won = await self._exchange.run("code", functools.partial(self._redeem, url, request))
            if won is not None and won[0] is request:
                return won[1]
        if self._over is not None:
            raise self._over
        return await self._refreshed(url, request)

    async def _redeem(self, url: str, request: TokenRequest) -> tuple[TokenRequest, AccessTokenInfo] | None:
        """Exchange the code, once for all callers; None if somebody else has done so in between."""
        if self._code is None or self._over is not None:
            return None
        try:
            grant = await self._grant(
                url,
                request,
                grant_type="authorization_code",
                code=self._code,
                redirect_uri=self._redirect_uri,
                code_verifier=self._code_verifier,
            )
        except AuthenticationFailedError as error:
            if error.error == "invalid_grant":
                self._end(f"the code is used up or expired; {_SIGN_IN_AGAIN}", error)
            raise
        self._code = None
        self._account = grant.home_account_id
        self._refresh_token = grant.refresh_token
        return request, grant.token

    async def _refreshed(self, url: str, request: TokenRequest) -> AccessTokenInfo:
        used = self._refresh_token
        if used is None:
            raise AuthenticationFailedError(
                f"{self.source}: no refresh token came with the first one, so there is none for other scopes or a "
                f"later time; {_SIGN_IN_AGAIN}"
            )
        try:
            grant = await self._grant(url, request, grant_type="refresh_token", refresh_token=used)
        except AuthenticationFailedError as error:
            if error.error != "invalid_grant":
                raise
            if self._refresh_token != used:
                return await self._refreshed(url, request)  # it was replaced meanwhile
            self._refresh_token = None
            self._end(f"the refresh token is revoked or expired; {_SIGN_IN_AGAIN}", error)
            raise
        if self._account is not None and grant.home_account_id not in (None, self._account):
            raise AuthenticationFailedError(f"{self.source}: the service answered with another account's token")
        if grant.refresh_token is not None:
            self._refresh_token = grant.refresh_token
        return grant.token

    async def _grant(self, url: str, request: TokenRequest, **fields: str | None) -> Grant:
        asked = token_request(
            url, request, client_id=self._client_id, client_secret=self._client_secret, client_info="1", **fields
        )
        response = await self.send(asked)
        if self._executor is not None:
            try:
                work = asyncio.get_running_loop().run_in_executor(self._executor, self._parsed, response)
            except RuntimeError:
                self._executor = None  # shut down by its owner
            else:
                return await work
        return self._parsed(response)

    def _parsed(self, response: Response) -> Grant:
        return parse_grant(response, source=self.source, now=self.host.clock.time())

    def _url_of(self, request: TokenRequest) -> str:
        assert self._home_tenant is not None
        tenant_id = resolve_tenant(
            self._home_tenant, request.tenant_id, allowed=self._allowed, environment=self.host.environment
        )
        return token_url(self._authority, tenant_id)

    def _end(self, why: str, error: AuthenticationFailedError) -> None:
        """Remember that nothing can be got any more, so that nobody asks in vain."""
        self._over = AuthenticationFailedError(
            f"{self.source}: {why}",
            error=error.error,
            error_codes=error.error_codes,
            suberror=error.suberror,
            correlation_id=error.correlation_id,
            trace_id=error.trace_id,
            claims=error.claims,
            http_status=error.http_status,
        )


@attrs.frozen
class AuthorizationCodeSettings:
    """Settings of the source `authorization_code`; they mean what the credential's arguments mean."""

    tenant_id: str
    client_id: str
    authorization_code: str = attrs.field(repr=False)
    redirect_uri: str
    client_secret: str | None = attrs.field(default=None, repr=False)
    code_verifier: str | None = attrs.field(default=None, repr=False)
    authority: str | None = None
    additionally_allowed_tenants: tuple[str, ...] = attrs.field(default=(), converter=tuple)


def build(settings: AuthorizationCodeSettings, host: Host) -> AuthorizationCodeCredential:
    """The credential of given settings."""
    return AuthorizationCodeCredential(
        settings.tenant_id,
        settings.client_id,
        settings.authorization_code,
        settings.redirect_uri,
        client_secret=settings.client_secret,
        code_verifier=settings.code_verifier,
        authority=settings.authority,
        additionally_allowed_tenants=settings.additionally_allowed_tenants,
        host=host,
    )


@hookimpl
def credchain_provider() -> Provider:
    """This source."""
    return Provider(
        name="authorization_code",
        build=build,
        settings=AuthorizationCodeSettings,
        summary="a user who has signed in, by an authorization code",
    )


def _checked_redirect(redirect_uri: str) -> str:
    if not _REDIRECT.fullmatch(check_text(redirect_uri, argument="redirect_uri")):
        raise ValueError(f"redirect_uri: must be an absolute URI, not {redirect_uri!r}")
    return redirect_uri


def _optional(value: str | None, argument: str) -> str | None:
    return None if value is None else check_text(value, argument=argument)
