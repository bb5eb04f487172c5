"""A source for a plugin contract that is still to come."""

from __future__ import annotations

import attrs

from credchain import Provider, hookimpl


@attrs.frozen
class Settings:
    """Nothing to set."""


@hookimpl
def credchain_provider() -> Provider:
    """The source."""
    return Provider(name="odd_vault", settings=Settings, build=lambda *_: object(), api=99)
