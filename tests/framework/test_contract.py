"""The contract test: sources that keep it pass, strangers' credential objects included, and each law can fail."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import re
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from credchain import TokenCredential
from credchain.errors import AuthenticationFailedError, ClientAuthenticationError, CredentialUnavailableError
from credchain.hooks import Provider, hookimpl
from credchain.host import Host
from credchain.http import Request
from credchain.oauth import parse_token
from credchain.sources import Sources
from credchain.testing import FakeClock, FakeTransport, ProviderContract, json_response, token_response
from credchain.testing.subject import Subject
from credchain.tokens import AccessToken, AccessTokenInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from credchain.tokens import TokenRequest

SECRET = "a-secret-that-nobody-may-see"
REFUSALS = (json_response({"error": "invalid_client"}, status=401),)
LAWS = [name for name in vars(ProviderContract) if name.startswith("test_")]


@attrs.frozen
class VaultSettings:
    password: str = attrs.field(default=SECRET, repr=False)


class Vault(TokenCredential):
    """A source as the tutorial would write it."""

    source = "vault"

    def __init__(self, settings: VaultSettings, host: Host) -> None:
        super().__init__(host=host)
        self.password = settings.password

    async def detect(self) -> None:
        if "VAULT" not in self.host.environment:
            raise CredentialUnavailableError("vault: VAULT is not set")

    async def acquire(self, request: TokenRequest) -> AccessTokenInfo:
        await self.detect()
        asked = Request("POST", "https://vault.test", form={"password": self.password}, timeout=30)
        return parse_token(await self.send(asked), source=self.source, now=self.host.clock.time())


class Foreign:
    """Somebody's own credential class: no base of ours, no cache, and of no use once it is closed."""

    def __init__(self, settings: VaultSettings, host: Host) -> None:
        self.host = host
        self.closed = False

    async def get_token(self, *scopes: str) -> AccessToken:
        if self.closed:
            raise RuntimeError("closed")
        response = await self.host.transport.send(Request("GET", "https://vault.test", timeout=8))
        if response.status != 200:
            raise ClientAuthenticationError("refused")
        return AccessToken("a-token", int(time.time()) + 3600)

    async def close(self) -> None:
        self.closed = True

    def __reduce__(self) -> Any:
        raise TypeError("no")


class Plugin:
    """A plugin as an object."""

    @hookimpl
    def credchain_provider(self) -> Provider:
        return provider_of(Vault)


class TestVault(ProviderContract):
    """The tutorial's way keeps every law."""

    plugin = Plugin()
    secrets = (SECRET,)

    @pytest.fixture
    def environment(self) -> Mapping[str, str]:
        return {"VAULT": "https://vault.test"}


class TestForeign(ProviderContract):
    """An object of a stranger's class can be a source as it is, if it says what it does not do."""

    secrets = (SECRET,)
    caches = False
    works_after_close = False

    @pytest.fixture
    def provider(self) -> Provider:
        return provider_of(Foreign)

    @pytest.fixture
    def unconfigured(self) -> None:
        return None


def provider_of(build: Callable[[Any, Host], Any], **fields: Any) -> Provider:
    given = {"name": "vault", "settings": VaultSettings, "summary": "a vault"} | fields
    return Provider(build=build, **given)


def subject_of(build: Callable[[Any, Host], Any], **fields: Any) -> Subject:
    """A provider in a world in which the vault answers."""
    clock, answers = FakeClock(time.time()), (token_response("a-token"),)
    transport = FakeTransport(*answers)
    host = Host(transport=transport, clock=clock, environment={"VAULT": "v"}, random=random.Random(1), timeout=10)
    return Subject(
        provider_of(build, **fields),
        {},
        Sources({}).with_source(host),
        transport,
        clock,
        answers,
        ProviderContract.scope,
    )


def broken(**methods: Any) -> Callable[[Any, Host], Any]:
    """A Vault with other methods."""
    made: Callable[[Any, Host], Any] = type("Broken", (Vault,), methods)
    return made


def giving(token: Any, *, seconds: float = 3600, factor: int = 1) -> Callable[[Any, Host], Any]:
    """A credential that gives a token as it stands."""

    async def get_token(self: Any, *scopes: str) -> AccessToken:
        return AccessToken(token, int((self.host.clock.time() + seconds) * factor))

    return broken(get_token=get_token, get_token_info=get_token)


def then(first: Callable[[Any], object]) -> Any:
    """An `acquire` that does something with the credential first."""

    async def acquire(self: Any, request: TokenRequest) -> AccessTokenInfo:
        first(self)
        return await Vault.acquire(self, request)

    return acquire


