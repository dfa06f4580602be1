"""One metric family: a collector of its own, not a metric of prometheus_client.

The locks and label look-ups of those cost a request more than everything else here does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from prometheus_client import Metric
from prometheus_client.registry import Collector

from asgi_middleware.metrics.definitions import Definition
from asgi_middleware.metrics.labels import OTHER, clean_labels
from asgi_middleware.metrics.series import Series, Snapshot
from asgi_middleware.metrics.table import TableMetric

if TYPE_CHECKING:
    from asgi_middleware.metrics.families import Families

_logger = logging.getLogger("asgi_middleware.metrics")


class Family(Collector):
    """One registered family, its series by label values, and its bound.

    Attributes:
        definition: What it means.
        name: Its name with the namespace, without ``_total``.
        labels: The names of its labels, own ones included.
        bounds: A histogram's upper bounds, without infinity; empty for others.
    """

    def __init__(
        self,
        definition: Definition,
        namespace: str,
        labels: tuple[str, ...],
        bounds: tuple[float, ...],
        owner: Families,
    ) -> None:
        self.definition = definition
        self.help = definition.help
        self.name = f"{namespace}_{definition.name}" if namespace else definition.name
        self.full_name = f"{namespace}_{definition.full_name}" if namespace else definition.full_name
        self.labels = labels
        self.bounds = bounds
        self._owner = owner
        self._lock = owner.lock
        self._series: dict[tuple[str, ...], Series] = {}
        self._overflow: Series | None = None

    def series(self, labels: tuple[str, ...]) -> Series:
        """Give the series of these label values, beyond any bound: for labels that only this library chooses."""
        found = self._series.get(labels)
        return self._make(clean_labels(labels)) if found is None else found

    def admit(self, labels: tuple[str, ...], max_series: int) -> Series:
        """Give the series of these label values; the overflow's beyond `max_series`. Nothing is ever dropped."""
        found = self._series.get(labels)
        if found is not None:
            return found
        labels = clean_labels(labels)
        with self._lock:
            if labels in self._series:
                return self._series[labels]
            # The overflow's own series does not count.
            if len(self._series) - (self._overflow is not None) < max_series:
                return self._make(labels)
            overflow = self._overflow
            if overflow is None:
                overflow = self._overflow = self._make((OTHER,) * len(self.labels))
                first = True
            else:
                first = False
        if first:
            _logger.warning(
                "%s has %d label sets, its max_series; further ones are recorded as %s. The last one was %r",
                self.full_name,
                max_series,
                OTHER,
                labels,
            )
        return overflow

    def add(self, labels: tuple[str, ...], max_series: int) -> None:
        """Count one in the series of these label values, within the bound."""
        series = self.admit(labels, max_series)
        series.add()
        if series is self._overflow:
            self._owner.count_overflow(self, 1)

    def observe(self, labels: tuple[str, ...], max_series: int, figure: float) -> None:
        """Record one figure in the series of these label values, within the bound."""
        series = self.admit(labels, max_series)
        series.observe(figure)
        if series is self._overflow:
            self._owner.count_overflow(self, 1)

    def is_overflow(self, series: Series) -> bool:
        """Tell whether this is the series of all label sets beyond the bound."""
        return series is self._overflow

    def _make(self, labels: tuple[str, ...]) -> Series:
        kind = self.definition.kind
        bounds = {"histogram": self.bounds, "summary": ()}.get(kind)
        with self._lock:
            return self._series.setdefault(labels, Series(labels, bounds, self._lock))

    def take_lock(self, lock: Any) -> None:
        """Use another lock from here on."""
        self._lock = lock
        for series in self._series.values():
            series.lock = lock

    def all_series(self) -> list[Series]:
        """Give every series."""
        with self._lock:
            return list(self._series.values())

    def describe(self) -> Iterator[Metric]:
        """Give the family without its series: a registry asks for the names."""
        yield Metric(self.name, self.help, self.definition.kind, self.definition.unit)

    def collect(self) -> Iterator[Metric]:
        """Give the family with its series, in the order of their first use; each as it is when it is looked at."""
        self._owner.fold()
        yield TableMetric(
            self.name,
            self.help,
            self.definition.kind,
            unit=self.definition.unit,
            labels=self.labels,
            bounds=self.bounds,
            snapshots=_Snapshots(self.all_series()),
        )


class _Snapshots(Sequence[Snapshot]):
    """What series hold, taken when asked for: all at once would hold up an event loop where there are thousands."""

    def __init__(self, series: list[Series]) -> None:
        self._series = series

    def __len__(self) -> int:
        return len(self._series)

    @overload
    def __getitem__(self, index: int) -> Snapshot: ...

    @overload
    def __getitem__(self, index: slice) -> list[Snapshot]: ...

    def __getitem__(self, index: int | slice) -> Snapshot | list[Snapshot]:
        if isinstance(index, slice):
            return [series.snapshot() for series in self._series[index]]
        return self._series[index].snapshot()
