"""One port: accepting connections for a handler, and letting go of all of them at once in the end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Coroutine

    Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_GRACE = 1.0
_HANDSHAKE = 10.0
_LINGER_NOT = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class Listener:
    """A bound port that serves from `open` until `close`.

    Connections are accepted here rather than by the loop's own server, so that those still shaking hands can
    be dropped too: the loop's server cannot tell which they are.
    """

    def __init__(self, host: str, port: int, on_connect: Callable[[], None]) -> None:
        """Bind the port, 0 for a free one.

        Raises:
            OSError: It is taken.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=1024)
        self._socket.setblocking(False)
        self._on_connect = on_connect
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: web.Server | None = None
        self.port: int = self._socket.getsockname()[1]

    def open(self, handler: Handler, context: ssl.SSLContext | None) -> None:
        """Serve from now on, over TLS if there is a *context*."""
        # A client that gives up ends its handler, so that a hanging request does not outlive it.
        self._server = web.Server(handler, handler_cancellation=True, access_log=None)
        self._spawn(self._accept(self._server, context))

    async def close(self) -> None:
        """Accept no more and drop every connection; answers under way have a second to end."""
        # A selector loop's sock_accept does not notice that it was cancelled in the very round in which a client
        # arrives, and would lose that connection unclosed. (A proactor loop has no readers, and notices.)
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().remove_reader(self._socket)
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._socket.close()
        if self._server is None:
            return
        transports = [connection.transport for connection in self._server.connections]
        self._server.pre_shutdown()
        await self._server.shutdown(_GRACE)
        for transport in transports:
            if transport is not None:
                transport.abort()
        # Aborted transports close their sockets in the loop's next rounds.
        for _ in range(3):
            await asyncio.sleep(0)

    async def _accept(self, server: web.Server, context: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._socket)
            except OSError:
                # Out of file descriptors, or the client is gone already: the next one may fare better.
                await asyncio.sleep(0.01)
                continue
            self._on_connect()
            self._spawn(_shake_hands(server, connection, context))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _shake_hands(server: web.Server, connection: socket.socket, context: ssl.SSLContext | None) -> None:
    timeouts = {} if context is None else {"ssl_handshake_timeout": _HANDSHAKE, "ssl_shutdown_timeout": _GRACE}
    try:
        await asyncio.get_running_loop().connect_accepted_socket(server, connection, ssl=context, **timeouts)
    except OSError:
        # The client did not trust the certificate, spoke no TLS or left: its own business.
        connection.close()
    except asyncio.CancelledError:
        connection.close()
        raise


def abort(request: web.BaseRequest) -> None:
    """Drop a request's connection with a reset instead of a farewell."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()
