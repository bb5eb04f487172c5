"""What may be shown of variables, files, certificates and tokens, read so that no secret comes along."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from credchain.cli.config import HIDDEN
from credchain.cli.findings import FileRead, TokenReport, Variable
from credchain.cli.pictures import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FILE_LIMIT = 1024 * 1024

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DOMAIN = re.compile(r"common|organizations|consumers|adfs|([a-z0-9-]+\.)+[a-z]{2,}")
_HOST = re.compile(r"[a-z0-9.:-]{1,253}")
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_TIME_FORMATS = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}


def variable(name: str, environment: Mapping[str, str]) -> Variable:
    """A variable as it may be shown.

    A value is shown if the name promises an id, an address or a path, and the value has the form of one: a secret that
    was put into the wrong variable stays hidden.
    """
    value = environment.get(name)
    if value is None:
        return Variable(name, "not set")
    return Variable(name, "set", _shown(name, value)) if value.strip() else Variable(name, "empty")


def _shown(name: str, value: str) -> str | None:
    if name.endswith("CLIENT_ID"):
        return value if _GUID.fullmatch(value) else None
    if name.endswith("TENANT_ID"):
        return value if _GUID.fullmatch(value) or _DOMAIN.fullmatch(value) else None
    if name.endswith(("_PATH", "_FILE")):
        return clean(value) if os.path.isabs(value) or Path(value).is_file() else None
    return address(value) if name.endswith(("_HOST", "_ENDPOINT")) else None


def address(url: str) -> str | None:
    """Scheme, host and port of a URL, without a user's name or a password; None if it is no URL."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return None
    host = parts.hostname or ""
    looks_right = _HOST.fullmatch(host) if "://" in url else _DOMAIN.fullmatch(host)
    return f"{parts.scheme}://{host}{port}" if looks_right else None


def setting(key: str, value: object) -> object:
    """A setting's value as it may be shown: a client id that is none may be a secret in the wrong place."""
    hidden = key.endswith(".client_id") and isinstance(value, str) and not _GUID.fullmatch(value)
    return HIDDEN if hidden else value


def files(named: Iterable[tuple[str, str]]) -> tuple[FileRead, ...]:
    """The files of pairs of a name and a path, and whether each can be read."""
    return tuple(FileRead(clean(path), name, _state(Path(path))) for name, path in dict.fromkeys(named) if path)


def _state(path: Path) -> str:
    try:
        if path.is_dir():
            return "a directory"
        with path.open("rb"):
            return "readable"
    except OSError as error:
        return (error.strerror or type(error).__name__).lower()
    except ValueError:
        return "no path"


def claims(source: str, token: str, expires_on: float) -> TokenReport:
    """What a token says of itself (RFC 7519); nothing is verified, which is the business of the service it is for."""
    try:
        payload = token.split(".")[1]
        said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return TokenReport(source, expires_on, opaque=True)
    if not isinstance(said, dict):
        return TokenReport(source, expires_on, opaque=True)
    roles = said.get("roles")
    return TokenReport(
        source,
        expires_on,
        tid=_text(said.get("tid")),
        oid=_text(said.get("oid")),
        appid=_text(said.get("appid") or said.get("azp")),
        aud=_text(said.get("aud")),
        roles=tuple(_text(role) for role in roles) if isinstance(roles, list) else (),
    )


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_text(one) for one in value)
    return clean(value) if isinstance(value, str) else ""


def certificate_end(path: str) -> float | None:
    """When the first certificate of a PEM file ends, in seconds since the epoch; None if that cannot be read."""
    try:
        with Path(path).open("rb") as file:
            block = _PEM.search(file.read(FILE_LIMIT))
        return None if block is None else _end_of(base64.b64decode(block[1]))
    except (OSError, ValueError, IndexError, KeyError, binascii.Error):
        return None


def _end_of(der: bytes) -> float:
    """The end of a certificate's validity (RFC 5280, section 4.1).

    Raises:
        ValueError: It is no certificate.
        IndexError: It breaks off.
        KeyError: Its time has an unknown form.
    """
    to_be_signed = _parts(_parts(_parts(der)[0][1])[0][1])
    fields = to_be_signed[1:] if to_be_signed[0][0] == 0xA0 else to_be_signed  # the version may be left out
    tag, text = _parts(fields[3][1])[1]
    return datetime.strptime(text.decode("ascii"), _TIME_FORMATS[tag]).replace(tzinfo=UTC).timestamp()


def _parts(data: bytes) -> list[tuple[int, bytes]]:
    """The tags and contents that DER has side by side (X.690, section 8.1)."""
    found = []
    while data:
        tag, length, begin = data[0], data[1], 2
        if length > 0x80:
            begin += length - 0x80
            length = int.from_bytes(data[2:begin], "big")
        found.append((tag, data[begin : begin + length]))
        data = data[begin + length :]
    return found


def line_of(text: str, key: str, word: str = "") -> int | None:
    """The line of a TOML text, from 1, where a dotted key stands; within a list, the line of *word*.

    Args:
        text: The file's text.
        key: Such as ``chain.disable``.
        word: A string in its value.
    """
    table, found = "", None
    for number, line in enumerate(text.splitlines(), 1):
        head = re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]", line)
        name = re.match(r"\s*([\w.\"'-]+)\s*=", line)
        if found is not None and (head or name):
            return found
        if head:
            table = head[1]
        elif name and ".".join(part for part in (table, name[1]) if part).replace('"', "") == key:
            found = number
        if (head and table == key) or (found is not None and word and re.search(f"[\"']{re.escape(word)}[\"']", line)):
            return number
    return found
