"""Codecs: gzip, brotli and zstd behind one small interface, with the limits that the codings have on the web.

Facts this module rests on:

- A zstd frame on the web may declare a window of 8 MB at most (RFC 9659 3); browsers refuse more. From level 20 on
  libzstd would choose more for a stream, so the window is bounded there. Brotli's never exceeds 16 MB (RFC 7932 9.1).
- gzip output is reproducible: no time stamp, one member for the whole body. Many clients read only the first member.
- An encoder that is kept open costs memory for as long as the client stays. For open-ended streams of small events
  (KB a stream, ratio; measured on JSON events): zlib 6 103, 4.9 and with a 4 KB window 29, 4.7; zstd 3 816, 4.0 and
  zstd 1 with a 2 KB window 40, 3.4; brotli 4 545, 4.0 and brotli 5 with a small hash table 313, 4.4.
- A kept zstd context saves two fifths of a 1 KB body's time. Contexts for bodies up to 128 KiB are kept, one a
  thread; larger bodies would make it keep megabytes.
"""

from __future__ import annotations

import threading
import zlib
from importlib import import_module
from typing import Any, Final, Protocol

# What may run on the event loop at a time. Longer work goes to a thread.
INLINE_SECONDS: Final = 0.001
# Estimated nanoseconds a byte by level, on JSON; the spread between machines and texts is about twofold.
_GZIP_COST: Final = (5, 5, 5, 7, 8, 11, 18, 24, 40, 45)
_BROTLI_COST: Final = (2, 3, 5, 5, 8, 12, 15, 24, 35, 52, 300, 900)
_ZSTD_COST: Final = (2, 2, 2, 2, 4, 6, 10, 12, 14, 16, 20, 34, 40, 80, 97, 112, 154, 154, 250, 250, 250, 250, 250)

_REUSED_UP_TO: Final = 128 * 1024
_WIDE_LEVEL: Final = 20
_WINDOW_LOG: Final = 23  # 8 MB
_GZIP_WRAPPER: Final = 16


class Encoder(Protocol):
    """One response's open stream."""

    def feed(self, data: bytes, /) -> bytes:
        """Encode a chunk so that all of it can be decoded from what is out."""
        ...

    def finish(self, data: bytes, /) -> bytes:
        """Encode the last chunk and end the stream."""
        ...


class Codec(Protocol):
    """One content coding at its level."""

    @property
    def coding(self) -> bytes:
        """Its name as it stands in Content-Encoding."""
        ...

    @property
    def inline_size(self) -> int:
        """The bytes that it encodes in about a millisecond."""
        ...

    def whole(self, data: bytes) -> bytes:
        """Encode a whole body at once."""
        ...

    def open(self, *, live: bool) -> Encoder:
        """Begin a stream; a `live` one may stay open for hours and gets little memory."""
        ...


def _inline_size(nanoseconds: int) -> int:
    return int(INLINE_SECONDS * 1e9) // nanoseconds


class Gzip:
    """The gzip coding (RFC 1952) by zlib."""

    __slots__ = ("_level", "inline_size")

    coding: Final = b"gzip"

    def __init__(self, level: int) -> None:
        """Fix the level, 1 to 9."""
        self._level = level
        self.inline_size = _inline_size(_GZIP_COST[level])

    def whole(self, data: bytes) -> bytes:
        """Encode a whole body at once."""
        return zlib.compress(data, self._level, zlib.MAX_WBITS | _GZIP_WRAPPER)

    def open(self, *, live: bool) -> Encoder:
        """Begin a stream, with a window of 4 KB for a live one."""
        window, memory = (12, 4) if live else (zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL)
        return _GzipEncoder(zlib.compressobj(self._level, zlib.DEFLATED, window | _GZIP_WRAPPER, memory))


class _GzipEncoder:
    __slots__ = ("_compressor",)

    def __init__(self, compressor: zlib._Compress) -> None:
        self._compressor = compressor

    def feed(self, data: bytes) -> bytes:
        compressor = self._compressor
        return compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)

    def finish(self, data: bytes) -> bytes:
        compressor = self._compressor
        return compressor.compress(data) + compressor.flush()


