"""What a brotli stream says at its beginning (RFC 7932 9.1 and 9.2): how much memory and work it may take.

Facts this module rests on:

- A decoder fills its window before it gives anything out. So one step may inflate as much as the window holds, and
  touch as much memory, however little of it was asked for: 4 MB with the window that encoders choose by default.
- A body that was encoded whole is one meta-block, marked as the last, that tells its size. Then no step does more.
"""

from __future__ import annotations

from typing import Final

USUAL_WINDOW: Final = 1 << 22
"""The window that encoders take by default, in bytes."""

TABLES: Final = 5 << 19
"""What a decoder holds beside its window at most, in bytes: the prefix codes of a block, 768 of them (RFC 7932 9.2)."""

_HEAD: Final = 5  # bytes that hold all of it: 7 bits of window, 2 of flags, 2 of length, 24 of size
_METADATA: Final = 7  # nibbles: the value that stands for a block without a size


def window_of(data: bytes | memoryview) -> int:
    """Give the window that a stream asks for, in bytes (RFC 7932 9.1).

    Args:
        data: The beginning of the stream, one byte at least.
    """
    bits = data[0]
    if not bits & 1:
        return 1 << 16
    if bits & 0b1110:
        return 1 << 17 + (bits >> 1 & 7)
    return 1 << (8 + (bits >> 4 & 7) if bits & 0b1110000 else 17)


def whole_size(data: bytes | memoryview) -> int | None:
    """Give the size that the whole stream inflates to; None where its beginning does not tell.

    Args:
        data: The beginning of the stream.
    """
    if len(data) < _HEAD:
        return None
    bits = int.from_bytes(data[:_HEAD], "little")
    # The window takes one bit, four or seven.
    bits >>= 1 if not bits & 1 else 4 if bits & 0b1110 else 7
    if not bits & 1:  # not the last block
        return None
    if bits & 2:  # the last block, and empty
        return 0
    nibbles = 4 + (bits >> 2 & 3)
    if nibbles == _METADATA:
        return None
    return (bits >> 4 & (1 << 4 * nibbles) - 1) + 1
