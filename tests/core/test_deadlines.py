"""Deadlines: fired in time, stopped, woken from a wait; one timer for each loop, and none when idle."""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio

from asgi_middleware._core import deadlines
from asgi_middleware._core.deadlines import Alarm, Timer, call_after

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tick fast, and find every loop forgotten at the end."""
    monkeypatch.setattr(deadlines, "TICK", 0.002)
    yield
    assert all(not isinstance(loop, asyncio.AbstractEventLoop) or loop.is_closed() for loop in deadlines._wheels)


async def until(condition: Any) -> None:
    """Wait until something holds."""
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110 -- plain values, no events
            await anyio.sleep(0.001)


async def forever() -> Any:
    """Wait for a message that never comes."""
    await anyio.sleep_forever()


class TestTimer:
    async def test_fires_in_order_and_not_early(self) -> None:
        """What is due earlier fires earlier, whatever was started first, and nothing fires before its time."""
        fired: list[tuple[str, bool]] = []
        timers: dict[str, Timer] = {}

        def note(name: str) -> None:
            fired.append((name, deadlines.monotonic() >= timers[name].when))

        for name, seconds in (("third", 0.03), ("first", 0), ("second", 0.015)):
            timers[name] = call_after(seconds, note, name)
        await until(lambda: len(fired) == 3)
        assert fired == [("first", True), ("second", True), ("third", True)]
        assert not timers["first"].started

    async def test_stopped(self) -> None:
        """A stopped timer does not fire, and stopping twice is nothing."""
        fired: list[str] = []
        stopped = call_after(0, fired.append, "stopped")
        call_after(0.01, fired.append, "other")
        stopped.stop()
        stopped.stop()
        assert not stopped.started
        await until(lambda: fired)
        assert fired == ["other"]

    async def test_started_again(self) -> None:
        """Started again, it fires once, at the later moment."""
        fired: list[str] = []
        timer = call_after(0, fired.append, "x")
        timer.start(0.02)
        when = timer.when
        await until(lambda: fired)
        assert deadlines.monotonic() >= when
        await anyio.sleep(0.01)
        assert fired == ["x"]

    async def test_started_again_and_stopped(self) -> None:
        """One that was started twice and then stopped does not fire."""
        fired: list[str] = []
        timer = call_after(0, fired.append, "stopped")
        timer.start(0.01)
        timer.stop()
        call_after(0.02, fired.append, "other")
        await until(lambda: fired)
        assert fired == ["other"]

    async def test_started_from_within(self) -> None:
        """It can start itself again as it fires."""

        class Thrice(Timer):
            __slots__ = ("count",)

            def fire(self) -> None:
                self.count += 1
                if self.count < 3:
                    self.start(0.004)

        timer = Thrice()
        timer.count = 0
        timer.start(0)
        await until(lambda: timer.count == 3)
        assert not timer.started

    async def test_one_stops_another(self) -> None:
        """One that fires may stop another that is due at the same moment."""
        fired: list[int] = []
        timers: list[Timer] = []

        def fire(number: int) -> None:
            fired.append(number)
            timers[1 - number].stop()

        timers += [call_after(0, fire, number) for number in range(2)]
        await until(lambda: fired)
        await anyio.sleep(0.01)
        assert len(fired) == 1

    async def test_far_ahead(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is due beyond the horizon is put off, and fires no earlier for it."""
        monkeypatch.setattr(deadlines, "_HORIZON", 0.005)
        fired: list[str] = []
        timer = call_after(0.03, fired.append, "x")
        await until(lambda: fired)
        assert deadlines.monotonic() >= timer.when

    async def test_few_buckets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """However far ahead and apart things are due, the wheel has no more buckets than ticks to the horizon."""
        monkeypatch.setattr(deadlines, "_HORIZON", 0.02)
        others = set(deadlines._wheels)
        timers = [call_after(10 + seconds, print) for seconds in range(100)]
        [loop] = set(deadlines._wheels) - others
        assert len(deadlines._wheels[loop]) <= 12
        for timer in timers:
            timer.stop()

    async def test_a_look_that_comes_late(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing fires before its time, all within a tick after it, and a late look fires in the order of times."""
        now = 1000.0
        monkeypatch.setattr(deadlines, "TICK", 60.0)  # so that only this test looks
        monkeypatch.setattr(deadlines, "_HORIZON", 1e6)
        monkeypatch.setattr(deadlines, "monotonic", lambda: now)
        others = set(deadlines._wheels)
        fired: list[float] = []
        for seconds in (500.0, 20.0, 300.0, 100.0):
            call_after(seconds, fired.append, seconds)
        [loop] = set(deadlines._wheels) - others
        wheel = deadlines._wheels[loop]
        for seconds, expected in ((19.0, []), (80.0, [20.0]), (600.0, [20.0, 100.0, 300.0, 500.0])):
            now = 1000.0 + seconds
            wheel.tick()
            assert fired == expected
        assert not wheel.tick()
        del deadlines._wheels[loop]

    async def test_one_that_fails(self, caplog: pytest.LogCaptureFixture) -> None:
        """What a function raises is logged, and the others fire."""

        def fail() -> None:
            raise ValueError("from receive")

        fired: list[str] = []
        with caplog.at_level(logging.ERROR, "asgi_middleware"):
            call_after(0, fail)
            call_after(0.01, fired.append, "x")
            await until(lambda: fired)
        assert len(caplog.records) == 1

    async def test_empty_context(self) -> None:
        """It fires in an empty context, and so keeps no request's variables alive."""
        variable: ContextVar[str] = ContextVar("variable", default="none")
        variable.set("a request's")
        seen: list[str] = []
        call_after(0, lambda: seen.append(variable.get()))
        await until(lambda: seen)
        assert seen == ["none"]

    async def test_nothing_runs_when_idle(self) -> None:
        """When the last one is stopped the tick ends, and the loop is forgotten; the next one sets it going again."""
        others = set(deadlines._wheels)  # of loops that ended in other tests
        for _ in range(2):
            timers = [call_after(seconds, print) for seconds in (0.5, 10, 1000)]
            assert len(set(deadlines._wheels) - others) == 1
            for timer in timers:
                timer.stop()
            await until(lambda: not set(deadlines._wheels) - others)

    async def test_many_share_one_tick(self, anyio_backend_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ten thousand make one timer of the loop, or one system task."""
        monkeypatch.setattr(deadlines, "TICK", 60.0)  # so that the count stands still
        if anyio_backend_name == "asyncio":
            loop: Any = asyncio.get_running_loop()
            before = len(loop._scheduled)
            timers = [call_after(5, print) for _ in range(10_000)]
            assert len(loop._scheduled) == before + 1
        else:
            before = trio.lowlevel.current_statistics().tasks_living
            timers = [call_after(5, print) for _ in range(10_000)]
            assert trio.lowlevel.current_statistics().tasks_living == before + 1
        for timer in timers:
            timer.stop()


def test_several_loops() -> None:
    """Each loop has a tick of its own, and one that ends with something started is forgotten by the next."""

    async def start(seconds: float, fired: list[str]) -> None:
        call_after(seconds, fired.append, "x")
        await anyio.sleep(0.01)

    left: list[str] = []
    asyncio.run(start(10, left))
    assert len(deadlines._wheels) == 1
    fired: list[str] = []
    asyncio.run(start(0, fired))
    trio.run(start, 0, fired)
    trio.run(start, 10, left)
    assert fired == ["x", "x"]
    assert left == []
    assert not deadlines._wheels


def test_loops_at_the_same_time() -> None:
    """A loop that sets its tick going leaves those of others alone that have not ended."""

    async def start() -> Timer:
        return call_after(10, print)

    loops = [asyncio.new_event_loop() for _ in range(2)]
    timers = [loop.run_until_complete(start()) for loop in loops]
    assert set(loops) <= set(deadlines._wheels)
    for loop, timer in zip(loops, timers, strict=True):
        timer.stop()
        loop.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_holds_nothing_of_its_parent() -> None:
    """A process that is forked while something is started does not keep it alive: its loop will not tick there."""
    script = """
import asyncio, os
from asgi_middleware._core import deadlines

async def main():
    deadlines.call_after(60, print)
    child = os.fork()
    if not child:
        os._exit(len(deadlines._wheels))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(deadlines._wheels)

print(asyncio.run(main()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "(0, 1)\n"


@pytest.mark.parametrize("rings", [False, True], ids=["cancelled", "cancelled as it rings"])
def test_a_cancellation_of_asyncio_gets_through(rings: bool) -> None:
    """A task that is cancelled while it waits is cancelled, also where the alarm rings at that very moment."""

    async def main() -> None:
        alarm = Alarm()
        task = asyncio.create_task(alarm.wait(forever))
        await asyncio.sleep(0)
        if rings:
            alarm.ring()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_no_cancellation_of_asyncio_is_left_behind() -> None:
    """A task that the alarm woke is not cancelling any more, even if it got a message in spite of that."""

    async def stubborn() -> Any:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return {"type": "late"}

    async def main() -> None:
        for receive in (forever, stubborn):
            alarm = Alarm()
            for _ in range(2):  # ringing again changes nothing
                asyncio.get_running_loop().call_soon(alarm.ring)
            assert await alarm.wait(receive) is None
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0

    asyncio.run(main())


def test_a_wait_of_a_task_that_was_cancelled_before() -> None:
    """A task that has taken a cancellation, and waits while it cleans up, is woken as any other."""

    async def main() -> None:
        alarm = Alarm()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            asyncio.get_running_loop().call_soon(alarm.ring)
            woken.append(await alarm.wait(forever))
            raise

    async def cancel() -> None:
        task = asyncio.create_task(main())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    woken: list[Any] = []
    asyncio.run(cancel())
    assert woken == [None]


class TestAlarm:
    @pytest.mark.parametrize("fails", [False, True])
    async def test_nobody_waits_any_more(self, fails: bool) -> None:
        """An alarm that rings after the wait is over, however it ended, wakes nobody."""
        alarm = Alarm()

        async def receive() -> Any:
            await anyio.lowlevel.checkpoint()
            if fails:
                raise LookupError
            return {"type": "x"}

        with contextlib.suppress(LookupError):
            await alarm.wait(receive)
        alarm.ring()
        await anyio.sleep(0.001)
        assert alarm.rang

    async def test_message_first(self) -> None:
        """Before the alarm the message passes as the same object."""
        message = {"type": "http.request"}

        async def receive() -> Any:
            await anyio.lowlevel.checkpoint()
            return message

        alarm = Alarm()
        alarm.start(60)
        assert await alarm.wait(receive) is message
        alarm.stop()
        assert not alarm.rang

    async def test_wakes(self) -> None:
        """The alarm wakes who waits; who comes later does not wait, and receive is not called."""
        alarm = Alarm()
        alarm.start(0.01)
        with anyio.fail_after(5):
            assert await alarm.wait(forever) is None
            assert await alarm.wait(None) is None  # type: ignore[arg-type]
        assert alarm.rang
        await anyio.lowlevel.checkpoint()  # nothing of the cancellation is left

    async def test_outside_cancellation(self) -> None:
        """A cancellation from elsewhere gets through, alone or together with the alarm."""
        for rings in (False, True):
            alarm = Alarm()
            came_back = False

            async def wait(alarm: Alarm = alarm) -> None:
                nonlocal came_back
                await alarm.wait(forever)
                await anyio.lowlevel.checkpoint()
                came_back = True

            async with anyio.create_task_group() as group:
                group.start_soon(wait)
                await until(lambda alarm=alarm: alarm._waiter is not None)
                group.cancel_scope.cancel()
                if rings:
                    alarm.ring()
            assert not came_back

    async def test_nested(self) -> None:
        """Of two alarms around each other each takes back only its own, in either order."""
        for rings in ((0,), (1,), (0, 1), (1, 0)):
            inner, outer = alarms = Alarm(), Alarm()
            results: list[Any] = []

            async def through(inner: Alarm = inner) -> Any:
                return await inner.wait(forever) or {"type": "http.disconnect"}

            async def wait(outer: Alarm = outer, through: Any = through, results: list[Any] = results) -> None:
                results.append(await outer.wait(through))
                await anyio.lowlevel.checkpoint()

            async with anyio.create_task_group() as group:
                group.start_soon(wait)
                await until(lambda outer=outer, inner=inner: inner._waiter is not None)
                for ring in rings:
                    alarms[ring].ring()
            assert results == [None if 1 in rings else {"type": "http.disconnect"}]

    async def test_stubborn_receive(self) -> None:
        """A receive that gives a message in spite of being woken leaves no cancellation behind."""

        async def receive() -> Any:
            try:
                await anyio.sleep_forever()
            except BaseException:  # noqa: BLE001 -- this is what it does
                return {"type": "http.request"}

        alarm = Alarm()
        alarm.start(0)
        with anyio.fail_after(5):
            assert await alarm.wait(receive) is None
            await anyio.lowlevel.checkpoint()

    async def test_exception_passes(self) -> None:
        """What receive raises passes."""

        async def receive() -> Any:
            raise ValueError("from receive")

        with pytest.raises(ValueError, match="from receive"):
            await Alarm().wait(receive)
