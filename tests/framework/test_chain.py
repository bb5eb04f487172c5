"""The law of the chain: unavailable, go on; a token, return it; anything else, stop and tell everything."""

from __future__ import annotations

import asyncio
import logging
import pickle
import random
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from azure.core.credentials import AccessToken as CoreToken
from azure.core.credentials import AccessTokenInfo as CoreInfo
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from hypothesis import given, settings
from hypothesis import strategies as st

from credchain.attempts import Outcome
from credchain.chain import ChainedTokenCredential
from credchain.errors import (
    AuthenticationFailedError,
    ChainStoppedError,
    ChainUnavailableError,
    CredentialUnavailableError,
    TransportError,
)
from credchain.events import AttemptFinished, AttemptStarted, SourceSelected
from credchain.host import Host
from credchain.links import Link
from credchain.testing import FakeClock, FakeTransport, StaticCredential, run
from credchain.tokens import TokenRequest
from credchain.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Mapping

SCOPE = "https://vault.azure.net/.default"


class Member:
    """A plain object with get_token, which answers as it is told."""

    def __init__(self, answer: str | Exception, *, delay: float = 0.0) -> None:
        self.answer = answer
        self.delay = delay
        self.calls: list[dict[str, Any]] = []

    async def get_token(self, *scopes: str, **options: Any) -> CoreToken:
        self.calls.append({"scopes": scopes, **options})
        await asyncio.sleep(self.delay)
        if isinstance(self.answer, Exception):
            raise self.answer
        return CoreToken(self.answer, 4_000_000_000)


class Detecting(Member):
    """A member that is asked first whether it applies."""

    variables = ("PLACE",)

    def __init__(
        self, answer: str | Exception, *, applies: bool = True, probe: float = 0.0, delay: float = 0.0
    ) -> None:
        super().__init__(answer, delay=delay)
        self.applies = applies
        self.probe = probe
        self.probes = 0

    async def detect(self) -> None:
        self.probes += 1
        await asyncio.sleep(self.probe)
        if not self.applies:
            raise CredentialUnavailableError("nothing there")


def absent(why: str = "not here") -> CredentialUnavailableError:
    return CredentialUnavailableError(why)


def failed() -> AuthenticationFailedError:
    return AuthenticationFailedError(
        "the service said no",
        error="invalid_client",
        error_codes=(7000215,),
        correlation_id="c-1",
        trace_id="t-1",
        claims="{}",
        retry_after=3.0,
        http_status=401,
    )


def chain(
    clock: FakeClock, *members: object, environment: Mapping[str, str] | None = None, timeout: float | None = None
) -> ChainedTokenCredential:
    host = Host(
        transport=FakeTransport(),
        clock=clock,
        random=random.Random(1),
        environment={} if environment is None else environment,
    )
    return ChainedTokenCredential(*members, host=host, timeout=timeout)


def test_first_token_wins_and_later_sources_are_not_asked(fake_clock: FakeClock) -> None:
    """A token: return it."""
    members = Member(absent()), Member("second"), Member("third")
    credential = chain(fake_clock, *members)

    token = run(credential.get_token(SCOPE), clock=fake_clock)

    assert token.token == "second"
    assert credential.selected == "Member"
    assert [attempt.outcome for attempt in credential.attempts] == [Outcome.UNAVAILABLE, Outcome.TOKEN]
    assert not members[2].calls


def test_failure_stops_the_chain(fake_clock: FakeClock) -> None:
    """Anything else: stop, and tell every attempt, as text and as data."""
    members = Member(absent("no variables")), Member(failed()), Member("third")
    credential = chain(fake_clock, *members)

    with pytest.raises(ChainStoppedError) as caught:
        run(credential.get_token(SCOPE), clock=fake_clock)

    error = caught.value
    assert [(one.source, one.outcome) for one in error.attempts] == [
        ("Member", Outcome.UNAVAILABLE),
        ("Member", Outcome.FAILED),
    ]
    assert "no variables" in error.message
    assert "the service said no" in error.message
    assert error.error_codes == (7000215,)
    assert (error.error, error.correlation_id, error.trace_id, error.claims, error.retry_after, error.http_status) == (
        "invalid_client",
        "c-1",
        "t-1",
        "{}",
        3.0,
        401,
    )
    assert not members[2].calls


