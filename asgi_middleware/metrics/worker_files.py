"""The files of worker processes: their format, and their sums as series.

Facts this module rests on (prometheus_client, ``mmap_dict.py`` and ``multiprocess.py``):

- A file is called ``<kind>_<pid>.db``, that of a gauge ``gauge_<mode>_<pid>.db``. It begins with the number of bytes
  used and 4 bytes of padding. Each entry is the key's length, the key, padding to a multiple of 8, value and timestamp.
- A key is a JSON array: family, series, labels with their names in order, help. The same series has the same key in
  every process.
- Entries are only ever added at the end, and the number of bytes used is written after them. So a file that is being
  written can be read.
- A histogram's buckets are not added up in the files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from struct import Struct
from typing import Any, Final, NamedTuple, TypeAlias

from asgi_middleware.metrics.series import Snapshot
from asgi_middleware.metrics.table import TableMetric

_USED: Final = Struct("i")
_ENTRY_END: Final = Struct("dd")
_HEADER: Final = 8
INFINITY: Final = float("inf")
SUMMED: Final = frozenset({"counter", "histogram", "summary", "gauge_sum", "gauge_livesum"})
"""Kinds of files whose values are added up over processes."""


Entry: TypeAlias = tuple[float, float]
"""One value of one process, and when it was set; the time is 0 except in gauges that keep the latest value."""

_MOST: Final = 2.0**63
_PAUSE: Final = 255
"""After so many entries, less one, whoever reads stands aside: some 0.1 ms."""


def kind_of(file: Path) -> str:
    """Give what a file holds: "counter", "histogram", "summary", "gauge_livesum" and so on."""
    return file.stem.rpartition("_")[0]


def process_of(file: Path) -> int | None:
    """Give the number of the process that writes a file, whatever its ending; None for that of dead processes."""
    text = file.name.partition(".")[0].rpartition("_")[2]
    return int(text) if text.isascii() and text.isdigit() else None


def read(file: Path, stand_aside: Callable[[], object] = int) -> dict[bytes, Entry]:
    """Read what a file holds now.

    Args:
        file: The file.
        stand_aside: Called after each small piece of work.

    Raises:
        ValueError: It is empty, cut off, or no such file.
        OSError: It cannot be read.
    """
    with file.open("rb") as opened:
        head = opened.read(_HEADER)
        if len(head) < _HEADER:
            raise ValueError("empty")
        (used,) = _USED.unpack_from(head)
        data = opened.read(max(used - _HEADER, 0))
    if used == 0:
        return {}  # just made
    if used % 8 or len(data) != used - _HEADER:
        raise ValueError("cut off")
    entries: dict[bytes, Entry] = {}
    position, end = 0, len(data)
    while position < end:
        (length,) = _USED.unpack_from(data, position)
        position += 4
        # The values stand behind the padding, which is never empty.
        values = position + length + 8 - (length + 4) % 8
        if length <= 0 or values + _ENTRY_END.size > end:
            raise ValueError("cut off")
        entries[data[position : position + length]] = _ENTRY_END.unpack_from(data, values)
        if not len(entries) & _PAUSE:
            stand_aside()
        position = values + _ENTRY_END.size
    return entries


def write(file: Path, entries: Mapping[bytes, Entry]) -> None:
    """Write a file that :func:`read` and prometheus_client read."""
    parts = [b""]
    for key, entry in entries.items():
        padded = key + b" " * (8 - (len(key) + 4) % 8)
        parts.append(_USED.pack(len(key)) + padded + _ENTRY_END.pack(*entry))
    used = _HEADER + sum(map(len, parts))
    parts[0] = _USED.pack(used) + bytes(_HEADER - _USED.size)
    file.write_bytes(b"".join(parts))


class _Series:
    """One series: the sums of its values in one reading, by bound for a histogram."""

    __slots__ = ("counts", "labels", "number", "reading", "total")

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.labels = labels
        self.reading = 0
        self.clear(0)

    def clear(self, reading: int) -> None:
        """Begin a reading."""
        self.reading = reading
        self.total = 0.0
        self.number = 0
        self.counts: dict[float, int] = {}


class _Family:
    """One family as the files describe it. Its labels and bounds grow when processes of another release differ."""

    def __init__(self, name: str, kind: str, text: str) -> None:
        self.name = name
        self.kind = kind
        self.text = text
        self.labels: tuple[str, ...] = ()
        self.bounds: tuple[float, ...] = ()
        self.series: dict[tuple[tuple[str, str], ...], _Series] = {}

    def metric(self, reading: int) -> TableMetric | None:
        """Give the series that the files of this reading hold; None if there is no such series."""
        snapshots = [self._snapshot(series) for series in self.series.values() if series.reading == reading]
        if not snapshots:
            return None
        return TableMetric(self.name, self.text, self.kind, labels=self.labels, bounds=self.bounds, snapshots=snapshots)

    def _snapshot(self, series: _Series) -> Snapshot:
        # A label that a process did not have is empty, which Prometheus takes for the same.
        labels = tuple([series.labels.get(name, "") for name in self.labels])
        counts: tuple[int, ...] = ()
        if self.kind == "histogram":
            counts = tuple([series.counts.get(bound, 0) for bound in (*self.bounds, INFINITY)])
        elif self.kind == "summary":
            counts = (series.number,)
        return Snapshot(labels, series.total, counts, {})


class _Place(NamedTuple):
    """Where a key's value belongs: ``bound`` for a bucket, else the total, or the number of a summary."""

    family: _Family
    series: _Series
    bound: float | None
    is_number: bool


