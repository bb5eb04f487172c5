"""Azure Arc: the challenge, the key file and its rules."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from credchain.credential import TokenCredential
from credchain.errors import AuthenticationFailedError
from credchain.host import Host
from credchain.http import Response
from credchain.testing import FakeClock, FakeTransport, json_response, run, token_response
from credchain_plugins.managed_identity.azure_arc import Arc, build, challenged, confirm, key_directory, read_key
from credchain_plugins.managed_identity.identity import Identity

if TYPE_CHECKING:
    from pathlib import Path

    from credchain.http import Request, Transport
    from credchain.tokens import AccessTokenInfo, TokenRequest

SCOPE = "https://vault.azure.net/.default"
KEY = "the-text-of-a-key-file"
ENVIRONMENT = {"IDENTITY_ENDPOINT": "http://localhost:40342/metadata/identity/oauth2/token", "IMDS_ENDPOINT": "x"}
needs_links = pytest.mark.skipif(sys.platform == "win32", reason="making a link needs privileges on Windows")


class ArcSource(TokenCredential):
    """Azure Arc with the key files in a directory of the test's."""

    source = "managed_identity"

    def __init__(
        self,
        directory: Path | None,
        transport: Transport,
        *,
        identity: Identity | None = None,
        endpoint: str = ENVIRONMENT["IDENTITY_ENDPOINT"],
        clock: FakeClock | None = None,
    ) -> None:
        environment = ENVIRONMENT | {"IDENTITY_ENDPOINT": endpoint}
        super().__init__(
            host=Host(transport, clock=clock or FakeClock(), environment=environment, random=random.Random(1))
        )
        self._arc = Arc(None if directory is None else str(directory))
        self._identity = identity

    async def acquire(self, request: TokenRequest) -> AccessTokenInfo:
        return await self._arc.acquire(self, request, self._identity)


def challenge(value: object) -> Response:
    return Response(401, headers={"www-authenticate": str(value)})


def naming(path: object) -> Response:
    return challenge(f"Basic realm={path}")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "a.key"
    path.write_text(KEY)
    return path


def refusal(directory: Path | None, *answers: Response | Exception, identity: Identity | None = None) -> str:
    """The message of the error that answers lead to."""
    source = ArcSource(directory, FakeTransport(*answers), identity=identity)
    with pytest.raises(AuthenticationFailedError) as caught:
        run(source.get_token(SCOPE), clock=FakeClock())
    return str(caught.value)


def test_key_file_proves_the_second_request(key_file: Path) -> None:
    """The first request is challenged; the second one carries the text of the file that was named."""
    transport = FakeTransport(naming(key_file), token_response("an-arc-token"))

    token = run(ArcSource(key_file.parent, transport).get_token(SCOPE), clock=FakeClock())

    first, second = transport.requests
    assert token.token == "an-arc-token"
    assert first.params == second.params == {"api-version": "2020-06-01", "resource": "https://vault.azure.net"}
    assert first.headers["Metadata"] == second.headers["Metadata"] == "true"
    assert "Authorization" not in first.headers
    assert second.headers["Authorization"] == f"Basic {KEY}"


def test_never_through_a_proxy(key_file: Path) -> None:
    """Both requests stay on the machine."""
    transport = FakeTransport(naming(key_file), token_response())

    run(ArcSource(key_file.parent, transport).get_token(SCOPE), clock=FakeClock())

    assert [request.trust_env for request in transport.requests] == [False, False]


def test_each_token_has_its_own_challenge(tmp_path: Path) -> None:
    """Key files come and go: the agent is asked for one each time."""

    def answer(request: Request) -> Response:
        if "Authorization" in request.headers:
            return token_response()
        path = tmp_path / f"{len(transport.requests)}.key"
        path.write_text(f"key-{len(transport.requests)}")
        return naming(path)

    transport = FakeTransport(answer)
    source = ArcSource(tmp_path, transport)

    async def main() -> None:
        await source.get_token(SCOPE)
        await source.get_token("https://storage.azure.com/.default")

    run(main(), clock=FakeClock())

    shown = [request.headers.get("Authorization") for request in transport.requests]
    assert shown == [None, "Basic key-1", None, "Basic key-3"]


