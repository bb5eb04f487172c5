"""The transport over aiohttp, against real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from credchain._aiohttp import BODY_LIMIT, AiohttpTransport, proxy_for
from credchain.errors import AuthenticationFailedError, TransportError
from credchain.http import Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from credchain.emulator import Emulator

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A plain server on loopback; gives its URL."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/path"
    finally:
        await runner.cleanup()


async def hello(request: web.Request) -> web.Response:
    return web.Response(text=f"{request.method} {await request.text()}", headers={"X-Seen": request.query_string})


def test_request_and_answer_are_values() -> None:
    """Query, form and headers go out; status, lower-case headers and the body come back."""

    async def main() -> None:
        transport = AiohttpTransport(environment={})
        async with serving(hello) as url:
            response = await transport.send(Request("POST", url, params={"a": "1"}, form={"b": "2 3"}))
        await transport.close()

        assert (response.status, response.body) == (200, b"POST b=2+3")
        assert response.headers["x-seen"] == "a=1"

    asyncio.run(main())


def test_repeated_headers_are_joined() -> None:
    """Two challenges in an answer stay two (RFC 9110, section 5.3)."""

    async def twice(_request: web.Request) -> web.Response:
        response = web.Response(status=401)
        response.headers.add("WWW-Authenticate", "Basic realm=a")
        response.headers.add("WWW-Authenticate", "Basic realm=b")
        return response

    async def main() -> str:
        transport = AiohttpTransport(environment={})
        async with serving(twice) as url:
            response = await transport.send(Request("GET", url))
        await transport.close()
        return response.headers["www-authenticate"]

    assert asyncio.run(main()) == "Basic realm=a, Basic realm=b"


def test_connections_are_reused() -> None:
    """Sixty-one requests of one loop take one connection."""
    peers: set[object] = set()

    async def note(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response()

    async def main() -> None:
        transport = AiohttpTransport(environment={})
        async with serving(note) as url:
            for _ in range(61):
                await transport.send(Request("GET", url))
            await transport.close()

    asyncio.run(main())

    assert len(peers) == 1


def test_redirects_are_not_followed() -> None:
    """A redirect is an answer like another: a secret must not follow it."""

    async def redirect(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})

    async def main() -> int:
        transport = AiohttpTransport(environment={})
        async with serving(redirect) as url:
            response = await transport.send(Request("GET", url))
        await transport.close()
        return response.status

    assert asyncio.run(main()) == 302


def test_deadline_holds_for_a_server_that_accepts_and_is_silent() -> None:
    """Connecting and reading share one timeout."""

    async def silent(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def main() -> None:
        transport = AiohttpTransport(environment={})
        async with serving(silent) as url:
            with pytest.raises(TransportError, match=r"no answer from 127\.0\.0\.1:\d+ within 0\.05 s"):
                await transport.send(Request("GET", url, timeout=0.05))
        await transport.close()

    asyncio.run(main())


def test_refused_connection_is_told() -> None:
    """The message names the host and the reason."""

    async def main() -> None:
        transport = AiohttpTransport(environment={})
        async with serving(hello) as url:
            pass
        with pytest.raises(TransportError, match=r"127\.0\.0\.1:\d+: cannot connect"):
            await transport.send(Request("GET", url, form={"client_secret": "s3cret"}))

    asyncio.run(main())


def test_broken_connection_is_told() -> None:
    """A server that hangs up is a transport error, not a traceback of the library."""

    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def main() -> None:
        transport = AiohttpTransport(environment={})
        async with serving(hang_up) as url:
            with pytest.raises(TransportError):
                await transport.send(Request("GET", url))
        await transport.close()

    asyncio.run(main())


def test_endless_answers_are_cut_off() -> None:
    """Nobody's memory is filled by an answer without end."""

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                await response.write(b"x" * 65536)
        return response

    async def main() -> None:
        transport = AiohttpTransport(environment={})
        async with serving(endless) as url:
            with pytest.raises(TransportError, match=f"longer than {BODY_LIMIT} bytes"):
                await transport.send(Request("GET", url))
        await transport.close()

    asyncio.run(main())


def test_one_transport_serves_successive_runs() -> None:
    """Each run has a session of its own, which ends with it, without a warning and although nobody closes it."""
    transport = AiohttpTransport(environment={})

    async def main() -> int:
        async with serving(hello) as url:
            return (await transport.send(Request("GET", url))).status

    assert [asyncio.run(main()), asyncio.run(main())] == [200, 200]
    gc.collect()


def test_one_transport_serves_several_loops_at_once() -> None:
    """Loops in four threads send side by side over the same transport."""
    transport = AiohttpTransport(environment={})
    statuses: list[int] = []

    async def main() -> None:
        async with serving(hello) as url:
            answers = [await transport.send(Request("GET", url)) for _ in range(5)]
        statuses.extend(answer.status for answer in answers)

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert statuses == [200] * 20


