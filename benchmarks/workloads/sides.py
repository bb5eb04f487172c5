"""The one place where the sides differ: the same class names and arguments, out of different packages."""

from __future__ import annotations

import importlib
import os
from typing import Any

SCOPE = "https://vault.azure.net/.default"
PACKAGES = {"peer": "azure.identity.aio", "ours": "credchain.aio"}


class AbsentError(Exception):
    """This side does not have that credential."""


def credential(side: str, kind: str) -> Any:
    """A new credential: `secret`, `certificate`, `certificate4096`, `imds` or `default`, as the environment tells."""
    if side == "floor":
        return _floor(kind)
    package = importlib.import_module(PACKAGES[side])
    tenant, client = os.environ.get("AZURE_TENANT_ID", ""), os.environ.get("AZURE_CLIENT_ID", "")
    if kind == "default":
        return package.DefaultAzureCredential()
    if kind == "imds":
        return package.ManagedIdentityCredential()
    if kind == "secret":
        return package.ClientSecretCredential(
            tenant, client, os.environ["AZURE_CLIENT_SECRET"], additionally_allowed_tenants=["*"]
        )
    try:
        maker = package.CertificateCredential
    except (ImportError, AttributeError):
        raise AbsentError(f"{PACKAGES[side]} has no CertificateCredential") from None
    return maker(tenant, client, certificate_path=os.environ[f"BENCHMARK_{kind.upper()}"])


def _floor(kind: str) -> Any:
    import floor

    if kind == "default":
        kind = "secret" if os.environ.get("AZURE_CLIENT_SECRET") else "imds"
    return floor.Floor(kind)
