"""The source certificate: every shape of a certificate's file, the assertion field by field, and what goes wrong."""

from __future__ import annotations

import asyncio
import base64
import datetime
import hashlib
import json
import logging
import os
import pickle
import traceback
import uuid
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import attrs
import msal
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from credchain._aiohttp import AiohttpTransport
from credchain.aio import CertificateCredential, DefaultAzureCredential
from credchain.errors import AuthenticationFailedError
from credchain.host import Host
from credchain.testing import FakeClock, FakeTransport, run, token_response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from credchain.emulator import Application, Emulator

SCOPE = "https://vault.azure.net/.default"
PASSWORD = "pass~wörd"


@attrs.frozen
class Holder:
    """A certificate, its key, and the certificates above it."""

    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]

    @property
    def leaf(self) -> x509.Certificate:
        return self.chain[0]

    def key_pem(self, password: str | None = None) -> bytes:
        encryption = NoEncryption() if password is None else BestAvailableEncryption(password.encode())
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

    def certificates_pem(self) -> bytes:
        return b"".join(one.public_bytes(Encoding.PEM) for one in self.chain)

    def pem(self, password: str | None = None) -> bytes:
        return self.key_pem(password) + self.certificates_pem()

    def bundle(self, password: str | None = None) -> bytes:
        encryption = NoEncryption() if password is None else BestAvailableEncryption(password.encode())
        assert isinstance(self.key, rsa.RSAPrivateKey)
        return pkcs12.serialize_key_and_certificates(b"name", self.key, self.leaf, self.chain[1:], encryption)


def _certificate(
    name: str, key: Any, issuer: str, issuer_key: Any, *, ends: datetime.datetime | None = None
) -> x509.Certificate:
    ends = ends or datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(ends)
        .sign(issuer_key, hashes.SHA256())
    )


@pytest.fixture(scope="session")
def holder() -> Holder:
    """A leaf, an intermediate and a root."""
    leaf, middle, root = (rsa.generate_private_key(65537, 2048) for _ in range(3))
    chain = (
        _certificate("leaf", leaf, "middle", middle),
        _certificate("middle", middle, "root", root),
        _certificate("root", root, "root", root),
    )
    return Holder(leaf, chain)


@pytest.fixture(scope="session")
def other() -> Holder:
    """Somebody else."""
    key = rsa.generate_private_key(65537, 2048)
    return Holder(key, (_certificate("other", key, "other", key),))


def sent(transport: FakeTransport) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Header and claims of the assertion sent last, and the assertion itself."""
    form = transport.requests[-1].form
    assert form is not None
    head, claims, _ = (segment + "=" * (-len(segment) % 4) for segment in form["client_assertion"].split("."))
    return (
        json.loads(base64.urlsafe_b64decode(head)),
        json.loads(base64.urlsafe_b64decode(claims)),
        form["client_assertion"],
    )


def made(holder: Holder, transport: FakeTransport, clock: FakeClock, **keywords: Any) -> CertificateCredential:
    host = Host(transport=transport, clock=clock)
    arguments = {"tenant_id": "tenant", "client_id": "client", "certificate_data": holder.pem(), **keywords}
    return CertificateCredential(host=host, **arguments)


SHAPES: dict[str, Callable[[Holder], tuple[bytes, str | bytes | None]]] = {
    "pem, key first": lambda h: (h.key_pem() + h.certificates_pem(), None),
    "pem, key last": lambda h: (h.certificates_pem() + h.key_pem(), None),
    "pem, leaf last": lambda h: (
        h.key_pem() + b"".join(one.public_bytes(Encoding.PEM) for one in reversed(h.chain)),
        None,
    ),
    "pem, encrypted": lambda h: (h.pem(PASSWORD), PASSWORD),
    "pem, encrypted, password as bytes": lambda h: (h.pem(PASSWORD), PASSWORD.encode()),
    "pem, password that is not needed": lambda h: (h.pem(), PASSWORD),
    "pem, traditional key": lambda h: (
        h.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()) + h.certificates_pem(),
        None,
    ),
    "pem, traditional key, encrypted": lambda h: (
        h.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"p"))
        + h.certificates_pem(),
        "p",
    ),
    "pem, with text around": lambda h: (b"Bag Attributes\n  x: y\n" + h.pem() + b"\ntrailing\n", None),
    "pkcs12": lambda h: (h.bundle(), None),
    "pkcs12, encrypted": lambda h: (h.bundle(PASSWORD), PASSWORD),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_a_file_is_read(shape: str, holder: Holder, tmp_path: Path, fake_clock: FakeClock) -> None:
    """PEM and PKCS#12, encrypted or not, in any order: the key's own certificate signs, and its chain is known."""
    data, password = SHAPES[shape](holder)
    file = tmp_path / "certificate"
    file.write_bytes(data)
    transport = FakeTransport(token_response())
    host = Host(transport=transport, clock=fake_clock)
    credential = CertificateCredential(
        "tenant", "client", str(file), password=password, send_certificate_chain=True, host=host
    )

    run(credential.get_token(SCOPE), clock=fake_clock)

    head, _, _ = sent(transport)
    assert head["x5c"] == [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in holder.chain]


