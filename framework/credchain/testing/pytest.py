"""Fixtures for pytest; opt in with ``-p credchain.testing.pytest`` or ``pytest_plugins``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credchain.emulator import Emulator, serve_in_thread
from credchain.testing.clock import FakeClock
from credchain.testing.transport import FakeTransport

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock that stands still until it is moved."""
    return FakeClock()


@pytest.fixture
def fake_transport() -> FakeTransport:
    """A transport without a network; tell it what to answer with ``then``."""
    return FakeTransport()


@pytest.fixture(scope="session")
def running_emulator() -> Iterator[Emulator]:
    """One emulator for the whole run, in a thread of its own."""
    with serve_in_thread(Emulator()) as emulator:
        yield emulator


@pytest.fixture
def emulator(running_emulator: Emulator) -> Iterator[Emulator]:
    """The emulator, without faults and with an empty request log."""
    running_emulator.heal()
    running_emulator.forget()
    yield running_emulator
    running_emulator.heal()
