"""The default chain in one environment after another: each folder here is one.

A scenario is a folder with

* ``about.txt``         one sentence: what is the case, and what has to happen
* ``environment.json``  the environment variables; ``{files}`` stands for the folder's ``files``
* ``keywords.json``     the arguments of DefaultAzureCredential, if there are any
* ``traffic.json``      the requests that have to come, in this order, and their answers or faults
* ``expected.json``     the token and the source that gave it, or the error; the attempts; how long it may take

A bug report becomes a folder.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from credchain.default import DefaultAzureCredential
from credchain.errors import TransportError
from credchain.host import Host
from credchain.http import Request, Response
from credchain.testing import FakeClock, json_response, run

FOLDERS = sorted(path.parent for path in Path(__file__).parent.glob("*/expected.json"))


class Replay:
    """A transport that insists on the traffic of a scenario."""

    def __init__(self, exchanges: list[dict[str, Any]]) -> None:
        self.exchanges = exchanges
        self.sent = 0

    async def send(self, request: Request) -> Response:
        assert self.sent < len(self.exchanges), f"a request too many: {request.method} {request.url}"
        exchange = self.exchanges[self.sent]
        self.sent += 1
        _check(request, exchange["request"])
        fault = exchange.get("fault")
        if fault == "silent":
            await asyncio.sleep(request.timeout)
            raise TransportError(f"no answer within {request.timeout:g} s")
        if fault == "refused":
            raise TransportError("cannot connect (Connection refused)")
        answer = exchange["response"]
        headers = answer.get("headers", {})
        if "json" in answer:
            found = json_response(answer["json"], status=answer.get("status", 200))
            return Response(found.status, headers={**found.headers, **headers}, body=found.body)
        return Response(answer["status"], headers=headers, body=answer.get("body", "").encode())

    async def close(self) -> None:
        """Nothing to close."""


def _check(request: Request, expected: dict[str, Any]) -> None:
    """Everything that the scenario says of a request is true of it; a null says that it is not there."""
    assert (request.method, request.url) == (expected.get("method", request.method), expected["url"])
    for part in ("headers", "params", "form"):
        given = dict(getattr(request, part) or {})
        for name, value in expected.get(part, {}).items():
            assert given.get(name) == value, f"{part}: {name}"
    if "trust_env" in expected:
        assert request.trust_env is expected["trust_env"]


def _read(folder: Path, name: str, default: Any) -> Any:
    file = folder / name
    if not file.exists():
        return default
    return json.loads(file.read_text().replace("{files}", (folder / "files").as_posix()))


@pytest.mark.parametrize("folder", FOLDERS, ids=[folder.name for folder in FOLDERS])
def test_scenario(folder: Path) -> None:
    """The folder's environment and traffic lead to what it expects."""
    assert (folder / "about.txt").read_text().strip()
    clock = FakeClock(now=1_800_000_000)
    transport = Replay(_read(folder, "traffic.json", []))
    host = Host(
        transport=transport, clock=clock, random=random.Random(11), environment=_read(folder, "environment.json", {})
    )
    keywords = _read(folder, "keywords.json", {})
    expected = _read(folder, "expected.json", {})
    began = clock.monotonic()

    outcome = run(_outcome(host, keywords, expected), clock=clock)

    assert outcome == {key: value for key, value in expected.items() if key in outcome}
    assert transport.sent == len(transport.exchanges), "a request is missing"
    low, high = expected.get("seconds", (0, 0.001))
    assert low <= clock.monotonic() - began <= high


async def _outcome(host: Host, keywords: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """What happened, in the words of expected.json."""
    scope = expected.get("scope", "https://vault.azure.net/.default")
    try:
        credential = DefaultAzureCredential(host=host, **keywords)
        try:
            token = await credential.get_token(scope)
        finally:
            _check_attempts(credential, expected.get("attempts", []))
    except (ValueError, TypeError, Exception) as error:
        if "error" not in expected:
            raise
        for pattern in expected.get("says", []):
            assert re.search(pattern, str(error)), f"{pattern!r} is not in {error!s}"
        found: dict[str, Any] = {"error": type(error).__name__}
        if "error_codes" in expected:
            found["error_codes"] = list(getattr(error, "error_codes", []))
        return found
    found = {"token": token.token, "selected": credential.selected}
    if "expires_on" in expected:
        found["expires_on"] = token.expires_on
    return found


def _check_attempts(credential: DefaultAzureCredential, expected: list[dict[str, str]]) -> None:
    assert [(one.source, str(one.outcome)) for one in credential.attempts] == [
        (one["source"], one["outcome"]) for one in expected
    ]
    for attempt, one in zip(credential.attempts, expected, strict=True):
        assert re.search(one.get("reason", ""), attempt.reason), attempt.reason


def test_there_are_scenarios() -> None:
    """The folders are found."""
    assert len(FOLDERS) >= 10