@pytest.mark.parametrize(
    "header",
    ['Basic realm="{path}"', "basic realm={path}", "Basic Realm={path}", " Basic realm={path} "],
)
def test_challenge_in_every_notation(header: str, key_file: Path) -> None:
    """Schemes and parameter names have no case, and a realm may be quoted (RFC 9110, section 11)."""
    response = challenge(header.format(path=key_file))

    assert challenged(response, now=0.0) == str(key_file)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic realm=",
        "Bearer realm={path}",
        "Digest realm={path}",
        "Basic realm={path}, Basic realm={path}",
        "Bearer, Basic realm={path}",
        "Basic realm={path}, charset=UTF-8",
        'Basic realm="{path}',
        "Basic realm= ",
        "{path}",
    ],
)
def test_anything_but_one_basic_challenge_is_refused(header: str, key_file: Path) -> None:
    """Exactly one challenge, of exactly one form; with another one no file is read and nothing more is sent."""
    transport = FakeTransport(challenge(header.format(path=key_file)), token_response())

    with pytest.raises(AuthenticationFailedError):
        run(ArcSource(key_file.parent, transport).get_token(SCOPE), clock=FakeClock())

    assert len(transport.requests) == 1


def test_challenge_without_a_header_is_refused(tmp_path: Path) -> None:
    """A bare 401 names no file."""
    assert "WWW-Authenticate" in refusal(tmp_path, Response(401))


def test_token_without_a_challenge_is_refused(tmp_path: Path) -> None:
    """Who gives a token unasked for a proof is not Azure Arc's agent."""
    assert "asks for no proof" in refusal(tmp_path, token_response())


@pytest.mark.parametrize("status", [400, 403, 404])
def test_refusal_before_the_challenge_is_told(status: int, tmp_path: Path) -> None:
    """What the agent says instead of a challenge is in the error."""
    answer = json_response({"error": {"code": "BadRequest", "message": "no such api-version"}}, status=status)

    assert "no such api-version" in refusal(tmp_path, answer)


def test_refused_key_is_told(key_file: Path) -> None:
    """A second 401 is final; the agent is not asked a third time."""
    transport = FakeTransport(naming(key_file), json_response({"error": "invalid"}, status=401))

    with pytest.raises(AuthenticationFailedError) as caught:
        run(ArcSource(key_file.parent, transport).get_token(SCOPE), clock=FakeClock())

    assert caught.value.http_status == 401
    assert len(transport.requests) == 2


def test_transient_faults_are_retried(key_file: Path) -> None:
    """A busy agent is asked again, before and after the challenge."""
    busy = json_response({}, status=503)
    transport = FakeTransport(busy, naming(key_file), busy, token_response())
    clock = FakeClock()

    run(ArcSource(key_file.parent, transport, clock=clock).get_token(SCOPE), clock=clock)

    assert len(transport.requests) == 4


@pytest.mark.parametrize(
    "path",
    [
        "{outside}",
        "{directory}/../{name}/a.key",
        "{directory}/inner/a.key",
        "{directory}/./a.key",
        "{directory}/a.txt",
        "{directory}/a.key.txt",
        "{directory}/a.key\0.key",
        "a.key",
        "/etc/passwd",
        "",
    ],
)
def test_file_elsewhere_is_not_read(path: str, key_file: Path) -> None:
    """Only a .key file directly in the agent's directory may be named: a stranger on its port must learn of no other."""
    directory = key_file.parent
    outside = directory.parent / "outside.key"
    outside.write_text("not-for-the-agent")
    (directory / "inner").mkdir()
    for other in (directory / "a.txt", directory / "a.key.txt", directory / "inner" / "a.key"):
        other.write_text(KEY)

    with pytest.raises(AuthenticationFailedError, match="directly in"):
        read_key(path.format(outside=outside, directory=directory, name=directory.name), str(directory))


@needs_links
def test_link_is_not_followed(key_file: Path) -> None:
    """A link in the agent's directory leads nowhere, though what it leads to may be read."""
    link = key_file.parent / "link.key"
    link.symlink_to(key_file)

    with pytest.raises(AuthenticationFailedError, match="without following links"):
        read_key(str(link), str(key_file.parent))


