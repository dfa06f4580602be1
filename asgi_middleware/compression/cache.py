"""A memory of encoded bodies, found by what they encode.

Encoding is a function of the bytes alone, so a body that was encoded for one client serves every other client that is
sent the same bytes. Whoever is sent them has them: the memory gives nothing away. It is bounded in bytes, counts the
plain body with the encoded one, and forgets what was not asked for the longest.
"""

from __future__ import annotations

from threading import Lock
from typing import Final

# What an entry costs beside its bytes: two objects, a tuple, its place in the dict.
_ENTRY: Final = 320


class BodyCache:
    """Encoded bodies by coding and plain body. Safe for the event loops of several threads."""

    __slots__ = ("_entries", "_left", "_limit", "_lock")

    def __init__(self, limit: int) -> None:
        """Set the most bytes to hold."""
        self._limit = limit
        self._left = limit
        self._entries: dict[tuple[bytes, bytes], bytes] = {}
        self._lock = Lock()

    def get(self, coding: bytes, body: bytes) -> bytes | None:
        """Give the encoded body, if it is known."""
        key = (coding, body)
        with self._lock:
            encoded = self._entries.pop(key, None)
            if encoded is not None:
                self._entries[key] = encoded  # asked for last, forgotten last
            return encoded

    def put(self, coding: bytes, body: bytes, encoded: bytes) -> None:
        """Remember an encoded body, and forget others where there is no room; one that fills an eighth is not taken."""
        size = len(body) + len(encoded) + _ENTRY
        if size > self._limit >> 3:
            return
        key = (coding, body)
        with self._lock:
            if key in self._entries:
                return
            self._entries[key] = encoded
            self._left -= size
            while self._left < 0:
                oldest = next(iter(self._entries))
                self._left += len(oldest[1]) + len(self._entries.pop(oldest)) + _ENTRY
