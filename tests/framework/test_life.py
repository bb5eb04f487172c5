"""Days in the life of a credential: many callers, outages, real threads and the event loop's own complaints."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from typing import TYPE_CHECKING

import attrs
import pytest

from credchain._aiohttp import AiohttpTransport
from credchain.aio import (
    ChainedTokenCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    ManagedIdentityCredential,
)
from credchain.errors import ClientAuthenticationError
from credchain.host import Host
from credchain.http import Request, Response
from credchain.testing import FakeClock, json_response, run

if TYPE_CHECKING:
    from credchain.emulator import Emulator

DAY = 86400.0
SCOPES = [f"https://service-{number}.azure.net/.default" for number in range(5)]


@attrs.define
class Service:
    """A token endpoint with outages, slow answers and lifetimes as they come."""

    clock: FakeClock
    rng: random.Random
    outages: list[tuple[float, float]]
    requests: int = 0

    def down(self, at: float) -> bool:
        return any(begin <= at < end for begin, end in self.outages)

    async def send(self, request: Request) -> Response:
        self.requests += 1
        await asyncio.sleep(self.rng.uniform(0.01, 2.0))
        if self.down(self.clock.time()):
            return self.rng.choice([Response(503), Response(429, headers={"retry-after": "40"}), Response(500)])
        lifetime = self.rng.choice([3600, 4000, 5400])
        token = f"{(request.form or {})['scope']} {self.requests}"
        return json_response({"access_token": token, "expires_in": lifetime, "token_type": "Bearer"})

    async def close(self) -> None:
        """Nothing to close."""


@attrs.frozen
class Call:
    """What one caller met."""

    at: float
    waited: float
    left: float | None
    error: bool


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_days_of_callers(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """Four thousand callers, six outages: nobody gets an expired token, an error or a wait that the laws do not allow.

    Outages are shorter than what a token has left when its refresh is due, so no caller may see an error after the first
    token came; and a caller waits only for a first token, or in the last minute of one that nobody asked for.
    """
    caplog.set_level(logging.CRITICAL)
    clock = FakeClock()
    rng = random.Random(seed)
    start = clock.time()
    begins = sorted(start + rng.uniform(0.1, 1.9) * DAY for _ in range(6))
    service = Service(clock, rng, [(begin, begin + rng.uniform(30, 400)) for begin in begins])
    host = Host(transport=service, clock=clock, random=rng)
    credential = ClientSecretCredential("tenant", "client", "secret", host=host)
    calls: list[Call] = []
    last: dict[str, float] = {}

    async def caller(number: int) -> None:
        scope = SCOPES[number % len(SCOPES)]
        for _ in range(200):
            await asyncio.sleep(rng.uniform(0, 2 * DAY / 200))
            began, idle = clock.monotonic(), clock.time() - last.get(scope, clock.time())
            last[scope] = clock.time()
            try:
                token = await credential.get_token(scope)
            except ClientAuthenticationError:
                calls.append(Call(clock.time(), clock.monotonic() - began, None, error=True))
                continue
            assert token.token.startswith(scope)
            waited = clock.monotonic() - began
            calls.append(Call(clock.time(), waited, token.expires_on - clock.time(), error=False))
            if waited > 0.001:
                assert idle >= 0

    async def main() -> None:
        await asyncio.gather(*(caller(number) for number in range(20)))
        await credential.close()

    run(main(), clock=clock)

    assert len(calls) == 4000
    assert all(call.left is None or call.left > 0 for call in calls)
    errors = [call for call in calls if call.error]
    assert all(service.down(call.at) or service.down(call.at - 35) for call in errors)
    assert len(errors) <= 10
    waiting = [call for call in calls if call.waited > 0.001]
    assert len(waiting) <= 60
    assert service.requests < 2000


def test_continuous_traffic_never_waits() -> None:
    """With a caller every minute, a token is always refreshed in time: after the first nobody waits, through every outage."""
    clock = FakeClock()
    rng = random.Random(5)
    start = clock.time()
    outages = [(start + hour * 3600.0, start + hour * 3600.0 + 500) for hour in range(2, 46, 3)]
    service = Service(clock, rng, outages)
    credential = ClientSecretCredential(
        "tenant", "client", "secret", host=Host(transport=service, clock=clock, random=rng)
    )
    waits: list[float] = []

    async def main() -> None:
        for _ in range(2 * 24 * 60):
            began = clock.monotonic()
            await credential.get_token(SCOPES[0])
            waits.append(clock.monotonic() - began)
            await asyncio.sleep(60)
        await credential.close()

    run(main(), clock=clock)

    assert waits[0] > 0
    assert set(waits[1:]) == {0.0}


def test_four_loops_share_one_request(emulator: Emulator) -> None:
    """A thousand first calls from four threads' loops over real sockets: one request."""
    application = emulator.add_application()
    environment = emulator.environment(application)
    transport = AiohttpTransport(environment=environment)
    credential = DefaultAzureCredential(host=Host(transport=transport, environment=environment))
    ready = threading.Barrier(4)
    tokens: set[str] = set()
    emulator.answer_delay = 0.3

    async def main() -> None:
        calls = [credential.get_token(SCOPES[0]) for _ in range(250)]
        await asyncio.to_thread(ready.wait, 20)
        tokens.update(token.token for token in await asyncio.gather(*calls))

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    emulator.answer_delay = 0.0

    assert len(tokens) == 1
    assert emulator.count("token") == 1


