"""Series: the numbers themselves, held in plain memory. No ASGI here, and no prometheus_client.

A request only appends its figures to a list; whoever comes by when the list is long, or when someone reads, folds the
batch into the sums. Facts this module rests on:

- ``list.append`` is one step for every thread, with and without the global interpreter lock. ``+=`` on a number that
  threads share is not, and a lock around it costs more than the append.
- A batch that is sorted needs one search for each bound instead of one for each figure.
- Folding happens under one lock for all series of a registry, so that no batch is taken twice.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

if TYPE_CHECKING:
    from threading import RLock

BATCH: Final = 128
"""How many figures a list holds before they are folded: some 4 KB for each list at most."""


class Exemplar(NamedTuple):
    """One request that fell into a bucket (OpenMetrics 1.0, "Exemplars")."""

    labels: dict[str, str]
    value: float
    timestamp: float


class Snapshot(NamedTuple):
    """What a series holds at one moment.

    Attributes:
        labels: The label values, in the order of the family's labels.
        value: The value of a counter or gauge; the sum of a histogram or summary.
        counts: A histogram's figures by bucket, not added up, the last without bound; a summary's number of figures.
        exemplars: By the position of their bucket.
    """

    labels: tuple[str, ...]
    value: float
    counts: tuple[int, ...]
    exemplars: dict[int, Exemplar]


class Series:
    """One series of one family. Every change and every reading of the numbers happens under the lock.

    Args:
        labels: The label values.
        bounds: A histogram's upper bounds; None for what is none.
        lock: The lock that the series of one registry share.
    """

    __slots__ = ("bounds", "changed", "counts", "exemplars", "labels", "lock", "mirror", "moves", "value")

    def __init__(self, labels: tuple[str, ...], bounds: tuple[float, ...] | None, lock: RLock) -> None:
        self.labels = labels
        self.bounds = bounds
        self.lock = lock
        self.clear()

    def clear(self) -> None:
        """Begin again from zero, as a forked process does."""
        self.value = 0.0
        self.counts = [0] * (1 if self.bounds is None else len(self.bounds) + 1)
        self.exemplars: dict[int, Exemplar] = {}
        self.moves: list[int] = []
        self.changed = False
        self.mirror: Any = None  # what flushing knows of this series' places in the process's files

    def add(self, amount: float = 1) -> None:
        """Add to a counter."""
        with self.lock:
            self.value += amount
            self.changed = True

    def observe(self, figure: float) -> None:
        """Add one figure to a histogram or summary."""
        self.observe_all([figure])

    def observe_all(self, figures: list[float]) -> None:
        """Add figures to a histogram or summary; the list is sorted by it."""
        counts, bounds, number = self.counts, self.bounds, len(figures)
        figures.sort()
        with self.lock:
            self.value += sum(figures)
            self.changed = True
            below = 0
            for position, bound in enumerate(bounds or ()):
                if below == number:
                    return
                upto = bisect_right(figures, bound, below)
                counts[position] += upto - below
                below = upto
            counts[-1] += number - below

    def attach(self, figure: float, labels: dict[str, str], timestamp: float) -> None:
        """Keep an exemplar in the bucket that the figure falls into, in place of the last one there."""
        with self.lock:
            self.exemplars[bisect_left(self.bounds or (), figure)] = Exemplar(labels, figure, timestamp)

    def fold_moves(self) -> None:
        """Add up what came and went since the last time: a gauge's ``moves`` are appended without the lock."""
        with self.lock:
            taken = take(self.moves, self.lock)
            if taken:
                self.value += sum(taken)
                self.changed = True

    def snapshot(self) -> Snapshot:
        """Give what it holds now."""
        with self.lock:
            return Snapshot(self.labels, self.value, tuple(self.counts), self.exemplars.copy())


_Figure = TypeVar("_Figure")


def take(pending: list[_Figure], lock: RLock) -> list[_Figure]:
    """Take what was appended so far, once."""
    with lock:
        taken = pending[:]
        del pending[: len(taken)]  # what another thread appended meanwhile stands behind
        return taken


def cumulate(counts: Sequence[int]) -> list[int]:
    """Add up a histogram's counts: each bucket then holds all that is below it (Prometheus text format)."""
    total = 0
    return [total := total + count for count in counts]
