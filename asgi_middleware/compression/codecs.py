"""Codecs: gzip, brotli and zstd behind one small interface, with the limits that the codings have on the web.

Facts this module rests on:

- A zstd frame on the web may declare a window of 8 MB at most (RFC 9659 3); browsers refuse more. From level 20 on
  libzstd would choose more for a stream, so the window is bounded there. Brotli's never exceeds 16 MB (RFC 7932 9.1).
- An encoder that is kept open costs memory for as long as the client stays. For open-ended streams of small events
  (KB a stream, ratio; JSON events of 70 bytes): zlib 6 130, 4.1 and with a window of 2 KB 19, 3.7; zstd 3 825, 3.8 and
  zstd 1 with a window of 1 KB 33, 3.2; brotli 4 561, 3.9 and brotli 5 with a small hash table 361, 4.0. Below
  quality 2 brotli makes such events no smaller at all. ``python -m benchmarks.codecs`` measures it.
- A kept zstd context saves a third of a 2 KB body's time. Contexts for bodies up to 128 KiB are kept, one a thread;
  larger bodies would make it keep megabytes. A context is used by its own thread alone, also where the caller was
  cancelled.
"""

from __future__ import annotations

import threading
from typing import Any, Final, Protocol

from asgi_middleware.compression.gzip_backends import GzipBackend, make_gzip
from asgi_middleware.compression.libraries import import_first

# What may run on the event loop at a time. Longer work goes to a thread.
INLINE_NANOSECONDS: Final = 1_000_000
# What all open-ended streams of one instance may hold. Beyond it, further ones stay plain: an event stream that is not
# encoded is better than a process without memory.
LIVE_MEMORY: Final = 352 * 1024 * 1024
# Estimated nanoseconds a byte by level, on JSON; the spread between machines and texts is about twofold.
_BROTLI_COST: Final = (2, 3, 5, 5, 8, 12, 15, 24, 35, 52, 300, 900)
_ZSTD_COST: Final = (2, 2, 2, 2, 4, 6, 10, 12, 14, 16, 20, 34, 40, 80, 97, 112, 154, 154, 250, 250, 250, 250, 250)

_REUSED_UP_TO: Final = 128 * 1024
_WIDE_LEVEL: Final = 20
_HEAVY_LEVEL: Final = 10  # from here on tables of megabytes are cleared first: 20 ms, at level 22 half a second
# ZstdCompressor.FLUSH_BLOCK and FLUSH_FRAME: libzstd's ZSTD_e_flush and ZSTD_e_end.
_FLUSH_BLOCK: Final = 1
_FLUSH_FRAME: Final = 2
_WINDOW_LOG: Final = 23  # 8 MB
_PREFIX_WINDOW_LOG: Final = 21  # what level 3 takes by itself


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

    @property
    def heavy_start(self) -> bool:
        """Whether the first bytes of a stream alone take milliseconds."""
        ...

    @property
    def live_memory(self) -> int:
        """The bytes that one open-ended stream takes."""
        ...

    def whole(self, data: bytes, /) -> bytes:
        """Encode a whole body at once."""
        ...

    def open(self, *, live: bool) -> Encoder:
        """Begin a stream; a `live` one may stay open for hours and gets little memory."""
        ...