@needs_links
def test_pipe_is_not_read(tmp_path: Path) -> None:
    """A named pipe neither blocks nor counts as a file."""
    pipe = tmp_path / "pipe.key"
    os.mkfifo(pipe)

    with pytest.raises(AuthenticationFailedError, match="not a regular file"):
        read_key(str(pipe), str(tmp_path))


@needs_links
def test_directory_is_not_read(tmp_path: Path) -> None:
    """A directory with the right name is no key file."""
    (tmp_path / "d.key").mkdir()

    with pytest.raises(AuthenticationFailedError, match="not a regular file"):
        read_key(str(tmp_path / "d.key"), str(tmp_path))


def test_missing_file_is_told(tmp_path: Path) -> None:
    """The error says which file is not there."""
    with pytest.raises(AuthenticationFailedError, match=r"a\.key cannot be opened"):
        read_key(str(tmp_path / "a.key"), str(tmp_path))


@pytest.mark.parametrize(("size", "fits"), [(4095, True), (4096, True), (4097, False), (10_000, False)])
def test_key_has_a_size_limit(size: int, fits: bool, tmp_path: Path) -> None:
    """Up to 4096 bytes are a key."""
    path = tmp_path / "a.key"
    path.write_text("k" * size)

    if fits:
        assert len(read_key(str(path), str(tmp_path))) == size
    else:
        with pytest.raises(AuthenticationFailedError, match="longer than 4096 bytes"):
            read_key(str(path), str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", b"\xff\xfe", b"a\r\nX-Header: b", b"with blank"])
def test_text_that_cannot_be_a_header_is_no_key(content: bytes, tmp_path: Path) -> None:
    """Whatever the file holds, it cannot forge a header, and it is not shown."""
    path = tmp_path / "a.key"
    path.write_bytes(content)

    with pytest.raises(AuthenticationFailedError, match=r"a\.key does not hold a key$"):
        read_key(str(path), str(tmp_path))


def test_line_end_is_no_part_of_the_key(tmp_path: Path) -> None:
    """A file that ends in a newline holds the same key."""
    (tmp_path / "a.key").write_text(KEY + "\n")

    assert read_key(str(tmp_path / "a.key"), str(tmp_path)) == KEY


@pytest.mark.parametrize(
    ("platform", "environment", "directory"),
    [
        ("linux", {}, "/var/opt/azcmagent/tokens"),
        ("win32", {"ProgramData": r"C:\ProgramData"}, r"C:\ProgramData\AzureConnectedMachineAgent\Tokens"),
        ("win32", {}, None),
        ("darwin", {"ProgramData": "x"}, None),
    ],
)
def test_directory_by_platform(platform: str, environment: dict[str, str], directory: str | None) -> None:
    """The agent's directory is known for Linux and Windows; elsewhere there is no agent."""
    assert key_directory(environment, platform) == directory


def test_platform_without_an_agent_reads_nothing(key_file: Path) -> None:
    """Where no directory is known, no file is read."""
    assert "Linux and Windows" in refusal(None, naming(key_file))


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://169.254.169.254/metadata",
        "http://example.com/",
        "https://localhost/",
        "http://localhost.example.com/",
        "http://10.0.0.1:40342/",
        "http://0.0.0.0/",
        "http://localhost@example.com/",
        "localhost:40342",
    ],
)
def test_endpoint_must_be_on_loopback(endpoint: str, key_file: Path) -> None:
    """A key file's text goes to this machine alone, over plain http; with another endpoint nothing is sent."""
    transport = FakeTransport(naming(key_file), token_response())

    with pytest.raises(AuthenticationFailedError, match="IDENTITY_ENDPOINT"):
        run(ArcSource(key_file.parent, transport, endpoint=endpoint).get_token(SCOPE), clock=FakeClock())

    assert transport.requests == []