def test_assertion_is_what_the_protocol_says(holder: Holder, fake_clock: FakeClock) -> None:
    """PS256 and x5t#S256; each claim; a signature that the certificate verifies; no padding in any segment."""
    transport = FakeTransport(token_response())
    credential = made(holder, transport, fake_clock)

    run(credential.get_token(SCOPE), clock=fake_clock)

    head, claims, assertion = sent(transport)
    form = transport.requests[0].form
    assert form is not None
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(holder.leaf.public_bytes(Encoding.DER)).digest())
    assert head == {"typ": "JWT", "alg": "PS256", "x5t#S256": thumbprint.rstrip(b"=").decode()}
    assert uuid.UUID(claims.pop("jti")).version == 4
    now = int(fake_clock.time())
    assert claims == {
        "aud": "https://login.microsoftonline.com/tenant/oauth2/v2.0/token",
        "iss": "client",
        "sub": "client",
        "nbf": now,
        "iat": now,
        "exp": now + 600,
    }
    assert "=" not in assertion
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert (form["grant_type"], form["client_id"], form["scope"]) == ("client_credentials", "client", SCOPE)
    text, _, signature = assertion.rpartition(".")
    public = holder.leaf.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    public.verify(
        base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)),
        text.encode(),
        padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH),
        hashes.SHA256(),
    )


def test_each_assertion_is_new(holder: Holder, fake_clock: FakeClock) -> None:
    """A service refuses one that it has seen."""
    transport = FakeTransport(token_response())
    credential = made(holder, transport, fake_clock)

    async def main() -> set[str]:
        seen = set()
        for scope in ("a", "b", "c"):
            await credential.get_token(scope)
            seen.add(sent(transport)[1]["jti"])
        return seen

    assert len(run(main(), clock=fake_clock)) == 3


def test_adfs_gets_what_it_knows(holder: Holder, fake_clock: FakeClock) -> None:
    """RS256 and the SHA-1 thumbprint."""
    transport = FakeTransport(token_response())
    credential = made(holder, transport, fake_clock, tenant_id="adfs", authority="adfs.example")

    run(credential.get_token(SCOPE), clock=fake_clock)

    head, claims, assertion = sent(transport)
    thumbprint = base64.urlsafe_b64encode(hashlib.sha1(holder.leaf.public_bytes(Encoding.DER)).digest())
    assert head == {"typ": "JWT", "alg": "RS256", "x5t": thumbprint.rstrip(b"=").decode()}
    assert claims["aud"].startswith("https://adfs.example/adfs/")
    text, _, signature = assertion.rpartition(".")
    public = holder.leaf.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    public.verify(
        base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)),
        text.encode(),
        padding.PKCS1v15(),
        hashes.SHA256(),
    )


def test_audience_is_the_tenant_that_is_asked(holder: Holder, fake_clock: FakeClock) -> None:
    """Another allowed tenant gets an assertion for its own endpoint."""
    transport = FakeTransport(token_response())
    credential = made(holder, transport, fake_clock, additionally_allowed_tenants=["*"])

    run(credential.get_token(SCOPE, tenant_id="elsewhere"), clock=fake_clock)

    assert sent(transport)[1]["aud"] == transport.requests[0].url
    assert "/elsewhere/" in transport.requests[0].url


