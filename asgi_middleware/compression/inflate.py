"""Inflaters: gzip, deflate, brotli and zstd behind one small interface, each giving a bounded piece at a time.

Facts this module rests on:

- The shortest way to inflate has no bound: 329 bytes of brotli are 200 MB. What can be bounded is
  ``zlib.decompressobj().decompress(data, max_length)``, ``ZstdDecompressor.decompress(data, max_length)``, and from
  brotli 1.2 on ``Decompressor.process(data, output_buffer_limit=)``, which overshoots by a half (google/brotli#1396).
- zlib keeps what it has not taken in ``unconsumed_tail``, a copy that is made at every step. So input comes in slices.
- brotli says that it takes more input while it still has output: it has none only when it gave less than was asked.
- A gzip body is one or more members (RFC 1952 2.2), a zstd body one or more frames (RFC 8878 3.1). A brotli or deflate
  stream is one, with nothing behind it.
- ``deflate`` means the zlib wrapping (RFC 9110 8.4.1.2), but some clients send none. The low half of a zlib stream's
  first byte is 8 (RFC 1950 2.2). A raw stream begins so only with a stored block whose padding is not zero.
- A zstd frame may declare a window of 8 MB at most (RFC 9659 3), a brotli stream one of 16 MB (RFC 7932 9.1). The
  others look back at 32 KiB (RFC 1951 2).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from asgi_middleware.compression import brotli_head, zstd_head
from asgi_middleware.compression.libraries import import_first

PIECE: Final = 64 * 1024
"""Bytes that an inflater gives at a time; brotli may give half as much again."""

_GZIP_WINDOW: Final = zlib.MAX_WBITS | 16
_ZLIB_METHOD: Final = 8
# What a bound leaves beside brotli's window: with its tables a body takes no more than the bound and 1 MiB then.
_BROTLI_REST: Final = brotli_head.TABLES - 1024 * 1024


class TrailingDataError(Exception):
    """There is something behind the end of a stream."""


class WindowTooLargeError(Exception):
    """A stream asks for more memory than the whole body may have."""


class Inflater(Protocol):
    """One coding of one body.

    Attributes:
        hungry: Whether it has given all that it could give of what it got.
        ended: Whether its input may end here; so it may before it began.
        parts: The members or frames begun so far.
        window: The most bytes that it holds to look back at; 0 where that is little.
        tables: The most bytes that it holds besides; 0 where that is little.
    """

    hungry: bool
    ended: bool
    parts: int
    window: int
    tables: int

    def inflate(self, data: bytes | memoryview, /) -> bytes:
        """Give the next piece; `data` is empty unless it is hungry."""
        ...


class Deflate:
    """The deflate coding (RFC 1950 around RFC 1951), or a bare RFC 1951 stream."""

    tables = 0
    __slots__ = ("_inflater", "ended", "hungry", "parts", "window")

    def __init__(self) -> None:
        self._inflater: Any = None
        self.hungry = True
        self.ended = True
        self.parts = 1
        self.window = 0

    def inflate(self, data: bytes | memoryview) -> bytes:
        """Give the next piece."""
        inflater = self._inflater
        if inflater is None:
            wrapped = data[0] & 0x0F == _ZLIB_METHOD
            inflater = self._inflater = zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
        elif inflater.eof:
            raise TrailingDataError
        piece: bytes = inflater.decompress(data or inflater.unconsumed_tail, PIECE)
        self.ended = inflater.eof
        if self.ended and inflater.unused_data:
            raise TrailingDataError
        self.hungry = self.ended or (len(piece) < PIECE and not inflater.unconsumed_tail)
        return piece


class Gzip:
    """The gzip coding (RFC 1952), of one or more members."""

    tables = 0
    __slots__ = ("_inflater", "_rest", "ended", "hungry", "parts", "window")

    def __init__(self) -> None:
        self._inflater: Any = None
        self._rest: bytes = b""
        self.hungry = True
        self.ended = True
        self.parts = 0
        self.window = 0

    def inflate(self, data: bytes | memoryview) -> bytes:
        """Give the next piece, of one member."""
        inflater = self._inflater
        if inflater is None:
            inflater = self._inflater = zlib.decompressobj(_GZIP_WINDOW)
            self.parts += 1
        piece: bytes = inflater.decompress(data or self._rest, PIECE)
        if inflater.eof:
            self._inflater = None
            self._rest = inflater.unused_data
            self.ended = True
            self.hungry = not self._rest
        else:
            self._rest = inflater.unconsumed_tail
            self.ended = False
            self.hungry = len(piece) < PIECE and not self._rest
        return piece


class Zstd:
    """The zstd coding (RFC 8878, RFC 9659), of one or more frames."""

    tables = 0
    __slots__ = ("_head", "_inflater", "_largest_window", "_make", "_rest", "ended", "hungry", "parts", "window")

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._inflater: Any = None
        self._rest: bytes = b""
        self._head: bytes | None = b""  # of the frame; None once it has told the window
        self._largest_window = 0
        self.hungry = True
        self.ended = True
        self.parts = 0
        self.window = 0

    def inflate(self, data: bytes | memoryview) -> bytes:
        """Give the next piece, of one frame."""
        inflater = self._inflater
        data = data or self._rest
        if inflater is None:
            inflater = self._inflater = self._make()
            self.parts += 1
            self._head = b""
        if self._head is not None:
            self._read_head(data)
        piece: bytes = inflater.decompress(data, PIECE)
        self.ended = inflater.eof
        if self.ended:
            self._inflater = None
            self._rest = inflater.unused_data
            self.hungry = not self._rest
        else:
            self._rest = b""  # it keeps the rest itself
            self.hungry = inflater.needs_input
        return piece

    def _read_head(self, data: bytes | memoryview) -> None:
        head = (self._head or b"") + data[: zstd_head.LONGEST]
        window = zstd_head.window_of(head)
        self._head = head if window is None else None
        if window is not None and window > self._largest_window:
            # The smaller one is free, but a larger one has no room in its place: both are the process's from here on.
            self._largest_window = window
            self.window += window


class Brotli:
    """The br coding (RFC 7932)."""

    tables = brotli_head.TABLES
    __slots__ = ("_inflater", "_largest_window", "ended", "hungry", "parts", "window")

    def __init__(self, make: Callable[[], Any], largest_window: int) -> None:
        self._inflater = make()
        self._largest_window = largest_window
        self.hungry = True
        self.ended = True
        self.parts = 1
        self.window = 0

    def inflate(self, data: bytes | memoryview) -> bytes:
        """Give the next piece."""
        inflater = self._inflater
        if not self.window:
            self.window = brotli_head.window_of(data)
            if self.window > self._largest_window:
                raise WindowTooLargeError
            size = brotli_head.whole_size(data)
            if size is not None:
                self.window = min(self.window, 2 * size + 1)
        elif inflater.is_finished():
            raise TrailingDataError
        piece: bytes = inflater.process(data, output_buffer_limit=PIECE)
        self.ended = inflater.is_finished()
        self.hungry = self.ended or (len(piece) < PIECE and inflater.can_accept_more_data())
        return piece


class Coding(NamedTuple):
    """One coding that can be undone.

    Attributes:
        begin: Makes the inflater of one body.
        cost: Estimated nanoseconds for each byte that goes in or comes out, twice what a fast machine takes.
        error: What its library raises on malformed data.
        wide: Whether a decoder may hold megabytes to look back at.
        declared_size: Gives the size of a body from its beginning, or None where it does not tell; for a coding of
            which one step may do far more work than it gives.
    """

    begin: Callable[[], Inflater]
    cost: int
    error: type[Exception]
    wide: bool = False
    declared_size: Callable[[bytes], int | None] | None = None


DECODABLE: Final = ("gzip", "deflate", "br", "zstd")
"""The codings that can be undone where their libraries are installed."""

_INSTALL: Final = {
    "br": "no brotli of version 1.2 or newer can be imported, and older ones cannot be bounded; install brotli>=1.2",
    "zstd": "neither compression.zstd nor backports.zstd can be imported; install asgi-middleware[zstd]",
}


def make_coding(name: str, max_size: int) -> Coding | None:
    """Make one of `DECODABLE`; None where its library is missing.

    Args:
        name: The coding.
        max_size: The most bytes that a body may inflate to. No decoder gets more memory than that, unless encoders ask
            for more by default.
    """
    if name == "gzip":
        return Coding(Gzip, 4, zlib.error)
    if name == "deflate":
        return Coding(Deflate, 4, zlib.error)
    if name == "br":
        library = import_first(("brotli", "brotlicffi"))
        if library is None or not hasattr(library.Decompressor, "can_accept_more_data"):
            return None
        begin = partial(Brotli, library.Decompressor, max(max_size - _BROTLI_REST, brotli_head.USUAL_WINDOW))
        return Coding(begin, 5, library.error, wide=True, declared_size=brotli_head.whole_size)
    library = import_first(("compression.zstd", "backports.zstd"))
    if library is None:
        return None
    options = {library.DecompressionParameter.window_log_max: zstd_head.LARGEST_WINDOW.bit_length() - 1}
    begin_zstd = partial(Zstd, partial(library.ZstdDecompressor, options=options))
    return Coding(begin_zstd, 1, library.ZstdError, wide=True)


def missing_inflater(name: str) -> str:
    """Say what a coding lacks and how to get it."""
    return f"request bodies in {name} are refused: {_INSTALL[name]}"