class Brotli:
    """The br coding (RFC 7932)."""

    __slots__ = ("_compressor", "_mode", "_quality", "inline_size")

    coding: Final = b"br"
    heavy_start: Final = False
    live_memory: Final = 361 * 1024

    def __init__(self, library: Any, quality: int) -> None:
        """Fix the quality, 0 to 11."""
        self._compressor = library.Compressor
        self._mode = library.MODE_GENERIC
        self._quality = quality
        self.inline_size = INLINE_NANOSECONDS // _BROTLI_COST[quality]

    def whole(self, data: bytes) -> bytes:
        """Encode a whole body at once."""
        compressor = self._compressor(self._mode, self._quality)  # names would cost a dict
        begun: bytes = compressor.process(data)
        ended: bytes = compressor.finish()
        return begun + ended if begun else ended

    def open(self, *, live: bool) -> Encoder:
        """Begin a stream. Of all settings that compress, quality 5 with a small window takes the least memory."""
        compressor = self._compressor
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

    __slots__ = ("_kept", "_library", "_live_options", "_options", "heavy_start", "inline_size")

    coding: Final = b"zstd"
    live_memory: Final = 33 * 1024

    def __init__(self, library: Any, level: int) -> None:
        """Fix the level, 1 to 22."""
        parameter = library.CompressionParameter
        self._library = library
        self._options = {parameter.compression_level: level}
        if level >= _WIDE_LEVEL:
            self._options[parameter.window_log] = _WINDOW_LOG
        self._live_options = {parameter.compression_level: 1, parameter.window_log: 10, parameter.hash_log: 6}
        self._kept = threading.local()
        self.heavy_start = level >= _HEAVY_LEVEL
        self.inline_size = INLINE_NANOSECONDS // _ZSTD_COST[level]

    def whole(self, data: bytes) -> bytes:
        """Encode a whole body at once, as one frame that declares its size."""
        if len(data) > _REUSED_UP_TO:
            return self.open(live=False).finish(data)
        kept = self._kept
        try:
            compressor = kept.compressor
        except AttributeError:
            compressor = kept.compressor = self._library.ZstdCompressor(options=self._options)
        try:
            encoded: bytes = compressor.compress(data, _FLUSH_FRAME)
        except BaseException:
            del kept.compressor  # what it holds of the broken frame must not come into the next one
            raise
        return encoded

    def open(self, *, live: bool) -> Encoder:
        """Begin a stream, at level 1 with a window of 1 KB for a live one."""
        return _ZstdEncoder(self._library.ZstdCompressor(options=self._live_options if live else self._options))


class _ZstdEncoder:
    __slots__ = ("_compressor",)

    def __init__(self, compressor: Any) -> None:
        self._compressor = compressor

    def feed(self, data: bytes) -> bytes:
        compressor = self._compressor
        encoded: bytes = compressor.compress(data, _FLUSH_BLOCK)
        return encoded

    def finish(self, data: bytes) -> bytes:
        compressor = self._compressor
        encoded: bytes = compressor.compress(data, _FLUSH_FRAME)
        return encoded


# The fixed order for open-ended streams: the least memory for each byte saved comes first (see the figures above).
_LIVE_ORDER: Final = (b"gzip", b"zstd", b"br")
_LIBRARIES: Final = {"zstd": ("compression.zstd", "backports.zstd"), "br": ("brotli", "brotlicffi")}
_INSTALL: Final = {"zstd": "asgi-middleware[zstd]", "br": "brotli"}
CODINGS: Final = ("zstd", "br", "gzip")


def make_codec(
    coding: str, *, gzip_level: int, brotli_quality: int, zstd_level: int, gzip_backend: GzipBackend = "auto"
) -> Codec | None:
    """Make one of `CODINGS`; None where its library cannot be imported."""
    if coding == "gzip":
        return make_gzip(gzip_level, gzip_backend, INLINE_NANOSECONDS)
    library = import_first(_LIBRARIES[coding])
    if library is None:
        return None
    return Brotli(library, brotli_quality) if coding == "br" else Zstd(library, zstd_level)


def zstd_stream(library: Any, level: int, content_size: int, prefix: Any) -> Encoder:
    """Begin a zstd stream that refers back to a dictionary.

    Args:
        library: The library.
        level: 1 to 22.
        content_size: The dictionary's size; the window is to reach it for a while.
        prefix: A raw dictionary ``as_prefix``, which serves for one frame.
    """
    parameter = library.CompressionParameter
    window = min(_WINDOW_LOG, max(_PREFIX_WINDOW_LOG, (2 * content_size).bit_length()))
    options = {parameter.compression_level: level, parameter.window_log: window}
    return _ZstdEncoder(library.ZstdCompressor(options=options, zstd_dict=prefix))


def zstd_library() -> Any:
    """Give the library of zstd; None where there is none."""
    return import_first(_LIBRARIES["zstd"])


def missing_library(coding: str) -> str:
    """Say what a coding lacks and how to get it."""
    tried = " nor ".join(_LIBRARIES[coding])
    return f"{coding} is left out: neither {tried} can be imported; to offer it, install {_INSTALL[coding]}"


def live_order(codings: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Sort the codings at hand for open-ended streams."""
    return tuple(coding for coding in _LIVE_ORDER if coding in codings)