def refusing(error: Callable[[], BaseException]) -> Callable[[Any, Host], Any]:
    """A credential that says so where the service refuses."""

    async def acquire(self: Any, request: TokenRequest) -> AccessTokenInfo:
        try:
            return await Vault.acquire(self, request)
        except AuthenticationFailedError:
            made = error()
            raise made from made.__cause__

    return broken(acquire=acquire)


def told_with_cause() -> BaseException:
    error = AuthenticationFailedError("vault: refused")
    error.__cause__ = ValueError(SECRET)
    return error


def at_build(work: Callable[[Host], object]) -> Callable[[Any, Host], Any]:
    def build(settings: Any, host: Host) -> Any:
        work(host)
        return Vault(settings, host)

    return build


def send_now(host: Host) -> None:
    """Send a request without an event loop, as far as that goes."""
    sending = host.transport.send(Request("GET", "https://vault.test"))
    sending.send(None)  # type: ignore[attr-defined]
    sending.close()  # type: ignore[attr-defined]


def a_socket(_: Host) -> None:
    import socket

    socket.socket().close()


async def swallow(self: Any, *scopes: str) -> AccessToken:
    try:
        await self.host.transport.send(Request("GET", "https://vault.test", timeout=1e5))
    except asyncio.CancelledError:
        pass
    return AccessToken("a-token", int(self.host.clock.time()) + 3600)


async def wait_on(self: Any, *scopes: str) -> AccessToken:
    try:
        await self.host.transport.send(Request("GET", "https://vault.test", timeout=1e5))
    except asyncio.CancelledError:
        await asyncio.sleep(60)
        raise
    return AccessToken("a-token", int(self.host.clock.time()) + 3600)


async def leave_a_task(self: Any, *scopes: str) -> AccessToken:
    self.task = asyncio.create_task(asyncio.sleep(1e5), name="a task of the vault")
    await self.host.transport.send(Request("GET", "https://vault.test", timeout=1e5))
    return AccessToken("a-token", int(self.host.clock.time()) + 3600)


async def only_once(self: Any, *scopes: str) -> AccessToken:
    if self.__dict__.setdefault("busy", False):
        raise AuthenticationFailedError("vault: busy")
    self.busy = True
    await self.host.transport.send(Request("GET", "https://vault.test", timeout=1e5))
    self.busy = False
    return AccessToken("a-token", int(self.host.clock.time()) + 3600)


async def patient(self: Any, *scopes: str) -> AccessToken:
    response = await self.host.transport.send(Request("GET", "https://vault.test", timeout=300))
    return AccessToken(str(response.status), int(self.host.clock.time()) + 3600)


async def bound_to_a_loop(self: Any, *scopes: str) -> AccessToken:
    loop = self.__dict__.setdefault("loop", asyncio.get_running_loop())
    ready = loop.create_future()
    loop.call_soon(ready.set_result, None)
    await ready
    return AccessToken("a-token", int(self.host.clock.time()) + 3600)


async def close_for_good(self: Any) -> None:
    async def acquire(_: TokenRequest) -> AccessTokenInfo:
        raise RuntimeError("closed")

    self.acquire = acquire


async def close_the_transport(self: Any) -> None:
    await self.host.transport.close()


async def close_once(self: Any) -> None:
    del self.password


async def say_no(self: Any) -> None:
    raise CredentialUnavailableError("vault: not today")


async def unset_is_a_failure(self: Any) -> None:
    if "VAULT" not in self.host.environment:
        raise AuthenticationFailedError("vault: VAULT is not set")


def get_at_once(self: Any, *scopes: str) -> AccessToken:
    return AccessToken("a-token", int(self.host.clock.time()) + 3600)


async def other_info(self: Any, *scopes: str, options: Any = None) -> AccessTokenInfo:
    return AccessTokenInfo("another-token", int(self.host.clock.time()) + 3600)


class Plain:
    """A class without any care for pickles."""

    def __init__(self, settings: VaultSettings, host: Host) -> None:
        self.password = settings.password

    async def get_token(self, *scopes: str) -> AccessToken:
        return AccessToken("a-token", int(time.time()) + 3600)


class Open:
    password = SECRET


def settings_class(**fields: Any) -> type:
    made: type = attrs.make_class("Settings", {name: attrs.field(default=value) for name, value in fields.items()})
    return made


