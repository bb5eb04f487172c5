"""ProviderContract: the law of a source, as tests that a plugin's author inherits."""

from __future__ import annotations

import asyncio
import pickle
import re
import time
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from credchain.credential import TokenCredential
from credchain.errors import (
    AuthenticationFailedError,
    ClientAuthenticationError,
    ConfigurationError,
    is_unavailable,
)
from credchain.hooks import API_VERSION, Provider
from credchain.host import Host
from credchain.sources import Sources
from credchain.testing.clock import FakeClock, run
from credchain.testing.leaks import told, watching
from credchain.testing.subject import (
    BEYOND,
    FILES,
    GRACE_SECONDS,
    Subject,
    cancel,
    check_token,
    close,
    detect,
    hint,
    io_of_this_thread,
    provider_of,
)
from credchain.testing.transport import FakeTransport, json_response, token_response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from credchain.testing.transport import Answer

    Settings = Mapping[str, object]
    Environment = Mapping[str, str]

_TRIES = 3
_LIMIT_SECONDS = 10.0
_LATER_SECONDS = 48 * 3600.0
_NAME = re.compile(r"[a-z][a-z0-9_-]*")


class ProviderContract:
    """The law of a source, as tests. Inherit, say what your source is, and pytest does the rest::

        class TestVault(ProviderContract):
            plugin = acme_vault
            secrets = ("the-vault-s-password",)

            @pytest.fixture
            def environment(self):
                return {"ACME_VAULT_ADDRESS": "https://vault.test"}

    Fixtures to override: `provider` (unless `plugin` is set), `settings`, `environment`, `answers`, `refusals`,
    `unconfigured`, and `host` where the network or other sources have to be faked in another way.

    Attributes:
        plugin: What the entry point names: the module or object with the hook ``credchain_provider``.
        secrets: Texts in settings, environment or files that nobody may ever see.
        scope: What a token is asked for.
        caches: Whether a second call is answered without asking the service again.
        keeps_deadline: Whether ``host.timeout`` is kept. Without it a chain cuts the source off, which can then not tell why.
        works_after_close: Whether a closed credential can be used again.
        reads_at_build: Whether ``build`` reads files that the settings name.
        passes_on_refusals: Whether a refusal makes the source unavailable, so that a chain takes another identity.
    """

    plugin: object = None
    secrets: Sequence[str] = ()
    scope: str = "https://vault.azure.net/.default"
    caches: bool = True
    keeps_deadline: bool = True
    works_after_close: bool = True
    reads_at_build: bool = False
    passes_on_refusals: bool = False

    @pytest.fixture
    def provider(self) -> Provider:
        """The provider; what the hook of `plugin` returns."""
        return provider_of(self.plugin)

    @pytest.fixture
    def settings(self) -> Mapping[str, object]:
        """Valid settings, by key."""
        return {}

    @pytest.fixture
    def environment(self) -> Mapping[str, str]:
        """Environment variables under which the source applies."""
        return {}

    @pytest.fixture
    def answers(self) -> Sequence[Answer]:
        """What the service answers on success; a function from the request where several kinds are sent."""
        return [token_response("a-token")]

    @pytest.fixture
    def refusals(self) -> Sequence[Answer]:
        """What the service answers to somebody whom it does not trust."""
        return [json_response({"error": "invalid_client", "error_description": "who are you?"}, status=401)]

    @pytest.fixture
    def unconfigured(self) -> tuple[Settings, Environment] | None:
        """Settings and environment under which the source does not apply; None if there are none such."""
        return {}, {}

    @pytest.fixture
    def clock(self) -> FakeClock:
        """The host's clock, which begins with the present: credentials of others look at the machine's."""
        return FakeClock(time.time())

    @pytest.fixture
    def transport(self) -> FakeTransport:
        """The host's transport."""
        return FakeTransport()

    @pytest.fixture
    def host(self, environment: Mapping[str, str], transport: FakeTransport, clock: FakeClock) -> Host:
        """The world; with all installed sources by name."""
        host = Host(transport=transport, clock=clock, environment=environment, timeout=_LIMIT_SECONDS)
        return Sources({}).with_source(host)

    @pytest.fixture
    def subject(  # noqa: PLR0917  # pytest passes fixtures by name
        self,
        provider: Provider,
        settings: Mapping[str, object],
        host: Host,
        transport: FakeTransport,
        clock: FakeClock,
        answers: Sequence[Answer],
    ) -> Subject:
        """All of it; nothing to override."""
        transport.then(*answers)
        return Subject(provider, settings, host, transport, clock, answers, self.scope)

    def test_provider_is_well_formed(self, provider: Provider) -> None:
        """A plugin has the hook, and the hook gives a provider that this version of credchain can use."""
        if self.plugin is not None:
            provider_of(self.plugin)
        assert isinstance(provider, Provider), f"return a credchain.Provider from the hook, not {provider!r:.80}"
        assert _NAME.fullmatch(provider.name), f"name: small letters, digits, _ and - only, unlike {provider.name!r}"
        assert provider.api == API_VERSION, f"api: this credchain has {API_VERSION}, not {provider.api}"
        assert callable(provider.build), "build: give a function of settings and host"
        assert provider.summary, (
            "summary: say in half a sentence where the tokens come from; `credchain sources` shows it"
        )

    def test_settings_are_an_attrs_class(self, subject: Subject) -> None:
        """Settings are validated: what is valid makes an instance, and a key that nobody has is refused."""
        cls = subject.provider.settings
        assert isinstance(cls, type), "settings: give the class, not an instance of it"
        assert attrs.has(cls), f"settings: decorate {cls.__name__} with @attrs.frozen"
        subject.structured()
        try:
            subject.structured(no_such_key="x")
        except ConfigurationError:
            return
        raise AssertionError("settings: the key 'no_such_key' was taken; a mistyped key must be refused")

    def test_settings_do_not_show_secrets(self, subject: Subject) -> None:
        """The repr of the settings shows none of `secrets`, since settings end up in logs."""
        shown = repr(subject.structured())

        for number, secret in enumerate(self.secrets, 1):
            assert secret not in shown, f"settings: secret {number} is in their repr; use attrs.field(repr=False)"

    def test_unavailable_where_not_configured(
        self, subject: Subject, unconfigured: tuple[Settings, Environment] | None
    ) -> None:
        """Where the source is not configured it says that it is unavailable, so that a chain goes on.

        A setting that it needs and does not get may be refused instead.
        """
        if unconfigured is None:
            return
        settings, environment = unconfigured
        elsewhere = attrs.evolve(
            subject, settings=settings, host=attrs.evolve(subject.host, environment=environment), answers=()
        )
        elsewhere.answer()
        try:
            error = elsewhere.failure(elsewhere.build(), elsewhere.detected_token)
        except ConfigurationError:
            return

        assert error is not None, "a token came where nothing is configured; what does `unconfigured` leave out?"
        assert is_unavailable(error), (
            f"raise CredentialUnavailableError where nothing is configured; {type(error).__name__} stops a chain"
        )

    def test_build_does_no_io(self, subject: Subject) -> None:
        """Building a credential sends nothing, and opens no file, socket or process: a chain may never use it."""
        settings = subject.structured()
        forbidden = BEYOND if self.reads_at_build else (*BEYOND, *FILES)

        with io_of_this_thread(forbidden) as done:
            credential = subject.provider.build(settings, subject.host)

        assert not done, f"build: do this in acquire, or in detect: {', '.join(done)}"
        assert not subject.transport.requests, "build: send nothing; that belongs in acquire, or in detect"
        subject.use(credential, close)

    def test_detection_says_yes_where_it_applies(self, subject: Subject) -> None:
        """A source that gives a token does not say in `detect` that it is unavailable."""
        try:
            subject.use(subject.build(), detect)
        except ClientAuthenticationError as error:
            raise AssertionError(f"detect: this source applies, but it said: {error}") from error

    def test_token_comes(self, subject: Subject) -> None:
        """`get_token` and `get_token_info` give a token that is valid now, and both the same one."""
        credential = subject.build()
        methods = [name for name in ("get_token", "get_token_info") if hasattr(credential, name)]
        assert methods, "build: return an object with a coroutine get_token or get_token_info"

        async def work(credential: Any) -> list[Any]:
            return [await subject.token(credential, method) for method in methods]

        tokens = subject.use(credential, work)

        for method, token in zip(methods, tokens, strict=True):
            check_token(token, method, now=subject.clock.time())
        assert not self.caches or len({token.token for token in tokens}) == 1, (
            "get_token and get_token_info gave different tokens; let both read the same cache"
        )

    def test_token_is_cached(self, subject: Subject) -> None:
        """A second call sends nothing. (`caches = False` says that the source leaves this to its caller.)"""

        async def work(credential: Any) -> int:
            await subject.token(credential)
            sent = len(subject.transport.requests)
            await subject.token(credential)
            return len(subject.transport.requests) - sent

        again = subject.use(subject.build(), work)

        assert not self.caches or not again, f"the second call sent {again} request(s); subclass TokenCredential"

    def test_deadline_is_kept(self, subject: Subject) -> None:
        """A service that never answers is given up within ``host.timeout``, with an authentication error."""
        subject.answer(delay=1e6)
        limit = (subject.host.timeout or _LIMIT_SECONDS) + GRACE_SECONDS

        async def work(credential: Any) -> None:
            async with asyncio.timeout(limit if self.keeps_deadline else None):
                await subject.token(credential)

        try:
            subject.use(subject.build(), work)
        except ClientAuthenticationError:
            return
        except TimeoutError:
            raise AssertionError(
                f"no authentication error within host.timeout ({limit - GRACE_SECONDS:g} s) from a service that is "
                f"silent; send with self.send, which keeps it"
            ) from None

    def test_cancellation_is_clean(self, subject: Subject) -> None:
        """A caller that is cancelled is released at once, no task stays behind, and the next call gets a token."""

        async def work(credential: Any) -> Any:
            before = asyncio.all_tasks()
            subject.answer(delay=1e6)
            await cancel(asyncio.create_task(subject.token(credential)), subject.transport)
            left = [task.get_name() for task in asyncio.all_tasks() - before]
            assert not left, f"cancelled, and still running: {', '.join(left)}; cancel tasks that you began"
            subject.answer()
            with hint("a caller was cancelled before; leave nothing half done"):
                return await subject.token(credential)

        subject.use(subject.build(), work)

    def test_event_loop_is_not_blocked(self, subject: Subject) -> None:
        """Nothing holds the event loop for more than 50 ms: files and computing belong in ``host.in_thread``."""
        for _ in range(_TRIES):  # as machines are noisy, one try of several is enough
            subject.answer()
            with watching() as seen:
                subject.use_in_real_time(subject.build(), subject.token)
            slow = [text for where, text in seen.texts if "'asyncio'" in where and " took " in text]
            if not slow:
                return
        raise AssertionError(f"the event loop was blocked; use await self.host.in_thread(...): {slow[0]}")

    def test_no_secret_is_told_on_success(self, subject: Subject) -> None:
        """Neither the token nor one of `secrets` is in a log record, an output, or the repr of anything."""
        credential = subject.build()

        with watching() as seen:
            token = subject.use(credential, subject.token)

        for thing in (credential, subject.provider, subject.structured(), subject.host):
            seen.add(f"the repr of the {type(thing).__name__}", repr(thing))
        leaks = seen.leaks([token.token, *self.secrets])
        assert not leaks, f"never log or show the token (secret 1) or one of `secrets`: {'; '.join(leaks)}"

    def test_refusal_is_a_failure(self, subject: Subject, refusals: Sequence[Answer]) -> None:
        """A service that refuses is a failure and stops a chain: going on would hand out another identity."""
        credential = subject.build()
        subject.answer(*refusals)

        error = subject.failure(credential)

        assert error is not None, "a token came although the service refused; what does `refusals` answer?"
        if self.passes_on_refusals:
            assert is_unavailable(error), "passes_on_refusals: this refusal stops a chain"
            return
        assert not is_unavailable(error), "a refusal must stop a chain: raise AuthenticationFailedError"
        assert isinstance(error, AuthenticationFailedError) or not isinstance(credential, TokenCredential), (
            f"raise AuthenticationFailedError from acquire, not {type(error).__name__}"
        )

    def test_no_secret_is_told_on_refusal(self, subject: Subject, refusals: Sequence[Answer]) -> None:
        """None of `secrets` is in the error, its traceback and causes, or a log record of a refusal."""
        subject.answer(*refusals)

        with watching() as seen:
            error = subject.failure(subject.build())

        seen.add("the error", "" if error is None else told(error))
        leaks = seen.leaks(self.secrets)
        assert not leaks, f"say what was refused without the secret: {'; '.join(leaks)}"

    def test_pickle_holds_no_secret(self, subject: Subject) -> None:
        """A credential that holds a secret or a token cannot be pickled: TypeError."""
        credential = subject.build()
        token = subject.use(credential, subject.token)

        try:
            data = pickle.dumps(credential)
        except (TypeError, AttributeError, pickle.PicklingError):
            return

        held = [number for number, secret in enumerate([token.token, *self.secrets]) if secret.encode() in data]
        assert not held, "a pickle of the credential holds a secret or token; raise TypeError in __reduce__"

    def test_closing_twice_is_fine(self, subject: Subject) -> None:
        """A credential can be closed twice, and leaves the host's transport open: others use it as well."""

        async def work(credential: Any) -> None:
            await subject.token(credential)
            await close(credential)
            with hint("close: it was called for the second time; let that be fine"):
                await close(credential)

        run(work(subject.build()), clock=subject.clock)

        assert not subject.transport.closed, "close: leave host.transport open; who made the host closes it"

    def test_works_in_one_event_loop_after_another(self, subject: Subject) -> None:
        """A credential serves successive ``asyncio.run`` calls, days apart, and after it was closed."""
        credential = subject.build()
        run(subject.token(credential), clock=subject.clock)
        subject.clock.advance(_LATER_SECONDS)

        with hint("this was the second event loop; keep nothing that belongs to a loop"):
            subject.use(credential, subject.token)

        if self.works_after_close:
            subject.clock.advance(_LATER_SECONDS)
            with hint("it was closed before; open again what is needed, or set works_after_close = False"):
                subject.use(credential, subject.token)
