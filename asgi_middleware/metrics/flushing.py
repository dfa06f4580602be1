"""Several worker processes: what this one holds, written to prometheus_client's files once a second.

A write to a mapped file costs a request more than its whole measurement, and can fail where memory cannot. So the
figures are kept as in a single process, and a thread writes what has changed. Facts this module rests on:

- A process that is killed loses what it has not written: the last second. Counters never go backwards by that.
- A forked process has its parent's memory. It begins from zero, or both would write the same requests.
- A file may hold the figures of an earlier process of the same number: amounts are added, never set. A gauge is set.
- A thread in a server's master process would make each fork a warning since Python 3.12 and a danger before that. So
  it starts with the first request, in the process that serves it.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from prometheus_client import values
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from asgi_middleware.metrics.families import Families
    from asgi_middleware.metrics.family import Family
    from asgi_middleware.metrics.series import Series

FLUSH_SECONDS: Final = 1.0


class _Flusher:
    """The one thread of this process, and what it writes."""

    def __init__(self) -> None:
        self.kept: WeakSet[Families] = WeakSet()
        self.lock = threading.Lock()
        self.thread: threading.Thread | None = None

    def start(self) -> None:
        with self.lock:
            if self.thread is None:
                self.thread = threading.Thread(target=self._run, name="asgi_middleware.metrics", daemon=True)
                self.thread.start()

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(FLUSH_SECONDS):
            flush()


_flusher = _Flusher()


def is_multiprocess() -> bool:
    """Tell whether prometheus_client keeps its values in files."""
    return bool(getattr(values.ValueClass, "_multiprocess", False))


def keep(families: Families) -> None:
    """Write these families' series from now on, for as long as they live."""
    _flusher.kept.add(families)


def start() -> None:
    """Start the thread, if there is anything for it to do and it does not run yet."""
    if _flusher.thread is None and is_multiprocess():
        _flusher.start()


def flush() -> None:
    """Write what this process holds to its files, now; nothing happens in a single process.

    Call it before the files are read: this process's own figures are exact then, those of others a second old.
    """
    if not is_multiprocess():
        return
    with _flusher.lock:
        for families in tuple(_flusher.kept):
            families.fold()
            for family in families.all_families():
                for series in family.all_series():
                    if series.changed:
                        try:
                            _write(family, series)
                        except Exception:  # noqa: BLE001 -- metrics fail open; the rest is tried again in a second
                            series.changed = True
                            families.failures.note("flush")


def _write(family: Family, series: Series) -> None:
    with series.lock:
        series.changed = False
        snapshot = series.snapshot()
        mirror = series.mirror
        if mirror is None:
            mirror = series.mirror = _Mirror(family, series.labels)
    if family.definition.kind == "gauge":
        mirror.places[0].set(snapshot.value)
        return
    # In the order of _places: the sum or value first.
    now = (snapshot.value, *(snapshot.counts if family.definition.kind != "counter" else ()))
    for position, (place, amount) in enumerate(zip(mirror.places, now, strict=True)):
        added = amount - mirror.written[position]
        if added:
            place.inc(added)
            mirror.written[position] = amount


class _Mirror:
    """The places of one series in the files, and what of it has been written there."""

    __slots__ = ("places", "written")

    def __init__(self, family: Family, labels: tuple[str, ...]) -> None:
        self.places = [*_places(family, labels)]
        self.written: list[float] = [0.0] * len(self.places)


def _places(family: Family, labels: tuple[str, ...]) -> Iterator[Any]:
    """Make the places as prometheus_client's own metrics do, so that its collector adds them up."""
    kind, name, names, text = family.definition.kind, family.name, family.labels, family.help
    make: Any = values.ValueClass
    number: Any = floatToGoString
    if kind == "gauge":
        # The other modes would either keep a series for each process that ever ran or forget to add them up.
        yield make(kind, name, name, names, labels, text, multiprocess_mode="livesum")
    elif kind == "counter":
        yield make(kind, name, family.full_name, names, labels, text)
    else:
        yield make(kind, name, f"{name}_sum", names, labels, text)
        if kind == "summary":
            yield make(kind, name, f"{name}_count", names, labels, text)
        else:
            for bound in (*family.bounds, float("inf")):
                yield make(kind, name, f"{name}_bucket", (*names, "le"), (*labels, number(bound)), text)


def _after_fork() -> None:
    kept = tuple(_flusher.kept)
    _flusher.__init__()  # type: ignore[misc] # the lock may be held, and the thread is not here
    for families in kept:
        _flusher.kept.add(families)
        families.after_fork(clear=is_multiprocess())


def _at_exit() -> None:
    with suppress(Exception):
        flush()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
