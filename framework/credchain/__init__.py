"""credchain: access tokens from Microsoft Entra ID, out of whichever source fits the machine.

Programs take their credentials from `credchain.aio`. This module has the vocabulary of plugin authors; `credchain.hooks`
is their tutorial. Names are resolved when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from credchain.attempts import Attempt, Outcome
    from credchain.chain import ChainedTokenCredential
    from credchain.configured import load_chain
    from credchain.credential import TokenCredential
    from credchain.errors import (
        AuthenticationFailedError,
        ChainStoppedError,
        ChainUnavailableError,
        ClientAuthenticationError,
        ConfigurationError,
        CredentialUnavailableError,
        ProviderLoadError,
        TransportError,
    )
    from credchain.hooks import Provider, hookimpl
    from credchain.host import Host
    from credchain.http import Request, Response, RetryPlan, Transport
    from credchain.tokens import AccessToken, AccessTokenInfo, TokenRequest

__all__ = [
    "AccessToken",
    "AccessTokenInfo",
    "Attempt",
    "AuthenticationFailedError",
    "ChainStoppedError",
    "ChainUnavailableError",
    "ChainedTokenCredential",
    "ClientAuthenticationError",
    "ConfigurationError",
    "CredentialUnavailableError",
    "Host",
    "Outcome",
    "Provider",
    "ProviderLoadError",
    "Request",
    "Response",
    "RetryPlan",
    "TokenCredential",
    "TokenRequest",
    "Transport",
    "TransportError",
    "hookimpl",
    "load_chain",
]

_ROOMS = {
    "attempts": ("Attempt", "Outcome"),
    "chain": ("ChainedTokenCredential",),
    "configured": ("load_chain",),
    "credential": ("TokenCredential",),
    "errors": (
        "AuthenticationFailedError",
        "ChainStoppedError",
        "ChainUnavailableError",
        "ClientAuthenticationError",
        "ConfigurationError",
        "CredentialUnavailableError",
        "ProviderLoadError",
        "TransportError",
    ),
    "hooks": ("Provider", "hookimpl"),
    "host": ("Host",),
    "http": ("Request", "Response", "RetryPlan", "Transport"),
    "tokens": ("AccessToken", "AccessTokenInfo", "TokenRequest"),
}


def __getattr__(name: str) -> object:
    for room, names in _ROOMS.items():
        if name in names:
            value = getattr(importlib.import_module(f"credchain.{room}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
