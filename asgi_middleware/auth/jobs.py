"""A short job beside a connection, on asyncio and on trio: for what is due while the app is somewhere else.

Nothing of this exists while a connection is idle. A job is started by a deadline, ends by itself within seconds, and is
ended at the latest when its connection ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeAlias

Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
"""What a job does; it raises nothing but a cancellation."""


class Job(Protocol):
    """A job that was started."""

    def cancel(self) -> None:
        """End it."""

    def settle(self, seconds: float) -> Awaitable[None]:
        """Give it `seconds` to end, then cancel it."""


def start(work: Work) -> Job:
    """Start a job on the running event loop; may be called outside of any task."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _TrioJob(work)
    return _AsyncioJob(loop.create_task(work()))


class _AsyncioJob:
    __slots__ = ("_task",)

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def cancel(self) -> None:
        self._task.cancel()

    async def settle(self, seconds: float) -> None:
        try:
            if seconds:
                await asyncio.wait((self._task,), timeout=seconds)
        finally:
            self._task.cancel()


class _TrioJob:
    __slots__ = ("_done", "_scope")

    def __init__(self, work: Work) -> None:
        # Imported only where trio runs: asyncio never needs it.
        import trio  # noqa: PLC0415 -- see above

        self._scope = trio.CancelScope()
        self._done = trio.Event()
        trio.lowlevel.spawn_system_task(self._run, work)

    async def _run(self, work: Work) -> None:
        try:
            with self._scope:
                await work()
        finally:
            self._done.set()

    def cancel(self) -> None:
        self._scope.cancel()

    async def settle(self, seconds: float) -> None:
        import trio  # noqa: PLC0415 -- as above

        try:
            if seconds:
                with trio.move_on_after(seconds):
                    await self._done.wait()
        finally:
            self._scope.cancel()
