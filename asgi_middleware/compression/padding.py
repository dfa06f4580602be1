"""Padding: an encoded body gets a length that says less about what it holds (BREACH).

Facts this module rests on:

- The attacker compares the lengths of answers to different guesses. Random padding is averaged away by asking each
  question often. So the length here follows from the body and a secret of this process: the same body always gets
  the same padding, and another guess another one, which no repetition removes.
- It makes the attack dearer, not impossible: who can change an unimportant part of the body as well, averages over it.
- Every decoder skips it: a file name in the header of a gzip member (RFC 1952 2.3), a metadata block of a brotli stream
  (RFC 7932 9.2), a skippable frame behind a zstd frame (RFC 8878 3.1.2).
"""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import Final

from asgi_middleware.compression.codecs import Codec, Encoder

_SECRET: Final = os.urandom(32)
_GZIP_HEADER: Final = 10
_GZIP_FLAGS: Final = 3
_GZIP_NAME: Final = 8
_SKIPPABLE: Final = b"\x50\x2a\x4d\x18"
LARGEST: Final = 4096


class Padded:
    """A codec whose bodies are padded.

    Args:
        codec: The codec.
        largest: The most bytes of padding.
    """

    __slots__ = ("_codec", "_largest", "coding", "heavy_start", "inline_size", "live_memory")

    def __init__(self, codec: Codec, largest: int) -> None:
        self._codec = codec
        self._largest = largest
        self.coding = codec.coding
        self.heavy_start = codec.heavy_start
        self.inline_size = codec.inline_size
        self.live_memory = codec.live_memory

    def whole(self, data: bytes) -> bytes:
        """Encode a whole body at once."""
        size = padding_size(data, self._largest)
        if self.coding == b"gzip":
            return _named(self._codec.whole(data), size)
        if self.coding == b"br":
            # The block needs a byte boundary, which a stream gives and a whole body does not.
            encoder = self._codec.open(live=False)
            return encoder.feed(data) + _metadata(size) + encoder.finish(b"")
        return self._codec.whole(data) + _skippable(size)

    def open(self, *, live: bool) -> Encoder:
        """Begin a stream, which is padded once, by its first chunk."""
        return _PaddedEncoder(self._codec.open(live=live), self.coding, self._largest)


class _PaddedEncoder:
    __slots__ = ("_coding", "_encoder", "_largest", "_size")

    def __init__(self, encoder: Encoder, coding: bytes, largest: int) -> None:
        self._encoder = encoder
        self._coding = coding
        self._largest = largest
        self._size: int | None = None

    def feed(self, data: bytes) -> bytes:
        encoded = self._encoder.feed(data)
        if self._size is not None:
            return encoded
        self._size = padding_size(data, self._largest)
        if self._coding == b"gzip":
            return _named(encoded, self._size)
        # In a zstd stream the frame is still open: its padding comes behind it.
        return encoded + _metadata(self._size) if self._coding == b"br" else encoded

    def finish(self, data: bytes) -> bytes:
        begun = self._size is not None
        size = padding_size(data, self._largest) if self._size is None else self._size
        if self._coding == b"br" and not begun:
            return self._encoder.feed(data) + _metadata(size) + self._encoder.finish(b"")
        encoded = self._encoder.finish(data)
        if self._coding == b"gzip" and not begun:
            return _named(encoded, size)
        return encoded + _skippable(size) if self._coding == b"zstd" else encoded


def padding_size(data: bytes, largest: int) -> int:
    """Give the padding of a body: 1 to `largest`, the same for the same body as long as this process lives."""
    digest = blake2b(data, digest_size=8, key=_SECRET).digest()
    return 1 + int.from_bytes(digest, "big") % largest


def _named(member: bytes, size: int) -> bytes:
    """Put a file name of `size` bytes, the last one being its end, into the header of a gzip member."""
    flags = member[_GZIP_FLAGS] | _GZIP_NAME
    name = b"x" * (size - 1) + b"\0"
    return (
        member[:_GZIP_FLAGS] + bytes((flags,)) + member[_GZIP_FLAGS + 1 : _GZIP_HEADER] + name + member[_GZIP_HEADER:]
    )


def _metadata(size: int) -> bytes:
    """Give a brotli metadata block for a byte boundary: ISLAST 0, MNIBBLES 0, reserved 0, MSKIPBYTES 1 or 2."""
    width = 1 if size <= 256 else 2
    bits = 0b0110 | width << 4 | (size - 1) << 6  # read from the lowest bit
    return bits.to_bytes((6 + 8 * width + 7) // 8, "little") + b"x" * size


def _skippable(size: int) -> bytes:
    return _SKIPPABLE + size.to_bytes(4, "little") + b"x" * size
