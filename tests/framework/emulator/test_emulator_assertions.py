"""Client assertions: what a certificate's holder may sign, and every way in which it proves nothing."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import time
import uuid

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

SCOPE = "https://vault.azure.net/.default"
TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def b64(data):
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@attrs.frozen
class Holder:
    """Somebody with a certificate and its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

    @property
    def der(self):
        """The certificate as bytes."""
        return self.certificate.public_bytes(Encoding.DER)

    def sign(self, header, claims):
        """A signed assertion, by the algorithm that the header names."""
        signed = ".".join(b64(json.dumps(part).encode()) for part in (header, claims))
        scheme = padding.PKCS1v15()
        if header["alg"] == "PS256":
            scheme = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        return f"{signed}.{b64(self.key.sign(signed.encode(), scheme, hashes.SHA256()))}"


def make_holder(key):
    """A self-signed certificate for *key*."""
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    return Holder(builder.sign(key, hashes.SHA256()), key)


@pytest.fixture(scope="module")
def holder():
    """The holder of the registered certificate."""
    return make_holder(rsa.generate_private_key(65537, 2048))


@pytest.fixture(scope="module")
def stranger():
    """The holder of another one."""
    return make_holder(rsa.generate_private_key(65537, 2048))


@pytest.fixture
def bearer(local, holder):
    """An application that knows the holder's certificate and has no secret."""
    return local.add_application(client_secret="", certificates=[holder.der])


@pytest.fixture
def claims(local, bearer):
    """The claims of an assertion that is right."""
    now = int(time.time())
    return {
        "aud": f"{local.authority}/{bearer.tenant_id}/oauth2/v2.0/token",
        "iss": bearer.client_id,
        "sub": bearer.client_id,
        "jti": str(uuid.uuid4()),
        "nbf": now,
        "iat": now,
        "exp": now + 600,
    }


@pytest.fixture
def show(bearer, token):
    """Shows an assertion to the token endpoint."""

    def shown(assertion, **changes):
        form = {
            "client_id": bearer.client_id,
            "client_assertion": assertion,
            "client_assertion_type": TYPE,
            "grant_type": "client_credentials",
            "scope": SCOPE,
            **changes,
        }
        return token(bearer.tenant_id, **form)

    return shown


def ps256(holder):
    """The header that names the holder's certificate by SHA-256."""
    return {"typ": "JWT", "alg": "PS256", "x5t#S256": b64(hashlib.sha256(holder.der).digest())}


@pytest.mark.parametrize(
    ("algorithm", "member", "digest"),
    [("PS256", "x5t#S256", hashlib.sha256), ("RS256", "x5t#S256", hashlib.sha256), ("RS256", "x5t", hashlib.sha1)],
)
def test_a_signed_assertion_buys_a_token(local, holder, claims, show, *, algorithm, member, digest):
    """PS256 goes with a SHA-256 thumbprint, RS256 with either."""
    header = {"typ": "JWT", "alg": algorithm, member: b64(digest(holder.der).digest())}

    reply = show(holder.sign(header, claims))

    assert reply.status == 200
    assert local.claims_of(str(reply.json["access_token"]))["appid"] == claims["iss"]


def test_certificates_may_be_pem_and_several(local, holder, stranger, claims, *, show, bearer):
    """Any of the registered certificates will do, in DER or PEM, with a chain that starts with it."""
    pem = stranger.certificate.public_bytes(Encoding.PEM)
    local.add_application(client_id=bearer.client_id, client_secret="", certificates=[holder.der, pem])
    chain = [base64.b64encode(each.der).decode() for each in (stranger, holder)]

    reply = show(stranger.sign({**ps256(stranger), "x5c": chain}, claims))

    assert reply.status == 200


def test_the_other_loopback_name_is_an_audience_too(local, holder, claims, bearer, ask):
    """Who reaches the token endpoint as 127.0.0.1 names it so."""
    url = claims["aud"].replace("localhost", "127.0.0.1")
    form = {
        "client_id": bearer.client_id,
        "client_assertion": holder.sign(ps256(holder), {**claims, "aud": url}),
        "client_assertion_type": TYPE,
        "grant_type": "client_credentials",
        "scope": SCOPE,
    }

    reply = ask("POST", url, form=form, ca_file=local.ca_file)

    assert reply.status == 200