class _Recorder:
    """An HTTP client for msal that answers with a token and keeps the form."""

    def __init__(self) -> None:
        self.form: dict[str, Any] = {}

    def post(self, _url: str, data: dict[str, Any], **_: Any) -> Any:
        self.form = data
        body = {"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}
        return SimpleNamespace(status_code=200, text=json.dumps(body), headers={})

    def get(self, _url: str, **_: Any) -> Any:
        base = "https://login.microsoftonline.com/tenant"
        body = {
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "issuer": f"{base}/v2.0",
        }
        return SimpleNamespace(status_code=200, text=json.dumps(body), headers={}, raise_for_status=lambda: None)

    def close(self) -> None:
        """Nothing to close."""


def test_msal_sends_the_same(holder: Holder, fake_clock: FakeClock) -> None:
    """Microsoft's own library as an oracle: the same header and claims, but for padding, times and the jti."""
    recorder = _Recorder()
    application = msal.ConfidentialClientApplication(
        "client",
        authority="https://login.microsoftonline.com/tenant",
        client_credential={
            "private_key": holder.key_pem().decode(),
            "public_certificate": holder.certificates_pem().decode(),
        },
        http_client=recorder,
        instance_discovery=False,
    )
    application.acquire_token_for_client([SCOPE])
    theirs = recorder.form["client_assertion"]
    theirs = theirs.decode() if isinstance(theirs, bytes) else theirs
    their_head, their_claims = (
        json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))) for segment in theirs.split(".")[:2]
    )
    transport = FakeTransport(token_response())
    credential = made(holder, transport, fake_clock, send_certificate_chain=True)

    run(credential.get_token(SCOPE), clock=fake_clock)
    head, claims, _ = sent(transport)

    assert (head["alg"], head["typ"]) == (their_head["alg"], their_head["typ"])
    assert head["x5t#S256"] == their_head["x5t#S256"].rstrip("=")
    their_chain = their_head["x5c"] if isinstance(their_head["x5c"], list) else [their_head["x5c"]]
    assert head["x5c"][0] == "".join(their_chain[0].split())
    assert {name: claims[name] for name in ("aud", "iss", "sub")} == {
        name: their_claims[name] for name in ("aud", "iss", "sub")
    }
    assert claims["exp"] - claims["iat"] == their_claims["exp"] - their_claims["iat"]
    assert set(their_claims) <= set(claims)
    form = transport.requests[0].form
    assert form is not None
    assert form["client_assertion_type"] == recorder.form["client_assertion_type"]


def _registered(emulator: Emulator, holder: Holder) -> Application:
    return emulator.add_application(client_secret="", certificates=[holder.leaf.public_bytes(Encoding.DER)])


def _against(emulator: Emulator, application: Application, **keywords: Any) -> CertificateCredential:
    environment = emulator.environment()
    host = Host(transport=AiohttpTransport(environment=environment), environment=environment)
    return CertificateCredential(application.tenant_id, application.client_id, host=host, **keywords)


def _token(credential: CertificateCredential, **options: Any) -> Any:
    async def main() -> Any:
        try:
            return await credential.get_token(SCOPE, **options)
        finally:
            await credential.host.transport.close()

    return asyncio.run(main())


def test_token_over_real_sockets(emulator: Emulator, holder: Holder, tmp_path: Path) -> None:
    """The emulator verifies what Entra ID verifies."""
    application = _registered(emulator, holder)
    file = tmp_path / "certificate.pem"
    file.write_bytes(holder.pem(PASSWORD))

    token = _token(_against(emulator, application, certificate_path=file, password=PASSWORD))

    assert emulator.claims_of(token.token)["appid"] == application.client_id


def test_environment_builds_on_it(emulator: Emulator, holder: Holder, tmp_path: Path) -> None:
    """The variables of a certificate lead here, through the default chain."""
    application = _registered(emulator, holder)
    file = tmp_path / "certificate.pem"
    file.write_bytes(holder.pem(PASSWORD))
    environment = {
        **emulator.environment(),
        "AZURE_TENANT_ID": application.tenant_id,
        "AZURE_CLIENT_ID": application.client_id,
        "AZURE_CLIENT_CERTIFICATE_PATH": str(file),
        "AZURE_CLIENT_CERTIFICATE_PASSWORD": PASSWORD,
        "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN": "TRUE",
    }

    async def main() -> str:
        transport = AiohttpTransport(environment=environment)
        async with DefaultAzureCredential(host=Host(transport=transport, environment=environment)) as credential:
            token = await credential.get_token(SCOPE)
        await transport.close()
        assert credential.selected == "environment"
        return str(token.token)

    assert emulator.claims_of(asyncio.run(main()))["appid"] == application.client_id
    assert "x5c" in json.loads(
        base64.urlsafe_b64decode(emulator.requests[-1].form["client_assertion"].split(".")[0] + "==")
    )


