"""Claims about time, on a machine that others keep busy too."""

from __future__ import annotations

from collections.abc import Callable

TRIES = 5


def least(measure: Callable[[], float], enough: float) -> float:
    """Measure until the result is below ``enough``, a few times at most; give the least.

    What is late by its own fault is late each time; what the machine held up is not.
    """
    found = [measure()]
    while min(found) >= enough and len(found) < TRIES:
        found.append(measure())
    return min(found)
