"""The emulated world in one record: who is known, what was handed out, and how tokens are to be made."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import attrs

from credchain.emulator.directory import Directory
from credchain.emulator.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from credchain.emulator.jose import SigningKey

APPLICATION_LIFETIME = 3600.0
"""Seconds that a token of Entra ID's token endpoint lives, unless told otherwise."""

MACHINE_LIFETIME = 86400.0
"""Seconds that a managed identity's token lives, unless told otherwise."""


def _secret() -> str:
    return secrets.token_urlsafe(24)


@attrs.frozen
class HostSecrets:
    """What each host hands to its processes so that they can prove to be on it."""

    app_service: str = attrs.field(factory=_secret, repr=False)
    azure_ml: str = attrs.field(factory=_secret, repr=False)
    service_fabric: str = attrs.field(factory=_secret, repr=False)


@attrs.define(eq=False)
class World:
    """What the routes know. Made once an emulator; its settings may change while it serves.

    Attributes:
        clock: Seconds since the epoch.
        key: Signs the access tokens; None until the first start.
        directory: Who is known.
        ledger: Which codes and refresh tokens are about.
        hosts: The secrets of the managed-identity hosts.
        lifetime: Seconds a token lives, or None for the usual ones.
        refresh_in: Seconds after which an answer recommends another token, or None for no recommendation.
        answer_delay: Seconds before every good answer.
        rotate_refresh_tokens: Whether a refresh token is good for one use.
        required_claims: What every token request must ask for, or None.
        arc_folder: Where Azure Arc's key files go; None while the emulator does not run.
        arc_keys: The keys that were written and not yet shown.
    """

    clock: Callable[[], float]
    key: SigningKey | None = None
    directory: Directory = attrs.field(factory=Directory)
    ledger: Ledger = attrs.field(factory=Ledger)
    hosts: HostSecrets = attrs.field(factory=HostSecrets)
    lifetime: float | None = None
    refresh_in: float | None = None
    answer_delay: float = 0.0
    rotate_refresh_tokens: bool = False
    required_claims: Mapping[str, object] | None = None
    arc_folder: Path | None = None
    arc_keys: dict[str, Path] = attrs.field(factory=dict, repr=False)