def test_unregistered_certificate_is_refused(emulator: Emulator, holder: Holder, other: Holder) -> None:
    """With Entra ID's number."""
    application = _registered(emulator, holder)

    with pytest.raises(AuthenticationFailedError) as caught:
        _token(_against(emulator, application, certificate_data=other.pem()))

    assert caught.value.error_codes == (700027,)


def test_certificate_is_replaced_under_a_running_program(
    holder: Holder, other: Holder, tmp_path: Path, fake_clock: FakeClock
) -> None:
    """The next request for a token is signed by the file's new content."""
    file = tmp_path / "certificate.pem"
    file.write_bytes(holder.pem())
    transport = FakeTransport(token_response())
    credential = CertificateCredential("t", "c", file, host=Host(transport=transport, clock=fake_clock))
    thumbprints = []

    async def main() -> None:
        for scope, replaced in (("a", None), ("b", other), ("c", None)):
            if replaced is not None:
                file.write_bytes(replaced.pem())
            await credential.get_token(scope)
            thumbprints.append(sent(transport)[0]["x5t#S256"])

    run(main(), clock=fake_clock)

    assert thumbprints[0] != thumbprints[1] == thumbprints[2]


@pytest.mark.parametrize("how", ["broken", "gone"])
def test_broken_replacement_leaves_the_old_one_in_use(
    holder: Holder, tmp_path: Path, fake_clock: FakeClock, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """Told once, not at each request; when the file is good again, it is taken."""
    file = tmp_path / "certificate.pem"
    file.write_bytes(holder.pem())
    transport = FakeTransport(token_response())
    credential = CertificateCredential("t", "c", file, host=Host(transport=transport, clock=fake_clock))

    async def main() -> None:
        if how == "broken":
            file.write_bytes(b"half a certifi")
        else:
            file.unlink()
        await credential.get_token("a")
        await credential.get_token("b")
        file.write_bytes(holder.pem())
        await credential.get_token("c")

    run(main(), clock=fake_clock)

    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "the old certificate stays in use" in warnings[0]
    assert len(transport.requests) == 3


def test_expired_certificate_is_a_warning_that_says_since_when(
    fake_clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Entra ID refuses it; the reader of the log knows at once why."""
    key = rsa.generate_private_key(65537, 2048)
    ends = datetime.datetime.fromtimestamp(fake_clock.time(), datetime.UTC) - datetime.timedelta(days=3, minutes=1)
    old = Holder(key, (_certificate("old", key, "old", key, ends=ends),))

    made(old, FakeTransport(), fake_clock)

    assert f"expired on {ends:%Y-%m-%d}, 3 days ago" in caplog.text


def _ec() -> Holder:
    key = ec.generate_private_key(ec.SECP256R1())
    return Holder(key, (_certificate("ec", key, "ec", key),))


BAD: dict[str, tuple[Callable[[Holder, Holder], bytes], str | None, str]] = {
    "nothing": (lambda _h, _o: b"", None, "non-empty bytes"),
    "nonsense": (lambda _h, _o: b"nonsense", None, "neither PEM nor a PKCS#12 file that opens without a password"),
    "no key": (lambda h, _o: h.certificates_pem(), None, "holds no private key"),
    "no certificate": (lambda h, _o: h.key_pem(), None, "holds no certificate that can be read"),
    "another's certificate": (
        lambda h, o: h.key_pem() + o.certificates_pem(),
        None,
        "no certificate for its private key",
    ),
    "EC key": (lambda _h, _o: _ec().pem(), None, "not RSA"),
    "password missing": (lambda h, _o: h.pem("p"), None, "encrypted private key; give its password"),
    "password wrong": (lambda h, _o: h.pem("p"), "wrong", "the password is wrong, or the key is damaged"),
    "pkcs12, password missing": (lambda h, _o: h.bundle("p"), None, "opens without a password"),
    "pkcs12, password wrong": (lambda h, _o: h.bundle("p"), "wrong", "opens with the password that was given"),
    "key damaged": (
        lambda h, _o: h.pem().replace(h.key_pem()[60:90], b"A" * 30),
        None,
        "it is damaged, or of an unknown kind",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_unusable_certificate_is_one_clear_sentence(case: str, holder: Holder, other: Holder) -> None:
    """At construction, naming the argument."""
    content, password, message = BAD[case]

    with pytest.raises(ValueError, match=message) as caught:
        CertificateCredential("t", "c", certificate_data=content(holder, other), password=password)

    assert str(caught.value).startswith("certificate_data")
    assert "\n" not in str(caught.value)


def test_unusable_file_is_one_clear_sentence(tmp_path: Path, holder: Holder) -> None:
    """A missing file, a directory, one that is much too long, and a pipe; each with its path."""
    long = tmp_path / "long.pem"
    long.write_bytes(holder.pem() + b"#" * 10_000_000)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    for path, message in (
        (tmp_path / "nowhere.pem", "does not exist"),
        (tmp_path, "is a directory"),
        (long, "longer than a mebibyte"),
        (pipe, "is no regular file"),
    ):
        with pytest.raises(ValueError, match=f"certificate_path: .*{path.name}.*{message}"):
            CertificateCredential("t", "c", path)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({}, "give exactly one of the two"),
        ({"certificate_path": "p", "certificate_data": b"d"}, "give exactly one of the two"),
        ({"certificate_path": ""}, "certificate_path: must be a non-empty string"),
        ({"tenant_id": "a b", "certificate_data": b"d"}, "tenant_id"),
        ({"client_id": "", "certificate_data": b"d"}, "client_id"),
        ({"authority": "http://x", "certificate_data": b"d"}, "authority"),
    ],
)
def test_bad_arguments_are_told_at_once(keywords: dict[str, Any], message: str) -> None:
    """The error names the argument."""
    with pytest.raises(ValueError, match=message):
        CertificateCredential(**{"tenant_id": "t", "client_id": "c", **keywords})


def test_unknown_keyword_is_told_with_the_nearest() -> None:
    """A slip of the pen is a TypeError."""
    with pytest.raises(TypeError, match="did you mean 'send_certificate_chain'"):
        CertificateCredential("t", "c", "p", send_certificate_chian=True)  # type: ignore[arg-type]


def test_pickling_keeps_the_path_and_no_key(holder: Holder, tmp_path: Path) -> None:
    """With a path alone, the copy reads the file itself; a password or data is refused."""
    file = tmp_path / "certificate.pem"
    file.write_bytes(holder.pem())
    pickled = pickle.dumps(CertificateCredential("t", "c", file, send_certificate_chain=True))

    assert isinstance(pickle.loads(pickled), CertificateCredential)
    assert holder.key_pem()[100:160] not in pickled
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(CertificateCredential("t", "c", file, password="p"))
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(CertificateCredential("t", "c", certificate_data=holder.pem()))


def test_loop_is_not_held_up_by_files_or_signatures(
    tmp_path: Path, fake_clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Signing with an RSA-4096 key happens in a worker thread."""
    key = rsa.generate_private_key(65537, 4096)
    big = Holder(key, (_certificate("big", key, "big", key),))
    file = tmp_path / "big.pem"
    file.write_bytes(big.pem())
    credential = CertificateCredential(
        "t", "c", file, host=Host(transport=FakeTransport(token_response()), clock=fake_clock)
    )

    async def main(number: int) -> None:
        asyncio.get_running_loop().slow_callback_duration = 0.05
        for scope in range(5):
            await credential.get_token(f"scope-{number}-{scope}")

    complaints = []
    with caplog.at_level(logging.WARNING, logger="asyncio"):
        for number in range(3):  # what blocks does so each time; a loaded machine does not
            caplog.clear()
            asyncio.run(main(number), debug=True)
            complaints.append([record for record in caplog.records if record.name == "asyncio"])

    assert [] in complaints


def test_secrets_are_seen_nowhere(
    emulator: Emulator, holder: Holder, other: Holder, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither password, key nor assertion: not in a log at DEBUG, a repr, an error or a traceback."""
    caplog.set_level(logging.DEBUG)
    application = _registered(emulator, holder)
    good = _against(emulator, application, certificate_data=holder.pem(PASSWORD), password=PASSWORD)
    token = _token(good)
    bad = _against(emulator, application, certificate_data=other.pem(PASSWORD), password=PASSWORD)
    with pytest.raises(AuthenticationFailedError) as refused:
        _token(bad)
    with pytest.raises(ValueError, match="password") as unread:
        CertificateCredential("t", "c", certificate_data=holder.pem(PASSWORD), password=PASSWORD + "x")

    everything = "\n".join(
        [repr(good), repr(token), caplog.text]
        + ["".join(traceback.format_exception(caught.value)) for caught in (refused, unread)]
        + [repr(vars(refused.value))]
    )
    assertions = [request.form["client_assertion"] for request in emulator.requests]
    assert len(assertions) == 2
    for secret in (PASSWORD, token.token, holder.pem(PASSWORD).decode()[100:160], *assertions):
        assert secret not in everything
