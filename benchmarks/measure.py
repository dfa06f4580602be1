"""Measuring: all subjects of one scenario in turn, round after round, so that a noisy moment hits all alike.

What is reported is the time that a subject *adds* to the bare app, as the median over the rounds of its difference to
the bare app in the same round. Absolute times mean little on a shared machine; ratios within one run do.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from statistics import median, quantiles
from time import process_time_ns
from typing import Any

from benchmarks.instructions import COUNTER
from benchmarks.scenarios import App, Exchanged

BARE = "bare app"
Beside = Callable[[App], Sequence[asyncio.Task[None]]]


@dataclass(frozen=True)
class Cost:
    """What one subject adds to a request.

    Attributes:
        added_ns: Nanoseconds over the bare app, the median of all rounds.
        spread_ns: The distance between the first and the third quartile.
        instructions: Instructions over the bare app, the least of all rounds; None where they cannot be counted.
        bare_ns: Nanoseconds of the bare app by itself, the median.
        bare_instructions: Its instructions, the least.
    """

    added_ns: float
    spread_ns: float
    instructions: float | None
    bare_ns: float = 0.0
    bare_instructions: float | None = None


def measure(
    scenario: Exchanged, subjects: Mapping[str, App], *, rounds: int, requests: int, beside: Beside | None = None
) -> dict[str, Cost]:
    """Measure every subject in `scenario`.

    Args:
        scenario: The request and the answer.
        subjects: Wrapped apps by name; the bare app is added here.
        rounds: How often all subjects take their turn.
        requests: How many requests make one turn.
        beside: Is given the app, and makes what goes on beside the requests on the event loop of a turn; what making it
            costs is not counted. Only for scenarios that run on one.
    """
    apps = {BARE: scenario.app(), **subjects}
    request = scenario.request()
    turn = partial(_turn_on_a_loop, beside=beside) if scenario.waits else _turn
    for app in apps.values():
        Context().run(turn, request, app, requests)
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in apps}
    for _ in range(rounds):
        for name, app in apps.items():
            # A context of its own, as a server's task has: some subjects leave variables behind.
            samples[name].append(Context().run(turn, request, app, requests))
    bare = samples.pop(BARE)
    return {name: _cost(turns, bare) for name, turns in samples.items()}


def _cost(turns: list[tuple[float, float]], bare: list[tuple[float, float]]) -> Cost:
    added = [turn[0] - base[0] for turn, base in zip(turns, bare, strict=True)]
    first, _, third = quantiles(added, n=4)
    least, least_bare = min(turn[1] for turn in turns), min(turn[1] for turn in bare)
    bare_ns = median(base[0] for base in bare)
    if not least_bare:
        return Cost(median(added), third - first, None, bare_ns)
    return Cost(median(added), third - first, least - least_bare, bare_ns, least_bare)


def _turn_on_a_loop(
    request: Callable[[App], Coroutine[Any, Any, None]], app: App, requests: int, *, beside: Beside | None
) -> tuple[float, float]:
    """Do as `_turn`, on an event loop: for subjects that make tasks of their own."""

    async def turn() -> tuple[float, float]:
        tasks = beside(app) if beside else ()
        await asyncio.sleep(0)
        try:
            return await requests_alone()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def requests_alone() -> tuple[float, float]:
        counted = COUNTER.read() or 0
        begun = process_time_ns()
        for _ in range(requests):
            await request(app)
        nanoseconds = process_time_ns() - begun
        return nanoseconds / requests, ((COUNTER.read() or 0) - counted) / requests

    gc.collect()
    gc.disable()
    try:
        return asyncio.run(turn())
    finally:
        gc.enable()


def _turn(request: Callable[[App], Coroutine[Any, Any, None]], app: App, requests: int) -> tuple[float, float]:
    """Give the CPU nanoseconds and the instructions of one request, over `requests` of them.

    Without the garbage collector's pauses. The instructions are 0 where they cannot be counted.
    """
    gc.collect()
    gc.disable()
    try:
        counted = COUNTER.read() or 0
        begun = process_time_ns()
        for _ in range(requests):
            coroutine = request(app)
            try:
                coroutine.send(None)
            except StopIteration:
                continue
            message = "a subject waited for something that this scenario does not give"
            raise RuntimeError(message)
        nanoseconds = process_time_ns() - begun
        return nanoseconds / requests, ((COUNTER.read() or 0) - counted) / requests
    finally:
        gc.enable()