class Brotli:
    """The br coding (RFC 7932)."""

    __slots__ = ("_library", "_quality", "inline_size")

    coding: Final = b"br"

    def __init__(self, library: Any, quality: int) -> None:
        """Fix the quality, 0 to 11."""
        self._library = library
        self._quality = quality
        self.inline_size = _inline_size(_BROTLI_COST[quality])

    def whole(self, data: bytes) -> bytes:
        """Encode a whole body at once."""
        encoded: bytes = self._library.compress(data, quality=self._quality)
        return encoded

    def open(self, *, live: bool) -> Encoder:
        """Begin a stream. Of all settings that compress, quality 5 with a small window takes the least memory."""
        compressor = self._library.Compressor
        return _BrotliEncoder(compressor(quality=5, lgwin=16) if live else compressor(quality=self._quality))


class _BrotliEncoder:
    __slots__ = ("_compressor",)

    def __init__(self, compressor: Any) -> None:
        self._compressor = compressor

    def feed(self, data: bytes) -> bytes:
        compressor = self._compressor
        encoded: bytes = compressor.process(data) + compressor.flush()
        return encoded

    def finish(self, data: bytes) -> bytes:
        compressor = self._compressor
        encoded: bytes = compressor.process(data) + compressor.finish()
        return encoded


class Zstd:
    """The zstd coding (RFC 8878, RFC 9659)."""

    __slots__ = ("_kept", "_library", "_live_options", "_options", "inline_size")

    coding: Final = b"zstd"

    def __init__(self, library: Any, level: int) -> None:
        """Fix the level, 1 to 22."""
        parameter = library.CompressionParameter
        self._library = library
        self._options = {parameter.compression_level: level}
        if level >= _WIDE_LEVEL:
            self._options[parameter.window_log] = _WINDOW_LOG
        self._live_options = {parameter.compression_level: 1, parameter.window_log: 11, parameter.hash_log: 9}
        self._kept = threading.local()
        self.inline_size = _inline_size(_ZSTD_COST[level])

    def whole(self, data: bytes) -> bytes:
        """Encode a whole body at once, as one frame that declares its size."""
        if len(data) > _REUSED_UP_TO:
            return self.open(live=False).finish(data)
        kept = self._kept.__dict__
        # Taken out while in use, so that a failure in the middle of a frame leaves nothing behind.
        compressor = kept.pop("compressor", None) or self._library.ZstdCompressor(options=self._options)
        encoded: bytes = compressor.compress(data, compressor.FLUSH_FRAME)
        kept["compressor"] = compressor
        return encoded

    def open(self, *, live: bool) -> Encoder:
        """Begin a stream, at level 1 with a window of 2 KB for a live one."""
        return _ZstdEncoder(self._library.ZstdCompressor(options=self._live_options if live else self._options))


class _ZstdEncoder:
    __slots__ = ("_compressor",)

    def __init__(self, compressor: Any) -> None:
        self._compressor = compressor

    def feed(self, data: bytes) -> bytes:
        compressor = self._compressor
        encoded: bytes = compressor.compress(data, compressor.FLUSH_BLOCK)
        return encoded

    def finish(self, data: bytes) -> bytes:
        compressor = self._compressor
        encoded: bytes = compressor.compress(data, compressor.FLUSH_FRAME)
        return encoded


# The fixed order for open-ended streams: the least memory for each byte saved comes first (see the figures above).
_LIVE_ORDER: Final = (b"gzip", b"zstd", b"br")
_LIBRARIES: Final = {"zstd": ("compression.zstd", "backports.zstd"), "br": ("brotli", "brotlicffi")}
_INSTALL: Final = {"zstd": "asgi-middleware[zstd]", "br": "brotli"}
CODINGS: Final = ("zstd", "br", "gzip")


def make_codec(coding: str, *, gzip_level: int, brotli_quality: int, zstd_level: int) -> Codec | None:
    """Make one of `CODINGS`; None where its library cannot be imported."""
    if coding == "gzip":
        return Gzip(gzip_level)
    library = _import_first(_LIBRARIES[coding])
    if library is None:
        return None
    return Brotli(library, brotli_quality) if coding == "br" else Zstd(library, zstd_level)


def missing_library(coding: str) -> str:
    """Say what a coding lacks and how to get it."""
    tried = " nor ".join(_LIBRARIES[coding])
    return f"{coding} is left out: neither {tried} can be imported; to offer it, install {_INSTALL[coding]}"


def live_order(codings: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Sort the codings at hand for open-ended streams."""
    return tuple(coding for coding in _LIVE_ORDER if coding in codings)


def _import_first(names: tuple[str, ...]) -> Any:
    for name in names:
        try:
            return import_module(name)
        except ImportError:  # Python may be built without libzstd; a wheel may be missing for this interpreter
            continue
    return None