BROKEN: list[tuple[str, str, Subject]] = [
    ("test_provider_is_well_formed", "name: small letters", subject_of(Vault, name="My Vault")),
    ("test_provider_is_well_formed", "api: this credchain has 1, not 2", subject_of(Vault, api=2)),
    ("test_provider_is_well_formed", "summary: say", subject_of(Vault, summary="")),
    ("test_provider_is_well_formed", "build: give a function", subject_of(None)),  # type: ignore[arg-type]
    ("test_settings_are_an_attrs_class", "decorate Open with @attrs.frozen", subject_of(Vault, settings=Open)),
    ("test_settings_are_an_attrs_class", "the class, not an instance", subject_of(Vault, settings=VaultSettings())),
    (
        "test_settings_are_an_attrs_class",
        "'no_such_key' was taken",
        subject_of(Vault, settings=settings_class(no_such_key="")),
    ),
    ("test_settings_do_not_show_secrets", "repr=False", subject_of(Vault, settings=settings_class(password=SECRET))),
    ("test_unavailable_where_not_configured", "a token came", subject_of(Plain)),
    (
        "test_unavailable_where_not_configured",
        "AuthenticationFailedError stops a chain",
        subject_of(broken(detect=unset_is_a_failure)),
    ),
    ("test_build_does_no_io", "open", subject_of(at_build(lambda _: open(os.devnull).close()))),
    ("test_build_does_no_io", "os.listdir", subject_of(at_build(lambda _: os.listdir()))),
    ("test_build_does_no_io", "socket.__new__", subject_of(at_build(a_socket))),
    ("test_build_does_no_io", "send nothing", subject_of(at_build(send_now))),
    ("test_detection_says_yes_where_it_applies", "not today", subject_of(broken(detect=say_no))),
    ("test_token_comes", "get_token an `async def`", subject_of(broken(get_token=get_at_once))),
    ("test_token_comes", "return an object with a coroutine", subject_of(lambda settings, host: object())),
    ("test_token_comes", "the token is no text", subject_of(giving(b"a-token"))),
    ("test_token_comes", "the token is empty", subject_of(giving(""))),
    ("test_token_comes", "in the past", subject_of(giving("a-token", seconds=-1))),
    ("test_token_comes", "not milliseconds", subject_of(giving("a-token", factor=1000))),
    ("test_token_comes", "gave different tokens", subject_of(broken(get_token_info=other_info))),
    ("test_token_is_cached", "sent 1 request", subject_of(Foreign)),
    ("test_deadline_is_kept", "within host.timeout", subject_of(broken(get_token=patient))),
    ("test_cancellation_is_clean", "something else than CancelledError", subject_of(broken(get_token=swallow))),
    ("test_cancellation_is_clean", "waits on", subject_of(broken(get_token=wait_on))),
    ("test_cancellation_is_clean", "still running: a task of the vault", subject_of(broken(get_token=leave_a_task))),
    ("test_cancellation_is_clean", "a caller was cancelled before", subject_of(broken(get_token=only_once))),
    (
        "test_event_loop_is_not_blocked",
        "was blocked",
        subject_of(broken(acquire=then(lambda _: threading.Event().wait(0.08)))),
    ),
    (
        "test_no_secret_is_told_on_success",
        "secret 2 of 2 is in a log record of 'vault'",
        subject_of(broken(acquire=then(lambda self: logging.getLogger("vault").debug("with %s", self.password)))),
    ),
    (
        "test_no_secret_is_told_on_success",
        "the repr of the Broken",
        subject_of(broken(__repr__=lambda self: self.password)),
    ),
    (
        "test_no_secret_is_told_on_success",
        "the standard output",
        subject_of(broken(acquire=then(lambda _: print(SECRET)))),
    ),
    (
        "test_refusal_is_a_failure",
        "must stop a chain",
        subject_of(refusing(lambda: CredentialUnavailableError("vault: refused"))),
    ),
    (
        "test_refusal_is_a_failure",
        "raise AuthenticationFailedError from acquire",
        subject_of(refusing(lambda: ClientAuthenticationError("vault: refused"))),
    ),
    ("test_refusal_is_a_failure", "a token came", subject_of(broken(get_token=patient))),
    (
        "test_no_secret_is_told_on_refusal",
        "is in the error",
        subject_of(refusing(lambda: AuthenticationFailedError(f"vault: {SECRET} was refused"))),
    ),
    ("test_no_secret_is_told_on_refusal", "is in the error", subject_of(refusing(told_with_cause))),
    ("test_pickle_holds_no_secret", "in __reduce__", subject_of(Plain)),
    ("test_closing_twice_is_fine", "leave host.transport open", subject_of(broken(close=close_the_transport))),
    ("test_closing_twice_is_fine", "for the second time", subject_of(broken(close=close_once))),
    (
        "test_works_in_one_event_loop_after_another",
        "this was the second event loop",
        subject_of(broken(get_token=bound_to_a_loop)),
    ),
    (
        "test_works_in_one_event_loop_after_another",
        "it was closed before",
        subject_of(broken(close=close_for_good)),
    ),
]


