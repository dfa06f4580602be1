"""Request bodies in every content coding, and the bombs that are made of them."""

import gzip
import zlib
from functools import cache

import brotli

try:
    from compression import zstd
except ImportError:
    from backports import zstd


def raw_deflate(data: bytes) -> bytes:
    """Encode as some clients do under the name of deflate: without the zlib wrapping."""
    encoder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return encoder.compress(data) + encoder.flush()


# By the name of the form: the coding's name, and the encoder.
FORMS = {
    "gzip": (b"gzip", lambda data: gzip.compress(data, mtime=0)),
    "x-gzip": (b"x-gzip", lambda data: gzip.compress(data, mtime=0)),
    "deflate": (b"deflate", zlib.compress),
    "raw deflate": (b"deflate", raw_deflate),
    "br": (b"br", lambda data: brotli.compress(data, quality=5)),
    "zstd": (b"zstd", zstd.compress),
}


@cache
def zeros(size: int, form: str) -> bytes:
    """Encode `size` zeros without ever holding them: the best ratio that a coding can reach.

    "wide br" and "wide zstd" take a window of 8 MB, the largest one that zstd frames may have on the web.
    """
    block = bytes(1 << 20)
    if form in {"br", "wide br"}:
        encoder = brotli.Compressor(quality=5, lgwin=23 if form == "wide br" else 22)
        pieces = [encoder.process(block) for _ in range(size >> 20)]
        return b"".join([*pieces, encoder.finish()])
    if form == "wide zstd":
        encoder = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 23})
    else:
        encoder = zstd.ZstdCompressor() if form == "zstd" else zlib.compressobj(6, wbits=31)
    pieces = [encoder.compress(block) for _ in range(size >> 20)]
    return b"".join([*pieces, encoder.flush()])


def streamed_brotli(data: bytes, lgwin: int = 22) -> bytes:
    """Encode as a stream does, which does not know its size."""
    encoder = brotli.Compressor(quality=5, lgwin=lgwin)
    return encoder.process(data) + encoder.flush() + encoder.finish()


def wide_zstd(window_log: int, data: bytes) -> bytes:
    """Encode with a window of one's own, as a stream does, which does not know its size."""
    encoder = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: window_log})
    return encoder.compress(data) + encoder.flush()


def skippable_frame(data: bytes) -> bytes:
    """Give a zstd frame that decoders skip (RFC 8878 3.1.2)."""
    return b"\x50\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data
