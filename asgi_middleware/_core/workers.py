"""CPU-heavy or blocking work in a thread, on asyncio and on trio.

On asyncio the loop's own ``run_in_executor`` does it; on trio, which has no executor, its own thread runner. Either way
the pool bounds the threads.
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakSet

from asgi_middleware._core.waiting import on_asyncio

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio import CapacityLimiter
    from trio.lowlevel import RunVar

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
        self._limiter: RunVar[CapacityLimiter | None] | None = None
        _pools.add(self)

    async def run(self, func: Callable[..., _Result], *args: object) -> _Result:
        """Call ``func(*args)`` in a thread, in a copy of the caller's context; its result or exception comes back."""
        if not on_asyncio():
            return await self._run_on_trio(func, *args)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads(), copy_context().run, func, *args)

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._max_threads, thread_name_prefix=self._name)
            return self._executor

    async def _run_on_trio(self, func: Callable[..., _Result], *args: object) -> _Result:
        from trio import CapacityLimiter, to_thread  # noqa: PLC0415 -- who runs on it has imported it
        from trio.lowlevel import RunVar  # noqa: PLC0415 -- as above

        with self._lock:
            if self._limiter is None:
                self._limiter = RunVar(self._name, None)  # a limiter belongs to one event loop
        limiter = self._limiter.get()
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