def test_default_chain_asks_imds_twice_for_a_thousand_callers(emulator: Emulator) -> None:
    """One probe and one token request."""
    environment = emulator.environment(identity=True)
    transport = AiohttpTransport(environment=environment)
    credential = DefaultAzureCredential(host=Host(transport=transport, environment=environment))

    async def main() -> None:
        await asyncio.gather(*(credential.get_token(SCOPES[0]) for _ in range(1000)))
        await transport.close()

    asyncio.run(main())

    assert emulator.count("imds") == 2


@pytest.mark.parametrize("kind", ["client_secret", "managed_identity", "default"])
def test_event_loop_is_never_held_up(emulator: Emulator, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """asyncio's debug mode finds no callback of ours that takes 50 ms, and no task is left at the end.

    What blocks does so each time; a loaded machine does not, so it gets three tries.
    """
    application = emulator.add_application()
    environment = emulator.environment(application, identity=True)

    async def main() -> set[str]:
        asyncio.get_running_loop().slow_callback_duration = 0.05
        host = Host(transport=AiohttpTransport(environment=environment), environment=environment)
        secret = application.client_secret or ""
        credential = {
            "client_secret": lambda: ClientSecretCredential(
                application.tenant_id, application.client_id, secret, host=host
            ),
            "managed_identity": lambda: ChainedTokenCredential(ManagedIdentityCredential(host=host)),
            "default": lambda: DefaultAzureCredential(host=host),
        }[kind]()
        await asyncio.gather(*(credential.get_token(scope) for scope in SCOPES))
        await credential.get_token(SCOPES[0], claims="{}")
        await credential.close()
        await host.transport.close()
        return {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}

    complaints = []
    with caplog.at_level(logging.WARNING, logger="asyncio"):
        for _ in range(3):
            caplog.clear()
            left = asyncio.run(main(), debug=True)
            assert left == set()
            complaints.append([record.getMessage() for record in caplog.records if record.name == "asyncio"])

    assert [] in complaints


def test_outage_over_real_sockets_is_not_noticed(emulator: Emulator) -> None:
    """While the service is down and the token valid, each call is answered at once; managed identity included."""
    environment = emulator.environment(identity=True)
    clock = FakeClock()
    transport = AiohttpTransport(environment=environment)
    host = Host(transport=transport, environment=environment, clock=clock)
    credential = ManagedIdentityCredential(host=host)

    async def main() -> None:
        clock.jump(__import__("time").time() - clock.time())
        token = await credential.get_token(SCOPES[0])
        clock.advance(0.6 * (token.expires_on - clock.time()))
        emulator.fail("imds")
        for _ in range(100):
            assert await credential.get_token(SCOPES[0]) is token
        await credential.close()
        await transport.close()

    asyncio.run(main())

    assert emulator.count("imds") >= 1
