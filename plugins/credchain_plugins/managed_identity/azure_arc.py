"""Azure Arc: servers outside Azure, whose agent lets those in who can read a key file.

The agent answers the first request with a challenge that names a file; the text of that file proves the second one.
Whoever listens on the agent's port must not be able to have some other file read, hence the rules of `read_key`.

https://learn.microsoft.com/azure/azure-arc/servers/managed-identity-authentication
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs

from credchain import oauth
from credchain.http import Request
from credchain_plugins.managed_identity.identity import SOURCE, endpoint, failed, parse, plain, resource_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credchain.credential import TokenCredential
    from credchain.http import Response
    from credchain.tokens import AccessTokenInfo, TokenRequest
    from credchain_plugins.managed_identity.identity import Identity

API_VERSION = "2020-06-01"
KEY_BYTES = 4096

_PARAMETERS = {"client_id": "client_id", "object_id": "object_id", "resource_id": "msi_res_id"}
_CONFIRMED_BY = {"client_id": ("client_id",), "object_id": ("object_id",), "resource_id": ("msi_res_id", "mi_res_id")}
_CHALLENGE = re.compile(r'Basic realm=(?P<quote>"?)(?P<path>[^",]+)(?P=quote)', re.IGNORECASE)
_KEY = re.compile(r"[\x21-\x7e]+")


@attrs.frozen
class Arc:
    """Azure Arc as a hosting environment.

    Attributes:
        directory: Where the agent puts its key files; None where there is no agent for the platform.
    """

    NAME = "Azure Arc"

    directory: str | None

    async def detect(self, _credential: TokenCredential) -> None:
        """The environment variables are proof enough."""

    async def acquire(
        self, credential: TokenCredential, request: TokenRequest, identity: Identity | None
    ) -> AccessTokenInfo:
        """A token from the agent.

        Raises:
            AuthenticationFailedError: The agent gives none, breaks the rules of the challenge, or does not confirm
                the identity.
        """
        asked = build(resource_of(request), identity, credential.host.environment)
        path = challenged(await credential.send(asked), now=credential.host.clock.time())
        key = await credential.host.in_thread(read_key, path, self.directory)
        headers = {**asked.headers, "Authorization": f"Basic {key}"}
        response = await credential.send(attrs.evolve(asked, headers=headers))
        token = parse(response, now=credential.host.clock.time(), secret=key)
        confirm(response, identity)
        return token


def key_directory(environment: Mapping[str, str], platform: str) -> str | None:
    """Where the agent of a platform (a value of ``sys.platform``) puts its key files."""
    if platform == "linux":
        return "/var/opt/azcmagent/tokens"
    if platform == "win32" and environment.get("ProgramData"):  # so it is called on Windows
        return environment["ProgramData"] + r"\AzureConnectedMachineAgent\Tokens"
    return None


def build(resource: str, identity: Identity | None, environment: Mapping[str, str]) -> Request:
    """The request for a challenge; with the key's text, the request for a token.

    Raises:
        AuthenticationFailedError: The endpoint is not on this machine, where alone the agent can be.
    """
    url = endpoint(environment, "IDENTITY_ENDPOINT", schemes=("http",))
    if not _is_loopback(urlsplit(url).hostname or ""):
        raise failed("IDENTITY_ENDPOINT must be on loopback with Azure Arc; its agent answers nowhere else")
    params = {"api-version": API_VERSION, "resource": resource}
    if identity is not None:
        params[_PARAMETERS[identity.kind]] = identity.value
    headers = {"Metadata": "true", "User-Agent": oauth.USER_AGENT}
    return Request("GET", url, headers=headers, params=params, trust_env=False)


def challenged(response: Response, *, now: float) -> str:
    """The path of the key file that a challenge names.

    Raises:
        AuthenticationFailedError: The answer is no challenge, or one of another form.
    """
    if response.status == 200:
        raise failed("what answers at IDENTITY_ENDPOINT asks for no proof, so it is not Azure Arc's agent")
    if response.status != 401:
        raise oauth.failure(plain(response), source=SOURCE, now=now)
    found = _CHALLENGE.fullmatch(response.headers.get("www-authenticate", "").strip())
    if found is None:
        raise failed("Azure Arc's challenge must be one WWW-Authenticate header of the form 'Basic realm=<key file>'")
    return found["path"].strip()


def read_key(path: str, directory: str | None) -> str:
    """The text of a key file. Blocks.

    The file is opened once, and what was opened is checked, so that nobody can exchange it in between.

    Raises:
        AuthenticationFailedError: The file cannot be one of the agent's, or cannot be read; says nothing of its text.
    """
    if directory is None:
        raise failed("Azure Arc has an agent, and key files, on Linux and Windows only")
    parent, name = os.path.split(path)
    if os.path.normcase(parent) != os.path.normcase(directory) or not name.endswith(".key") or "\0" in name:
        raise failed(f"Azure Arc's challenge must name a .key file directly in {directory}, and names another")
    text, reason = _text(path)
    if reason:
        raise failed(f"Azure Arc's key file {name} {reason}")
    return text


def confirm(response: Response, identity: Identity | None) -> None:
    """Make sure that a token is for the identity that was asked for: older agents give the machine's own instead.

    Raises:
        AuthenticationFailedError: The answer names another identity, or none.
    """
    if identity is None:
        return
    payload = oauth.json_object(response) or {}
    named = [payload.get(name) for name in _CONFIRMED_BY[identity.kind]]
    if not any(isinstance(one, str) and one.lower() == identity.value.lower() for one in named):
        raise failed(f"Azure Arc's agent does not confirm that the token is for {identity}; the token is not used")


def _text(path: str) -> tuple[str, str]:
    """The text of a key file and an empty reason, or an empty text and the reason why not."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        opened = os.open(path, flags)
    except PermissionError:
        return "", "may not be read by this user; add it to the group himds (on Windows, to the agent's group)"
    except OSError as error:
        return "", f"cannot be opened without following links ({error.strerror or type(error).__name__})"
    try:
        about = os.fstat(opened)
        if not stat.S_ISREG(about.st_mode) or _is_link(path, about):
            return "", "is not a regular file"
        content = os.read(opened, KEY_BYTES + 1)
    except OSError as error:
        return "", f"cannot be read ({error.strerror or type(error).__name__})"
    finally:
        os.close(opened)
    if len(content) > KEY_BYTES:
        return "", f"is longer than {KEY_BYTES} bytes"
    text = content.decode("latin-1").strip()
    return (text, "") if _KEY.fullmatch(text) else ("", "does not hold a key")


def _is_link(path: str, opened: os.stat_result) -> bool:
    """Whether a path led elsewhere; asked only where opening cannot refuse to follow links."""
    return not hasattr(os, "O_NOFOLLOW") and not os.path.samestat(opened, os.lstat(path))


def _is_loopback(hostname: str) -> bool:
    if hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        return False
