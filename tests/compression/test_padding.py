"""Padding against BREACH: lengths that say less, bodies that every decoder reads."""

import pytest

from asgi_middleware.compression import CompressionMiddleware
from asgi_middleware.compression.codecs import make_codec
from asgi_middleware.compression.padding import Padded, padding_size
from asgi_middleware.testing.driver import http

pytestmark = pytest.mark.anyio

LEVELS = {"gzip_level": 6, "brotli_quality": 4, "zstd_level": 3}
TEXT = b'{"id": 1, "name": "Ada", "text": "the quick brown fox jumps over the lazy dog"}\n' * 40


def unpadded(coding, data):
    """Take a skippable frame off the end: a decoder of one frame stops before it."""
    if coding == "zstd":
        start = data.rindex(b"\x50\x2a\x4d\x18")
        assert len(data) == start + 8 + int.from_bytes(data[start + 4 : start + 8], "little")
        return data[:start]
    return data


@pytest.mark.parametrize("largest", [1, 2, 256, 257, 4096])
@pytest.mark.parametrize("size", [0, 1, 500, 300_000])
def test_padded_bodies_are_the_same_bodies(largest, size, coding, decode):
    """Whatever the size of the body and of its padding, it decodes to itself [B1]."""
    codec = Padded(make_codec(coding, **LEVELS), largest)
    data = (TEXT * (size // len(TEXT) + 1))[:size]
    encoded = codec.whole(data)
    plain = make_codec(coding, **LEVELS).whole(data)
    assert decode(coding, unpadded(coding, encoded)) == data
    assert len(encoded) >= len(plain) + (padding_size(data, largest) if coding != "br" else 0)
    stream = codec.open(live=False).finish(data)
    assert decode(coding, unpadded(coding, stream)) == data


@pytest.mark.parametrize("live", [False, True])
def test_padded_streams_can_be_read_chunk_by_chunk(live, coding, decoder):
    """Padding stands in no chunk's way [B1, M4]."""
    encoder = Padded(make_codec(coding, **LEVELS), 300).open(live=live)
    reading = decoder(coding)
    for data in (TEXT, b"b", TEXT):
        assert reading.feed(encoder.feed(data)) == data
    assert reading.feed(unpadded(coding, encoder.finish(b"end"))) == b"end"
    assert reading.ended


def test_every_size_of_padding_is_legal(coding, decode):
    """All sizes up to 600 bytes decode: one and two bytes of length in brotli's block [B1]."""
    for number in range(300):
        data = TEXT + b"%d" % number
        assert decode(coding, unpadded(coding, Padded(make_codec(coding, **LEVELS), 600).whole(data))) == data


async def test_lengths_of_guesses_differ_by_more_than_the_guess(coding, sending, start, body):
    """Answers to different guesses are spread over the padding, and asking again tells nothing new [B1, B2]."""
    sizes = {}
    for guess in range(60):
        data = TEXT + b"guess=%02d" % guess
        app = CompressionMiddleware(sending(start(), body(data)), breach_padding=64)
        results = [await http(app, headers=[(b"accept-encoding", coding.encode())]) for _ in range(2)]
        assert len(results[0].body) == len(results[1].body)
        assert results[0].header(b"content-length") == b"%d" % len(results[0].body)
        sizes[guess] = len(results[0].body)
    assert len(set(sizes.values())) > 20
    assert max(sizes.values()) - min(sizes.values()) > 32


def test_the_padding_is_not_zero_and_has_its_limit():
    """Every body gets at least one byte and at most as many as the option says [B1]."""
    sizes = {padding_size(b"%d" % number, 16) for number in range(1000)}
    assert sizes == set(range(1, 17))