def test_transport_works_again_after_close() -> None:
    """Closing twice is fine, and the next request opens a new session."""

    async def main() -> int:
        transport = AiohttpTransport(environment={})
        async with serving(hello) as url:
            await transport.send(Request("GET", url))
            await transport.close()
            await transport.close()
            status = (await transport.send(Request("GET", url))).status
        await transport.close()
        return status

    assert asyncio.run(main()) == 200


@pytest.mark.parametrize(
    "ending",
    ["asyncio.run(main())", "loop = asyncio.new_event_loop(); loop.run_until_complete(main()); loop.close()"],
    ids=["asyncio.run", "a loop closed by hand"],
)
def test_program_that_closes_nothing_ends_quietly(ending: str) -> None:
    """Nothing is printed at the end, in development mode too, where every warning is."""
    program = textwrap.dedent(f"""
        import asyncio
        from aiohttp import web
        from credchain._aiohttp import AiohttpTransport
        from credchain.http import Request

        transport = AiohttpTransport(environment={{}})

        async def hello(request):
            return web.Response()

        async def main():
            runner = web.ServerRunner(web.Server(hello), shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            await transport.send(Request("GET", f"http://{{host}}:{{port}}/"))
            await runner.cleanup()

        {ending}
        print("done")
    """)

    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-c", program], capture_output=True, text=True, timeout=60, check=True
    )

    assert ended.stdout == "done\n"
    if "new_event_loop" not in ending:
        assert [line for line in ended.stderr.splitlines() if not line.startswith("Executing <")] == []
    assert "Unclosed client session" not in ended.stderr


def test_given_session_is_used_and_left_open() -> None:
    """Whoever opened a session closes it."""

    async def main() -> bool:
        async with serving(hello) as url, aiohttp.ClientSession(headers={"X-Mine": "1"}) as session:
            transport = AiohttpTransport(session=session)
            await transport.send(Request("GET", url))
            await transport.close()
            return session.closed

    assert asyncio.run(main()) is False


def test_given_session_of_another_loop_is_refused_with_a_sentence() -> None:
    """Instead of the event loop's riddle."""

    async def opened() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    async def main(session: aiohttp.ClientSession) -> None:
        transport = AiohttpTransport(session=session)
        with pytest.raises(TransportError, match="belongs to another event loop"):
            await transport.send(Request("GET", "http://127.0.0.1:1/"))

    with asyncio.Runner() as owner:
        session = owner.run(opened())
        thread = threading.Thread(target=asyncio.run, args=(main(session),))
        thread.start()
        thread.join(30)
        owner.run(session.close())


