"""Compression dictionary transport (RFC 9842): the right client gets dcz, and nobody else."""

import base64
import threading
from hashlib import sha256

import pytest

from asgi_middleware.compression import CompressionMiddleware
from asgi_middleware.testing.driver import http

try:
    from compression import zstd
except ImportError:
    from backports import zstd

pytestmark = pytest.mark.anyio

DICTIONARY = b"".join(b'{"number": %d, "square": %d}\n' % (n, n * n) for n in range(500))
BODY = DICTIONARY.replace(b"7", b"8")
HASH = sha256(DICTIONARY).digest()
AVAILABLE = (b"available-dictionary", b":" + base64.b64encode(HASH) + b":")
ACCEPT = (b"accept-encoding", b"gzip, br, zstd, dcz")
SITE = (b"sec-fetch-site", b"same-origin")
VARY = b"Accept-Encoding, Available-Dictionary, Sec-Fetch-Site"


def decoded(data):
    assert data[:8] == b"\x5e\x2a\x4d\x18\x20\x00\x00\x00"
    assert data[8:40] == HASH
    prefix = zstd.ZstdDict(DICTIONARY, is_raw=True).as_prefix
    return zstd.ZstdDecompressor(zstd_dict=prefix).decompress(data[40:])


async def ask(sending, *messages, headers=(ACCEPT, AVAILABLE, SITE), scheme="https", **options):
    app = CompressionMiddleware(sending(*messages), dictionaries=[DICTIONARY], **options)
    return await http(app, headers=list(headers), scheme=scheme)


async def test_a_client_with_the_dictionary_gets_dcz(sending, start, body):
    """The body is encoded against it, at a fraction of the size, and says on what it depends (RFC 9842 4.1, 2.2)."""
    result = await ask(sending, start((b"etag", b'"a"')), body(BODY), etag="suffix")
    assert result.header(b"content-encoding") == b"dcz"
    assert decoded(result.body) == BODY
    assert result.header(b"vary") == VARY
    assert result.header(b"etag") == b'"a-dcz"'
    other = await ask(sending, start(), body(BODY), headers=(ACCEPT,))
    assert other.header(b"content-encoding") == b"zstd"
    assert other.header(b"vary") == VARY
    assert len(result.body) < len(other.body) / 2


async def test_streams_do_as_well(sending, start, body):
    """A stream starts with the header of the coding, once."""
    result = await ask(sending, start(), body(BODY[:5000], more_body=True), body(BODY[5000:]))
    assert decoded(result.body) == BODY
    assert result.header(b"content-encoding") == b"dcz"


async def test_a_thread_takes_over_earlier(sending, start, body):
    """A dictionary of megabytes is read for every body: no event loop waits for that, however small the body is."""
    threads = []

    class Watched:
        """A codec that notes where it runs."""

        coding = b"dcz"
        inline_size = 1

        def whole(self, data):
            threads.append(threading.current_thread() is threading.main_thread())
            return b"encoded"

    app = CompressionMiddleware(sending(start(), body(BODY)), dictionaries=[DICTIONARY])
    app._policy.agreements._dictionaries._codecs[HASH] = Watched()
    result = await http(app, headers=[ACCEPT, AVAILABLE, SITE], scheme="https")
    assert result.body == b"encoded"
    assert threads == [False]


async def test_events_take_no_dictionary(sending, start, body):
    """An open-ended stream keeps its small encoder."""
    result = await ask(
        sending, start(content_type=b"text/event-stream"), body(b"data: 1\n\n", more_body=True), body(b"")
    )
    assert result.header(b"content-encoding") == b"gzip"


@pytest.mark.parametrize(
    ("headers", "scheme"),
    [
        ((ACCEPT, SITE), "https"),
        ((ACCEPT, AVAILABLE), "https"),
        ((ACCEPT, AVAILABLE, SITE), "http"),
        ((ACCEPT, AVAILABLE, (b"sec-fetch-site", b"same-site")), "https"),
        ((ACCEPT, AVAILABLE, (b"sec-fetch-site", b"cross-site")), "https"),
        ((ACCEPT, AVAILABLE, SITE, SITE), "https"),
        ((ACCEPT, AVAILABLE, AVAILABLE, SITE), "https"),
        (((b"accept-encoding", b"gzip, br, zstd"), AVAILABLE, SITE), "https"),
        (((b"accept-encoding", b"zstd, *"), AVAILABLE, SITE), "https"),
        (((b"accept-encoding", b"zstd, dcz;q=0"), AVAILABLE, SITE), "https"),
        (((b"accept-encoding", b"zstd, dcz;q=0.5"), AVAILABLE, SITE), "https"),
        ((ACCEPT, (b"available-dictionary", base64.b64encode(HASH)), SITE), "https"),
        ((ACCEPT, (b"available-dictionary", b":" + HASH.hex().encode() + b":"), SITE), "https"),
        ((ACCEPT, (b"available-dictionary", b":!:"), SITE), "https"),
        ((ACCEPT, (b"available-dictionary", b":"), SITE), "https"),
        ((ACCEPT, (b"available-dictionary", b":" + base64.b64encode(bytes(32)) + b":"), SITE), "https"),
    ],
)
async def test_anything_that_speaks_against_it_means_no(headers, scheme, sending, start, body):
    """Without the token, the dictionary, https or the own origin, or with a header twice, the body is ordinary zstd."""
    result = await ask(sending, start(), body(BODY), headers=headers, scheme=scheme)
    assert result.header(b"content-encoding") == b"zstd"
    assert zstd.decompress(result.body) == BODY


async def test_the_window_stays_within_the_limit(sending, start, body):
    """Also for a dictionary of megabytes no frame declares more than 8 MB (RFC 9842 4.1) [C1]."""
    from asgi_middleware.compression.dictionaries import DictionaryZstd
    from asgi_middleware.compression.files import zstd_window

    for level in (3, 22):
        codec = DictionaryZstd(zstd, level, bytes(3_000_000))
        assert zstd_window(codec.open(live=False).feed(BODY)[40:]) <= 8 * 1024 * 1024


async def test_padding_is_for_other_origins(sending, start, body):
    """What only the own origin can ask for needs no padding, and gets none."""
    result = await ask(sending, start(), body(BODY), breach_padding=50)
    assert result.header(b"content-encoding") == b"dcz"
    assert decoded(result.body) == BODY


async def test_the_memory_of_bodies_keeps_dictionaries_apart(sending, start, body):
    """What was encoded against one dictionary never reaches a client that has another."""
    other = DICTIONARY[::-1]
    app = CompressionMiddleware(sending(start(), body(BODY)), dictionaries=[DICTIONARY, other], cache_size=1_000_000)
    for content in (DICTIONARY, other, DICTIONARY):
        digest = sha256(content).digest()
        available = (b"available-dictionary", b":" + base64.b64encode(digest) + b":")
        result = await http(app, headers=[ACCEPT, available, SITE], scheme="https")
        assert result.body[8:40] == digest
        prefix = zstd.ZstdDict(content, is_raw=True).as_prefix
        assert zstd.ZstdDecompressor(zstd_dict=prefix).decompress(result.body[40:]) == BODY
