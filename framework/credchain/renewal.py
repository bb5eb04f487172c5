"""A credential whose secret is in a file: made anew, with the tokens it has, when the file has changed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from credchain.credential import TokenCredential
from credchain.flight import Flight

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from credchain.host import Host
    from credchain.tokens import AccessToken, AccessTokenInfo

logger = logging.getLogger("credchain")


class Renewed:
    """A credential that follows the files its settings refer to.

    Whether a file has changed is looked at when the cached token does not do, so a cached call costs what it did. What
    cannot be used, such as a file that is just being written, leaves the credential as it was.

    Args:
        build: Makes the credential.
        files: The files that it depends on.
        stamp: What changes when a file does.
        host: Worker threads.
    """

    def __init__(
        self, build: Callable[[], Any], files: Sequence[Path], *, stamp: Callable[[Path], object], host: Host
    ) -> None:
        self._build = build
        self._files = tuple(files)
        self._stamp = stamp
        self._host = host
        self._flight: Flight[None] = Flight()
        self._stamps = self._look()
        self._inner = build()

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """As the credential inside."""
        await self._follow()
        token: AccessToken = await self._inner.get_token(*scopes, **options)
        return token

    async def get_token_info(self, *scopes: str, options: Any = None) -> AccessTokenInfo:
        """As the credential inside."""
        await self._follow()
        if hasattr(self._inner, "get_token_info"):
            info: AccessTokenInfo = await self._inner.get_token_info(*scopes, options=options)
            return info
        from credchain.tokens import to_info

        return to_info(await self._inner.get_token(*scopes, **(options or {})))

    def __getattr__(self, name: str) -> Any:
        """What else the credential inside has: ``peek``, ``detect``, ``invalidate``, ``variables``."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._inner, name)

    async def close(self) -> None:
        """Close the credential inside. It can be used again afterwards."""
        await self._flight.close()
        if hasattr(self._inner, "close"):
            await self._inner.close()

    def __repr__(self) -> str:
        return repr(self._inner)

    async def _follow(self) -> None:
        await self._flight.run("files", self._renew)

    async def _renew(self) -> None:
        """Make the credential anew if a file has changed; no token is lost by it."""
        stamps = await self._host.in_thread(self._look)
        if stamps == self._stamps:
            return
        old = self._inner
        try:
            self._inner = await self._host.in_thread(self._build)
        except ValueError as error:
            logger.warning("a secret was replaced by one that cannot be used, the old one stays: %s", error)
            return
        finally:
            self._stamps = stamps
        if isinstance(old, TokenCredential) and isinstance(self._inner, TokenCredential):
            self._inner.adopt(old)
        if hasattr(old, "close"):
            await old.close()

    def _look(self) -> list[object]:
        return [self._stamp(file) for file in self._files]
