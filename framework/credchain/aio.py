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
    from credchain_plugins.authorization_code import AuthorizationCodeCredential
    from credchain_plugins.certificate import CertificateCredential
    from credchain_plugins.client_secret import ClientSecretCredential
    from credchain_plugins.environment import EnvironmentCredential
    from credchain_plugins.managed_identity import ManagedIdentityCredential
    from credchain_plugins.shared_cache import SharedTokenCacheCredential

__all__ = [
    "AuthorizationCodeCredential",
    "AzureAuthorityHosts",
    "CertificateCredential",
    "ChainedTokenCredential",
    "ClientSecretCredential",
    "CredentialUnavailableError",
    "DefaultAzureCredential",
    "EnvironmentCredential",
    "KnownAuthorities",
    "ManagedIdentityCredential",
    "SharedTokenCacheCredential",
    "get_bearer_token_provider",
]

_OWNERS = {
    "AuthorizationCodeCredential": "credchain_plugins.authorization_code",
    "AzureAuthorityHosts": "credchain.authority",
    "CertificateCredential": "credchain_plugins.certificate",
    "ChainedTokenCredential": "credchain.chain",
    "ClientSecretCredential": "credchain_plugins.client_secret",
    "CredentialUnavailableError": "credchain.errors",
    "DefaultAzureCredential": "credchain.default",
    "EnvironmentCredential": "credchain_plugins.environment",
    "KnownAuthorities": "credchain.authority",
    "ManagedIdentityCredential": "credchain_plugins.managed_identity",
    "SharedTokenCacheCredential": "credchain_plugins.shared_cache",
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
