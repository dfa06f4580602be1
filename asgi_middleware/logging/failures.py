"""Failures of the logging itself: counted, told once, and kept away from the request."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress

from asgi_middleware.logging.tracebacks import format_exception


class Failures:
    """Counts what went wrong inside a class that must never break a request.

    The first failure of each step is told on standard error, since the log is what failed. The rest are only counted.
    """

    __slots__ = ("_count", "_lock", "_owner", "_told")

    def __init__(self, owner: str) -> None:
        """Start at zero.

        Args:
            owner: The class that reports.
        """
        self._owner = owner
        self._count = 0
        self._told: set[str] = set()
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """How many steps failed so far."""
        return self._count

    def note(self, step: str, error: BaseException) -> None:
        """Count a failure and tell the first one of its step; never raises.

        Args:
            step: What was being done, as "write the access event".
            error: What it raised.
        """
        with self._lock:
            self._count += 1
            first = step not in self._told
            self._told.add(step)
        if first:
            with suppress(Exception):  # standard error may be closed, or None
                sys.stderr.write(
                    f"asgi_middleware: {self._owner} could not {step}; the request was not affected, and further "
                    f"failures of this step are counted without a word\n{format_exception(error)}\n"
                )
