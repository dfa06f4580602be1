"""What a zstd frame says at its beginning (RFC 8878 3.1.1.1): how much memory it may take.

Facts this module rests on:

- A frame tells its window, or its size, which is its window then. Decoders keep that much of what they have given.
- A skippable frame (RFC 8878 3.1.2) has a number of its own and needs no window.
"""

from __future__ import annotations

from typing import Final

LARGEST_WINDOW: Final = 1 << 23
"""The largest window of a frame on the web (RFC 9659 3)."""

LONGEST: Final = 17
"""Bytes that hold all that tells a window."""

_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_DESCRIPTOR: Final = 4  # where the byte stands that says which fields follow
_SINGLE_SEGMENT: Final = 0x20
_DICTIONARY_ID: Final = (0, 1, 2, 4)  # bytes, by the low two bits
_SIZE: Final = (1, 2, 4, 8)  # bytes, by the high two bits
_TWO_BYTES_FROM: Final = 256  # what a size of two bytes counts from


def window_of(data: bytes) -> int | None:
    """Give the window that a frame asks for, in bytes; None where its beginning does not tell yet.

    Args:
        data: The beginning of the frame.
    """
    if len(data) < _DESCRIPTOR:
        return None
    if data[:_DESCRIPTOR] != _MAGIC:
        return 0  # another kind of frame, or none
    if len(data) < _DESCRIPTOR + 2:
        return None
    descriptor = data[_DESCRIPTOR]
    if not descriptor & _SINGLE_SEGMENT:
        window = data[_DESCRIPTOR + 1]
        least = 1 << 10 + (window >> 3)
        return least + (least >> 3) * (window & 7)
    begin = _DESCRIPTOR + 1 + _DICTIONARY_ID[descriptor & 3]
    length = _SIZE[descriptor >> 6]
    size = data[begin : begin + length]
    if len(size) < length:
        return None
    return int.from_bytes(size, "little") + (_TWO_BYTES_FROM if length == 2 else 0)
