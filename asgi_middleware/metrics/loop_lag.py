"""Event-loop lag: how late a timer runs, one timer for each loop, from start-up to shut-down.

A loop that is kept busy by one handler answers nobody else meanwhile. On asyncio the sampler is a timer that sets
itself again, and no task; on trio, which has no timers, it is one system task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from sys import modules
from typing import Any, Final

INTERVAL_SECONDS: Final = 0.25


def start_sampler(running: set[Any], record: Callable[[float], None]) -> Callable[[], None]:
    """Start to record the lag of the loop that this is called in, unless that is being done; give what stops it.

    Args:
        running: The loops that have a sampler.
        record: Called with each lag in seconds; must not raise.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _start_on_trio(running, record)
    if loop in running:
        return _nothing
    running.add(loop)
    timer: asyncio.TimerHandle

    def sample(expected: float) -> None:
        nonlocal timer
        now = loop.time()
        record(max(now - expected, 0.0))
        timer = loop.call_at(now + INTERVAL_SECONDS, sample, now + INTERVAL_SECONDS)

    first = loop.time() + INTERVAL_SECONDS
    timer = loop.call_at(first, sample, first)

    def stop() -> None:
        running.discard(loop)
        timer.cancel()

    return stop


def _start_on_trio(running: set[Any], record: Callable[[float], None]) -> Callable[[], None]:
    trio = modules.get("trio")
    if trio is None:
        return _nothing
    loop = trio.lowlevel.current_trio_token()
    if loop in running:
        return _nothing
    running.add(loop)
    scope = trio.CancelScope()

    async def sample() -> None:
        with scope:
            while True:
                begun = trio.current_time()
                await trio.sleep(INTERVAL_SECONDS)
                record(max(trio.current_time() - begun - INTERVAL_SECONDS, 0.0))

    trio.lowlevel.spawn_system_task(sample)

    def stop() -> None:
        running.discard(loop)
        scope.cancel()

    return stop


def _nothing() -> None:
    """Stop what was not started."""
