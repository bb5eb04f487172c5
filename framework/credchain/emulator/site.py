"""Putting the emulator up: a private folder, certificates, three ports; and taking all of it down again."""

from __future__ import annotations

import asyncio
import ipaddress
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from credchain.emulator.certificates import issue_server, make_authority, make_lone_server, server_context
from credchain.emulator.desk import Desk
from credchain.emulator.jose import SigningKey
from credchain.emulator.listener import Listener
from credchain.emulator.routes import AUTHORITY, MACHINE, SERVICE_FABRIC

if TYPE_CHECKING:
    import contextlib

    from credchain.emulator.journal import Faults, Journal
    from credchain.emulator.world import World

_LAST_PORT = 65_533


@attrs.frozen
class Site:
    """Where a started emulator is found."""

    authority: str
    imds_host: str
    service_fabric: str
    thumbprint: str
    ca_file: str
    arc_key_dir: str


def check_place(host: str, port: int) -> None:
    """Refuse to be found anywhere but on loopback, or where the three ports do not fit.

    Raises:
        ValueError: One of both.
    """
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"host: must be a loopback address, not {host}: the emulator trusts whoever reaches it")
    if not 0 <= port <= _LAST_PORT:
        raise ValueError(f"port: must lie between 0 and {_LAST_PORT}, not {port}")


async def put_up(
    stack: contextlib.AsyncExitStack, world: World, journal: Journal, faults: Faults, *, host: str, port: int
) -> Site:
    """Serve at *host* until *stack* is closed.

    Raises:
        OSError: A port is taken.
    """
    listeners = [await _bind(stack, host, number, journal) for number in _ports(port)]
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="credchain-emulator-")))
    arc_folder = folder / "arc"
    arc_folder.mkdir(mode=0o700)
    if world.key is None:
        world.key = await _make_key()
    ca, lone = make_authority(), make_lone_server(host)
    ca_file = folder / "ca.pem"
    ca_file.write_bytes(ca.pem)
    entra, machine, fabric = listeners
    site = Site(
        authority=f"https://{_name(host)}:{entra.port}",
        imds_host=f"http://{_bracketed(host)}:{machine.port}",
        service_fabric=f"https://{_name(host)}:{fabric.port}",
        thumbprint=lone.thumbprint,
        ca_file=str(ca_file),
        arc_key_dir=str(arc_folder),
    )
    desk = Desk(world, journal, faults, site.authority)
    world.arc_folder = arc_folder
    # Comes before the closing of the ports: requests that wait on purpose are let go first.
    stack.callback(_close_shop, world, desk)
    entra.open(desk.serving(AUTHORITY), server_context(issue_server(ca, host), folder))
    machine.open(desk.serving(MACHINE), None)
    fabric.open(desk.serving(SERVICE_FABRIC), server_context(lone, folder))
    return site


def _ports(first: int) -> tuple[int, int, int]:
    return (first, first + 1, first + 2) if first else (0, 0, 0)


async def _bind(stack: contextlib.AsyncExitStack, host: str, port: int, journal: Journal) -> Listener:
    listener = Listener(host, port, journal.connected)
    stack.push_async_callback(listener.close)
    return listener


async def _make_key() -> SigningKey:
    # A pool of its own, so that no idle thread stays behind.
    with ThreadPoolExecutor(max_workers=1) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, SigningKey)


def _close_shop(world: World, desk: Desk) -> None:
    desk.stop()
    world.arc_folder = None
    world.arc_keys.clear()


def _name(host: str) -> str:
    return "localhost" if host in {"127.0.0.1", "::1"} else _bracketed(host)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
