"""Waiting on asyncio and on trio by their own means."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import anyio
import pytest
import trio

from asgi_middleware._core.waiting import let_others_run, new_event, on_asyncio, time_limit

pytestmark = pytest.mark.anyio


class TestTimeLimit:
    """A time limit."""

    async def test_ends_a_wait(self) -> None:
        """Whoever waits longer gets a TimeoutError."""
        with pytest.raises(TimeoutError):
            async with time_limit(0.01):
                await anyio.sleep_forever()

    async def test_leaves_others_alone(self) -> None:
        """Who is done in time notices nothing, neither then nor later."""
        async with time_limit(0.05):
            await let_others_run()
        await anyio.sleep(0.1)

    async def test_lets_exceptions_through(self) -> None:
        """What is raised in it comes out as it is."""
        error = ValueError("mine")
        with pytest.raises(ValueError, match="mine") as caught:
            async with time_limit(5):
                raise error
        assert caught.value is error

    async def test_lets_a_cancellation_through(self) -> None:
        """A cancellation from outside is no time-out."""
        with anyio.CancelScope() as scope:
            async with time_limit(5):
                scope.cancel()
                await anyio.sleep_forever()
            pytest.fail("the cancellation is lost")
        assert scope.cancelled_caught

    async def test_an_outer_one_ends_first(self) -> None:
        """The shorter one of two limits counts, wherever it stands."""
        with pytest.raises(TimeoutError):
            async with time_limit(0.02), time_limit(5):
                await anyio.sleep_forever()

    async def test_an_inner_one_ends_first(self) -> None:
        """One that has ended leaves the one around it as it was."""
        async with time_limit(5):
            with pytest.raises(TimeoutError):
                async with time_limit(0.02):
                    await anyio.sleep_forever()


async def test_an_event_wakes_who_waits() -> None:
    """It happens once, and stays so."""
    event = new_event()
    woken: list[int] = []

    async def waiter() -> None:
        await event.wait()
        woken.append(1)

    async with anyio.create_task_group() as group:
        group.start_soon(waiter)
        await anyio.sleep(0.01)
        assert not event.is_set()
        assert not woken
        event.set()
    assert event.is_set()
    assert woken == [1]


async def test_others_run_in_a_turn() -> None:
    """Another task gets on while this one lets it."""
    ran: list[int] = []

    async def other() -> None:
        ran.append(1)

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        for _ in range(3):  # whose turn it is first, trio leaves to chance
            await let_others_run()
        assert ran == [1]


def test_a_guest_of_asyncio_is_trio() -> None:
    """A trio run inside of asyncio's event loop waits by trio's means."""
    found: list[Any] = []

    async def guest() -> None:
        found.append(on_asyncio())
        with pytest.raises(TimeoutError):
            async with time_limit(0.01):
                await trio.sleep_forever()
        await let_others_run()
        found.append(type(new_event()))

    async def host() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def end(outcome: Any) -> None:
            found.append(outcome)
            done.set()

        trio.lowlevel.start_guest_run(
            guest,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=end,
            host_uses_signal_set_wakeup_fd=True,
        )
        await asyncio.wait_for(done.wait(), 10)
        assert on_asyncio()

    asyncio.run(host())
    found[-1].unwrap()
    assert found[:2] == [False, trio.Event]


def test_outside_of_any_loop() -> None:
    """Where nothing runs, asyncio does not."""
    assert on_asyncio() is False


SERVES = """
import asyncio, sys, zlib
from asgi_middleware import CompressionMiddleware, DecompressionMiddleware, RequestBodyLimitMiddleware

async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"x" * 3_000_000})

async def ask(app, body, *headers):
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in body]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "http_version": "1.1", "headers": list(headers)}
    await app(scope, receive, send)
    return sent[0]["status"]

async def main():
    length = (b"content-length", b"2000")
    limited = RequestBodyLimitMiddleware(app, max_body_size=1000)
    assert await ask(limited, [b"x" * 1000] * 2, length) == 413
    inflated = DecompressionMiddleware(app)
    assert await ask(inflated, [b"no gzip"] * 5, (b"content-encoding", b"gzip"), length) == 400
    large = zlib.compress(bytes(5_000_000))
    assert await ask(inflated, [large], (b"content-encoding", b"deflate")) == 200
    assert await ask(CompressionMiddleware(app), [], (b"accept-encoding", b"gzip")) == 200

asyncio.run(main())
print(*sorted({"anyio", "trio"} & set(sys.modules)))
"""


def test_nothing_is_loaded_while_requests_are_served() -> None:
    """On asyncio no refusal and no work in a thread loads what would hold the event loop for 50 ms."""
    result = subprocess.run([sys.executable, "-c", SERVES], capture_output=True, text=True, timeout=50, check=True)
    assert result.stdout.strip() == ""
