"""The client assertion: a JSON Web Token that a certificate's key signs (RFC 7523, section 2.2; RFC 7515; RFC 7518).

https://learn.microsoft.com/entra/identity-platform/certificate-credentials
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credchain_plugins.certificate.material import Material

LIFETIME_SECONDS = 600


def header(material: Material, *, adfs: bool, send_chain: bool) -> dict[str, Any]:
    """The header: PS256 and the SHA-256 thumbprint; RS256 and SHA-1 for AD FS, which knows no better."""
    if adfs:
        found: dict[str, Any] = {"typ": "JWT", "alg": "RS256"}
        found["x5t"] = b64url(material.certificate.fingerprint(hashes.SHA1()))  # noqa: S303  # a name, no protection
    else:
        found = {"typ": "JWT", "alg": "PS256", "x5t#S256": b64url(material.certificate.fingerprint(hashes.SHA256()))}
    if send_chain:
        chain = (material.certificate, *material.issuers)
        found["x5c"] = [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in chain]
    return found


def claims(*, client_id: str, audience: str, now: float, jti: str) -> dict[str, Any]:
    """The claims: the application speaks of itself to the token endpoint *audience*, for ten minutes, once."""
    issued_at = int(now)
    return {
        "aud": audience,
        "iss": client_id,
        "sub": client_id,
        "jti": jti,
        "nbf": issued_at,
        "iat": issued_at,
        "exp": issued_at + LIFETIME_SECONDS,
    }


def signed(material: Material, head: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    """The assertion. Takes a millisecond or several of computing, so it belongs into a worker thread."""
    text = f"{b64url(json.dumps(head).encode())}.{b64url(json.dumps(content).encode())}"
    scheme: padding.AsymmetricPadding = padding.PKCS1v15()
    if head["alg"] == "PS256":
        scheme = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    return f"{text}.{b64url(material.key.sign(text.encode(), scheme, hashes.SHA256()))}"


def b64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
