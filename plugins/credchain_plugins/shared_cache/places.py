"""Where Microsoft's tools keep the token cache that they share, on each platform.

Newer tools write beside ``msal.cache`` two files, ``msal.cache.nocae`` and ``msal.cache.cae``: tokens for clients that
handle continuous access evaluation are kept apart from the others.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from typing import TYPE_CHECKING, Any, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    Finder = Callable[[Mapping[str, str], str, bool], tuple["Place", ...]]

SERVICE = "Microsoft.Developer.IdentityService"
NAMES = ("msal.cache", "msal.cache.nocae", "msal.cache.cae")


class Persistence(Protocol):
    """What msal-extensions' persistences do."""

    def load(self) -> str:
        """All of the cache, as JSON text."""
        ...

    def save(self, content: str) -> None:
        """Replace all of the cache."""
        ...


def lock(location: str) -> AbstractContextManager[Any]:
    """The lock that MSAL's own writers take as well. Waits for up to 5 s, blocking."""
    import msal_extensions

    held: AbstractContextManager[Any] = msal_extensions.CrossPlatLock(location + ".lockfile")
    return held


@attrs.frozen
class Place:
    """One cache.

    Attributes:
        location: Its file; of a keyring, the file beside which the lock is.
        cae: Whether its access tokens are for clients that handle continuous access evaluation.
        open: Gives the persistence; may raise whatever the platform's keyring raises.
        present: Whether the cache may exist; cheap.
        lock: Keeps other writers out.
    """

    location: str
    cae: bool
    open: Callable[[], Persistence] = attrs.field(repr=False)
    present: Callable[[], bool] = attrs.field(repr=False)
    lock: Callable[[str], AbstractContextManager[Any]] = attrs.field(default=lock, repr=False)


def find(environment: Mapping[str, str], platform: str, allow_unencrypted: bool) -> tuple[Place, ...]:
    """The places of a platform (a value of ``sys.platform``), in the order in which they are looked at."""
    if platform == "win32":
        base = environment.get("LOCALAPPDATA")
        return tuple(_windows(os.path.join(base, ".IdentityService", name)) for name in NAMES) if base else ()
    home = environment.get("HOME") or os.path.expanduser("~")
    paths = [os.path.join(home, ".IdentityService", name) for name in NAMES]
    if platform == "darwin":
        return (_keychain(paths[0]),)  # one item of the keychain, whatever the suffix
    keyrings = tuple(_libsecret(path) for path in paths)
    return keyrings + (tuple(plain_file(path) for path in paths) if allow_unencrypted else ())


def plain_file(path: str) -> Place:
    """A file that is not encrypted."""
    return Place(path, _is_cae(path), functools.partial(_open_file, path), functools.partial(os.path.isfile, path))


def _windows(path: str) -> Place:
    return Place(path, _is_cae(path), functools.partial(_open_dpapi, path), functools.partial(os.path.isfile, path))


def _keychain(path: str) -> Place:
    return Place(path, False, functools.partial(_open_keychain, path), lambda: True)


def _libsecret(path: str) -> Place:
    return Place(path, _is_cae(path), functools.partial(_open_libsecret, path), _has_libsecret)


def _is_cae(path: str) -> bool:
    return path.endswith(".cae")


def _has_libsecret() -> bool:
    """Whether PyGObject is installed, without importing it."""
    return importlib.util.find_spec("gi") is not None


def _open_file(path: str) -> Persistence:
    import msal_extensions

    opened: Persistence = msal_extensions.FilePersistence(path)
    return opened


def _open_dpapi(path: str) -> Persistence:
    import msal_extensions

    opened: Persistence = msal_extensions.FilePersistenceWithDataProtection(path)
    return opened


def _open_keychain(path: str) -> Persistence:
    import msal_extensions

    opened: Persistence = msal_extensions.KeychainPersistence(path, SERVICE, "MSALCache")
    return opened


def _open_libsecret(path: str) -> Persistence:
    import msal_extensions

    name = os.path.basename(path)
    opened: Persistence = msal_extensions.LibsecretPersistence(path, name, {"MsalClientID": SERVICE})
    return opened
