"""Every source of ours keeps the contract that a stranger's source is tested with."""

from __future__ import annotations

import base64
import datetime
import json
from typing import TYPE_CHECKING, Any

import attrs
import msal
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from credchain.testing import ProviderContract, json_response, token_response
from credchain_plugins import (
    authorization_code,
    certificate,
    client_secret,
    environment,
    managed_identity,
    shared_cache,
)
from credchain_plugins.shared_cache import places

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from credchain.hooks import Provider
    from credchain.host import Host
    from credchain.http import Request, Response
    from credchain.testing import FakeClock

SECRET = "a-secret~that nobody/may see"
REFRESH = "a-refresh-token-that-nobody-may-see"
PRINCIPAL = {"tenant_id": "a-tenant", "client_id": "a-client"}


@pytest.fixture(scope="session")
def certificate_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A certificate with its key, encrypted with SECRET; made once, since that takes a while."""
    path = tmp_path_factory.mktemp("certificate") / "certificate.pem"
    path.write_bytes(pem(SECRET))
    return str(path)


class TestClientSecret(ProviderContract):
    """The source `client_secret`."""

    plugin = client_secret
    secrets = (SECRET,)

    @pytest.fixture
    def settings(self) -> Mapping[str, object]:
        return {**PRINCIPAL, "client_secret": SECRET}


class TestCertificate(ProviderContract):
    """The source `certificate`."""

    plugin = certificate
    secrets = (SECRET, "PRIVATE KEY-----")
    reads_at_build = True

    @pytest.fixture
    def settings(self, certificate_path: str) -> Mapping[str, object]:
        return {**PRINCIPAL, "certificate_path": certificate_path, "password": SECRET}


class TestAuthorizationCode(ProviderContract):
    """The source `authorization_code`."""

    plugin = authorization_code
    secrets = (SECRET, REFRESH, "a-code-that-nobody-may-see")

    @pytest.fixture
    def settings(self) -> Mapping[str, object]:
        redirect = "https://app.test/signed-in"
        return {
            **PRINCIPAL,
            "authorization_code": "a-code-that-nobody-may-see",
            "redirect_uri": redirect,
            "client_secret": SECRET,
        }

    @pytest.fixture
    def answers(self) -> Sequence[Response]:
        return [token_response("a-token", refresh_token=REFRESH)]


class TestEnvironment(ProviderContract):
    """The source `environment`, with a secret; it builds on `client_secret` by name."""

    plugin = environment
    secrets = (SECRET,)

    @pytest.fixture
    def environment(self) -> Mapping[str, str]:
        return {"AZURE_TENANT_ID": "a-tenant", "AZURE_CLIENT_ID": "a-client", "AZURE_CLIENT_SECRET": SECRET}


class TestManagedIdentity(ProviderContract):
    """The source `managed_identity`, on a machine with IMDS; without one, nobody answers."""

    plugin = managed_identity

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return [imds]


class TestSharedCache(ProviderContract):
    """The source `shared_cache`, on a cache that msal wrote. A chain passes on a stale sign-in, by this source's law."""

    plugin = shared_cache
    secrets = (REFRESH,)
    passes_on_refusals = True

    @pytest.fixture
    def provider(self, tmp_path: Path) -> Provider:
        """The source's own, with its cache in a folder of the test: a real one belongs to a person."""

        def find(environment: Mapping[str, str], *_: object) -> tuple[places.Place, ...]:
            return (places.plain_file(environment.get("CACHE", str(tmp_path / "missing"))),)

        def build(settings: shared_cache.SharedCacheSettings, host: Host) -> Any:
            return shared_cache.ChainedSharedTokenCacheCredential(settings.username, host=host, _find=find)

        return attrs.evolve(shared_cache.credchain_provider(), build=build)

    @pytest.fixture
    def environment(self, tmp_path: Path, clock: FakeClock) -> Mapping[str, str]:
        path = tmp_path / "msal.cache"
        path.write_text(signed_in(now=int(clock.time())))
        return {"CACHE": str(path)}


def pem(password: str) -> bytes:
    """A certificate with its key, which is encrypted."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "contract")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC))
        .sign(key, hashes.SHA256())
    )
    encryption = BestAvailableEncryption(password.encode())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption) + made.public_bytes(Encoding.PEM)


def imds(request: Request) -> Response:
    """IMDS: it refuses a question without its header, and gives a token else."""
    if request.headers.get("Metadata") != "true":
        return json_response({"error": "invalid_request"}, status=400)
    return token_response("an-imds-token", resource=request.params["resource"])


def signed_in(*, now: int) -> str:
    """A cache after Alice has signed in with one of the tools."""

    def encoded(value: Mapping[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims = {"preferred_username": "alice@example.com", "oid": "alice-oid", "sub": "s", "tid": "tenant-a"}
    cache = msal.SerializableTokenCache()
    cache.add(
        {
            "client_id": "872cd9fa-d31f-45e0-9eab-6e460a02d1f1",
            "scope": ["openid"],
            "environment": "login.microsoftonline.com",
            "token_endpoint": "https://login.microsoftonline.com/tenant-a/oauth2/v2.0/token",
            "grant_type": "authorization_code",
            "response": {
                "id_token": f"{encoded({'alg': 'none'})}.{encoded(claims)}.",
                "client_info": encoded({"uid": "alice-oid", "utid": "tenant-a"}),
                "refresh_token": REFRESH,
                "foci": "1",
            },
        },
        now=now,
    )
    written: str = cache.serialize()
    return written
