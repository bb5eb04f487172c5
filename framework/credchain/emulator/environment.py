"""The environment variables that lead a process to the emulator."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from credchain.emulator.records import Application
    from credchain.emulator.site import Site
    from credchain.emulator.world import HostSecrets


def entra_variables(site: Site, application: Application | None) -> dict[str, str]:
    """The authority, whom to trust for it, the metadata service, and an application's ids and secret."""
    variables = {
        "AZURE_AUTHORITY_HOST": site.authority,
        "AZURE_POD_IDENTITY_AUTHORITY_HOST": site.imds_host,
        "SSL_CERT_FILE": site.ca_file,
    }
    if application is None:
        return variables
    variables["AZURE_TENANT_ID"] = application.tenant_id
    variables["AZURE_CLIENT_ID"] = application.client_id
    if application.client_secret is not None:
        variables["AZURE_CLIENT_SECRET"] = application.client_secret
    return variables


def host_variables(site: Site, hosts: HostSecrets, host: str) -> dict[str, str]:
    """The variables that one host of managed identities sets.

    Raises:
        ValueError: There is no such host.
    """
    machine = site.imds_host
    known = {
        "imds": {"AZURE_POD_IDENTITY_AUTHORITY_HOST": machine},
        "app_service": {"IDENTITY_ENDPOINT": f"{machine}/msi/token", "IDENTITY_HEADER": hosts.app_service},
        "azure_arc": {
            "IDENTITY_ENDPOINT": f"{machine}/metadata/identity/arc/token",
            "IMDS_ENDPOINT": machine,
        },
        "azure_ml": {"MSI_ENDPOINT": f"{machine}/azure_ml/token", "MSI_SECRET": hosts.azure_ml},
        "cloud_shell": {"MSI_ENDPOINT": f"{machine}/cloud_shell/token"},
        "service_fabric": {
            "IDENTITY_ENDPOINT": f"{site.service_fabric}/service_fabric/token",
            "IDENTITY_HEADER": hosts.service_fabric,
            "IDENTITY_SERVER_THUMBPRINT": site.thumbprint,
        },
    }
    if host in known:
        return known[host]
    near = difflib.get_close_matches(host, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"host: no host is named {host!r}{hint} There are {', '.join(known)}")
