"""Files of processes that are gone: folded into one for each kind, so that the directory stays small.

Facts this module rests on:

- No hook runs in a process that is killed, and uvicorn and granian have none at all. So whoever reads the files looks.
- Counters and histograms of dead processes belong to the sums for ever, but not in a file each. Gauges of the modes
  ``live...`` count living processes only.
- A process number is given again, and a living process that has the number need not be the worker. On Linux the worker
  is the one that maps the file. A killed process that nobody has waited for yet maps nothing.
- In another process-id namespace (another container on the same volume) every worker seems dead. So only a process that
  sees at least one living worker judges at all.
- Whoever folds may be killed, too. A file is renamed first, so that no new process of its number can open it. What is
  to be done then is written to a journal before it is done, and the next reader does what is left: nothing is counted
  twice, and nothing is lost.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from asgi_middleware.metrics.worker_files import Entry, combine, kind_of, process_of, read, write

fcntl: Any
try:
    import fcntl
except ImportError:  # pragma: no cover -- Windows; there files of dead processes just stay
    fcntl = None

LOCK_SECONDS: Final = 5.0
_QUIET_SECONDS: Final = 5.0
"""For so long a file that its process does not map may be one that it is about to map."""
FOLDING: Final = ".folding"
_NEW: Final = ".new"
_LOCK: Final = "fold.lock"
_JOURNAL: Final = "fold.journal"
_MAPS_ARE_SHOWN: Final = Path("/proc/self/maps").exists()
_State: TypeAlias = Literal["runs", "gone", "unknown"]
_PER_PROCESS: Final = frozenset({"gauge_all"})
"""Their series name the process, so that they cannot be folded."""


@contextmanager
def locked(directory: Path) -> Iterator[bool]:
    """Keep other readers from folding meanwhile; give whether this one may.

    Raises:
        TimeoutError: Another one has held the lock for too long.
    """
    if fcntl is None:  # pragma: no cover -- as above
        yield False
        return
    try:
        descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        yield False  # a directory for reading only: whoever writes there folds
        return
    try:
        _lock(descriptor)
        yield True
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Take the lock; it goes with the descriptor, also when the process is killed."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError("another process holds the lock on the files") from None
            time.sleep(0.005)
        else:
            return


def fold(directory: Path, check: Callable[[str, Mapping[bytes, Entry]], object]) -> None:
    """Fold what dead processes left; call it under the lock.

    Files that cannot be read stay as they are.

    Args:
        directory: Where the files are.
        check: Raises ValueError for a kind and entries that would spoil the sums.

    Raises:
        OSError: The directory could not be written. What is there can be read as before.
    """
    _finish(directory)
    for file in _gone(sorted(directory.glob("*.db"))):
        if kind_of(file) in _PER_PROCESS:
            continue
        aside = file.with_name(file.name + FOLDING)
        if not aside.exists():  # else one of an earlier process of this number waits, and comes first
            file.rename(aside)
            if _state(aside) != "gone" and not file.exists():
                aside.rename(file)  # a process of this number has begun, and opened the file, in this moment
    left = sorted(directory.glob(f"*.db{FOLDING}"))
    if left:
        _fold_all(directory, left, check)


def _gone(files: list[Path]) -> list[Path]:
    """Give the files of dead processes; none at all where no living worker is seen."""
    states = {file: _state(file) for file in files if process_of(file) is not None}
    return [file for file, state in states.items() if state == "gone"] if "runs" in states.values() else []


def _state(file: Path) -> _State:
    """Tell whether the process that writes a file still runs."""
    process = process_of(file) or 0
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return "gone"
    except PermissionError:
        return "unknown"
    if not _MAPS_ARE_SHOWN:
        return "runs"
    try:
        if f"_{process}.db".encode() in Path(f"/proc/{process}/maps").read_bytes():
            return "runs"
        return "gone" if time.time() - file.stat().st_mtime > _QUIET_SECONDS else "unknown"
    except OSError:  # not ours to look into, or gone this moment
        return "unknown"


def _fold_all(directory: Path, left: list[Path], check: Callable[[str, Mapping[bytes, Entry]], object]) -> None:
    sums: dict[str, dict[bytes, Entry]] = {}
    folded = []
    for file in left:
        kind = kind_of(file.with_suffix(""))
        if not kind.startswith("gauge_live"):
            try:
                entries = read(file)
                check(kind, entries)
                total = sums[kind] if kind in sums else _read_dead(directory, kind)
            except ValueError:
                continue
            for key, entry in entries.items():
                total[key] = combine(kind, total[key], entry) if key in total else entry
            sums[kind] = total
        folded.append(file.name)
    for kind, total in sums.items():
        write(directory / f"{kind}_dead.db{_NEW}", total)
    journal = directory / _JOURNAL
    draft = journal.with_suffix(_NEW)
    draft.write_text(json.dumps({"new": [f"{kind}_dead.db" for kind in sums], "folded": folded}), encoding="utf-8")
    draft.rename(journal)
    _finish(directory)


def _read_dead(directory: Path, kind: str) -> dict[bytes, Entry]:
    try:
        return read(directory / f"{kind}_dead.db")
    except FileNotFoundError:
        return {}


def _finish(directory: Path) -> None:
    """Do what the journal says and is not done yet; each step may be done again."""
    journal = directory / _JOURNAL
    try:
        todo = json.loads(journal.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except ValueError:  # it was renamed when it was whole: a file system that lost it in a crash
        todo = {"new": [], "folded": []}
    for name in todo["new"]:
        with suppress(FileNotFoundError):
            (directory / f"{name}{_NEW}").rename(directory / name)
    for name in todo["folded"]:
        (directory / name).unlink(missing_ok=True)
    journal.unlink()