def broken_by(law: str, subject: Subject, contract: ProviderContract) -> str | None:
    """What a subject's author is told of a law that it breaks; None if it keeps it."""
    arguments: dict[str, Any] = {"subject": subject}
    if law == "test_provider_is_well_formed":
        arguments = {"provider": subject.provider}
    if law == "test_unavailable_where_not_configured":
        arguments["unconfigured"] = {}, {}
    if law.endswith(("refusal", "a_failure")):
        arguments["refusals"] = REFUSALS
    try:
        getattr(contract, law)(**arguments)
    except Exception as error:  # a stranger's own goes through, with a note on what to do
        return "\n".join([str(error), *getattr(error, "__notes__", ())])
    return None


class Secretive(ProviderContract):
    """The contract of a source that has a secret."""

    secrets = (SECRET,)


@pytest.mark.parametrize(
    ("law", "told", "subject"), BROKEN, ids=[f"{law.removeprefix('test_')}: {told}" for law, told, _ in BROKEN]
)
def test_source_that_breaks_a_law_is_told_so(law: str, told: str, subject: Subject) -> None:
    """The law fails, and its message says what to do without showing a secret."""
    said = broken_by(law, subject, Secretive())

    assert said is not None
    assert told in said
    assert SECRET not in said


def test_every_law_is_shown_to_fail() -> None:
    """None is in the contract that no source can break."""
    assert {law for law, _, _ in BROKEN} == set(LAWS)


@pytest.mark.parametrize(
    ("flag", "law", "build"),
    [
        ("caches", "test_token_is_cached", Foreign),
        ("keeps_deadline", "test_deadline_is_kept", broken(get_token=patient)),
        ("reads_at_build", "test_build_does_no_io", at_build(lambda _: open(os.devnull).close())),
        ("works_after_close", "test_works_in_one_event_loop_after_another", broken(close=close_for_good)),
        ("passes_on_refusals", "test_refusal_is_a_failure", refusing(lambda: CredentialUnavailableError("vault: no"))),
    ],
)
def test_author_can_say_what_a_source_does_not_do(flag: str, law: str, build: Callable[[Any, Host], Any]) -> None:
    """Each attribute lifts its own law, and only where it is set."""
    lifted = type("Lifted", (ProviderContract,), {flag: not getattr(ProviderContract, flag)})

    without, within = (broken_by(law, subject_of(build), contract()) for contract in (ProviderContract, lifted))

    assert without is not None
    assert within is None


def test_refusals_that_are_passed_on_have_to_be() -> None:
    """Who says that refusals are passed on is held to it."""
    contract = type("Passing", (ProviderContract,), {"passes_on_refusals": True})()

    said = broken_by("test_refusal_is_a_failure", subject_of(Vault), contract)

    assert said is not None
    assert "this refusal stops a chain" in said


@pytest.mark.parametrize(
    ("plugin", "told"),
    [(object(), "credchain_provider, decorated with"), (None, "set `plugin`")],
    ids=["no hook", "none"],
)
def test_plugin_without_a_hook_is_told_so(plugin: object, told: str) -> None:
    """A hook that somebody forgot to decorate is the first thing that the contract finds."""
    from credchain.testing.subject import provider_of

    with pytest.raises(AssertionError, match=re.escape(told)):
        provider_of(plugin)


PACKAGE = """
import pytest
from credchain import CredentialUnavailableError, Provider, Request, TokenCredential, hookimpl
from credchain.oauth import parse_token
from credchain.testing import ProviderContract


class Vault(TokenCredential):
    source = "vault"

    async def acquire(self, request):
        if "VAULT" not in self.host.environment:
            raise CredentialUnavailableError("vault: VAULT is not set")
        response = await self.send(Request("GET", "https://vault.test"))
        return parse_token(response, source=self.source, now=self.host.clock.time())


class Plugin:
    @hookimpl
    def credchain_provider(self):
        return Provider(name="vault", build=lambda settings, host: Vault(host=host), summary="a vault")


class TestVault(ProviderContract):
    plugin = Plugin()

    @pytest.fixture
    def environment(self):
        return {"VAULT": "v"}
"""


def test_contract_needs_nothing_but_pytest(tmp_path: Path) -> None:
    """In somebody's package, without any configuration, each law is one test."""
    (tmp_path / "test_vault.py").write_text(PACKAGE)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "test_vault.py"]

    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert f"{len(LAWS)} passed" in ended.stdout, ended.stdout


def test_testing_needs_no_pytest() -> None:
    """What applications test with is imported without pytest; the contract brings it when it is asked for."""
    script = (
        "import sys, credchain.testing; before = 'pytest' in sys.modules; credchain.testing.ProviderContract; "
        "print(before, 'pytest' in sys.modules)"
    )

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ended.stdout.split() == ["False", "True"]
