"""Several worker processes, one scrape: prometheus_client's files, read so that one bad file spoils nothing.

Facts this module rests on:

- With ``PROMETHEUS_MULTIPROC_DIR`` set when prometheus_client is first imported, every value lives in a file of its
  process. Set later, values stay in memory and a scrape of the files would silently miss them.
- A worker that dies while it makes a file leaves it empty or cut off; reading it fails the whole scrape.
- A collector that reads files has no names to register, so that ``name[]`` finds it only in a registry made with
  ``support_collectors_without_names`` (prometheus/client_python#1150).
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Metric, values
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from asgi_middleware._core.config import Problems

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
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def collect(self) -> Iterator[Metric]:
        """Give the merged metrics, then how many files were left out."""
        files = sorted(glob.glob(os.path.join(glob.escape(self.directory), "*.db")))  # noqa: PTH118, PTH207 -- as above
        left_out = 0
        try:
            metrics = _merge(files)
        except Exception:  # noqa: BLE001 -- struct.error, RuntimeError, UnicodeDecodeError, ...: whatever a bad file gives
            readable = [file for file in files if _is_readable(file)]
            left_out = len(files) - len(readable)
            metrics = _merge(readable)
        yield from metrics
        yield GaugeMetricFamily(UNREADABLE_FILES, "Files of worker processes that could not be read.", value=left_out)


def worker_registry(directory: str) -> CollectorRegistry:
    """Give a registry that collects the files of all processes."""
    registry = CollectorRegistry(support_collectors_without_names=True)
    registry.register(WorkerFiles(directory))
    return registry


def _merge(files: list[str]) -> Iterable[Metric]:
    merged: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
    return merged


def _is_readable(file: str) -> bool:
    try:
        _merge([file])
    except Exception:  # noqa: BLE001 -- as above
        return False
    return True
