"""Metrics whose samples are made only for those who ask for them.

prometheus_client's own encoders go through one object with one dictionary for each line. ``rendering.py`` needs
neither: it takes the numbers as they are. Both find the same metric in the registry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prometheus_client import Metric
from prometheus_client.utils import floatToGoString

from asgi_middleware.metrics.series import Snapshot, cumulate

_number: Any = floatToGoString


class TableMetric(Metric):
    """A metric as prometheus_client knows it, over series as this library keeps them.

    Args:
        name: The name, of a counter without ``_total``.
        documentation: What it means.
        kind: One of "counter", "gauge", "histogram", "summary".
        unit: The unit that the name ends with; empty for none.
        labels: The names of the labels.
        bounds: A histogram's upper bounds, without infinity; empty for others.
        snapshots: The series.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        kind: str,
        *,
        unit: str = "",
        labels: tuple[str, ...],
        bounds: tuple[float, ...],
        snapshots: Sequence[Snapshot],
    ) -> None:
        super().__init__(name, documentation, kind, unit)
        self.labels = labels
        self.bounds = bounds
        self.snapshots = snapshots
        del self.samples  # made by __getattr__

    def __getattr__(self, name: str) -> Any:
        """Make the samples, once."""
        if name != "samples":
            raise AttributeError(name)
        self.samples = []
        for snapshot in self.snapshots:
            self._add_samples(snapshot)
        return self.samples

    def _add_samples(self, snapshot: Snapshot) -> None:
        labels: dict[str, str] = dict(zip(self.labels, snapshot.labels, strict=True))
        if self.type == "counter":
            self.add_sample(f"{self.name}_total", labels, snapshot.value)
            return
        if self.type == "gauge":
            self.add_sample(self.name, labels, snapshot.value)
            return
        if self.type == "histogram":
            bounds = (*self.bounds, float("inf"))
            for position, number in enumerate(cumulate(snapshot.counts)):
                exemplar: Any = snapshot.exemplars.get(position)
                bucket = {**labels, "le": _number(bounds[position])}
                self.add_sample(f"{self.name}_bucket", bucket, number, exemplar=exemplar)
        self.add_sample(f"{self.name}_count", labels, sum(snapshot.counts))
        self.add_sample(f"{self.name}_sum", labels, snapshot.value)
