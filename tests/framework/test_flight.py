"""Single flight: one piece of work for all who want it, and nobody's trouble is another's."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from credchain.flight import Flight


class Work:
    """Work that can be held up, counts its runs, and says whether it was cancelled."""

    def __init__(self, result: object = "done", *, held: bool = True) -> None:
        self.runs = 0
        self.cancelled = 0
        self.result = result
        self.gate = asyncio.Event()
        if not held:
            self.gate.set()

    async def __call__(self) -> object:
        self.runs += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_one_run_serves_all_waiters() -> None:
    """A thousand callers of one key get the result of one run."""

    async def main() -> None:
        flight: Flight[object] = Flight()
        work = Work()
        callers = [asyncio.create_task(flight.run("key", work)) for _ in range(1000)]
        await _settle()

        work.gate.set()
        results = await asyncio.gather(*callers)

        assert results == ["done"] * 1000
        assert work.runs == 1

    asyncio.run(main())


def test_keys_do_not_wait_for_each_other() -> None:
    """Another key is other work."""

    async def main() -> None:
        flight: Flight[object] = Flight()
        held, free = Work(), Work("free", held=False)
        waiting = asyncio.create_task(flight.run("held", held))
        await _settle()

        assert await flight.run("free", free) == "free"

        held.gate.set()
        await waiting

    asyncio.run(main())


def test_error_is_shared() -> None:
    """Fifty waiters on failing work get its error, and the work was done once."""

    async def main() -> None:
        flight: Flight[object] = Flight()
        work = Work(LookupError("nothing there"), held=False)

        results = await asyncio.gather(*(flight.run("key", work) for _ in range(50)), return_exceptions=True)

        assert {str(result) for result in results} == {"nothing there"}
        assert work.runs == 1

    asyncio.run(main())


def test_next_call_after_the_end_is_new_work() -> None:
    """A flight remembers nothing: caching is somebody else's job."""

    async def main() -> None:
        flight: Flight[object] = Flight()
        work = Work(held=False)

        await flight.run("key", work)
        await flight.run("key", work)

        assert work.runs == 2

    asyncio.run(main())


def test_cancelled_leader_leaves_the_work_to_the_others() -> None:
    """The caller who started the work may go: those who joined are served by the same run."""

    async def main() -> None:
        flight: Flight[object] = Flight()
        work = Work()
        leader = asyncio.create_task(flight.run("key", work))
        follower = asyncio.create_task(flight.run("key", work))
        await _settle()

        leader.cancel()
        await _settle()
        work.gate.set()

        assert await follower == "done"
        assert leader.cancelled()
        assert (work.runs, work.cancelled) == (1, 0)

    asyncio.run(main())


def test_last_cancelled_waiter_cancels_the_work() -> None:
    """When nobody waits any more, the work ends, and the next caller starts anew."""

    async def main() -> None:
        flight: Flight[object] = Flight()
        work = Work()
        callers = [asyncio.create_task(flight.run("key", work)) for _ in range(3)]
        await _settle()

        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
        again = asyncio.create_task(flight.run("key", work))
        await _settle()

        assert work.cancelled == 1
        work.gate.set()
        assert await again == "done"
        assert work.runs == 2

    asyncio.run(main())


def test_background_work_goes_on_without_waiters() -> None:
    """Work that nobody waits for is done all the same, and a caller may join and leave it."""

    async def main() -> None:
        flight: Flight[object] = Flight()
        work = Work()

        assert flight.start("key", work)
        await _settle()
        assert not flight.start("key", work)
        guest = asyncio.create_task(flight.run("key", work))
        await _settle()
        guest.cancel()
        await asyncio.wait([guest])

        assert (work.runs, work.cancelled) == (1, 0)
        work.gate.set()
        await _settle()

    asyncio.run(main())


def test_work_sees_nothing_of_its_callers_context() -> None:
    """A context variable of the caller who happens to be first does not reach work that is everybody's."""
    variable = contextvars.ContextVar("variable", default="empty")

    async def main() -> str:
        flight: Flight[str] = Flight()

        async def work() -> str:
            return variable.get()

        variable.set("the caller's")
        return await flight.run("key", work)

    assert asyncio.run(main()) == "empty"


