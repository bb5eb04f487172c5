"""The subject of the contract test: a provider in a world of its own, and what is done to it there."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import pluggy

from credchain.errors import ClientAuthenticationError
from credchain.hooks import PROJECT, Provider
from credchain.settings import Value, structure
from credchain.testing.clock import run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
    from types import FrameType

    from credchain.host import Host
    from credchain.testing.clock import FakeClock
    from credchain.testing.transport import Answer, FakeTransport

T = TypeVar("T")

GRACE_SECONDS = 1.0
SLOW_SECONDS = 0.05
FILES = ("open", "os.listdir", "os.scandir")
BEYOND = ("socket.__new__", "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.posix_spawn")

_LOOKS = 6000
_IMPORTING = "<frozen importlib."


@attrs.frozen(eq=False)
class Subject:
    """What the laws are tried on: a provider, and a world in which it gives tokens."""

    provider: Provider
    settings: Mapping[str, object] = attrs.field(repr=False)
    host: Host
    transport: FakeTransport
    clock: FakeClock
    answers: Sequence[Answer] = attrs.field(repr=False)
    scope: str

    def structured(self, **more: object) -> Any:
        """The settings as an instance of the provider's class."""
        given = {**self.settings, **more}
        values = {key: Value(value, "the contract test", "table") for key, value in given.items()}
        name, environment = self.provider.name, self.host.environment
        return structure(self.provider.settings, values, source=name, environment=environment)

    def build(self) -> Any:
        """A new credential, made as a chain does it: without an event loop in sight."""
        return self.provider.build(self.structured(), self.host)

    def answer(self, *answers: Answer, delay: float = 0.0) -> None:
        """What the service answers from now on; as on success unless given."""
        self.transport.delay = delay
        self.transport.then(*(answers or self.answers))

    async def token(self, credential: Any, method: str | None = None) -> Any:
        """What the credential gives."""
        method = method or ("get_token" if hasattr(credential, "get_token") else "get_token_info")
        given = getattr(credential, method)(self.scope)
        assert inspect.isawaitable(given), f"make {method} an `async def`: it returned {type(given).__name__} at once"
        return await given

    def use(self, credential: Any, work: Callable[[Any], Awaitable[T]]) -> T:
        """Let *work* use a credential in an event loop of its own, and close it."""
        return run(self._used(credential, work), clock=self.clock)

    def use_in_real_time(self, credential: Any, work: Callable[[Any], Awaitable[T]]) -> T:
        """As `use`, where what blocks the event loop is logged by asyncio."""
        with asyncio.Runner(debug=True) as runner:
            runner.get_loop().slow_callback_duration = SLOW_SECONDS
            return runner.run(self._used(credential, work))

    async def detected_token(self, credential: Any) -> Any:
        """What the credential gives if it finds that it applies: as a chain asks it."""
        await detect(credential)
        return await self.token(credential)

    def failure(
        self, credential: Any, work: Callable[[Any], Awaitable[object]] | None = None
    ) -> ClientAuthenticationError | None:
        """How asking for a token, or other *work*, fails; None if it does not."""
        try:
            self.use(credential, work or self.token)
        except ClientAuthenticationError as error:
            return error
        return None

    def _used(self, credential: Any, work: Callable[[Any], Awaitable[T]]) -> Coroutine[Any, Any, T]:
        async def used() -> T:
            try:
                return await work(credential)
            finally:
                await close(credential)

        return used()


def provider_of(plugin: object) -> Provider:
    """What the hook of a plugin returns, found as credchain finds it.

    Raises:
        AssertionError: There is no such hook.
    """
    assert plugin is not None, "set `plugin` to the module that your entry point names, or override `provider`"
    manager = pluggy.PluginManager(PROJECT)
    manager.register(plugin)
    hook = getattr(manager.hook, "credchain_provider", None)
    assert hook is not None, "write a function credchain_provider, decorated with @credchain.hookimpl"
    found: Provider = hook.get_hookimpls()[0].function()
    return found


def check_token(token: Any, method: str, *, now: float) -> None:
    """A token is a text, and valid between now and a year from now."""
    assert isinstance(token.token, str), f"{method}: the token is no text"
    assert token.token, f"{method}: the token is empty"
    left = token.expires_on - now
    assert left > 0, (
        f"{method}: expires_on lies {-left:.0f} s in the past; it counts from the epoch, and is no duration"
    )
    assert left < 366 * 86400, f"{method}: expires_on lies more than a year ahead; it counts seconds, not milliseconds"


@contextmanager
def hint(law: str) -> Iterator[None]:
    """Add to whatever is raised in the block what a source has to do."""
    try:
        yield
    except Exception as error:
        error.add_note(law)
        raise


async def detect(credential: Any) -> None:
    """Let a credential that can do so find out whether it applies."""
    if hasattr(credential, "detect"):
        await credential.detect()


async def close(credential: Any) -> None:
    """Close a credential that can be closed."""
    if hasattr(credential, "close"):
        await credential.close()


async def cancel(task: asyncio.Task[Any], transport: FakeTransport) -> None:
    """Cancel a task while it waits for an answer; a task that needs no answer is let be."""
    sent = len(transport.requests)
    for _ in range(_LOOKS):
        if task.done() or len(transport.requests) > sent:
            break
        await asyncio.sleep(0.01)
    if task.done():
        return
    task.cancel()
    await asyncio.wait([task], timeout=GRACE_SECONDS)
    assert task.done(), "a cancelled caller waits on; let CancelledError through"
    assert task.cancelled(), "a cancelled caller got something else than CancelledError; let it through"
    await asyncio.sleep(GRACE_SECONDS)


@contextmanager
def io_of_this_thread(forbidden: Sequence[str]) -> Iterator[list[str]]:
    """What this thread opens in the block, imports apart. The audit hook cannot be taken out again, and falls silent."""
    thread = threading.get_ident()
    done: list[str] = []
    listening = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if listening and event in forbidden and threading.get_ident() == thread and not _is_import():
            done.append(f"{event} {arguments[:1]!r:.80}")

    sys.addaudithook(hook)
    try:
        yield done
    finally:
        listening = False


def _is_import() -> bool:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.startswith(_IMPORTING):
            return True
        frame = frame.f_back
    return False
