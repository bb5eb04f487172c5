"""What the emulator's own tests share: one that serves, and a blocking client that knows nothing of credchain."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlencode, urlsplit

import attrs
import pytest

from credchain.emulator import Application, Emulator, serve_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@attrs.frozen
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        """The body as a JSON object."""
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found

    @property
    def refused(self) -> tuple[int, object, object]:
        """Status, OAuth error and the first AADSTS number."""
        codes = self.json["error_codes"]
        assert isinstance(codes, list)
        return self.status, self.json["error"], codes[0]


class Ask(Protocol):
    """Sends one request over a connection of its own."""

    def __call__(
        self,
        method: str,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        ca_file: str | None = None,
    ) -> Reply: ...


class Token(Protocol):
    """Asks the shared emulator's token endpoint."""

    def __call__(self, tenant: str, /, **form: str) -> Reply: ...


def _ask(
    method: str,
    url: str,
    *,
    form: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    ca_file: str | None = None,
) -> Reply:
    parts = urlsplit(url)
    assert parts.hostname is not None
    sent = dict(headers or {})
    if form is not None:
        body = urlencode(form).encode()
        sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
    connection = (
        http.client.HTTPSConnection(parts.hostname, parts.port, context=ssl.create_default_context(cafile=ca_file))
        if parts.scheme == "https"
        else http.client.HTTPConnection(parts.hostname, parts.port)
    )
    try:
        connection.timeout = 10
        connection.request(method, parts.path + ("?" + urlencode(params) if params else ""), body, sent)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, found, response.read())
    finally:
        connection.close()


@pytest.fixture
def ask() -> Ask:
    """A client for one request at a time."""
    return _ask


@pytest.fixture(scope="session")
def _served() -> Iterator[Emulator]:
    with serve_in_thread(Emulator()) as emulator:
        yield emulator


@pytest.fixture
def local(_served: Emulator) -> Emulator:
    """An emulator that serves and knows nobody yet."""
    _served.reset()
    return _served


@pytest.fixture
def application(local: Emulator) -> Application:
    """An application with a secret."""
    return local.add_application()


@pytest.fixture
def token(local: Emulator, ask: Ask) -> Token:
    """A client of the token endpoint."""

    def post(tenant: str, /, **form: str) -> Reply:
        url = f"{local.authority}/{tenant}/oauth2/v2.0/token"
        return ask("POST", url, form=form, ca_file=local.ca_file)

    return post
