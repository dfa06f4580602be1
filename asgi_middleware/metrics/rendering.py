"""Rendering: a registry's metrics as bytes, at a fraction of the usual cost and without holding up the event loop.

Facts this module rests on:

- A series' lines differ from scrape to scrape by their numbers alone. So each series has one template, made when it is
  first seen; filling it is one step for all its lines.
- A thread that computes keeps the interpreter's lock for up to 5 ms at a time (``sys.setswitchinterval``), and an event
  loop asks for that lock after every system call. So a rendering stands aside after each fraction of a millisecond.
- A label's value may hold what UTF-8 cannot (lone surrogates). One such series must not fail every scrape.
- Numbers may be written as integers in both formats; ``repr`` of a float is read back as the same float.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from prometheus_client import Metric, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.utils import floatToGoString

from asgi_middleware.metrics.pauses import AT_ONCE
from asgi_middleware.metrics.series import Exemplar, Snapshot, cumulate
from asgi_middleware.metrics.table import TableMetric

_END: Final = b"# EOF\n"
_PLAIN_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_number: Any = floatToGoString


class _Table(NamedTuple):
    """What one family's lines look like: the head, and a template for each series."""

    labels: tuple[str, ...]
    bounds: tuple[float, ...]
    head: str
    lines: dict[tuple[str, ...], str]


class Rendering:
    """Turns registries into bytes of one format; keeps what does not change from one time to the next.

    Not for several threads at a time. What it keeps is bounded by the number of series.

    Args:
        openmetrics: Whether the format is OpenMetrics 1.0 instead of the Prometheus text format 0.0.4.
        stand_aside: Called after each small piece of work.
    """

    __slots__ = ("_encode", "_openmetrics", "_stand_aside", "_tables")

    def __init__(self, *, openmetrics: bool, stand_aside: Callable[[], object] = int) -> None:
        self._openmetrics = openmetrics
        self._encode: Callable[[Any], bytes] = generate_openmetrics if openmetrics else generate_latest
        self._stand_aside = stand_aside
        self._tables: dict[tuple[str, str], _Table] = {}

    def render(self, registry: Any) -> bytes:
        """Collect and encode.

        Args:
            registry: A CollectorRegistry, or whatever has its ``collect()``.
        """
        return b"".join(self.pieces(registry))

    def pieces(self, registry: Any) -> Iterator[bytes]:
        """Do as :meth:`render`, in pieces as they come: to join them all takes longer than to make some."""
        for metric in registry.collect():
            if isinstance(metric, TableMetric) and all(map(_PLAIN_NAME.fullmatch, (metric.name, *metric.labels))):
                yield from self._table(metric)
            else:
                yield self._encode(_Alone(metric)).removesuffix(_END)
            self._stand_aside()
        if self._openmetrics:
            yield _END

    def _table(self, metric: TableMetric) -> Iterator[bytes]:
        key = (metric.type, metric.name)
        table = self._tables.get(key)
        if table is None or (table.labels, table.bounds) != (metric.labels, metric.bounds):
            table = self._tables[key] = _Table(metric.labels, metric.bounds, self._head(metric), {})
        yield table.head.encode("utf-8", "replace")
        lines, kind, openmetrics = table.lines, metric.type, self._openmetrics
        for start in range(0, len(metric.snapshots), AT_ONCE):
            self._stand_aside()
            rendered = []
            for snapshot in metric.snapshots[start : start + AT_ONCE]:
                template = lines.get(snapshot.labels)
                if template is None:
                    template = lines[snapshot.labels] = _template(metric, snapshot.labels)
                text = template % _numbers(kind, snapshot)
                if openmetrics and snapshot.exemplars:
                    text = _with_exemplars(text, snapshot.exemplars)
                rendered.append(text)
            yield "".join(rendered).encode("utf-8", "replace")

    def _head(self, metric: TableMetric) -> str:
        name, text = metric.name, metric.documentation.replace("\\", r"\\").replace("\n", r"\n")
        if not self._openmetrics:
            # There the head of a counter names its series.
            name = f"{name}_total" if metric.type == "counter" else name
            return f"# HELP {name} {text}\n# TYPE {name} {metric.type}\n"
        text = text.replace('"', r"\"")
        unit = f"# UNIT {name} {metric.unit}\n" if metric.unit else ""
        return f"# HELP {name} {text}\n# TYPE {name} {metric.type}\n{unit}"


class _Alone:
    """One metric, as its encoder wants it."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        """Give it."""
        return (self._metric,)


def _numbers(kind: str, snapshot: Snapshot) -> tuple[float, ...]:
    """Give what fills a series' template."""
    if kind == "histogram":
        counts = cumulate(snapshot.counts)
        return (*counts, counts[-1], snapshot.value)
    if kind == "summary":
        return (*snapshot.counts, snapshot.value)
    return (snapshot.value,)


def _template(metric: TableMetric, values: tuple[str, ...]) -> str:
    """Write a series' lines with a place for each number."""
    name, kind = metric.name.replace("%", "%%"), metric.type
    pairs = sorted(zip(metric.labels, values, strict=True))
    labels = [f'{label}="{_escaped(value)}"' for label, value in pairs]
    own = f"{{{','.join(labels)}}}" if labels else ""
    if kind == "counter":
        return f"{name}_total{own} %r\n"
    if kind == "gauge":
        return f"{name}{own} %r\n"
    lines = []
    if kind == "histogram":
        # Labels stand in the order of their names, "le" among them.
        position = sum(label < "le" for label, _ in pairs)
        for bound in (*metric.bounds, float("inf")):
            with_bound = ",".join([*labels[:position], f'le="{_number(bound)}"', *labels[position:]])
            lines.append(f"{name}_bucket{{{with_bound}}} %d\n")
    return "".join([*lines, f"{name}_count{own} %d\n", f"{name}_sum{own} %r\n"])


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"").replace("%", "%%")


def _with_exemplars(text: str, exemplars: dict[int, Exemplar]) -> str:
    """Add exemplars to the lines of their buckets (OpenMetrics 1.0, "Exemplars")."""
    lines = text.split("\n")
    for position, (labels, value, timestamp) in exemplars.items():
        pairs = ",".join(f'{name}="{_escaped(labels[name]).replace("%%", "%")}"' for name in sorted(labels))
        lines[position] += f" # {{{pairs}}} {value!r} {timestamp!r}"
    return "\n".join(lines)
