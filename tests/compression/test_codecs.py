"""Codecs: what each coding promises on the wire, and what is kept between bodies."""

import gzip
import random
import threading
import zlib

import pytest

from asgi_middleware.compression.codecs import CODINGS, Zstd, live_order, make_codec
from asgi_middleware.compression.zstd_head import window_of

LEVELS = {"gzip_level": 6, "brotli_quality": 4, "zstd_level": 3}
TEXT = b'{"id": 1, "name": "Ada", "text": "the quick brown fox jumps over the lazy dog"}\n' * 40
EIGHT_MEGABYTES = 8 * 1024 * 1024


class TestEveryCoding:
    """What holds for all three."""

    def test_encodes_whole_bodies(self, coding, decode):
        """A whole body comes back, whatever it is."""
        codec = make_codec(coding, **LEVELS)
        for data in (b"", b"a", TEXT, random.Random(1).randbytes(100_000), bytes(1_000_000)):
            assert decode(coding, codec.whole(data)) == data

    @pytest.mark.parametrize("live", [False, True])
    def test_encodes_streams(self, live, coding, decoder):
        """Each chunk comes back from what is out, and the end is an end."""
        encoder = make_codec(coding, **LEVELS).open(live=live)
        reading = decoder(coding)
        for data in (b"a", TEXT, b"b", random.Random(1).randbytes(10_000), TEXT):
            assert reading.feed(encoder.feed(data)) == data
        assert reading.feed(encoder.finish(b"end")) == b"end"
        assert reading.ended

    def test_encodes_at_every_level(self, coding, decode):
        """Each level that the options allow works, for whole bodies and for streams."""
        option, levels = {
            "gzip": ("gzip_level", range(1, 10)),
            "br": ("brotli_quality", range(12)),
            "zstd": ("zstd_level", range(1, 23)),
        }[coding]
        for level in levels:
            codec = make_codec(coding, **{**LEVELS, option: level})
            assert decode(coding, codec.whole(TEXT)) == TEXT
            assert decode(coding, codec.open(live=False).finish(TEXT)) == TEXT
            assert codec.inline_size > 0

    def test_takes_longer_budgets_for_faster_levels(self):
        """What is encoded on the event loop shrinks as the level rises."""
        sizes = [make_codec("gzip", **{**LEVELS, "gzip_level": level}).inline_size for level in (1, 6, 9)]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] > sizes[2]


class TestGzip:
    """RFC 1952."""

    def test_writes_no_time(self):
        """The same body gives the same bytes at any time [C3]."""
        codec = make_codec("gzip", **LEVELS)
        for encoded in (codec.whole(TEXT), codec.open(live=False).finish(TEXT), codec.open(live=True).finish(TEXT)):
            assert encoded[:4] == b"\x1f\x8b\x08\x00"
            assert encoded[4:8] == bytes(4)
            assert gzip.decompress(encoded) == TEXT

    def test_writes_one_member(self):
        """A stream of many chunks is one gzip member [C3]."""
        encoder = make_codec("gzip", **LEVELS).open(live=False)
        encoded = b"".join(encoder.feed(TEXT) for _ in range(10)) + encoder.finish(b"")
        reading = zlib.decompressobj(31)
        assert reading.decompress(encoded) == TEXT * 10
        assert (reading.eof, reading.unused_data) == (True, b"")


class TestZstd:
    """RFC 8878 and RFC 9659."""

    @pytest.mark.parametrize("level", [1, 3, 19, 20, 22])
    def test_declares_eight_megabytes_at_most(self, level):
        """No frame, of a stream or of a body larger than that, declares a window that browsers refuse [C1]."""
        codec = make_codec("zstd", **{**LEVELS, "zstd_level": level})
        assert window_of(codec.open(live=False).feed(TEXT)) <= EIGHT_MEGABYTES
        assert window_of(codec.whole(TEXT)) == len(TEXT)
        if level < 19:  # the slow levels would take seconds
            assert window_of(codec.whole(bytes(EIGHT_MEGABYTES + 1))) <= EIGHT_MEGABYTES

    def test_declares_eight_megabytes_at_the_highest_level_too(self):
        """A body above the limit is cut into its window at level 22 as well [C1]."""
        codec = make_codec("zstd", **{**LEVELS, "zstd_level": 22})
        assert window_of(codec.whole(bytes(EIGHT_MEGABYTES + 1))) == EIGHT_MEGABYTES

    def test_live_streams_declare_a_small_window(self):
        """An open-ended stream keeps little memory at both ends."""
        assert window_of(make_codec("zstd", **LEVELS).open(live=True).feed(TEXT)) == 1024

    def test_keeps_a_context_for_each_thread(self):
        """A context is used again in its thread, and only there [C4]."""
        library = CountingLibrary()
        codec = Zstd(library, 3)
        for _ in range(3):
            codec.whole(TEXT)
        assert library.made == 1
        other = threading.Thread(target=codec.whole, args=(TEXT,))
        other.start()
        other.join()
        assert library.made == 2

    def test_keeps_no_context_of_a_large_body(self):
        """A context that has grown to megabytes is given up [C4]."""
        library = CountingLibrary()
        codec = Zstd(library, 3)
        for _ in range(3):
            codec.whole(bytes(200_000))
        assert library.made == 3

    def test_gives_up_a_context_that_failed(self):
        """A context that failed within a frame would carry its rest into the next body [C4]."""
        library = CountingLibrary()
        codec = Zstd(library, 3)
        codec.whole(TEXT)
        library.failing = True
        with pytest.raises(MemoryError):
            codec.whole(TEXT)
        library.failing = False
        codec.whole(TEXT)
        assert library.made == 2


class CountingLibrary:
    """Stands for the zstd library, and counts the contexts."""

    class CompressionParameter:
        compression_level = 100
        window_log = 101
        hash_log = 102

    def __init__(self):
        self.made = 0
        self.failing = False

    def ZstdCompressor(self, options):  # noqa: N802 -- the library's name
        self.made += 1
        library = self

        class Compressor:
            FLUSH_FRAME = 2

            def compress(self, data, mode):
                if library.failing:
                    raise MemoryError
                return data

        return Compressor()


def test_live_order_names_what_is_at_hand():
    """The order for open-ended streams holds the codings at hand and no other."""
    assert live_order((b"br", b"gzip")) == (b"gzip", b"br")
    assert set(live_order(tuple(coding.encode() for coding in CODINGS))) == {b"zstd", b"br", b"gzip"}
