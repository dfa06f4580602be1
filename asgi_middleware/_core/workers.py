"""CPU-heavy or blocking work in a thread, on asyncio and on trio.

On asyncio the loop's own ``run_in_executor`` does it, so that anyio need not be imported there; a round trip costs the
same. On trio, which has no executor, anyio's thread runner does it. Either way the pool bounds the threads.
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio import CapacityLimiter
    from anyio.lowlevel import RunVar

_Result = TypeVar("_Result")
_pools: WeakSet[WorkerPool] = WeakSet()


class WorkerPool:
    """A bounded set of threads, started when first needed.

    Cancelling the caller does not stop the thread: whatever the function holds must be given up, not used again.
    A forked child starts with threads of its own, since those of its parent do not come along.
    """

    __slots__ = ("__weakref__", "_executor", "_limiter", "_lock", "_max_threads", "_name")

    def __init__(self, max_threads: int, *, name: str) -> None:
        """Set the bounds; no thread is started yet.

        Args:
            max_threads: The most threads at a time, at least 1.
            name: The threads' name prefix, for debuggers.
        """
        self._max_threads = max_threads
        self._name = name
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._limiter: RunVar[CapacityLimiter] | None = None
        _pools.add(self)

    async def run(self, func: Callable[..., _Result], *args: object) -> _Result:
        """Call ``func(*args)`` in a thread, in a copy of the caller's context; its result or exception comes back."""
        context = copy_context()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return await self._run_elsewhere(context.run, func, *args)
        return await loop.run_in_executor(self._threads(), context.run, func, *args)

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._max_threads, thread_name_prefix=self._name)
            return self._executor

    async def _run_elsewhere(self, func: Callable[..., _Result], *args: object) -> _Result:
        # anyio is imported only where trio runs: asyncio never needs it.
        from anyio import CapacityLimiter, to_thread  # noqa: PLC0415 -- see above
        from anyio.lowlevel import RunVar  # noqa: PLC0415 -- see above

        with self._lock:
            if self._limiter is None:
                self._limiter = RunVar(self._name)  # a limiter belongs to one event loop
        limiter = self._limiter.get(None)
        if limiter is None:
            limiter = CapacityLimiter(self._max_threads)
            self._limiter.set(limiter)
        return await to_thread.run_sync(func, *args, abandon_on_cancel=True, limiter=limiter)

    def _forget_threads(self) -> None:
        self._lock = threading.Lock()
        self._executor = None
        self._limiter = None


def _after_fork() -> None:
    for pool in tuple(_pools):
        pool._forget_threads()  # noqa: SLF001 -- same module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
