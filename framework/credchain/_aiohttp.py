"""The transport over aiohttp: the only room that imports its client, and not before the first request.

One session an event loop, opened by the first request of that loop and shared by all that share the transport. A session
is closed by `close`, when its loop ends (it is tied to an asynchronous generator, and those the loop finalises), or when
nobody holds the transport any more, whichever comes first. So nothing is left to warn about, although nobody closes a
credential that was handed to an SDK client.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from credchain.errors import AuthenticationFailedError, TransportError
from credchain.http import Response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from types import ModuleType

    import aiohttp

    from credchain.http import Request

BODY_LIMIT = 1024 * 1024


class AiohttpTransport:
    """A transport over aiohttp. It follows no redirects, keeps no cookies, and reads at most a mebibyte.

    Args:
        session: A session to send over; it stays the caller's, who closes it and whose loop it belongs to. Without
            one, the transport opens its own.
        environment: Where the proxy variables, ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` are looked up.
    """

    def __init__(
        self, *, session: aiohttp.ClientSession | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self._given = session
        self._environment = os.environ if environment is None else environment
        self._open: dict[asyncio.AbstractEventLoop, _Opened] = {}
        self._lock = threading.Lock()
        self._trust: tuple[tuple[str, ...], ssl.SSLContext | bool] | None = None

    async def send(self, request: Request) -> Response:
        """Send one request; see `credchain.http.Transport`."""
        where = urlsplit(request.url).netloc
        try:
            async with asyncio.timeout(request.timeout):
                return await self._send(request)
        except TimeoutError:
            raise TransportError(f"no answer from {where} within {request.timeout:g} s") from None

    async def close(self) -> None:
        """Close the sessions that this transport opened; one that was given to it is left alone."""
        here = asyncio.get_running_loop()
        with self._lock:
            opened, self._open = self._open, {}
        for loop, one in opened.items():
            if loop is here:
                await one.close()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(one.close(), loop)
            elif loop.is_closed():
                one.drop()

    async def _send(self, request: Request) -> Response:
        library = await _aiohttp()
        where = urlsplit(request.url).netloc
        try:
            session, options = await self._way(library, request)
            async with session.request(
                request.method,
                request.url,
                headers=request.headers,
                params=request.params or None,
                data=request.form,
                allow_redirects=False,
                timeout=library.ClientTimeout(total=None),
                **options,
            ) as answer:
                return await _read(answer, where)
        except library.ServerFingerprintMismatch:
            raise _unpinned(where) from None
        except library.ClientError as error:
            raise TransportError(f"{where}: {_reason(error)}") from None
        except OSError as error:
            raise TransportError(f"{where}: {error.strerror or type(error).__name__}") from None

    async def _way(self, library: ModuleType, request: Request) -> tuple[aiohttp.ClientSession, dict[str, Any]]:
        """The session that a request goes over, and what of proxy and trust goes with it."""
        given = self._given
        if given is not None and request.thumbprint is None and (request.trust_env or not given.trust_env):
            _check_usable(given)
            return given, {}
        proxy = proxy_for(request, self._environment)
        return await self._session(library), {"proxy": proxy, "ssl": await self._verify(library, request)}

    async def _session(self, library: ModuleType) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        opened = self._open.get(loop)
        if opened is not None and not opened.session.closed:
            return opened.session
        opened = _Opened(library.ClientSession(cookie_jar=library.DummyCookieJar(), trust_env=False), self)
        with self._lock:
            ended = [known for known in self._open if known.is_closed()]
            left = [self._open.pop(known) for known in ended]
            self._open[loop] = opened
        for one in left:
            one.drop()
        await anext(opened.life)
        return opened.session

    async def _verify(self, library: ModuleType, request: Request) -> Any:
        if not request.url.startswith("https:"):
            return True
        if request.thumbprint is not None:
            certificate = await _certificate_with(request.thumbprint, request.url)
            return library.Fingerprint(hashlib.sha256(certificate).digest())
        wanted = tuple(self._environment.get(name, "") for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
        if self._trust is None or self._trust[0] != wanted:
            self._trust = wanted, await asyncio.to_thread(_trust, *wanted)
        return self._trust[1]


class _Opened:
    """A session and the asynchronous generator that closes it, for as long as its transport lives.

    The finaliser keeps both out of reach of the garbage collector, which would otherwise find a session that nobody
    closed in a cycle of its transport's.
    """

    def __init__(self, session: aiohttp.ClientSession, transport: AiohttpTransport) -> None:
        self.session = session
        self.life = _life(session)
        loop = asyncio.get_running_loop()
        self._finalizer = weakref.finalize(transport, _abandoned, loop, session, self.life)

    async def close(self) -> None:
        """Close the session, in its own loop."""
        self._finalizer.detach()
        await self.life.aclose()

    def drop(self) -> None:
        """Let go of a session whose loop was closed without finalising it: its sockets can only be collected."""
        self._finalizer.detach()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            self.session.detach()


def _abandoned(
    loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession, life: AsyncGenerator[None, None]
) -> None:
    """Nobody holds the transport any more."""
    if loop.is_running():
        asyncio.run_coroutine_threadsafe(_closed(life), loop)
    elif loop.is_closed():
        session.detach()


async def _closed(life: AsyncGenerator[None, None]) -> None:
    await life.aclose()


async def _life(session: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await session.close()


def proxy_for(request: Request, environment: Mapping[str, str]) -> str | None:
    """The proxy that the environment names for a request, or None.

    ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``ALL_PROXY``, in either case, unless ``NO_PROXY`` names the host.
    """
    if not request.trust_env:
        return None
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # public, and not in the stubs

    named = {name.lower(): value for name, value in environment.items() if name.lower().endswith("_proxy") and value}
    if not named:
        return None
    parts = urlsplit(request.url)
    if parts.hostname and proxy_bypass_environment(parts.netloc, {"no": named.get("no_proxy", "")}):
        return None
    proxy = named.get(f"{parts.scheme}_proxy") or named.get("all_proxy")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


def _trust(cert_file: str, cert_dir: str) -> ssl.SSLContext | bool:
    """The TLS context for a trust store that the environment names; True stands for Python's own."""
    if not cert_file and not cert_dir:
        return True
    try:
        return ssl.create_default_context(cafile=cert_file or None, capath=cert_dir or None)
    except (OSError, ssl.SSLError) as error:
        raise TransportError(
            f"SSL_CERT_FILE or SSL_CERT_DIR names no readable certificates: {cert_file or cert_dir} "
            f"({error.strerror or type(error).__name__})"
        ) from None


async def _aiohttp() -> ModuleType:
    """aiohttp, imported in a worker thread the first time, since that takes a quarter of a second."""
    import sys

    known = sys.modules.get("aiohttp")
    if known is not None and not getattr(getattr(known, "__spec__", None), "_initializing", False):
        return known
    return await asyncio.to_thread(_loaded)


def _loaded() -> ModuleType:
    import aiohttp

    return aiohttp


async def _read(answer: aiohttp.ClientResponse, where: str) -> Response:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise TransportError(f"{where}: the answer is longer than {BODY_LIMIT} bytes")
    headers: dict[str, str] = {}
    for name, value in answer.headers.items():
        known = headers.get(name.lower())
        headers[name.lower()] = value if known is None else f"{known}, {value}"
    return Response(answer.status, headers=headers, body=bytes(body))


async def _certificate_with(thumbprint: str, url: str) -> bytes:
    """The certificate that a server shows, if its SHA-1 thumbprint is the one named. Nothing else is sent to it."""
    parts = urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=context)
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)  # the turn in which the loop lets go of the socket
    if hashlib.sha1(shown, usedforsecurity=False).hexdigest() != thumbprint.replace(":", "").lower():
        raise _unpinned(parts.netloc)
    return bytes(shown)


def _unpinned(where: str) -> AuthenticationFailedError:
    """Somebody else answers; asking again would not help, and nothing was sent."""
    return AuthenticationFailedError(f"{where}: the server's certificate does not have the thumbprint that was named")


def _check_usable(session: aiohttp.ClientSession) -> None:
    if session.closed:
        raise TransportError("the session that was given is closed; whoever opened it closes it, after the credential")
    owner = getattr(session, "_loop", None)
    if owner is not None and owner is not asyncio.get_running_loop():
        raise TransportError(
            "the session that was given belongs to another event loop; leave session out to have one opened for each"
        )


def _reason(error: Exception) -> str:
    """Why a request failed, in words that hold nothing of the request."""
    inner = getattr(error, "os_error", None)
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted ({inner.verify_message})"
    if isinstance(inner, ssl.SSLError):
        return f"TLS failed ({inner.reason or type(inner).__name__})"
    certificate = getattr(error, "certificate_error", None)
    if isinstance(certificate, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted ({certificate.verify_message})"
    if isinstance(inner, OSError):
        return f"cannot connect ({inner.strerror or type(inner).__name__})"
    return f"the connection failed ({type(error).__name__})"