class Sums:
    """Adds up the values of files; keeps what it has learned of each key. Not for several threads at a time.

    Args:
        stand_aside: Called after each small piece of work.
    """

    def __init__(self, stand_aside: Callable[[], object] = int) -> None:
        self._stand_aside = stand_aside
        self._families: dict[tuple[str, str], _Family] = {}
        self._places: dict[tuple[str, bytes], _Place] = {}
        self._reading = 0

    def begin(self) -> None:
        """Begin again from zero."""
        self._reading += 1

    def add(self, kind: str, entries: Mapping[bytes, Entry]) -> None:
        """Add what a file of this kind holds.

        Raises:
            ValueError: A key or a count is none of prometheus_client's; nothing of the file has been added then.
        """
        places, reading = self._places, self._reading
        found = []
        for key, (value, _) in entries.items():
            place = places.get((kind, key))
            if place is None:
                place = places[kind, key] = self._learn(kind.partition("_")[0], key)
            if (place.bound is not None or place.is_number) and not 0 <= value < _MOST:
                raise ValueError("no count")
            found.append(place)
            if not len(found) & _PAUSE:
                self._stand_aside()
        for (_, series, bound, is_number), (value, _) in zip(found, entries.values(), strict=True):
            if series.reading != reading:
                series.clear(reading)
            if bound is not None:
                series.counts[bound] = series.counts.get(bound, 0) + int(value)
            elif is_number:
                series.number += int(value)
            else:
                series.total += value
        self._stand_aside()

    def metrics(self) -> Iterator[TableMetric]:
        """Give the metrics of all that was added."""
        for _, family in sorted(self._families.items()):
            metric = family.metric(self._reading)
            if metric is not None:
                yield metric

    def _learn(self, kind: str, key: bytes) -> _Place:
        name, sample, labels, text = _parts(key)
        bound = None
        if kind == "histogram" and sample.endswith("_bucket"):
            bound = float(labels.pop("le", "missing"))
        family = self._families.setdefault((kind, name), _Family(name, kind, text))
        if bound is not None and bound not in {INFINITY, *family.bounds}:
            family.bounds = tuple(sorted((*family.bounds, bound)))
        if not labels.keys() <= {*family.labels}:
            family.labels = tuple(dict.fromkeys((*family.labels, *labels)))
        series = family.series.setdefault(tuple(labels.items()), _Series(labels))
        return _Place(family, series, bound, is_number=kind == "summary" and sample.endswith("_count"))


def _parts(key: bytes) -> tuple[str, str, dict[str, str], str]:
    match json.loads(key):
        case [str(name), str(sample), dict(labels), str(text)]:
            return name, sample, labels, text
        case _:
            raise ValueError("no key of prometheus_client")


def combine(kind: str, one: Entry, other: Entry) -> Entry:
    """Give what two processes have together.

    Args:
        kind: What the file holds, as :func:`kind_of` says.
        one: What the one process has.
        other: What the other has.
    """
    mode = kind.partition("_")[2]
    if mode.endswith("mostrecent"):
        return max(one, other, key=lambda entry: entry[1])
    if mode.endswith(("min", "max")):
        choose: Any = min if mode.endswith("min") else max
        return (choose(one[0], other[0]), 0.0)
    return (one[0] + other[0], 0.0)