def test_closed_session_is_refused_with_a_sentence() -> None:
    """The message tells in which order to close."""

    async def main() -> None:
        session = aiohttp.ClientSession()
        await session.close()
        with pytest.raises(TransportError, match="the session that was given is closed"):
            await AiohttpTransport(session=session).send(Request("GET", "http://127.0.0.1:1/"))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy:1"}, "http://proxy:1"),
        ({"https_proxy": "http://proxy:1"}, "http://proxy:1"),
        ({"HTTPS_PROXY": "proxy:1"}, "http://proxy:1"),
        ({"HTTP_PROXY": "http://proxy:1"}, None),
        ({"ALL_PROXY": "http://proxy:1"}, "http://proxy:1"),
        ({"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "login.example"}, None),
        ({"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": ".example"}, None),
        ({"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "other"}, "http://proxy:1"),
        ({"HTTPS_PROXY": ""}, None),
    ],
    ids=[
        "none",
        "upper",
        "lower",
        "no scheme",
        "other scheme",
        "all",
        "host",
        "domain",
        "every",
        "other host",
        "empty",
    ],
)
def test_proxy_comes_from_the_environment(environment: Mapping[str, str], proxy: str | None) -> None:
    """The usual variables count, and NO_PROXY wins over them."""
    assert proxy_for(Request("GET", "https://login.example/x"), environment) == proxy


def test_proxy_is_really_used_and_really_avoided() -> None:
    """A request goes to the proxy that the environment names; one with trust_env=False does not."""
    through: list[str] = []

    async def proxy(request: web.Request) -> web.Response:
        through.append(str(request.url))
        return web.Response(text="by proxy")

    async def main() -> tuple[bytes, bytes]:
        async with serving(proxy) as proxy_url, serving(hello) as url:
            transport = AiohttpTransport(environment={"HTTP_PROXY": proxy_url.removesuffix("/path")})
            by_proxy = await transport.send(Request("GET", url))
            direct = await transport.send(Request("GET", url, trust_env=False))
            await transport.close()
        return by_proxy.body, direct.body

    by_proxy, direct = asyncio.run(main())

    assert by_proxy == b"by proxy"
    assert direct == b"GET "
    assert len(through) == 1


def test_session_that_trusts_the_environment_is_not_used_for_link_local_requests() -> None:
    """What must not go through a proxy goes over a session of our own."""

    async def main() -> bytes:
        async with serving(hello) as url, aiohttp.ClientSession(trust_env=True, base_url=None) as session:
            transport = AiohttpTransport(session=session, environment={})
            response = await transport.send(Request("GET", url, trust_env=False))
            await transport.close()
            assert not session.closed
            return response.body

    assert asyncio.run(main()) == b"GET "


def test_unknown_authority_is_not_trusted(emulator: Emulator) -> None:
    """Without its authority in the trust store, a server's certificate is refused, with a reason."""

    async def main() -> None:
        transport = AiohttpTransport(environment={})
        with pytest.raises(TransportError, match="the server's certificate is not trusted"):
            await transport.send(Request("GET", f"{emulator.authority}/x"))
        await transport.close()

    asyncio.run(main())


def test_trust_store_of_the_environment_is_used_and_read_once(emulator: Emulator) -> None:
    """SSL_CERT_FILE counts, and a certificate file does not cost a new connection each time."""
    before = emulator.connections

    async def main() -> int:
        transport = AiohttpTransport(environment={"SSL_CERT_FILE": emulator.ca_file})
        for _ in range(10):
            status = (await transport.send(Request("GET", f"{emulator.authority}/common/discovery/instance"))).status
        await transport.close()
        return status

    assert asyncio.run(main()) == 200
    assert emulator.connections - before == 1


def test_unreadable_trust_store_is_told() -> None:
    """The message names the variables."""

    async def main() -> None:
        transport = AiohttpTransport(environment={"SSL_CERT_FILE": "/nowhere/ca.pem"})
        with pytest.raises(TransportError, match="SSL_CERT_FILE or SSL_CERT_DIR names no readable certificates"):
            await transport.send(Request("GET", "https://127.0.0.1:1/"))
        await transport.close()

    asyncio.run(main())


def test_first_request_does_not_block_the_loop() -> None:
    """aiohttp and the trust store are loaded in a worker thread: the loop keeps turning meanwhile."""
    program = textwrap.dedent("""
        import asyncio, sys, time
        from credchain._aiohttp import AiohttpTransport
        from credchain.errors import AuthenticationFailedError, TransportError
        from credchain.http import Request

        async def main():
            assert "aiohttp" not in sys.modules
            transport = AiohttpTransport(environment={})
            turns = 0
            async def turn():
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0.001)
            turning = asyncio.create_task(turn())
            try:
                await transport.send(Request("GET", "http://127.0.0.1:1/"))
            except TransportError:
                pass
            turning.cancel()
            assert "aiohttp" in sys.modules
            print(turns)

        asyncio.run(main())
    """)

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert int(ended.stdout) > 5


def test_thumbprint_pins_the_one_certificate(emulator: Emulator) -> None:
    """With a thumbprint, that certificate is trusted whatever its authority, and no other is."""
    environment = emulator.host_environment("service_fabric")
    url = environment["IDENTITY_ENDPOINT"]

    async def main() -> int:
        transport = AiohttpTransport(environment={})
        request = Request("GET", url, thumbprint=emulator.service_fabric_thumbprint)
        status = (await transport.send(request)).status
        with pytest.raises(AuthenticationFailedError, match="does not have the thumbprint"):
            await transport.send(Request("GET", url, headers={"Secret": "s"}, thumbprint="0" * 40))
        await transport.close()
        return status

    assert asyncio.run(main()) < 500


def test_dead_loops_take_their_sessions_along() -> None:
    """Ten loops that came and went leave nothing behind in the transport."""
    transport = AiohttpTransport(environment={})

    async def main() -> None:
        async with serving(hello) as url:
            await transport.send(Request("GET", url))

    for _ in range(10):
        asyncio.run(main())

    assert len(transport._open) == 1


def test_transport_that_is_forgotten_closes_its_session() -> None:
    """A transport in a reference cycle, which only the garbage collector finds, leaves no open session behind."""

    async def main() -> int:
        async with serving(hello) as url:
            transport = AiohttpTransport(environment={})
            transport.cycle = [transport]  # type: ignore[attr-defined]
            await transport.send(Request("GET", url))
            session = next(iter(transport._open.values())).session
            del transport
            gc.collect()
            await asyncio.sleep(0.05)
            return session.closed

    assert asyncio.run(main()) is True


def test_timeout_includes_everything() -> None:
    """A slow body counts as well."""

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        await asyncio.Event().wait()
        return response

    async def main() -> float:
        transport = AiohttpTransport(environment={})
        async with serving(slow) as url:
            began = time.monotonic()
            with pytest.raises(TransportError, match="no answer"):
                await transport.send(Request("GET", url, timeout=0.1))
        await transport.close()
        return time.monotonic() - began

    assert asyncio.run(main()) < 5
