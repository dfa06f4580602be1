"""Measuring: all subjects of one scenario in turn, round after round, so that a noisy moment hits all alike.

What is reported is the time that a subject *adds* to the bare app, as the median over the rounds of its difference to
the bare app in the same round. Absolute times mean little on a shared machine; ratios within one run do.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from statistics import median, quantiles
from time import process_time_ns
from typing import Any

from benchmarks.scenarios import App, Scenario

BARE = "bare app"


@dataclass(frozen=True)
class Cost:
    """What one subject adds to a request.

    Attributes:
        added_ns: Nanoseconds over the bare app, the median of all rounds.
        spread_ns: The distance between the first and the third quartile.
    """

    added_ns: float
    spread_ns: float


def measure(scenario: Scenario, subjects: Mapping[str, App], *, rounds: int, requests: int) -> dict[str, Cost]:
    """Measure every subject in `scenario`.

    Args:
        scenario: The request and the answer.
        subjects: Wrapped apps by name; the bare app is added here.
        rounds: How often all subjects take their turn.
        requests: How many requests make one turn.
    """
    apps = {BARE: scenario.app(), **subjects}
    request = scenario.request()
    for app in apps.values():
        _turn(request, app, requests)
    samples: dict[str, list[float]] = {name: [] for name in apps}
    for _ in range(rounds):
        for name, app in apps.items():
            samples[name].append(_turn(request, app, requests))
    bare = samples.pop(BARE)
    costs = {}
    for name, times in samples.items():
        added = [time - base for time, base in zip(times, bare, strict=True)]
        first, _, third = quantiles(added, n=4)
        costs[name] = Cost(median(added), third - first)
    return costs


def _turn(request: Callable[[App], Coroutine[Any, Any, None]], app: App, requests: int) -> float:
    """Give the CPU nanoseconds of one request, over `requests` of them, without the garbage collector's pauses."""
    gc.collect()
    gc.disable()
    try:
        begun = process_time_ns()
        for _ in range(requests):
            coroutine = request(app)
            try:
                coroutine.send(None)
            except StopIteration:
                continue
            message = "a subject waited for something that this scenario does not give"
            raise RuntimeError(message)
        return (process_time_ns() - begun) / requests
    finally:
        gc.enable()
