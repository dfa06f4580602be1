"""Flight: one piece of work under way, awaited by any number of tasks, threads and event loops.

It belongs to none of them: a waiter that is cancelled leaves, and the work goes on. On asyncio and on trio.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextvars import Context
from typing import Any

from asgi_middleware._core.waiting import on_asyncio

# Tasks of this module, held until they end: an event loop itself holds them weakly.
_tasks: set[asyncio.Task[None]] = set()


class Flight:
    """Work that was started once. Its results are left elsewhere: this tells when it has ended."""

    __slots__ = ("_ended", "_lost_at")

    def __init__(self, longest: float) -> None:
        """Begin.

        Args:
            longest: Seconds after which the work counts as lost: an event loop may have died under it.
        """
        self._ended: Future[None] = Future()
        self._lost_at = time.monotonic() + longest

    def is_lost(self) -> bool:
        """Tell whether it has taken longer than it can."""
        return time.monotonic() > self._lost_at

    def end(self) -> None:
        """Wake all who wait."""
        if not self._ended.done():
            self._ended.set_result(None)

    def in_thread(self, work: Callable[[], None]) -> None:
        """Do `work` in a thread that does not hold up the end of the process."""
        threading.Thread(target=work, name="asgi-middleware-keys", daemon=True).start()

    def on_loop(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` on the running event loop, in a task that belongs to no request.

        Raises:
            RuntimeError: No event loop is running in this thread.
        """
        if on_asyncio():
            task = asyncio.get_running_loop().create_task(_finish(work), context=Context())
            _tasks.add(task)
            task.add_done_callback(_tasks.discard)
        else:
            import trio  # noqa: PLC0415 -- no asyncio task is running, so this is trio or nothing

            trio.lowlevel.spawn_system_task(work, context=Context())

    async def wait(self, limit: float) -> None:
        """Wait for its end, `limit` seconds at most."""
        if self._ended.done():
            return
        if on_asyncio():
            await self._wait_on_asyncio(limit)
        else:
            await self._wait_on_trio(limit)

    def wait_blocking(self, timeout: float) -> None:
        """Wait for its end and block this thread meanwhile, `timeout` seconds at most."""
        try:
            self._ended.result(timeout)
        except TimeoutError:
            return

    async def _wait_on_asyncio(self, limit: float) -> None:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not waiter.done():
                waiter.set_result(None)

        self._when_ended(lambda: loop.call_soon_threadsafe(wake))
        try:
            async with asyncio.timeout(limit):
                await waiter
        except TimeoutError:
            return

    async def _wait_on_trio(self, limit: float) -> None:
        import trio  # noqa: PLC0415 -- as above

        token = trio.lowlevel.current_trio_token()
        event = trio.Event()
        self._when_ended(lambda: token.run_sync_soon(event.set))
        with trio.move_on_after(limit):
            await event.wait()

    def _when_ended(self, wake: Callable[[], object]) -> None:
        def call(_: Any) -> None:
            try:
                wake()
            except RuntimeError:
                return  # that event loop has ended, and its waiter with it

        self._ended.add_done_callback(call)


async def _finish(work: Callable[[], Awaitable[None]]) -> None:
    await work()
