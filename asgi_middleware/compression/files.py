"""Files that the app hands over by their path (``http.response.pathsend``).

Facts this module rests on:

- An encoded file beside the plain one (``style.css`` and ``style.css.br``) is right as long as it is no older. One that
  is older was made from another content.
- A .zst file may have been made for archives: with a window of more than 8 MB browsers refuse it (RFC 9659 3).
- A file is opened anew for each step, so that nothing stays open when a step is cancelled while its thread reads. That
  it is still the same file is checked each time: half of one version before half of another would decode to neither.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter
from typing import Final, NamedTuple

from asgi_middleware.compression.codecs import Codec, Encoder
from asgi_middleware.compression.figures import CompressionFigures

_SUFFIXES: Final = {b"zstd": ".zst", b"br": ".br", b"gzip": ".gz"}
_STEP: Final = 256 * 1024
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_WIDEST_WINDOW: Final = 8 * 1024 * 1024


class Sibling(NamedTuple):
    """An encoded file that stands beside a plain one."""

    path: str
    coding: bytes
    size: int
    original_size: int


def find_sibling(path: str, codings: Iterable[bytes]) -> Sibling | None:
    """Look for an encoded file beside `path` that is no older; the first of `codings` wins."""
    original = Path(path).stat()
    for coding in codings:
        suffix = _SUFFIXES.get(coding)
        if suffix is None:
            continue
        beside = path + suffix
        try:
            found = Path(beside).stat()
            if (
                stat.S_ISREG(found.st_mode)
                and found.st_size > 0  # no coding makes nothing of anything: it is still being written
                and found.st_mtime_ns >= original.st_mtime_ns
                and (coding != b"zstd" or _has_narrow_window(beside))
            ):
                return Sibling(beside, coding, found.st_size, original.st_size)
        except OSError:
            continue
    return None


def zstd_window(head: bytes) -> int | None:
    """Give the window that a zstd frame declares (RFC 8878 3.1.1.1), from its first 14 bytes; None for no frame."""
    if len(head) < 6 or head[:4] != _ZSTD_MAGIC:
        return None
    descriptor = head[4]
    if not descriptor & 0x20:
        base = 1 << (10 + (head[5] >> 3))
        return base + (base >> 3) * (head[5] & 7)
    # A single segment: the window is the content, whose size stands behind the dictionary's id.
    start = 5 + (0, 1, 2, 4)[descriptor & 3]
    width = (1, 2, 4, 8)[descriptor >> 6]
    return int.from_bytes(head[start : start + width], "little") + (256 if width == 2 else 0)


def _has_narrow_window(path: str) -> bool:
    with Path(path).open("rb") as file:
        window = zstd_window(file.read(18))
    return window is not None and window <= _WIDEST_WINDOW


class EncodedFile:
    """A file that is read and encoded step by step, each step in a thread.

    Attributes:
        ended: Whether the last step gave the end of it.
    """

    __slots__ = (
        "_codec",
        "_encoded_size",
        "_encoder",
        "_identity",
        "_minimum_size",
        "_offset",
        "_path",
        "_seconds",
        "ended",
    )

    def __init__(self, path: str, codec: Codec, minimum_size: int) -> None:
        """Set what to read; nothing is opened yet."""
        self._path = path
        self._codec = codec
        self._minimum_size = minimum_size
        self._encoder: Encoder | None = None
        self._identity: tuple[int, int, int] | None = None
        self._offset = 0
        self._encoded_size = 0
        self._seconds = 0.0
        self.ended = False

    def first(self) -> bytes | None:
        """Give the first encoded part; None where the file is small or does not get smaller.

        Raises:
            OSError: It cannot be read.
        """
        data = self._read()
        if len(data) < self._minimum_size:
            return None
        if self.ended:
            encoded = self._encode(self._codec.whole, data)
            return encoded if len(encoded) < len(data) else None
        self._encoder = self._codec.open(live=False)
        return self._encode(self._encoder.feed, data)

    def next(self) -> bytes:
        """Give the next encoded part.

        Raises:
            OSError: It cannot be read, or is another file by now.
        """
        data = self._read()
        encoder = self._encoder
        if encoder is None:
            raise OSError(f"{self._path} is not being read")
        return self._encode(encoder.finish if self.ended else encoder.feed, data)

    def figures(self) -> CompressionFigures:
        """Give the figures so far."""
        coding = self._codec.coding.decode("ascii")
        return CompressionFigures(coding, self._offset, self._encoded_size, self._seconds, None)

    def _read(self) -> bytes:
        with Path(self._path).open("rb") as file:
            state = os.fstat(file.fileno())
            identity = (state.st_ino, state.st_size, state.st_mtime_ns)
            if self._identity is None:
                self._identity = identity
            elif self._identity != identity:
                raise OSError(f"{self._path} has changed while it was sent")
            file.seek(self._offset)
            data = file.read(_STEP)
        self._offset += len(data)
        self.ended = self._offset >= state.st_size
        return data

    def _encode(self, encode: Callable[[bytes], bytes], data: bytes) -> bytes:
        begun = perf_counter()
        encoded = encode(data)
        self._seconds += perf_counter() - begun
        self._encoded_size += len(encoded)
        return encoded
