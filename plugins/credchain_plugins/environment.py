"""The source `environment`: a service principal or user that environment variables describe.

It builds on the sources `client_secret` and `certificate` by name, so that replacing or disabling one of these is felt
here too.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import attrs

from credchain.authority import (
    authority_of,
    check_tenant_id,
    check_text,
    normalize_authority,
    resolve_tenant,
    token_url,
)
from credchain.credential import TokenCredential
from credchain.errors import AuthenticationFailedError, CredentialUnavailableError
from credchain.flight import Flight
from credchain.hooks import Provider, hookimpl
from credchain.naming import refuse_unknown
from credchain.oauth import parse_token, token_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Never, Self

    import aiohttp

    from credchain.credential import Entry
    from credchain.host import Host
    from credchain.http import Transport
    from credchain.tokens import AccessToken, AccessTokenInfo, TokenRequest

logger = logging.getLogger("credchain")

TENANT = "AZURE_TENANT_ID"
CLIENT = "AZURE_CLIENT_ID"
SECRET = "AZURE_CLIENT_SECRET"  # noqa: S105  # the name of a variable
CERTIFICATE = "AZURE_CLIENT_CERTIFICATE_PATH"
CERTIFICATE_PASSWORD = "AZURE_CLIENT_CERTIFICATE_PASSWORD"  # noqa: S105  # the name of a variable
CERTIFICATE_CHAIN = "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN"
USERNAME = "AZURE_USERNAME"
PASSWORD = "AZURE_PASSWORD"  # noqa: S105  # the name of a variable

MODES = (
    ("client_secret", (TENANT, CLIENT, SECRET)),
    ("certificate", (TENANT, CLIENT, CERTIFICATE)),
    ("username_password", (CLIENT, USERNAME, PASSWORD)),
)
"""What each kind of identity needs, in the order in which they are tried."""


class EnvironmentCredential:
    """Tokens for the identity that the environment variables describe.

    A service principal with a secret: ``AZURE_TENANT_ID``, ``AZURE_CLIENT_ID``, ``AZURE_CLIENT_SECRET``. With a
    certificate: ``AZURE_CLIENT_CERTIFICATE_PATH`` in place of the secret, and where needed
    ``AZURE_CLIENT_CERTIFICATE_PASSWORD`` and ``AZURE_CLIENT_SEND_CERTIFICATE_CHAIN``. A user (legacy, without
    multi-factor authentication): ``AZURE_CLIENT_ID``, ``AZURE_USERNAME``, ``AZURE_PASSWORD`` and perhaps
    ``AZURE_TENANT_ID``. The first of these that is complete is used.

    Args:
        authority: Host or https URL; ``AZURE_AUTHORITY_HOST`` or the public cloud unless given.
        additionally_allowed_tenants: Tenants that a request may name beside the configured one; ``"*"`` for all.
        transport: The way out; stays the caller's, who closes it.
        session: An ``aiohttp.ClientSession`` to send over; stays the caller's, who closes it.
        host: The world, from whoever builds the source.

    Raises:
        ValueError: A malformed authority.
        TypeError: An unknown keyword.
    """

    source = "environment"
    variables = tuple(dict.fromkeys(name for _, needed in MODES for name in needed))

    def __init__(
        self,
        *,
        authority: str | None = None,
        additionally_allowed_tenants: Sequence[str] = (),
        transport: Transport | None = None,
        session: aiohttp.ClientSession | None = None,
        host: Host | None = None,
        **unknown: Never,
    ) -> None:
        refuse_unknown(EnvironmentCredential.__init__, unknown)
        self._authority = None if authority is None else normalize_authority(authority)
        self._allowed = tuple(additionally_allowed_tenants)
        self._owns_host = host is None and transport is None
        self._picklable = host is None and transport is None and session is None
        self._host = host if host is not None else _own_host(transport, session)
        self._flight: Flight[Any] = Flight()
        self._inner: Any = None

    @property
    def peek(self) -> Callable[[tuple[str, ...], str | None, bool], Entry | None]:
        """The cached path of the identity that was found; finds nothing before that."""
        return getattr(self._inner, "peek", _nothing)

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **_: Any,
    ) -> AccessToken:
        """An access token; arguments as of `TokenCredential.get_token`.

        Raises:
            credchain.CredentialUnavailableError: The variables are not set, or not all; the message names them.
            azure.core.exceptions.ClientAuthenticationError: The identity was refused.
        """
        inner = await self._credential()
        token: AccessToken = await inner.get_token(*scopes, claims=claims, tenant_id=tenant_id, enable_cae=enable_cae)
        return token

    async def get_token_info(self, *scopes: str, options: Any = None) -> AccessTokenInfo:
        """As `get_token`, with the token's type and refresh time; *options* as azure-core's TokenRequestOptions."""
        inner = await self._credential()
        info: AccessTokenInfo = await inner.get_token_info(*scopes, options=options)
        return info

    def invalidate(self, token: str) -> bool:
        """Forget *token*, which a service has rejected; see `TokenCredential.invalidate`."""
        return bool(self._inner is not None and self._inner.invalidate(token))

    async def close(self) -> None:
        """Close the connections that this credential opened. It can be used again afterwards."""
        if self._inner is not None:
            await self._inner.close()
        if self._owns_host:
            await self._host.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return "<EnvironmentCredential>"

    def __reduce__(self) -> Any:
        if not self._picklable:
            raise TypeError(
                "this EnvironmentCredential cannot be pickled, since a transport, session or host was given to it"
            )
        return _remade, (self._authority, self._allowed)

    async def _credential(self) -> Any:
        if self._inner is None:
            self._inner = await self._flight.run("inner", self._build)
        return self._inner

    async def _build(self) -> Any:
        environment = self._host.environment
        kind = choose(environment)
        logger.debug("environment: found what %s needs", kind)
        try:
            if kind == "username_password":
                return self._user(environment)
            settings = self._settings(kind, environment)
            return await self._host.in_thread(self._host.source, kind, settings)
        except ValueError as error:
            names = ", ".join(next(needed for mode, needed in MODES if mode == kind))
            hint = "" if str(error).startswith("AZURE_") else f"; look at {names}"  # a variable's own error names it
            raise AuthenticationFailedError(f"environment: {error}{hint}") from error

    def _settings(self, kind: str, environment: Mapping[str, str]) -> dict[str, object]:
        settings: dict[str, object] = {
            "tenant_id": environment[TENANT],
            "client_id": environment[CLIENT],
            "authority": self._authority,
            "additionally_allowed_tenants": self._allowed,
        }
        if kind == "client_secret":
            return settings | {"client_secret": environment[SECRET]}
        return settings | {
            "certificate_path": environment[CERTIFICATE],
            "password": environment.get(CERTIFICATE_PASSWORD) or None,
            "send_certificate_chain": environment.get(CERTIFICATE_CHAIN, "").lower() in ("1", "true"),
        }

    def _user(self, environment: Mapping[str, str]) -> UserPassword:
        logger.warning(
            "environment: AZURE_USERNAME and AZURE_PASSWORD sign a user in without multi-factor authentication, "
            "which Entra ID refuses more and more; use a service principal or a managed identity"
        )
        return UserPassword(
            environment.get(TENANT) or "organizations",
            environment[CLIENT],
            environment[USERNAME],
            environment[PASSWORD],
            authority=self._authority,
            allowed=self._allowed,
            host=self._host,
        )


class UserPassword(TokenCredential):
    """A user with a password (RFC 6749, section 4.3). Legacy, and only here."""

    source = "environment"

    def __init__(
        self,
        tenant_id: str,
        client_id: str,
        username: str,
        password: str,
        *,
        authority: str | None,
        allowed: Sequence[str],
        host: Host,
    ) -> None:
        super().__init__(host=host)
        self._home_tenant = check_tenant_id(tenant_id)
        self._client_id = check_text(client_id, argument="client_id")
        self._username = check_text(username, argument="username")
        self._password = check_text(password, argument="password")
        self._authority = authority_of(authority, host.environment)
        self._allowed = tuple(allowed)

    async def acquire(self, request: TokenRequest) -> AccessTokenInfo:
        """A token from the tenant's token endpoint."""
        assert self._home_tenant is not None
        tenant_id = resolve_tenant(
            self._home_tenant,
            request.tenant_id,
            allowed=self._allowed,
            environment=self.host.environment,
        )
        asked = token_request(
            token_url(self._authority, tenant_id),
            request,
            grant_type="password",
            client_id=self._client_id,
            username=self._username,
            password=self._password,
            client_info="1",
        )
        return parse_token(await self.send(asked), source=self.source, now=self.host.clock.time())