@pytest.mark.parametrize(
    ("change", "number"),
    [
        ({"aud": "https://login.microsoftonline.com/common/oauth2/v2.0/token"}, 700023),
        ({"aud": None}, 700023),
        ({"iss": "somebody else"}, 700021),
        ({"sub": "somebody else"}, 700021),
        ({"exp": 1_600_000_000}, 700024),
        ({"nbf": 4_000_000_000, "exp": 4_000_000_600}, 700024),
        ({"exp": None}, 50027),
        ({"exp": "soon"}, 50027),
        ({"jti": None}, 50027),
    ],
)
def test_wrong_claims_prove_nothing(holder, claims, show, change, number):
    """The assertion is from the application, for this endpoint, for now."""
    changed = {name: value for name, value in {**claims, **change}.items() if value is not None}

    reply = show(holder.sign(ps256(holder), changed))

    assert reply.refused == (401, "invalid_client", number)


@pytest.mark.parametrize("tail", ["", " and again"])
def test_an_assertion_is_shown_once(holder, claims, show, tail):
    """The same `jti` is refused the second time, whether in the same assertion or in another."""
    first = show(holder.sign(ps256(holder), claims))
    second = show(holder.sign(ps256(holder), {**claims, "note": tail}))

    assert first.status == 200
    assert second.refused == (401, "invalid_client", 50013)


def test_a_refused_assertion_does_not_use_up_its_id(holder, claims, show):
    """Who fails otherwise may try again with the same `jti`."""
    early = show(holder.sign(ps256(holder), {**claims, "exp": 1}))
    right = show(holder.sign(ps256(holder), claims))

    assert early.refused == (401, "invalid_client", 700024)
    assert right.status == 200


def test_an_unregistered_key_proves_nothing(holder, stranger, claims, show):
    """Neither another's certificate nor another's signature under the registered one's name is good."""
    unknown = show(stranger.sign(ps256(stranger), claims))
    forged = show(stranger.sign(ps256(holder), claims))

    assert unknown.refused == forged.refused == (401, "invalid_client", 700027)


@pytest.mark.parametrize(
    ("change", "number"),
    [
        ({"alg": "none"}, 50027),
        ({"alg": "HS256"}, 50027),
        ({"x5t#S256": None}, 700027),
        ({"x5t#S256": "AAAA"}, 700027),
        ({"x5c": []}, 700027),
        ({"x5c": ["?"]}, 700027),
        ({"x5c": "MIIB"}, 700027),
    ],
)
def test_a_wrong_header_proves_nothing(holder, claims, show, change, number):
    """The header names a known algorithm and the certificate, and its chain begins with that certificate."""
    header = {name: value for name, value in {**ps256(holder), **change}.items() if value is not None}

    reply = show(holder.sign(header, claims))

    assert reply.refused == (401, "invalid_client", number)


def test_sha1_names_no_certificate_for_ps256(holder, claims, show):
    """A SHA-1 thumbprint goes with RS256 alone."""
    header = {"typ": "JWT", "alg": "PS256", "x5t": b64(hashlib.sha1(holder.der).digest())}

    assert show(holder.sign(header, claims)).refused == (401, "invalid_client", 700027)


def test_padding_is_let_pass_as_the_service_does(holder, claims, show):
    """RFC 7515 forbids it; widespread clients send it all the same, in segments and in thumbprints, and get tokens."""
    header = ps256(holder)

    in_thumbprint = show(holder.sign({**header, "x5t#S256": header["x5t#S256"] + "="}, claims))
    in_segment = show(holder.sign(header, {**claims, "jti": "another"}) + "==")

    assert in_thumbprint.status == in_segment.status == 200


def test_another_alphabet_is_refused(holder, claims, show):
    """Base64url is not base64."""
    header = ps256(holder)

    reply = show(holder.sign({**header, "x5t#S256": "+" + header["x5t#S256"][1:]}, claims))

    assert reply.refused == (401, "invalid_client", 50027)


def test_the_assertion_type_must_fit(holder, claims, show):
    """The type is compulsory, and there is one."""
    assertion = holder.sign(ps256(holder), claims)

    missing = show(assertion, client_assertion_type="")
    other = show(assertion, client_assertion_type="urn:ietf:params:oauth:client-assertion-type:saml2-bearer")

    assert missing.refused == (400, "invalid_request", 900144)
    assert other.refused == (401, "invalid_client", 70002)


def test_certificates_are_read_when_they_are_registered(local, holder):
    """What is no certificate, or has no RSA key, is refused at once."""
    curve = make_holder(ec.generate_private_key(ec.SECP256R1()))

    with pytest.raises(ValueError):  # noqa: PT011 (cryptography words it)
        local.add_application(certificates=[b"nonsense"])
    with pytest.raises(ValueError, match="RSA"):
        local.add_application(certificates=[curve.der])