def test_close_ends_what_is_under_way() -> None:
    """After close no task of the flight is left; a caller who still waits starts over."""

    async def main() -> None:
        flight: Flight[object] = Flight()
        work = Work()
        flight.start("key", work)
        await _settle()

        await flight.close()

        assert work.cancelled == 1
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_close_is_quick_when_there_is_nothing() -> None:
    """Closing twice, or before any work, is fine."""

    async def main() -> None:
        flight: Flight[object] = Flight()

        await flight.close()
        await flight.close()

    asyncio.run(main())


def test_work_cancelled_before_its_first_step_is_done_again() -> None:
    """A task that is cancelled before it ever ran leaves no caller hanging."""

    async def main() -> None:
        flight: Flight[object] = Flight()
        work = Work(held=False)
        caller = asyncio.create_task(flight.run("key", work))
        await asyncio.sleep(0)

        for task in asyncio.all_tasks():
            if task.get_name().startswith("credchain"):
                task.cancel()

        assert await asyncio.wait_for(caller, 5) == "done"

    asyncio.run(main())


def _in_thread(main: object, results: list[object]) -> threading.Thread:
    def target() -> None:
        results.append(asyncio.run(main()))  # type: ignore[operator]

    thread = threading.Thread(target=target)
    thread.start()
    return thread


@pytest.mark.parametrize("failing", [False, True], ids=["result", "error"])
def test_loops_in_four_threads_share_one_run(failing: bool) -> None:
    """Callers of other threads' loops get the same result, or the same error."""
    flight: Flight[object] = Flight()
    runs: list[str] = []
    everybody = threading.Barrier(4)

    async def work() -> object:
        runs.append(threading.current_thread().name)
        await asyncio.to_thread(everybody.wait, 20)
        if failing:
            raise LookupError("nothing there")
        return "done"

    async def main() -> object:
        calls = [asyncio.create_task(flight.run("key", work)) for _ in range(10)]
        await _settle()
        if threading.current_thread().name != (runs or [""])[0]:
            await asyncio.to_thread(everybody.wait, 20)
        return [str(result) for result in await asyncio.gather(*calls, return_exceptions=True)]

    results: list[object] = []
    threads = [_in_thread(main, results) for _ in range(4)]
    for thread in threads:
        thread.join(30)

    assert len(runs) == 1
    assert results == [["nothing there" if failing else "done"] * 10] * 4


def test_waiters_outlive_the_loop_that_did_the_work() -> None:
    """When the loop that works ends, a caller in another loop does the work itself."""
    flight: Flight[object] = Flight()
    started, joined = threading.Event(), threading.Event()

    async def endless() -> object:
        started.set()
        await asyncio.Event().wait()
        return None

    async def quick() -> object:
        return "by the second"

    async def first() -> None:
        flight.start("key", endless)
        await asyncio.to_thread(joined.wait, 20)

    async def second() -> object:
        await asyncio.to_thread(started.wait, 20)
        call = asyncio.create_task(flight.run("key", quick))
        await _settle()
        joined.set()
        return await asyncio.wait_for(call, 20)

    results: list[object] = []
    threads = [_in_thread(first, results), _in_thread(second, results)]
    for thread in threads:
        thread.join(30)

    assert "by the second" in results


def test_loop_that_stopped_for_good_is_not_waited_for() -> None:
    """A call whose loop is not running any more counts as gone."""
    flight: Flight[object] = Flight()
    stopped = asyncio.new_event_loop()
    work = Work

    async def begin() -> None:
        flight.start("key", work())

    stopped.run_until_complete(begin())

    async def main() -> object:
        return await asyncio.wait_for(flight.run("key", Work("anew", held=False)), 5)

    assert asyncio.run(main()) == "anew"
    for task in asyncio.all_tasks(stopped):
        task.cancel()
    stopped.run_until_complete(asyncio.sleep(0.01))
    stopped.close()
