"""Writing: whole lines of bytes to a stream, one by one or in bulk.

Facts this module rests on:

- A line that is written at once costs a system call; a hundred lines that are written together cost one.
- What waits is lost with the process. So it is written when there is much of it, when it is old, behind every line of
  level error, and at exit. Nothing helps against SIGKILL, nor against a SIGTERM that nobody handles.
- A forked child inherits what waits and would write it a second time. So it is written before the fork, and the child
  begins with nothing, and with a lock and a thread of its own.
- A log that cannot be written must not fail what is being logged, nor fill the memory: such lines are dropped.
"""

from __future__ import annotations

import atexit
import os
import threading
from typing import Any, Final, Protocol, TextIO
from weakref import WeakSet

from asgi_middleware.logging.failures import Failures

_MOST_BYTES: Final = 64 * 1024
_LONGEST_WAIT: Final = 1.0  # seconds


class Lines(Protocol):
    """Where lines go. Each one ends with its line break; what fails raises."""

    def write(self, line: bytes) -> None:
        """Write a line, perhaps a little later."""

    def write_now(self, line: bytes) -> None:
        """Write a line, and all that waits, before returning."""

    def flush(self) -> None:
        """Write all that waits."""


class DirectLines:
    """Writes every line at once."""

    __slots__ = ("_flush", "_put", "_stream", "write_now")

    def __init__(self, stream: TextIO) -> None:
        """Write to the bytes below `stream`, whatever its encoding; to its text where there are none below."""
        self._stream = stream  # a text stream that nobody holds closes the bytes below
        below: Any = getattr(stream, "buffer", None)
        self._put = stream_writer(stream)
        self._flush = (stream if below is None else below).flush
        self.write_now = self.write

    def write(self, line: bytes) -> None:
        """Write a line."""
        self._put(line)
        self._flush()

    def flush(self) -> None:
        """Do nothing: no line ever waits."""


class BufferedLines:
    """Collects lines and writes them in bulk: see this module's facts."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream` as :class:`DirectLines` does."""
        self._below = DirectLines(stream)
        self._failures = Failures("configure_structlog")
        self._begin()
        _buffers.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []
        self._size = 0
        self._woken = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def write(self, line: bytes) -> None:
        """Have a line written within a second."""
        with self._lock:
            self._waiting.append(line)
            self._size += len(line)
            full = self._size >= _MOST_BYTES
            first = len(self._waiting) == 1
        if full:
            self.flush()
        elif first:
            self._wake()

    def write_now(self, line: bytes) -> None:
        """Write a line and all that waits."""
        with self._lock:
            self._waiting.append(line)
            self._flush()

    def flush(self) -> None:
        """Write all that waits."""
        with self._lock:
            self._flush()

    def close(self) -> None:
        """Write all that waits, and stop the thread; a later line starts it again."""
        self.flush_quietly()
        self._closed.set()
        self._woken.set()

    def flush_quietly(self) -> None:
        """Write all that waits; should that fail, count it."""
        try:
            self.flush()
        except Exception as error:  # noqa: BLE001 -- nobody is there to take it
            self._failures.note("write the buffered lines, which are lost", error)

    def before_fork(self) -> None:
        """Leave nothing for the child to write again, and the lock in nobody's hands."""
        self.flush_quietly()
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Begin anew."""
        self._begin()

    def _flush(self) -> None:
        # Emptied first: what cannot be written is dropped, or it would grow for ever.
        lines, self._waiting, self._size = self._waiting, [], 0
        if lines:
            self._below.write(b"".join(lines))

    def _wake(self) -> None:
        if self._thread is None or self._closed.is_set():
            with self._lock:
                if self._thread is None or self._closed.is_set():
                    self._closed = threading.Event()
                    self._thread = threading.Thread(target=self._run, args=(self._closed,), daemon=True)
                    self._thread.name = "asgi_middleware log"
                    self._thread.start()
        self._woken.set()

    def _run(self, closed: threading.Event) -> None:
        """Sleep while nothing waits; write what has waited for long enough."""
        while not closed.is_set():
            self._woken.wait()
            self._woken.clear()
            closed.wait(_LONGEST_WAIT)
            self.flush_quietly()


def stream_writer(stream: TextIO) -> Any:
    """Give the function that writes bytes to `stream`."""
    below: Any = getattr(stream, "buffer", None)
    if below is not None:
        return below.write
    return lambda line: stream.write(line.decode())


class LineLogger:
    """What structlog calls with a rendered line: one method a level. What cannot be written is counted, not raised."""

    __slots__ = ("_failures", "_lines")

    def __init__(self, lines: Lines, failures: Failures) -> None:
        """Write to `lines`, and count in `failures`."""
        self._lines = lines
        self._failures = failures

    def info(self, line: bytes) -> None:
        """Write a line."""
        try:
            self._lines.write(line)
        except Exception as error:  # noqa: BLE001 -- an unwritable log fails no handler
            self._failures.note("write a line", error)

    def error(self, line: bytes) -> None:
        """Write a line that must not wait."""
        try:
            self._lines.write_now(line)
        except Exception as error:  # noqa: BLE001 -- the same
            self._failures.note("write a line", error)

    debug = warning = warn = msg = log = info
    critical = fatal = exception = failure = err = error


_buffers: WeakSet[BufferedLines] = WeakSet()


def flush_log() -> None:
    """Write what the buffered lines of :func:`configure_structlog` hold.

    For programs that end without an exit: ``os._exit``, or a handler of SIGTERM that does so.
    """
    for buffer in tuple(_buffers):
        buffer.flush_quietly()


def close_buffers() -> None:
    """Write all that waits and stop the threads, before another set-up takes over."""
    for buffer in tuple(_buffers):
        buffer.close()
        _buffers.discard(buffer)


def _before_fork() -> None:
    for buffer in tuple(_buffers):
        buffer.before_fork()


def _after_fork_in_parent() -> None:
    for buffer in tuple(_buffers):
        buffer.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for buffer in tuple(_buffers):
        buffer.after_fork_in_child()


atexit.register(flush_log)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
