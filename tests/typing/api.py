"""The public API as a typed program uses it. Type-checked, never run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from credchain import (
    AccessTokenInfo,
    Attempt,
    Host,
    Provider,
    Request,
    Response,
    TokenCredential,
    TokenRequest,
    Transport,
    hookimpl,
    load_chain,
)
from credchain.aio import (
    AuthorizationCodeCredential,
    CertificateCredential,
    ChainedTokenCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    EnvironmentCredential,
    KnownAuthorities,
    ManagedIdentityCredential,
    SharedTokenCacheCredential,
    get_bearer_token_provider,
)
from credchain.testing import FakeTransport, ProviderContract, StaticCredential, assert_no_token_leaks

if TYPE_CHECKING:
    import aiohttp
    from azure.core.credentials_async import AsyncSupportsTokenInfo, AsyncTokenCredential


def every_credential(session: aiohttp.ClientSession, transport: Transport) -> list[AsyncTokenCredential]:
    """Each satisfies azure-core's protocol, with the arguments of the reference and our own."""
    return [
        DefaultAzureCredential(
            authority=KnownAuthorities.AZURE_PUBLIC_CLOUD,
            exclude_environment_credential=True,
            exclude_managed_identity_credential=False,
            exclude_shared_token_cache_credential=True,
            shared_cache_username="user",
            shared_cache_tenant_id="tenant",
            managed_identity_client_id="client",
            order=["environment", "..."],
            timeout=5.0,
            config="/etc/credchain.toml",
            profile="test",
            observe=["opentelemetry"],
        ),
        load_chain(config={"chain": {"order": ["environment"]}}, disable=["shared_cache"], transport=transport),
        ChainedTokenCredential(ManagedIdentityCredential(client_id="client"), StaticCredential("token")),
        ClientSecretCredential("tenant", "client", "secret", authority="login.example", session=session),
        CertificateCredential("tenant", "client", "/path.pem", password=b"password", send_certificate_chain=True),
        AuthorizationCodeCredential("tenant", "client", "code", "https://redirect", client_secret="secret"),
        EnvironmentCredential(transport=transport),
        ManagedIdentityCredential(identity_config={"object_id": "id"}),
        SharedTokenCacheCredential("user", tenant_id="tenant"),
    ]


def token_info_too(credential: DefaultAzureCredential) -> AsyncSupportsTokenInfo:
    """And the newer protocol."""
    return credential


async def use(credential: DefaultAzureCredential) -> tuple[str, int, str | None, tuple[Attempt, ...]]:
    """What comes back is typed."""
    async with credential as entered:
        token = await entered.get_token("scope", claims="{}", tenant_id="tenant", enable_cae=True)
        info = await entered.get_token_info("scope", options={"enable_cae": True})
        entered.invalidate(token.token)
        entered.reset()
    provider = get_bearer_token_provider(credential, "scope")
    text: str = await provider()
    return text + info.token, token.expires_on, credential.selected, credential.attempts


@attrs.frozen
class VaultSettings:
    """A plugin author's settings."""

    address: str


class VaultCredential(TokenCredential):
    """A plugin author's credential."""

    source = "vault"

    def __init__(self, address: str, host: Host) -> None:
        super().__init__(host=host)
        self._address = address

    async def acquire(self, request: TokenRequest) -> AccessTokenInfo:
        """The one method to write."""
        response: Response = await self.send(Request("GET", self._address, params={"scope": request.scopes[0]}))
        return AccessTokenInfo(response.body.decode(), 0)

    @classmethod
    def from_settings(cls, settings: VaultSettings, host: Host) -> VaultCredential:
        """What the provider names."""
        return cls(settings.address, host)


@hookimpl
def credchain_provider() -> Provider:
    """The one hook to write."""
    return Provider(name="vault", settings=VaultSettings, build=VaultCredential.from_settings, summary="a vault")


def a_fake_is_a_transport() -> Transport:
    """What we ship for tests fits where it belongs."""
    return FakeTransport(Response(200))


class TestVault(ProviderContract):
    """The law of a source, inherited."""

    secrets = ("a-secret",)


def watched() -> None:
    """A watch over a block."""
    with assert_no_token_leaks("a-secret"):
        pass


def misspelt() -> None:
    """Unknown keywords are told by the type checker as well: each of these lines has to be an error."""
    DefaultAzureCredential(exclude_cli_credentials=True)  # type: ignore[arg-type]
    ClientSecretCredential("tenant", "client", "secret", autority="x")  # type: ignore[arg-type]
    ManagedIdentityCredential(clientid="x")  # type: ignore[arg-type]
