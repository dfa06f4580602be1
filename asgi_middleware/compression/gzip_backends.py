"""The gzip coding (RFC 1952) by zlib or by a faster library that is installed.

Facts this module rests on (CPU time, ratio; JSON of 1 KB, 20 KB and 1 MB; ``python -m benchmarks.codecs``):

- zlib 6: 5 us, 2.7; 74 us, 5.0; 11 ms, 5.8. zlib-ng 6: 6 us, 2.7; 64 us, 5.2; 9 ms, 5.9.
- ISA-L 1: 4 us, 2.5; 18 us, 4.3; 1 ms, 4.6. Its levels 2 and 3 are no better, its level 0 is a half larger.
- Output is reproducible: no time stamp, one member for the whole body. Many clients read only the first member.
- A stream that stays open takes 130 KB with zlib's own settings, 15 to 19 KB with a window of 2 KB and memory level 3,
  and loses a tenth of its ratio on events of 70 bytes. ISA-L takes 42 KB whatever the window.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Final, Literal

from asgi_middleware.compression.libraries import import_first

GzipBackend = Literal["auto", "zlib", "isal", "zlib-ng"]
GZIP_BACKENDS: Final = ("auto", "zlib", "isal", "zlib-ng")
_INSTALL: Final = {"isal": "asgi-middleware[speed]", "zlib-ng": "zlib-ng"}

_LIBRARIES: Final = {"isal": ("isal.isal_zlib",), "zlib-ng": ("zlib_ng.zlib_ng",)}
_WRAPPER: Final = 16
_WINDOW: Final = zlib.MAX_WBITS | _WRAPPER
_LIVE_WINDOW: Final = 11 | _WRAPPER
_LIVE_MEMORY_LEVEL: Final = 3
# Above it a user asks for size, which ISA-L cannot give.
_ISAL_UP_TO: Final = 6
_ISAL_LEVEL: Final = 1
# Estimated nanoseconds a byte by level, on JSON; the spread between machines and texts is about twofold.
_ZLIB_COST: Final = (5, 5, 5, 7, 8, 11, 18, 24, 40, 45)
_ZLIB_NG_COST: Final = (2, 2, 2, 4, 4, 5, 7, 12, 18, 24)
_ISAL_COST: Final = 1


class Gzip:
    """The gzip coding at its level."""

    __slots__ = ("_compress", "_level", "_library", "inline_size")

    coding: Final = b"gzip"
    heavy_start: Final = False
    live_memory: Final = 19 * 1024

    def __init__(self, library: Any, level: int, inline_size: int) -> None:
        """Fix the library, its level, and how many bytes it encodes in a millisecond."""
        self._library = library
        self._level = level
        self.inline_size = inline_size
        self._compress: Callable[[bytes, int, int], bytes] = library.compress

    def whole(self, data: bytes) -> bytes:
        """Encode a whole body at once."""
        return self._compress(data, self._level, _WINDOW)  # names would cost a dict

    def open(self, *, live: bool) -> GzipEncoder:
        """Begin a stream; a live one by zlib with little memory, whatever the library."""
        if live:
            level = self._level if self._library is zlib else _ISAL_UP_TO
            return GzipEncoder(zlib.compressobj(level, zlib.DEFLATED, _LIVE_WINDOW, _LIVE_MEMORY_LEVEL))
        return GzipEncoder(self._library.compressobj(self._level, zlib.DEFLATED, _WINDOW, zlib.DEF_MEM_LEVEL))


class GzipEncoder:
    """One open stream."""

    __slots__ = ("_compressor",)

    def __init__(self, compressor: Any) -> None:
        """Take the compressor, of zlib's interface."""
        self._compressor = compressor

    def feed(self, data: bytes) -> bytes:
        """Encode a chunk so that all of it can be decoded from what is out."""
        compressor = self._compressor
        encoded: bytes = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
        return encoded

    def finish(self, data: bytes) -> bytes:
        """Encode the last chunk and end the stream."""
        compressor = self._compressor
        encoded: bytes = compressor.compress(data) + compressor.flush()
        return encoded


def make_gzip(level: int, backend: GzipBackend, inline_nanoseconds: int) -> Gzip:
    """Make the coding; by zlib where the backend that was asked for cannot be imported.

    Args:
        level: 1 to 9, as zlib counts them.
        backend: "auto" takes ISA-L up to level 6 and zlib-ng above where they are installed, else zlib.
        inline_nanoseconds: How long one step may take on the event loop.
    """
    if backend == "isal" or (backend == "auto" and level <= _ISAL_UP_TO):
        library = import_first(_LIBRARIES["isal"])
        if library is not None:
            return Gzip(library, _ISAL_LEVEL, inline_nanoseconds // _ISAL_COST)
    if backend in {"auto", "zlib-ng"}:
        library = import_first(_LIBRARIES["zlib-ng"])
        if library is not None:
            # Its level 1 gives a third more bytes than level 2, for a quarter less time.
            return Gzip(library, max(level, 2), inline_nanoseconds // _ZLIB_NG_COST[level])
    return Gzip(zlib, level, inline_nanoseconds // _ZLIB_COST[level])


def missing_backend(backend: GzipBackend) -> str | None:
    """Say what a backend that was asked for lacks and how to get it; None where nothing is missing."""
    if backend not in _LIBRARIES or import_first(_LIBRARIES[backend]) is not None:
        return None
    return f"gzip is done by zlib: {backend} cannot be imported; for it, install {_INSTALL[backend]}"
