"""A memory of encoded bodies, found by what they encode.

Encoding is a function of the bytes alone, so a body that was encoded for one client serves every other client that is
sent the same bytes by the same codec: one coding, and one dictionary where it has any. Whoever is sent them has them:
the memory gives nothing away. It is bounded in bytes, counts the plain body with the encoded one, and forgets what was
not asked for the longest.
"""

from __future__ import annotations

from threading import Lock
from typing import Final

# What an entry costs beside its bytes: two objects, a tuple, its place in the dict.
_ENTRY: Final = 320


class BodyCache:
    """Encoded bodies by codec and plain body. Safe for the event loops of several threads."""

    __slots__ = ("_entries", "_largest", "_left", "_lock")

    def __init__(self, limit: int) -> None:
        """Set the most bytes to hold."""
        self._left = limit
        self._largest = limit >> 3
        self._entries: dict[tuple[object, bytes], bytes] = {}
        self._lock = Lock()

    def get(self, codec: object, body: bytes) -> bytes | None:
        """Give the encoded body, if it is known."""
        if len(body) > self._largest:
            return None  # it would be hashed for nothing
        key = (codec, body)
        with self._lock:
            encoded = self._entries.pop(key, None)
            if encoded is not None:
                self._entries[key] = encoded  # asked for last, forgotten last
            return encoded

    def put(self, codec: object, body: bytes, encoded: bytes) -> None:
        """Remember an encoded body, and forget others where there is no room; one that fills an eighth is not taken."""
        size = len(body) + len(encoded) + _ENTRY
        if size > self._largest:
            return
        key = (codec, body)
        with self._lock:
            if key in self._entries:
                return
            self._entries[key] = encoded
            self._left -= size
            while self._left < 0:
                oldest = next(iter(self._entries))
                self._left += len(oldest[1]) + len(self._entries.pop(oldest)) + _ENTRY
