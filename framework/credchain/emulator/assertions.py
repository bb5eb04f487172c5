"""Checking a client assertion: a short-lived token that an application signs (RFC 7523)."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from credchain.emulator import jose
from credchain.emulator.refusals import bad_assertion

if TYPE_CHECKING:
    from credchain.emulator.records import Application
    from credchain.emulator.wire import Call
    from credchain.emulator.world import World

_SKEW = 300.0
_DIGEST_SALT = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
_PADDINGS: dict[str, padding.AsymmetricPadding] = {"PS256": _DIGEST_SALT, "RS256": padding.PKCS1v15()}


@attrs.frozen
class _Thumbprint:
    """How a header names the certificate."""

    algorithm: hashes.HashAlgorithm
    value: bytes


def load_certificate(data: bytes) -> x509.Certificate:
    """A certificate from DER or PEM.

    Raises:
        ValueError: It is neither, or its key is no RSA key.
    """
    pem = b"-----BEGIN CERTIFICATE-----" in data
    certificate = x509.load_pem_x509_certificate(data) if pem else x509.load_der_x509_certificate(data)
    if not isinstance(certificate.public_key(), rsa.RSAPublicKey):
        raise ValueError("certificates: Entra ID takes certificates with RSA keys only")
    return certificate


def check_assertion(world: World, call: Call, application: Application, assertion: str) -> None:
    """Check the assertion in every respect, and that it was not shown before.

    Raises:
        RefusedError: It proves nothing.
    """
    try:
        parsed = jose.parse(assertion)
    except ValueError as error:
        raise bad_assertion(50027, f"JWT token is invalid or malformed: {error}.") from None
    _check_signature(parsed, application)
    _check_subject(parsed.claims, application)
    _check_audience(parsed.claims, call)
    _check_times(parsed.claims, world.clock())
    _check_first_use(world, parsed.claims)


def _check_signature(parsed: jose.Parsed, application: Application) -> None:
    algorithm = parsed.header.get("alg")
    scheme = _PADDINGS.get(algorithm) if isinstance(algorithm, str) else None
    if scheme is None:
        raise bad_assertion(50027, f"JWT token is invalid or malformed: unknown algorithm {algorithm!r}.")
    thumbprint = _thumbprint(parsed.header, with_sha1=algorithm == "RS256")
    certificate = _registered(thumbprint, application)
    _check_chain(parsed.header, certificate)
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    try:
        key.verify(parsed.signature, parsed.signed, scheme, hashes.SHA256())
    except InvalidSignature:
        raise bad_assertion(700027, "Client assertion contains an invalid signature.") from None


def _thumbprint(header: dict[str, object], *, with_sha1: bool) -> _Thumbprint:
    names: dict[str, hashes.HashAlgorithm] = {"x5t#S256": hashes.SHA256()}
    if with_sha1:
        names["x5t"] = hashes.SHA1()  # A name and no protection: RFC 7515, section 4.1.7.
    for name, algorithm in names.items():
        value = header.get(name)
        if isinstance(value, str):
            return _Thumbprint(algorithm, _decoded(name, value))
    raise bad_assertion(700027, "The key was not found: the header names no certificate by x5t#S256 or x5t.")


def _decoded(name: str, value: str) -> bytes:
    try:
        return jose.decode(value)
    except ValueError as error:
        raise bad_assertion(50027, f"JWT token is invalid or malformed: {name}: {error}.") from None


def _registered(thumbprint: _Thumbprint, application: Application) -> x509.Certificate:
    for data in application.certificates:
        certificate = load_certificate(data)
        if certificate.fingerprint(thumbprint.algorithm) == thumbprint.value:
            return certificate
    raise bad_assertion(
        700027,
        "The certificate used to sign the client assertion is not registered on application. "
        f"The key was not found. Thumbprint of key used by client: '{thumbprint.value.hex().upper()}'.",
    )


def _check_chain(header: dict[str, object], leaf: x509.Certificate) -> None:
    chain = header.get("x5c")
    if chain is None:
        return
    try:
        found = [_from_chain(each) for each in chain] if isinstance(chain, list) else []
    except (ValueError, binascii.Error):
        found = []
    if not found or found[0] != leaf:
        raise bad_assertion(700027, "The x5c header must hold the signing certificate first, in base64 of its DER.")


def _from_chain(value: object) -> x509.Certificate:
    return x509.load_der_x509_certificate(base64.b64decode(str(value), validate=True))


def _check_subject(claims: dict[str, object], application: Application) -> None:
    for name in ("iss", "sub"):
        value = claims.get(name)
        if not isinstance(value, str) or value.lower() != application.client_id.lower():
            text = f"Client assertion application identifier doesn't match 'client_id' parameter: {name}."
            raise bad_assertion(700021, text)


def _check_audience(claims: dict[str, object], call: Call) -> None:
    # A client may reach the emulator under another loopback name than the authority's own.
    asked = {call.authority + call.path, f"https://{call.headers.get('Host', '')}{call.path}"}
    if claims.get("aud") not in asked:
        raise bad_assertion(700023, "Client assertion audience claim does not match the token endpoint's address.")


def _check_times(claims: dict[str, object], now: float) -> None:
    begin, end = claims.get("nbf", now), claims.get("exp")
    if not isinstance(begin, int | float) or not isinstance(end, int | float):
        raise bad_assertion(50027, "JWT token is invalid or malformed: exp and nbf must be numbers.")
    if not begin - _SKEW <= now <= end + _SKEW:
        raise bad_assertion(700024, "Client assertion is not within its valid time range.")


def _check_first_use(world: World, claims: dict[str, object]) -> None:
    jti = claims.get("jti")
    if not isinstance(jti, str) or not jti:
        raise bad_assertion(50027, "JWT token is invalid or malformed: jti must be a text that is used once.")
    if not world.ledger.first_use(jti):
        raise bad_assertion(50013, "Assertion failed validation: its jti was used before.")
