"""Counting instructions: a figure that the neighbours on a shared machine cannot change.

The kernel's counter is read in process (perf_event_open(2), Linux), user space only. Where it may not be opened (other
systems, most containers, ``perf_event_paranoid`` above 2) there is no figure, and tables leave the column empty.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import struct
from typing import Final

# The number of perf_event_open in each machine's table of system calls.
_SYSCALLS: Final = {"x86_64": 298, "aarch64": 241}
_ATTRIBUTE_SIZE: Final = 128
_HARDWARE, _INSTRUCTIONS = 0, 1
_DISABLED, _EXCLUDE_KERNEL, _EXCLUDE_HYPERVISOR = 1 << 0, 1 << 5, 1 << 6
_ENABLE: Final = 0x2400  # PERF_EVENT_IOC_ENABLE


class InstructionCounter:
    """The instructions that this thread has executed so far, or None where they cannot be counted."""

    def __init__(self) -> None:
        """Open the kernel's counter."""
        self._descriptor = _open()
        if self._descriptor is not None:
            fcntl.ioctl(self._descriptor, _ENABLE, 0)

    def read(self) -> int | None:
        """Give the count so far."""
        if self._descriptor is None:
            return None
        return int.from_bytes(os.read(self._descriptor, 8), "little")


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


COUNTER: Final = InstructionCounter()
