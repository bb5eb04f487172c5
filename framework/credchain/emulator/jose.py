"""JSON Web Tokens by hand: strict base64url, RS256 signing and checking, and the key as it is published.

RFC 7515 (signatures), 7517 (keys), 7519 (tokens), 7638 (thumbprints as key ids).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re

import attrs
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

_ALPHABET = re.compile(r"[A-Za-z0-9_-]*")


@attrs.frozen
class Parsed:
    """A token taken apart, its signature not yet checked."""

    header: dict[str, object]
    claims: dict[str, object]
    signed: bytes = attrs.field(repr=False)
    signature: bytes = attrs.field(repr=False)


class SigningKey:
    """An RSA key of 2048 bits that signs access tokens. Making one takes some tenths of a second."""

    def __init__(self) -> None:
        self._private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._public = self._private.public_key()
        numbers = self._public.public_numbers()
        members = {"e": _integer(numbers.e), "kty": "RSA", "n": _integer(numbers.n)}
        canonical = json.dumps(members, separators=(",", ":"), sort_keys=True).encode()
        self.kid = encode(hashlib.sha256(canonical).digest())
        self.jwk: dict[str, object] = {**members, "kid": self.kid, "use": "sig", "alg": "RS256"}

    def sign(self, claims: dict[str, object]) -> str:
        """A token of *claims*."""
        header = {"typ": "JWT", "alg": "RS256", "kid": self.kid}
        signed = f"{_segment(header)}.{_segment(claims)}"
        signature = self._private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{encode(signature)}"

    def claims_of(self, token: str) -> dict[str, object]:
        """The claims of a token that this key signed; whether it has expired is not asked.

        Raises:
            ValueError: It is no token, or somebody else's.
        """
        parsed = parse(token)
        try:
            self._public.verify(parsed.signature, parsed.signed, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise ValueError("token: not signed by this emulator") from None
        return parsed.claims


def encode(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes of a base64url text. Padding, which RFC 7515 forbids, is let pass, as the service does.

    Raises:
        ValueError: Another alphabet, or an impossible length.
    """
    text = text.rstrip("=")
    if not _ALPHABET.fullmatch(text):
        raise ValueError("base64url: a character of another alphabet")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def parse(token: str) -> Parsed:
    """A token taken apart, its signature not checked.

    Raises:
        ValueError: It is no signed token.
    """
    segments = token.split(".")
    if len(segments) != 3:
        raise ValueError("token: must have three segments")
    header, claims, signature = segments
    return Parsed(_object(header), _object(claims), f"{header}.{claims}".encode(), decode(signature))


def _object(segment: str) -> dict[str, object]:
    found: object = json.loads(decode(segment))
    if not isinstance(found, dict):
        raise ValueError("token: a segment is no JSON object")
    return found


def _segment(content: dict[str, object] | dict[str, str]) -> str:
    return encode(json.dumps(content, separators=(",", ":")).encode())


def _integer(value: int) -> str:
    return encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))