def choose(environment: Mapping[str, str]) -> str:
    """The first kind of identity that the variables describe completely.

    Raises:
        CredentialUnavailableError: There is none; the message names what is set and what is missing.
    """
    for kind, needed in MODES:
        if all(environment.get(name) for name in needed):
            return kind
    present = {name for _, needed in MODES for name in needed if environment.get(name)}
    if not present:
        raise CredentialUnavailableError(
            f"environment: no identity is described; set {TENANT}, {CLIENT} and {SECRET} or {CERTIFICATE}"
        )
    _, nearest = max(MODES, key=lambda mode: (len(present & set(mode[1])), len(present & {mode[1][-1]})))
    missing = [name for name in nearest if name not in present]
    wanted = ", ".join(missing)
    if missing == [SECRET]:
        wanted = f"{SECRET} (or {CERTIFICATE})"
    empty = [name for name in missing if environment.get(name) == ""]
    hint = f"; {', '.join(empty)} set but empty" if empty else ""
    raise CredentialUnavailableError(
        f"environment: incomplete: {', '.join(sorted(present))} set, {wanted} missing{hint}"
    )


@attrs.frozen
class EnvironmentSettings:
    """Settings of the source `environment`; the rest is in the environment itself."""

    authority: str | None = None
    additionally_allowed_tenants: tuple[str, ...] = attrs.field(default=(), converter=tuple)


def build(settings: EnvironmentSettings, host: Host) -> EnvironmentCredential:
    """The credential of given settings."""
    return EnvironmentCredential(
        authority=settings.authority,
        additionally_allowed_tenants=settings.additionally_allowed_tenants,
        host=host,
    )


@hookimpl
def credchain_provider() -> Provider:
    """This source."""
    return Provider(
        name="environment",
        build=build,
        settings=EnvironmentSettings,
        summary="a service principal or user from environment variables",
    )


def _nothing(_scopes: tuple[str, ...], _tenant_id: str | None = None, _enable_cae: bool = False) -> None:
    """Nothing is cached yet."""


def _own_host(transport: Transport | None, session: aiohttp.ClientSession | None) -> Host:
    from credchain.sources import machine_host

    return machine_host(transport=transport, session=session)


def _remade(authority: str | None, allowed: tuple[str, ...]) -> EnvironmentCredential:
    return EnvironmentCredential(authority=authority, additionally_allowed_tenants=allowed)
