"""The source `certificate`: a service principal that proves itself with a certificate's private key.

The certificate is `material`, the proof an `assertion`; the file is read again when it changes, so that a certificate can
be replaced under a running program.
"""

from __future__ import annotations

import functools
import logging
import os
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs

from credchain.authority import (
    authority_of,
    check_tenant_id,
    check_text,
    resolve_tenant,
    token_url,
)
from credchain.credential import TokenCredential
from credchain.hooks import Provider, hookimpl
from credchain.naming import refuse_unknown
from credchain.oauth import JWT_BEARER, parse_token, token_request
from credchain_plugins.certificate import assertion, material

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Never

    import aiohttp

    from credchain.host import Host
    from credchain.http import Transport
    from credchain.tokens import AccessTokenInfo, TokenRequest
    from credchain_plugins.certificate.material import Material, Stamp

logger = logging.getLogger("credchain")


class CertificateCredential(TokenCredential):
    """Tokens for a service principal, against a certificate.

    Args:
        tenant_id: The service principal's tenant, by id or domain name.
        client_id: The service principal's client id.
        certificate_path: A PEM or PKCS#12 file with the certificate and its private key. Read now, and again when it
            changes; if the new content cannot be used, the old certificate stays and a warning tells.
        certificate_data: The same as bytes, in place of a file.
        password: Of the private key; text is encoded as UTF-8.
        send_certificate_chain: Whether to send the certificates along, for authentication by subject name and issuer.
        authority: Host or https URL; ``AZURE_AUTHORITY_HOST`` or the public cloud unless given.
        additionally_allowed_tenants: Tenants that a request may name beside *tenant_id*; ``"*"`` for all.
        transport: The way out; stays the caller's, who closes it.
        session: An ``aiohttp.ClientSession`` to send over; stays the caller's, who closes it.
        host: The world, from whoever builds the source.

    Raises:
        ValueError: An argument is empty or malformed, or the certificate cannot be used; the message says why.
        TypeError: An unknown keyword.
    """

    source = "certificate"

    def __init__(
        self,
        tenant_id: str,
        client_id: str,
        certificate_path: str | os.PathLike[str] | None = None,
        *,
        certificate_data: bytes | None = None,
        password: str | bytes | None = None,
        send_certificate_chain: bool = False,
        authority: str | None = None,
        additionally_allowed_tenants: Sequence[str] = (),
        transport: Transport | None = None,
        session: aiohttp.ClientSession | None = None,
        host: Host | None = None,
        **unknown: Never,
    ) -> None:
        refuse_unknown(CertificateCredential.__init__, unknown)
        super().__init__(transport=transport, session=session, host=host)
        self._home_tenant = check_tenant_id(tenant_id)
        self._client_id = check_text(client_id, argument="client_id")
        self._authority = authority_of(authority, self.host.environment)
        self._allowed = tuple(additionally_allowed_tenants)
        self._send_chain = send_certificate_chain
        self._password = password.encode() if isinstance(password, str) else password
        self._path = _checked_path(certificate_path, certificate_data)
        self._stamp: Stamp | None = None
        self._tried: Stamp | None = None
        self._material = self._read() if self._path is not None else self._parsed(certificate_data or b"")
        self._picklable = host is None and transport is None and session is None and password is None
        self._arguments: dict[str, Any] = {
            "send_certificate_chain": send_certificate_chain,
            "authority": authority,
            "additionally_allowed_tenants": self._allowed,
        }

    async def acquire(self, request: TokenRequest) -> AccessTokenInfo:
        """A token from the tenant's token endpoint; files and signing are left to a worker thread."""
        assert self._home_tenant is not None
        tenant_id = resolve_tenant(
            self._home_tenant, request.tenant_id, allowed=self._allowed, environment=self.host.environment
        )
        url = token_url(self._authority, tenant_id)
        asked = token_request(
            url,
            request,
            grant_type="client_credentials",
            client_id=self._client_id,
            client_assertion_type=JWT_BEARER,
            client_assertion=await self.host.in_thread(self._assertion, url, tenant_id == "adfs"),
        )
        response = await self.send(asked)
        return parse_token(response, source=self.source, now=self.host.clock.time())

    def __reduce__(self) -> Any:
        if not self._picklable or self._path is None:
            return super().__reduce__()
        made = functools.partial(CertificateCredential, **self._arguments)
        return made, (self._home_tenant, self._client_id, self._path)

    def _assertion(self, url: str, adfs: bool) -> str:
        """A new assertion, by the certificate as it is now."""
        self._refresh_material()
        head = assertion.header(self._material, adfs=adfs, send_chain=self._send_chain)
        now = self.host.clock.time()
        content = assertion.claims(client_id=self._client_id, audience=url, now=now, jti=str(uuid.uuid4()))
        return assertion.signed(self._material, head, content)

    def _refresh_material(self) -> None:
        """Read the file again if it has changed; what cannot be used is told once and leaves the old one in place."""
        if self._path is None:
            return
        try:
            stamp: Stamp | None = material.stamp_of(self._path)
        except OSError:
            stamp = None
        if stamp in (self._stamp, self._tried) and stamp is not None:
            return
        if stamp is None and self._tried == _GONE:
            return
        self._tried = stamp or _GONE
        try:
            self._material = self._read()
        except ValueError as error:
            logger.warning("certificate: the old certificate stays in use, since the new one cannot be: %s", error)

    def _read(self) -> Material:
        assert self._path is not None
        data = material.read(self._path)
        stamp = material.stamp_of(self._path)
        found = self._parsed(data)
        self._stamp = stamp
        return found

    def _parsed(self, data: bytes) -> Material:
        where = "certificate_data" if self._path is None else f"certificate_path: {self._path}"
        found = material.parse(data, password=self._password, where=where)
        now = datetime.fromtimestamp(self.host.clock.time(), UTC)
        if found.expires < now:
            logger.warning(
                "certificate: %s expired on %s, %d days ago; Entra ID will refuse it",
                where,
                f"{found.expires:%Y-%m-%d}",
                (now - found.expires).days,
            )
        return found


_GONE: Stamp = (-1, -1, -1)
"""The stamp of a file that is not there."""


@attrs.frozen
class CertificateSettings:
    """Settings of the source `certificate`; they mean what the credential's arguments mean."""

    tenant_id: str
    client_id: str
    certificate_path: str
    password: str | bytes | None = attrs.field(default=None, repr=False)
    send_certificate_chain: bool = False
    authority: str | None = None
    additionally_allowed_tenants: tuple[str, ...] = attrs.field(default=(), converter=tuple)


def build(settings: CertificateSettings, host: Host) -> CertificateCredential:
    """The credential of given settings."""
    return CertificateCredential(
        settings.tenant_id,
        settings.client_id,
        settings.certificate_path,
        password=settings.password,
        send_certificate_chain=settings.send_certificate_chain,
        authority=settings.authority,
        additionally_allowed_tenants=settings.additionally_allowed_tenants,
        host=host,
    )


@hookimpl
def credchain_provider() -> Provider:
    """This source."""
    return Provider(
        name="certificate",
        build=build,
        settings=CertificateSettings,
        summary="a service principal with a certificate",
    )


def _checked_path(path: str | os.PathLike[str] | None, data: bytes | None) -> str | None:
    if (path is None) == (data is None):
        raise ValueError("certificate_path, certificate_data: give exactly one of the two")
    if data is not None and (not isinstance(data, bytes) or not data):
        raise ValueError("certificate_data: must be non-empty bytes")
    return None if path is None else check_text(os.fspath(path), argument="certificate_path")
