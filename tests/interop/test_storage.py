"""A real SDK client against a real storage service: azure-storage-blob and Azurite, with tokens of the emulator."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.storage.blob.aio import BlobServiceClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from credchain._aiohttp import AiohttpTransport
from credchain.default import DefaultAzureCredential
from credchain.host import Host
from credchain.testing import StaticCredential

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from credchain.emulator import Emulator

AZURITE = shutil.which("azurite-blob")

pytestmark = pytest.mark.skipif(AZURITE is None, reason="azurite-blob is not on the PATH (npm install -g azurite)")


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "azurite.pem", folder / "azurite.key"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Azurite with OAuth over TLS: its URL, and the authority to trust."""
    folder = tmp_path_factory.mktemp("azurite")
    cert_file, key_file = _certificate(folder)
    port = _free_port()
    assert AZURITE is not None
    arguments = ["--oauth", "basic", "--cert", cert_file, "--key", key_file, "--blobHost", "127.0.0.1"]
    arguments += ["--blobPort", port, "--location", folder, "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    with subprocess.Popen(
        [AZURITE, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
    ) as process:
        _wait_for(port, process)
        yield f"https://127.0.0.1:{port}/devstoreaccount1", str(cert_file)
        process.terminate()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "azurite ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
    raise AssertionError("azurite does not listen")


@contextlib.asynccontextmanager
async def client(storage: tuple[str, str], credential: Any) -> AsyncIterator[BlobServiceClient]:
    url, authority = storage
    async with BlobServiceClient(url, credential=credential, connection_verify=authority, retry_total=0) as service:
        yield service


@contextlib.asynccontextmanager
async def machine(emulator: Emulator) -> AsyncIterator[DefaultAzureCredential]:
    """The default chain of a machine with a service principal in its variables."""
    environment = emulator.environment(emulator.add_application())
    transport = AiohttpTransport(environment=environment)
    async with DefaultAzureCredential(host=Host(transport=transport, environment=environment)) as credential:
        yield credential
    await transport.close()


def test_upload_and_download(emulator: Emulator, storage: tuple[str, str]) -> None:
    """The SDK's client takes our credential as it is, and needs one token for all its calls."""

    async def main() -> bytes:
        async with machine(emulator) as credential, client(storage, credential) as service:
            container = await service.create_container(f"box-{time.time_ns()}")
            await container.upload_blob("greeting", b"hello")
            download = await container.download_blob("greeting")
            return bytes(await download.readall())

    assert asyncio.run(main()) == b"hello"
    assert emulator.count("token") == 1


def test_token_for_another_service_is_refused(emulator: Emulator, storage: tuple[str, str]) -> None:
    """Azurite checks whom a token is for; so the first test shows that ours was right."""

    async def main() -> None:
        async with machine(emulator) as credential:
            wrong = await credential.get_token("https://vault.azure.net/.default")
            async with client(storage, StaticCredential(wrong.token)) as service:
                await service.create_container("refused")

    with pytest.raises(ClientAuthenticationError):
        asyncio.run(main())
