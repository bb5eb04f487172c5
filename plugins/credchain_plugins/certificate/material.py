"""A certificate and its private key, out of a file or bytes: PEM or PKCS#12."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

FILE_LIMIT = 1024 * 1024

_KEY = re.compile(rb"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----.+?-----END \1-----", re.DOTALL)


@attrs.frozen(eq=False)
class Material:
    """What an assertion is signed with.

    Attributes:
        key: The private key.
        certificate: The certificate of that key.
        issuers: Further certificates that lead from it upwards, in this order.
    """

    key: RSAPrivateKey = attrs.field(repr=False)
    certificate: x509.Certificate
    issuers: tuple[x509.Certificate, ...] = ()

    @property
    def expires(self) -> datetime:
        """When the certificate ends."""
        return self.certificate.not_valid_after_utc


Stamp = tuple[int, int, int]
"""What changes when a file is replaced: time of change in nanoseconds, size, inode."""


def stamp_of(path: str | os.PathLike[str]) -> Stamp:
    """The stamp of a file.

    Raises:
        OSError: There is none.
    """
    found = Path(path).stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


def read(path: str | os.PathLike[str]) -> bytes:
    """The content of a certificate's file.

    Raises:
        ValueError: There is no such file, it is none, it cannot be read, or it is too long to be a certificate.
    """
    where = f"certificate_path: {path}"
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            raise ValueError(f"{where} is a directory; name the file in it")
        if not stat.S_ISREG(mode):
            raise ValueError(f"{where} is no regular file")
        with Path(path).open("rb") as file:
            data = file.read(FILE_LIMIT + 1)
    except FileNotFoundError:
        raise ValueError(f"{where} does not exist") from None
    except OSError as error:
        raise ValueError(f"{where} cannot be read: {error.strerror or type(error).__name__}") from None
    if len(data) > FILE_LIMIT:
        raise ValueError(f"{where} is longer than a mebibyte, so it is no certificate")
    return data


def parse(data: bytes, *, password: bytes | None, where: str) -> Material:
    """The key and certificates in *data*.

    Args:
        data: PEM (key and certificates in any order) or PKCS#12.
        password: Of the key, if it is encrypted.
        where: Begins each error's sentence.

    Raises:
        ValueError: No key, no certificate, none that fits the key, a key that is not RSA, or a wrong password.
    """
    key, certificates = (_pem if b"-----BEGIN" in data else _pkcs12)(data, password, where)
    if not isinstance(key, RSAPrivateKey):
        kind = type(key).__name__.strip("_").replace("PrivateKey", "")
        raise ValueError(f"{where} holds a private key that is not RSA ({kind}); Entra ID takes RSA keys only")
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for certificate in certificates:
        if certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == public:
            return Material(key, certificate, _issuers(certificate, certificates))
    raise ValueError(f"{where} holds no certificate for its private key")


def _pem(data: bytes, password: bytes | None, where: str) -> tuple[PrivateKeyTypes, list[x509.Certificate]]:
    block = _KEY.search(data)
    if block is None:
        raise ValueError(f"{where} holds no private key; it has to stand beside the certificate")
    try:
        certificates = x509.load_pem_x509_certificates(data)
    except ValueError:
        raise ValueError(f"{where} holds no certificate that can be read") from None
    return _pem_key(block[0], password, where), certificates


def _pem_key(block: bytes, password: bytes | None, where: str) -> PrivateKeyTypes:
    encrypted = b"ENCRYPTED" in block
    if encrypted and password is None:
        raise ValueError(f"{where} holds an encrypted private key; give its password")
    try:
        return load_pem_private_key(block, password if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        why = "the password is wrong, or the key is damaged" if encrypted else "it is damaged, or of an unknown kind"
        raise ValueError(f"{where} holds a private key that cannot be read: {why}") from None


def _pkcs12(data: bytes, password: bytes | None, where: str) -> tuple[PrivateKeyTypes, list[x509.Certificate]]:
    try:
        bundle = load_pkcs12(data, password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        what = "without a password" if password is None else "with the password that was given"
        raise ValueError(f"{where} is neither PEM nor a PKCS#12 file that opens {what}") from None
    if bundle.key is None:
        raise ValueError(f"{where} holds no private key; export it together with the certificate")
    first = [] if bundle.cert is None else [bundle.cert.certificate]
    return bundle.key, [*first, *(extra.certificate for extra in bundle.additional_certs)]


def _issuers(leaf: x509.Certificate, known: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """The certificates from the leaf's issuer upwards, as far as they are known."""
    found: list[x509.Certificate] = []
    below = leaf
    while below.issuer != below.subject:
        above = next((one for one in known if one.subject == below.issuer and one not in (leaf, *found)), None)
        if above is None:
            break
        found.append(above)
        below = above
    return tuple(found)
