"""The way of a request: noted down, met by a fault if one is due, otherwise answered by its route."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import parse_qsl

from aiohttp import web

from credchain.emulator.listener import abort
from credchain.emulator.records import Recorded
from credchain.emulator.routes import TOKEN_ROUTES, find
from credchain.emulator.wire import Answer, Call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from credchain.emulator.journal import Faults, Journal
    from credchain.emulator.listener import Handler
    from credchain.emulator.records import Fault
    from credchain.emulator.routes import Route
    from credchain.emulator.world import World

_FORM = "application/x-www-form-urlencoded"
_log = logging.getLogger("credchain.emulator")


class Desk:
    """Takes the requests of every port, from one start to the next stop."""

    def __init__(self, world: World, journal: Journal, faults: Faults, authority: str) -> None:
        self._world = world
        self._journal = journal
        self._faults = faults
        self._authority = authority
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Drop every request that waits on purpose."""
        self._stopping.set()

    def serving(self, routes: Sequence[Route]) -> Handler:
        """A handler for a port with these routes."""

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            route = find(routes, request.path)
            call = await _read(request, "" if route is None else route.name, self._authority)
            serial = self._journal.enter(_recorded(call))
            answer = await self._meet_fault(call, request)
            if answer is None:
                answer = Answer(404) if route is None else route.respond(self._world, call)
                await self._take_time(call, answer, request)
            self._journal.finish(serial, answer.status)
            _log.debug("%s %s: %d", call.method, call.route or "nowhere", answer.status)
            headers = {"Content-Type": answer.content_type, **answer.headers}
            return web.Response(status=answer.status, body=answer.body, headers=headers)

        return handle

    async def _meet_fault(self, call: Call, request: web.BaseRequest) -> Answer | None:
        fault = self._faults.take(call.route)
        if fault is None:
            return None
        await self._pause(fault.delay, request)
        if fault.hang:
            await self._stopping.wait()
        if fault.hang or fault.reset:
            _log.debug("%s %s: dropped", call.method, call.route)
            await _drop(request)
        return _answer_of(fault)

    async def _take_time(self, call: Call, answer: Answer, request: web.BaseRequest) -> None:
        if call.route in TOKEN_ROUTES and answer.status == 200:
            await self._pause(self._world.answer_delay, request)

    async def _pause(self, seconds: float, request: web.BaseRequest) -> None:
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
        await _drop(request)


async def _drop(request: web.BaseRequest) -> NoReturn:
    """Reset the connection and wait to be cancelled by the loss of it."""
    abort(request)
    await asyncio.get_running_loop().create_future()
    raise AssertionError("nobody completes that future")


async def _read(request: web.BaseRequest, route: str, authority: str) -> Call:
    body = await request.read() if request.content_type == _FORM else b""
    fields = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    names = [name for name, _ in fields]
    return Call(
        route=route,
        method=request.method,
        path=request.path,
        headers=request.headers,
        params=dict(request.query),
        form=dict(fields),
        repeated=frozenset(name for name in names if names.count(name) > 1),
        authority=authority,
    )


def _recorded(call: Call) -> Recorded:
    return Recorded(
        route=call.route,
        method=call.method,
        path=call.path,
        headers=call.headers,
        params=call.params,
        form=call.form,
        at=time.monotonic(),
    )


def _answer_of(fault: Fault) -> Answer | None:
    if fault.status is None and fault.body is None:
        return None
    status = 200 if fault.status is None else fault.status
    body = _error_body(status) if fault.body is None else fault.body
    return Answer(status, body, fault.content_type, dict(fault.headers))


def _error_body(status: int) -> bytes:
    error = "temporarily_unavailable" if status in {408, 429} or status >= 500 else "invalid_request"
    description = f"The emulator was told to answer with status {status}."
    return json.dumps({"error": error, "error_description": description}).encode()
