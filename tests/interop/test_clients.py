"""Other real clients: Key Vault with a claims challenge, OpenAI with a token provider, azure-identity as a chain's member."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from typing import TYPE_CHECKING, Any

import openai
import pytest
from aiohttp import web
from azure.core.exceptions import ClientAuthenticationError
from azure.identity.aio import ClientSecretCredential as TheirClientSecretCredential
from azure.identity.aio import EnvironmentCredential as TheirEnvironmentCredential
from azure.keyvault.secrets.aio import SecretClient

from credchain._aiohttp import AiohttpTransport
from credchain.aio import ChainedTokenCredential, ClientSecretCredential, get_bearer_token_provider
from credchain.errors import ChainStoppedError
from credchain.host import Host

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from credchain.emulator import Emulator

SCOPE = "https://vault.azure.net/.default"


@contextlib.asynccontextmanager
async def serving(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """A server on loopback; gives its address."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def principal(emulator: Emulator) -> AsyncIterator[ClientSecretCredential]:
    """A service principal of the emulator."""
    application = emulator.add_application()
    environment = emulator.environment()
    transport = AiohttpTransport(environment=environment)
    host = Host(transport=transport, environment=environment)
    try:
        yield ClientSecretCredential(
            application.tenant_id, application.client_id, application.client_secret or "", host=host
        )
    finally:
        await transport.close()


def test_key_vault_claims_challenge_leads_to_a_new_token(emulator: Emulator, tmp_path: Path) -> None:
    """The vault rejects the first token and says what it wants; the second request carries a token that has it."""
    seen: list[str] = []
    claims = base64.b64encode(b'{"access_token":{"nbf":{"essential":true,"value":"1"}}}').decode()

    async def main() -> str:
        async with principal(emulator) as credential:

            async def vault(request: web.Request) -> web.Response:
                challenge = f'Bearer authorization="{emulator.authority}/{credential._home_tenant}", resource="https://vault.azure.net"'
                token = request.headers.get("Authorization", "")
                if not token:
                    return web.Response(status=401, headers={"WWW-Authenticate": challenge})
                seen.append(token)
                if len(seen) == 1:
                    wanted = f'{challenge}, error="insufficient_claims", claims="{claims}"'
                    return web.Response(status=401, headers={"WWW-Authenticate": wanted})
                return web.json_response({"value": "the secret", "id": "https://x.vault.azure.net/secrets/a/1"})

            tls, authority = _tls(tmp_path)
            async with (
                serving(vault, tls) as url,
                SecretClient(
                    url, credential, verify_challenge_resource=False, connection_verify=authority, retry_total=0
                ) as client,
            ):
                secret = await client.get_secret("a")
        return str(secret.value)

    assert asyncio.run(main()) == "the secret"
    assert seen[0] != seen[1]
    assert "nbf" in emulator.requests[-1].form["claims"]
    assert "CP1" in emulator.requests[-1].form["claims"]


def test_openai_client_sends_the_token(emulator: Emulator) -> None:
    """OpenAI's client asks the provider before each request; the cache answers the second time."""
    headers: list[str] = []

    async def models(request: web.Request) -> web.Response:
        headers.append(request.headers["Authorization"])
        return web.json_response({"object": "list", "data": []})

    async def main() -> None:
        async with principal(emulator) as credential, serving(models) as url:
            provider = get_bearer_token_provider(credential, "https://cognitiveservices.azure.com/.default")
            async with openai.AsyncAzureOpenAI(
                azure_endpoint=url, api_version="2024-06-01", azure_ad_token_provider=provider, max_retries=0
            ) as client:
                await client.models.list()
                await client.models.list()

    asyncio.run(main())

    assert len(set(headers)) == 1
    assert emulator.claims_of(headers[0].removeprefix("Bearer "))["aud"] == "https://cognitiveservices.azure.com"
    assert emulator.count("token") == 1


def test_azure_identitys_credentials_are_members(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its unavailability lets our chain go on, its failure stops it, its tokens are ours to return."""
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "AZURE_USERNAME"):
        monkeypatch.delenv(name, raising=False)
    application = emulator.add_application()
    theirs: dict[str, Any] = {"authority": emulator.authority, "disable_instance_discovery": True, "retry_total": 0}
    theirs["connection_verify"] = emulator.ca_file

    async def token(secret: str) -> str:
        member = TheirClientSecretCredential(application.tenant_id, application.client_id, secret, **theirs)
        async with ChainedTokenCredential(TheirEnvironmentCredential(), member) as chain:
            found = await chain.get_token(SCOPE, enable_cae=True)
            return str(found.token)

    claims = emulator.claims_of(asyncio.run(token(application.client_secret or "")))
    with pytest.raises(ChainStoppedError) as caught:
        asyncio.run(token("wrong"))

    assert claims["appid"] == application.client_id
    assert isinstance(caught.value.__cause__, ClientAuthenticationError)


def _tls(folder: Path) -> tuple[ssl.SSLContext, str]:
    """A server context for 127.0.0.1, and the file of its authority."""
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(minutes=5))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, str(file)