def test_all_unavailable_is_unavailable(fake_clock: FakeClock) -> None:
    """The error is of the kind that lets an outer chain go on, and lists each attempt."""
    credential = chain(fake_clock, Member(absent("reason one")), Member(absent("reason two")))

    with pytest.raises(CredentialUnavailableError) as caught:
        run(credential.get_token(SCOPE), clock=fake_clock)

    assert isinstance(caught.value, ChainUnavailableError)
    assert isinstance(caught.value, ClientAuthenticationError)
    assert "reason one" in caught.value.message
    assert "reason two" in caught.value.message
    assert len(caught.value.attempts) == 2


def test_chains_nest(fake_clock: FakeClock) -> None:
    """A chain of unavailable sources inside another chain is passed over; a failed one stops the outer chain too."""
    passed_over = chain(fake_clock, chain(fake_clock, Member(absent())), Member("outer"))
    stopped = chain(fake_clock, chain(fake_clock, Member(failed())), Member("outer"))

    assert run(passed_over.get_token(SCOPE), clock=fake_clock).token == "outer"
    with pytest.raises(ChainStoppedError):
        run(stopped.get_token(SCOPE), clock=fake_clock)


def test_foreign_unavailability_is_recognised(fake_clock: FakeClock) -> None:
    """azure-identity's exception lets the chain go on, although its package is not imported."""
    foreign = type("CredentialUnavailableError", (ClientAuthenticationError,), {})
    credential = chain(fake_clock, Member(foreign(message="not here")), Member("second"))

    assert run(credential.get_token(SCOPE), clock=fake_clock).token == "second"


def test_foreign_outage_stops_the_chain(fake_clock: FakeClock) -> None:
    """Whatever of azure-core's errors a member raises, the chain stops with the attempts."""
    credential = chain(fake_clock, Member(absent("first")), Member(ServiceRequestError("no connection")), Member("x"))

    with pytest.raises(ChainStoppedError, match="no connection") as caught:
        run(credential.get_token(SCOPE), clock=fake_clock)

    assert len(caught.value.attempts) == 2


def test_winner_is_asked_first_from_then_on(fake_clock: FakeClock) -> None:
    """Sources that did not apply are not asked again while the winner gives tokens."""
    first, second = Member(absent()), Member("second")
    credential = chain(fake_clock, first, second)

    run(credential.get_token(SCOPE), clock=fake_clock)
    run(credential.get_token(SCOPE), clock=fake_clock)

    assert (len(first.calls), len(second.calls)) == (1, 2)


def test_winner_that_becomes_unavailable_is_replaced(fake_clock: FakeClock) -> None:
    """The other sources are then asked in order."""
    first, second = Member(absent()), Member("second")
    credential = chain(fake_clock, first, second)
    run(credential.get_token(SCOPE), clock=fake_clock)
    first.answer, second.answer = "first", absent()

    token = run(credential.get_token(SCOPE), clock=fake_clock)

    assert token.token == "first"
    assert credential.attempts[0].outcome is Outcome.UNAVAILABLE


def test_programming_error_is_not_taken_for_an_answer(fake_clock: FakeClock) -> None:
    """A bug looks like a bug: the exception passes as it is, with a note on where it came from."""
    credential = chain(fake_clock, Member(absent("first reason")), Member(ZeroDivisionError("a bug")), Member("third"))

    with pytest.raises(ZeroDivisionError) as caught:
        run(credential.get_token(SCOPE), clock=fake_clock)

    assert "first reason" in caught.value.__notes__[0]


def test_options_are_passed_on(fake_clock: FakeClock) -> None:
    """Claims, tenant and CAE reach the member; what was not given is not passed."""
    member = Member("token")
    credential = chain(fake_clock, member)

    run(credential.get_token(SCOPE, claims="{}", tenant_id="t", enable_cae=True), clock=fake_clock)
    run(credential.get_token(SCOPE, claims=None, tenant_id=None), clock=fake_clock)

    assert member.calls == [
        {"scopes": (SCOPE,), "claims": "{}", "tenant_id": "t", "enable_cae": True},
        {"scopes": (SCOPE,)},
    ]


def test_members_with_get_token_info_alone(fake_clock: FakeClock) -> None:
    """Such members get the options as options, and serve both of the chain's methods."""

    class Infos:
        options: Any = None

        async def get_token_info(self, *_scopes: str, options: Any = None) -> CoreInfo:
            self.options = options
            return CoreInfo("info", 4_000_000_000, token_type="pop", refresh_on=3_999_999_000)

    member = Infos()
    credential = chain(fake_clock, member)

    token = run(credential.get_token(SCOPE, tenant_id="t"), clock=fake_clock)
    info = run(credential.get_token_info(SCOPE, options={"claims": "{}"}), clock=fake_clock)

    assert token.token == "info"
    assert (info.token_type, info.refresh_on) == ("pop", 3_999_999_000)
    assert member.options == {"claims": "{}"}


