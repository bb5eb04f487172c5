"""The shop window: the public names of ``azure.identity.aio``, under the same signatures.

Moving over is changing the import. Each name is fetched from the room or plugin that owns it when it is first used, so a
program loads the sources that it names, and no others.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from credchain.authority import AzureAuthorityHosts, KnownAuthorities
    from credchain.bearer import get_bearer_token_provider
    from credchain.chain import ChainedTokenCredential
    from credchain.default import DefaultAzureCredential
    from credchain.errors import CredentialUnavailableError
    from credchain_plugins.client_secret import ClientSecretCredential
    from credchain_plugins.environment import EnvironmentCredential
    from credchain_plugins.managed_identity import ManagedIdentityCredential

__all__ = [
    "AzureAuthorityHosts",
    "ChainedTokenCredential",
    "ClientSecretCredential",
    "CredentialUnavailableError",
    "DefaultAzureCredential",
    "EnvironmentCredential",
    "KnownAuthorities",
    "ManagedIdentityCredential",
    "get_bearer_token_provider",
]

_OWNERS = {
    "AzureAuthorityHosts": "credchain.authority",
    "ChainedTokenCredential": "credchain.chain",
    "ClientSecretCredential": "credchain_plugins.client_secret",
    "CredentialUnavailableError": "credchain.errors",
    "DefaultAzureCredential": "credchain.default",
    "EnvironmentCredential": "credchain_plugins.environment",
    "KnownAuthorities": "credchain.authority",
    "ManagedIdentityCredential": "credchain_plugins.managed_identity",
    "get_bearer_token_provider": "credchain.bearer",
}


def __getattr__(name: str) -> object:
    owner = _OWNERS.get(name)
    if owner is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(owner), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
