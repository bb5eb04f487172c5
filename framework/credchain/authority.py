"""Clouds, authorities and tenants: their rules, as pure functions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class KnownAuthorities:
    """Hosts of the clouds that Microsoft runs, for `authority=`."""

    AZURE_CHINA: Final = "login.chinacloudapi.cn"
    AZURE_GERMANY: Final = "login.microsoftonline.de"
    AZURE_GOVERNMENT: Final = "login.microsoftonline.us"
    AZURE_PUBLIC_CLOUD: Final = "login.microsoftonline.com"


AzureAuthorityHosts = KnownAuthorities
"""The name that azure-identity gives to `KnownAuthorities`."""

_TENANT = re.compile(r"[A-Za-z0-9.-]+", re.ASCII)
_PLACE = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?", re.ASCII)


def normalize_authority(authority: str, *, argument: str = "authority") -> str:
    """An authority as an https URL without a trailing slash; a bare host is taken as https.

    Raises:
        ValueError: Empty, another scheme than https, no host, or something after the path.
    """
    text = authority.strip() if isinstance(authority, str) else ""
    scheme, separator, rest = text.partition("://")
    if separator and scheme.lower() != "https":
        raise ValueError(f"{argument}: must use https, not {scheme!r}: {authority!r}")
    place = (rest if separator else text).rstrip("/ ")
    if not place:
        raise ValueError(f"{argument}: must be a host or an https URL, such as 'login.microsoftonline.com'")
    if not _PLACE.fullmatch(place):
        raise ValueError(f"{argument}: not a host or an https URL: {authority!r}")
    return f"https://{place}"


def authority_of(authority: str | None, environment: Mapping[str, str]) -> str:
    """The authority given, else `AZURE_AUTHORITY_HOST`, else the public cloud."""
    if authority is not None:
        return normalize_authority(authority)
    named = environment.get("AZURE_AUTHORITY_HOST")
    if named:
        return normalize_authority(named, argument="AZURE_AUTHORITY_HOST")
    return f"https://{KnownAuthorities.AZURE_PUBLIC_CLOUD}"


def check_tenant_id(tenant_id: str, *, argument: str = "tenant_id") -> str:
    """A tenant id as it may stand in a URL.

    Raises:
        ValueError: Empty, or with a character outside letters, digits, dots and hyphens.
    """
    if not isinstance(tenant_id, str) or not _TENANT.fullmatch(tenant_id):
        raise ValueError(
            f"{argument}: must be a tenant's id or domain name (letters, digits, dots and hyphens), not {tenant_id!r}"
        )
    return tenant_id


def check_text(value: str, *, argument: str) -> str:
    """A required text.

    Raises:
        ValueError: Empty, blank, or no text at all. The value is not shown, as it may be a secret.
    """
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{argument}: must be a non-empty string")
    return value


def resolve_tenant(
    default: str, asked: str | None, *, allowed: Sequence[str] = (), environment: Mapping[str, str]
) -> str:
    """The tenant that a request goes to: the one asked for, if that is allowed, else the configured one.

    Args:
        default: The tenant the credential was made for.
        asked: The tenant of the request, if it names one.
        allowed: Further tenants that may be asked for; ``"*"`` allows each.
        environment: The environment variables; ``AZURE_IDENTITY_DISABLE_MULTITENANTAUTH`` uses *default* whatever was
            asked.

    Raises:
        ClientAuthenticationError: The tenant asked for is not allowed.
        ValueError: It cannot be a tenant's id.
    """
    if not asked or default in (asked, "adfs") or not multitenant_enabled(environment):
        return default
    check_tenant_id(asked)
    if "*" in allowed or asked in allowed:
        return asked
    from credchain.errors import AuthenticationFailedError

    raise AuthenticationFailedError(
        f"this credential is for the tenant {default}, and may not ask in {asked}; "
        f"add that to additionally_allowed_tenants, or '*' for every tenant"
    )


def multitenant_enabled(environment: Mapping[str, str]) -> bool:
    """Whether requests may name another tenant at all (`AZURE_IDENTITY_DISABLE_MULTITENANTAUTH` says no)."""
    return environment.get("AZURE_IDENTITY_DISABLE_MULTITENANTAUTH", "").lower() not in ("1", "true")


def token_url(authority: str, tenant_id: str) -> str:
    """The token endpoint (v2.0) of a tenant."""
    return f"{authority}/{tenant_id}/oauth2/v2.0/token"