def test_many_callers_walk_once(fake_clock: FakeClock) -> None:
    """A thousand first calls ask each source once."""

    async def main() -> list[CoreToken]:
        return await asyncio.gather(*(credential.get_token(SCOPE) for _ in range(1000)))

    members = Member(absent(), delay=0.1), Member("token", delay=0.1)
    credential = chain(fake_clock, *members)

    tokens = run(main(), clock=fake_clock)

    assert {token.token for token in tokens} == {"token"}
    assert [len(member.calls) for member in members] == [1, 1]


def test_selection_is_told_once(fake_clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """One INFO record when the source is found, none on later calls; observers hear each attempt."""
    events: list[object] = []
    caplog.set_level(logging.INFO)
    host = Host(transport=FakeTransport(), clock=fake_clock, emit=events.append)
    credential = ChainedTokenCredential(Member(absent()), Member("token"), host=host)

    run(credential.get_token(SCOPE), clock=fake_clock)
    run(credential.get_token(SCOPE), clock=fake_clock)

    infos = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert len(infos) == 1
    assert infos[0].startswith("selected the source Member after")
    attempt = [AttemptStarted, AttemptFinished]
    assert [type(event) for event in events] == [*attempt, *attempt, SourceSelected, *attempt]


def test_absence_is_remembered(fake_clock: FakeClock) -> None:
    """A source whose probe found nothing is not probed again for half a minute or so."""
    probing = Detecting("never", applies=False, probe=1.0)
    credential = chain(fake_clock, probing, Member(absent()))

    async def main() -> tuple[float, float]:
        took = []
        for _ in range(2):
            began = fake_clock.monotonic()
            with pytest.raises(ChainUnavailableError):
                await credential.get_token(SCOPE)
            took.append(fake_clock.monotonic() - began)
        return took[0], took[1]

    first, second = run(main(), clock=fake_clock)

    assert first == pytest.approx(1.0, abs=0.1)
    assert second == 0.0
    assert probing.probes == 1
    assert "as found before" in credential.attempts[0].reason


def test_remembered_absence_ends(fake_clock: FakeClock) -> None:
    """After 30 s (give or take a quarter) the source is asked again; each time the memory doubles, up to 300 s."""
    probing = Detecting("never", applies=False)
    credential = chain(fake_clock, probing, Member(absent()))

    async def ask() -> None:
        with pytest.raises(ChainUnavailableError):
            await credential.get_token(SCOPE)

    gaps = []
    for _ in range(6):
        run(ask(), clock=fake_clock)
        count, gap = probing.probes, 0
        while probing.probes == count:
            fake_clock.advance(1)
            gap += 1
            run(ask(), clock=fake_clock)
        gaps.append(gap)

    assert 22 <= gaps[0] <= 38
    assert 45 <= gaps[1] <= 76
    assert 224 <= gaps[-1] <= 301


@pytest.mark.parametrize("how", ["reset", "variable"])
def test_remembered_absence_can_be_ended(fake_clock: FakeClock, how: str) -> None:
    """By reset(), and by a change of the environment variables that the source reads."""
    environment: dict[str, str] = {}
    probing = Detecting("token", applies=False)
    credential = chain(fake_clock, probing, Member(absent()), environment=environment)
    with pytest.raises(ChainUnavailableError):
        run(credential.get_token(SCOPE), clock=fake_clock)
    probing.applies = True

    if how == "reset":
        credential.reset()
    else:
        environment["PLACE"] = "here"

    assert run(credential.get_token(SCOPE), clock=fake_clock).token == "token"


def test_only_source_is_not_asked_whether_it_applies(fake_clock: FakeClock) -> None:
    """Alone, a source gets no probe and no deadline, and nothing is remembered against it."""
    alone = Detecting("token", applies=False, delay=60.0)
    credential = chain(fake_clock, alone)

    assert run(credential.get_token(SCOPE), clock=fake_clock).token == "token"
    assert alone.probes == 0


def test_detections_run_side_by_side(fake_clock: FakeClock) -> None:
    """Three silent sources cost little more than one."""
    probing = [Detecting("never", applies=False, probe=1.0) for _ in range(3)]
    credential = chain(fake_clock, *probing)
    began = fake_clock.monotonic()

    with pytest.raises(ChainUnavailableError):
        run(credential.get_token(SCOPE), clock=fake_clock)

    assert fake_clock.monotonic() - began == pytest.approx(1.1, abs=0.06)
    assert [member.probes for member in probing] == [1, 1, 1]


def test_quick_detection_starts_no_other(fake_clock: FakeClock) -> None:
    """A source that tells within 50 ms is the only one asked, so later ones are not even opened."""
    quick, later = Detecting("token", probe=0.01), Detecting("other")
    credential = chain(fake_clock, quick, later)

    run(credential.get_token(SCOPE), clock=fake_clock)

    assert later.probes == 0


def test_silent_detection_is_given_up(fake_clock: FakeClock) -> None:
    """A source that never tells whether it applies is passed over after ten seconds."""
    credential = chain(fake_clock, Detecting("never", probe=1e6), Member("second"))
    began = fake_clock.monotonic()

    token = run(credential.get_token(SCOPE), clock=fake_clock)

    assert token.token == "second"
    assert fake_clock.monotonic() - began == pytest.approx(10, abs=0.2)


def test_source_that_applies_and_does_not_answer_stops_the_chain(fake_clock: FakeClock) -> None:
    """Ten seconds in a chain, then a failure: going on could hand out another identity."""
    credential = chain(fake_clock, Detecting("late", delay=1e6), Member("second"))
    began = fake_clock.monotonic()

    with pytest.raises(ChainStoppedError, match="no token within 10 s") as caught:
        run(credential.get_token(SCOPE), clock=fake_clock)

    assert isinstance(caught.value.__cause__, TransportError)
    assert fake_clock.monotonic() - began == pytest.approx(10, abs=0.2)


def test_chain_has_a_deadline_of_its_own(fake_clock: FakeClock) -> None:
    """timeout= is for all sources together, and the error says where the chain stood."""
    credential = chain(fake_clock, Member(absent(), delay=2.0), Member("late", delay=60.0), timeout=5.0)
    began = fake_clock.monotonic()

    with pytest.raises(ChainStoppedError, match="within the chain's 5 s") as caught:
        run(credential.get_token(SCOPE), clock=fake_clock)

    assert len(caught.value.attempts) == 2
    assert fake_clock.monotonic() - began == pytest.approx(5, abs=0.1)


def test_nothing_is_left_running(fake_clock: FakeClock) -> None:
    """Detections that were not needed end with the walk."""

    async def main() -> int:
        slow = Detecting("never", probe=1e6)
        credential = chain(fake_clock, Detecting("token", probe=0.2), slow)
        await credential.get_token(SCOPE)
        assert slow.probes == 1
        return len(asyncio.all_tasks())

    assert run(main(), clock=fake_clock) == 1


def test_outer_cancellation_leaves_the_other_callers_their_walk(fake_clock: FakeClock) -> None:
    """A caller who gives up does not end the walk that others wait for."""

    async def main() -> str:
        credential = chain(fake_clock, Member("token", delay=1.0))
        leaving = asyncio.create_task(credential.get_token(SCOPE))
        staying = asyncio.create_task(credential.get_token(SCOPE))
        await asyncio.sleep(0.5)
        leaving.cancel()
        return (await staying).token

    assert run(main(), clock=fake_clock) == "token"


@attrs.frozen
class Plan:
    """How one source behaves."""

    outcome: str
    probe: float
    delay: float


plans = st.lists(
    st.builds(
        Plan,
        outcome=st.sampled_from(["absent", "denied", "token", "failed"]),
        probe=st.floats(0, 2),
        delay=st.floats(0, 5),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=80, deadline=None)
@given(plans)
def test_winner_depends_on_the_order_alone(sources: list[Plan]) -> None:
    """Whatever the delays, the first source in order that is not unavailable decides."""
    clock = FakeClock()
    members = []
    for number, source in enumerate(sources):
        answer: str | Exception = f"token-{number}"
        if source.outcome == "failed":
            answer = AuthenticationFailedError(f"failed-{number}")
        if source.outcome == "denied":
            answer = absent()
        members.append(Detecting(answer, applies=source.outcome != "absent", probe=source.probe, delay=source.delay))
    if len(members) == 1 and sources[0].outcome == "absent":
        members[0].answer = absent()
    decisive = [number for number, source in enumerate(sources) if source.outcome in ("token", "failed")]

    try:
        result = run(chain(clock, *members).get_token(SCOPE), clock=clock).token
    except ChainStoppedError as error:
        result = str(error.__cause__)
    except ChainUnavailableError:
        result = "unavailable"

    if not decisive:
        assert result == "unavailable"
    else:
        number = decisive[0]
        assert result == f"{sources[number].outcome}-{number}"


def test_closing_a_chain_closes_its_members(fake_clock: FakeClock) -> None:
    """Each member that can be closed is; a plain object without close is left alone."""
    member = StaticCredential("token")
    credential = chain(fake_clock, Member(absent()), member)

    async def main() -> None:
        async with credential:
            await credential.get_token(SCOPE)
        await credential.close()

    run(main(), clock=fake_clock)

    assert member.closed == 2


def test_rejected_token_is_passed_down(fake_clock: FakeClock) -> None:
    """A chain hands invalidate to the members that have it."""

    class Rejecting(Member):
        def invalidate(self, token: str) -> bool:
            return token == "known"

    credential = chain(fake_clock, Member(absent()), Rejecting("known"))

    assert credential.invalidate("known")
    assert not credential.invalidate("unknown")


@pytest.mark.parametrize("member", [object(), "text", Member, None], ids=["object", "text", "class", "none"])
def test_members_that_cannot_give_tokens_are_refused(member: object) -> None:
    """At construction, with a sentence."""
    with pytest.raises(TypeError, match="credentials: each needs a method get_token"):
        ChainedTokenCredential(member)


def test_empty_chain_is_refused() -> None:
    """A chain needs a member."""
    with pytest.raises(ValueError, match="at least one credential"):
        ChainedTokenCredential()


def test_unknown_keyword_is_refused() -> None:
    """With the nearest one that exists."""
    with pytest.raises(TypeError, match="'timout'; did you mean 'timeout'"):
        ChainedTokenCredential(Member("token"), timout=3)  # type: ignore[arg-type]


def test_chain_pickles_if_its_members_do() -> None:
    """The copy has the same members and no memory of tokens."""
    copy = pickle.loads(pickle.dumps(ChainedTokenCredential(StaticCredential("token"))))

    assert copy.selected is None
    assert asyncio.run(copy.get_token(SCOPE)).token == "token"


def test_pickled_chain_keeps_its_deadline() -> None:
    """What was asked for at construction holds for the copy too."""
    chained = ChainedTokenCredential(StaticCredential("token"), timeout=5.0)

    copy = pickle.loads(pickle.dumps(chained))

    assert copy._timeout == 5.0


def test_late_source_is_told_with_its_own_time(fake_clock: FakeClock) -> None:
    """Of two members of one class, the attempt is the late one's, and its seconds are those of its own turn."""
    credential = chain(fake_clock, Member(absent(), delay=2.0), Member("late", delay=60.0), timeout=5.0)

    with pytest.raises(ChainStoppedError) as caught:
        run(credential.get_token(SCOPE), clock=fake_clock)

    assert [round(attempt.seconds) for attempt in caught.value.attempts] == [2, 3]


def test_repr_names_the_sources() -> None:
    """And nothing else."""
    assert repr(ChainedTokenCredential(Member("secret"))) == "<ChainedTokenCredential of Member>"


@pytest.mark.parametrize("timeout", [0, -1, "5", float("nan")])
def test_a_deadline_is_a_number_of_seconds(timeout: float) -> None:
    """Anything else is told when the chain is made."""
    with pytest.raises(ValueError, match="^timeout: must be a number of seconds above 0"):
        ChainedTokenCredential(StaticCredential("token"), timeout=timeout)


@pytest.mark.parametrize(("seconds", "loaded"), [(0.8, ["slow"]), (1.5, ["slow", "other"])], ids=["a moment", "long"])
def test_the_next_source_is_loaded_only_if_the_first_takes_long_to_load(
    fake_clock: FakeClock, seconds: float, loaded: list[str]
) -> None:
    """A source that the chain need not reach is not imported; one behind a package that loads for ever is."""
    opened: list[str] = []

    async def slow() -> StaticCredential:
        opened.append("slow")
        await asyncio.sleep(seconds)
        return StaticCredential("from the slow one")

    async def other() -> StaticCredential:
        opened.append("other")
        return StaticCredential("from the other one")

    host = Host(transport=FakeTransport(), clock=fake_clock)

    async def main() -> str:
        walk = Walk([Link("slow", slow), Link("other", other)], None, TokenRequest((SCOPE,)), host)
        _, token = await walk.find()
        await walk.end()
        return str(token.token)

    assert run(main(), clock=fake_clock) == "from the slow one"
    assert opened == loaded