@pytest.mark.parametrize(
    "endpoint", ["http://localhost:1/", "http://127.0.0.1/x", "http://127.1.2.3:9/", "http://[::1]:1/"]
)
def test_every_name_of_loopback_is_fine(endpoint: str) -> None:
    """By name, by either address family, on any port."""
    request = build("https://vault.azure.net", None, {"IDENTITY_ENDPOINT": endpoint})

    assert request.url == endpoint


@pytest.mark.parametrize(
    ("kind", "parameter", "answered"),
    [
        ("client_id", "client_id", {"client_id": "AN-IDENTITY"}),
        ("object_id", "object_id", {"object_id": "an-identity"}),
        ("resource_id", "msi_res_id", {"msi_res_id": "an-identity"}),
        ("resource_id", "msi_res_id", {"mi_res_id": "An-Identity"}),
    ],
)
def test_confirmed_identity_is_taken(kind: str, parameter: str, answered: dict[str, Any], key_file: Path) -> None:
    """A token for the identity that was asked for is given."""
    transport = FakeTransport(naming(key_file), token_response("confirmed", **answered))
    source = ArcSource(key_file.parent, transport, identity=Identity(kind, "an-identity"))

    token = run(source.get_token(SCOPE), clock=FakeClock())

    assert token.token == "confirmed"
    assert [request.params[parameter] for request in transport.requests] == ["an-identity"] * 2


@pytest.mark.parametrize("kind", ["client_id", "object_id", "resource_id"])
@pytest.mark.parametrize(
    "answered", [{}, {"client_id": "x", "object_id": "x", "msi_res_id": "x"}, {"client_id": None}, {"client_id": ["x"]}]
)
def test_unconfirmed_identity_is_refused(kind: str, answered: dict[str, Any], key_file: Path) -> None:
    """An older agent gives the machine's own identity instead; its token is not used."""
    message = refusal(
        key_file.parent,
        naming(key_file),
        token_response("of-somebody-else", **answered),
        identity=Identity(kind, "an-identity"),
    )

    assert "does not confirm" in message
    assert "of-somebody-else" not in message


def test_own_identity_needs_no_confirmation() -> None:
    """Whoever asks for the machine's own identity gets it, whatever it is called."""
    confirm(json_response({"client_id": "x"}), None)


@pytest.mark.parametrize(
    "second",
    [
        json_response({"error": "bad", "error_description": f"what is {KEY}?"}, status=401),
        json_response({"error": {"code": "x", "message": KEY}}, status=404),
        json_response({}, status=500),
        token_response("t", client_id="x"),
    ],
    ids=["echoed", "nested", "fault", "unconfirmed"],
)
def test_key_is_told_to_nobody_else(second: Response, key_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The file's text is in no error, traceback, repr or log, even where the agent repeats it."""
    caplog.set_level(logging.DEBUG)
    clock = FakeClock()
    transport = FakeTransport(naming(key_file), second)
    source = ArcSource(key_file.parent, transport, identity=Identity("client_id", "an-identity"), clock=clock)

    with pytest.raises(AuthenticationFailedError) as caught:
        run(source.get_token(SCOPE), clock=clock)

    error = caught.value
    told = [*traceback.format_exception(error), repr(vars(error)), caplog.text, repr(transport.requests), repr(source)]
    assert any(KEY in request.headers.get("Authorization", "") for request in transport.requests)
    assert not [text for text in told if KEY in text]


def test_two_challenges_over_a_real_connection_are_refused(key_file: Path) -> None:
    """Two WWW-Authenticate headers are two challenges, however the HTTP library tells of them."""
    answer = (
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n"
        f"WWW-Authenticate: Basic realm=/etc/other.key\r\nWWW-Authenticate: Basic realm={key_file}\r\n\r\n"
    )
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer.encode())
        await writer.drain()
        writer.close()

    async def main() -> None:
        from credchain.credential import machine_host

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            transport = machine_host().transport
            source = ArcSource(key_file.parent, transport, endpoint=f"http://127.0.0.1:{port}/token")
            with pytest.raises(AuthenticationFailedError, match="must be one WWW-Authenticate"):
                await source.get_token(SCOPE)
            await transport.close()

    asyncio.run(main())

    assert len(asked) == 1
