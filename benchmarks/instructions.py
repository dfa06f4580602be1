"""Counting instructions: a figure that the neighbours on a shared machine cannot change.

The kernel's counter is read in process (perf_event_open(2), Linux), user space only. Where it may not be opened (most
containers, ``perf_event_paranoid`` above 2), run ``python -m benchmarks.callgrind``, which counts under valgrind.
Without either there is no figure, and tables leave the column empty.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import struct
from pathlib import Path
from typing import Final

CALLGRIND_FILES: Final = "BENCHMARKS_CALLGRIND_FILES"
# The number of perf_event_open in each machine's table of system calls.
_SYSCALLS: Final = {"x86_64": 298, "aarch64": 241}
_ATTRIBUTE_SIZE: Final = 128
_HARDWARE, _INSTRUCTIONS = 0, 1
_DISABLED, _EXCLUDE_KERNEL, _EXCLUDE_HYPERVISOR = 1 << 0, 1 << 5, 1 << 6
_ENABLE: Final = 0x2400  # PERF_EVENT_IOC_ENABLE


class KernelCounter:
    """The processor's own count, for this thread."""

    def __init__(self, descriptor: int) -> None:
        """Start the counter behind `descriptor`."""
        self._descriptor = descriptor
        fcntl.ioctl(descriptor, _ENABLE, 0)

    def read(self) -> int:
        """Give the count so far."""
        return int.from_bytes(os.read(self._descriptor, 8), "little")


class CallgrindCounter:
    """The count of valgrind, of which this process is a guest.

    Valgrind was told to write what it has counted, and to begin anew, whenever the C function sched_yield(2) returns.
    """

    def __init__(self, prefix: Path) -> None:
        """Take the path, without number, of the files that valgrind writes."""
        self._prefix = prefix
        self._files = 0
        self._total = 0

    def read(self) -> int:
        """Give the count so far, without what reading costs."""
        self._total += self._written()
        self._written()
        return self._total

    def _written(self) -> int:
        os.sched_yield()
        self._files += 1
        path = self._prefix.with_name(f"{self._prefix.name}.{self._files}")
        totals = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("totals:")]
        return int(totals[-1].split()[1])


class NoCounter:
    """Stands where instructions cannot be counted."""

    def read(self) -> None:
        """Give nothing."""


def _counter() -> KernelCounter | CallgrindCounter | NoCounter:
    if prefix := os.environ.get(CALLGRIND_FILES):
        return CallgrindCounter(Path(prefix))
    descriptor = _open()
    return NoCounter() if descriptor is None else KernelCounter(descriptor)


def _open() -> int | None:
    number = _SYSCALLS.get(platform.machine())
    if platform.system() != "Linux" or number is None:
        return None
    attributes = bytearray(_ATTRIBUTE_SIZE)
    struct.pack_into("<IIQ", attributes, 0, _HARDWARE, _ATTRIBUTE_SIZE, _INSTRUCTIONS)
    struct.pack_into("<Q", attributes, 40, _DISABLED | _EXCLUDE_KERNEL | _EXCLUDE_HYPERVISOR)
    buffer = (ctypes.c_char * _ATTRIBUTE_SIZE).from_buffer(attributes)
    this_thread, any_cpu, no_group = 0, -1, -1
    descriptor = ctypes.CDLL(None, use_errno=True).syscall(number, buffer, this_thread, any_cpu, no_group, 0)
    return descriptor if descriptor >= 0 else None


COUNTER: Final = _counter()
