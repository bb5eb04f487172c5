"""TLS certificates made on the fly: an authority for localhost, and a lone one for Service Fabric."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from typing import TYPE_CHECKING

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path


@attrs.frozen
class Identity:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = attrs.field(repr=False)

    @property
    def thumbprint(self) -> str:
        """SHA-1 of the certificate in upper-case hexadecimal, as Service Fabric names it; no protection."""
        return self.certificate.fingerprint(hashes.SHA1()).hex().upper()

    @property
    def pem(self) -> bytes:
        """The certificate alone."""
        return self.certificate.public_bytes(Encoding.PEM)


def make_authority() -> Identity:
    """A certificate authority of its own, known to nobody else."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("credchain emulator CA")
    builder = _builder(name, name, key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return Identity(builder.sign(key, hashes.SHA256()), key)


def issue_server(authority: Identity, host: str) -> Identity:
    """A server's certificate for localhost and the loopback addresses, signed by *authority*."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate.subject
    builder = _server(_builder(_name("localhost"), issuer, key), host).add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
    )
    return Identity(builder.sign(authority.key, hashes.SHA256()), key)


def make_lone_server(host: str) -> Identity:
    """A server's certificate that nobody but itself vouches for, to be trusted by its thumbprint alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("ServiceFabricNode")
    return Identity(_server(_builder(name, name, key), host).sign(key, hashes.SHA256()), key)


def server_context(identity: Identity, folder: Path) -> ssl.SSLContext:
    """A server's TLS settings. OpenSSL takes keys from files only, so it lies in *folder* for a moment."""
    path = folder / "server.pem"
    private = identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + identity.pem)
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
    finally:
        path.unlink()
    return context


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    # TLS clients judge validity by the machine's clock, whatever clock the emulator's tokens follow.
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + 365 * day)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _server(builder: x509.CertificateBuilder, host: str) -> x509.CertificateBuilder:
    addresses = sorted({"127.0.0.1", "::1", host})
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    return (
        builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
