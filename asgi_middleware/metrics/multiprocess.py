"""Several worker processes, one scrape: prometheus_client's files, read so that one bad file spoils nothing.

Facts this module rests on:

- With ``PROMETHEUS_MULTIPROC_DIR`` set when prometheus_client is first imported, every value lives in a file of its
  process. Set later, values stay in memory and a scrape of the files would silently miss them.
- A worker that dies while it makes a file leaves it empty or cut off; reading it fails the whole scrape.
- A collector that reads files has no names to register, so that ``name[]`` finds it only in a registry made with
  ``support_collectors_without_names`` (prometheus/client_python#1150).
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Metric, values
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from asgi_middleware._core.config import Problems
from asgi_middleware.metrics.dead_workers import FOLDING, fold, locked
from asgi_middleware.metrics.flushing import flush
from asgi_middleware.metrics.worker_files import SUMMED, Entry, Sums, kind_of, read

_logger = logging.getLogger("asgi_middleware.metrics")

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_OLD_VARIABLE: Final = "prometheus_multiproc_dir"
UNREADABLE_FILES: Final = "asgi_middleware_metrics_unreadable_files"


def files_directory(environ: Mapping[str, str] = os.environ) -> str | None:
    """Give the directory of the processes' files, or None where there is one process."""
    return environ.get(VARIABLE, environ.get(_OLD_VARIABLE))


def check_directory(problems: Problems, *, recording: bool) -> None:
    """Note what is wrong with the environment's directory, if one is set.

    Args:
        problems: Where it is noted.
        recording: Whether values are recorded here, not read alone: then the variable must have been set in time.
    """
    directory = files_directory()
    if directory is None:
        return
    if not os.path.isdir(directory):  # noqa: PTH112 -- a plain string of the environment
        problems.add(
            VARIABLE,
            directory,
            "is not a directory",
            fix="make it, empty, before the first worker starts",
            code="no_multiprocess_directory",
        )
    elif recording and not getattr(values.ValueClass, "_multiprocess", False):
        problems.add(
            VARIABLE,
            directory,
            "was set after prometheus_client was imported, so that this process would be missing from every scrape",
            fix="set it in the environment that starts the server",
            code="multiprocess_set_too_late",
        )


class WorkerFiles:
    """A collector over the files of all processes, which leaves out and counts the files that cannot be read.

    Args:
        directory: Where the files are.
        stand_aside: Called after each small piece of work.
    """

    def __init__(self, directory: str, stand_aside: Callable[[], object] = int) -> None:
        self.directory = Path(directory)
        self._stand_aside = stand_aside
        self._sums = Sums(stand_aside)
        self._lock = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """Give the metrics of all processes, then how many files were left out."""
        flush()
        with self._lock, locked(self.directory) as may_fold:
            if may_fold:
                self._sums.begin()
                try:
                    fold(self.directory, self._check)
                except OSError:
                    _logger.exception("the files of dead workers could not be folded")
            metrics, left_out = self._read()
        yield from metrics
        yield GaugeMetricFamily(UNREADABLE_FILES, "Files of worker processes that could not be read.", value=left_out)

    def _check(self, kind: str, entries: Mapping[bytes, Entry]) -> None:
        if kind in SUMMED:
            self._sums.add(kind, entries)

    def _read(self) -> tuple[list[Metric], int]:
        left_out = 0
        others = []
        self._sums.begin()
        for file in sorted([*self.directory.glob("*.db"), *self.directory.glob(f"*.db{FOLDING}")]):
            kind = kind_of(file.with_suffix("") if file.suffix == FOLDING else file)
            try:
                if kind in SUMMED:
                    self._sums.add(kind, read(file, self._stand_aside))
                else:
                    _merge([file])
                    others.append(file)
            except FileNotFoundError:
                continue  # a gauge's file, taken away by mark_process_dead
            except Exception:  # noqa: BLE001 -- struct.error, RuntimeError, UnicodeDecodeError, ...: whatever bad files give
                left_out += 1
        return [*self._sums.metrics(), *_merge(others)], left_out


def worker_registry(directory: str, stand_aside: Callable[[], object] = int) -> CollectorRegistry:
    """Give a registry that collects the files of all processes."""
    registry = CollectorRegistry(support_collectors_without_names=True)
    registry.register(WorkerFiles(directory, stand_aside))
    return registry


def _merge(files: list[Path]) -> Iterable[Metric]:
    """Merge as prometheus_client does: gauges that are not sums."""
    merged: Iterable[Metric] = MultiProcessCollector.merge([os.fspath(file) for file in files])  # type: ignore[no-untyped-call]
    return merged
