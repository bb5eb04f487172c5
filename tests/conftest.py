"""Fixtures for all tests."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ["credchain.testing.pytest"]


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """After each test: no thread that it began goes on, and what it left open complains now, as an error.

    Tasks cannot outlive ``asyncio.run``; sessions and sockets that nobody closed warn when they are collected.
    """
    before = set(threading.enumerate())

    yield

    gc.collect(1)
    left = [thread for thread in threading.enumerate() if thread not in before and not thread.daemon]
    for thread in left:
        thread.join(5)
    assert not [thread.name for thread in left if thread.is_alive()]
