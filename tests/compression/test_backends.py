"""The gzip coding by other libraries: the same format, chosen by what is installed."""

import gzip
import logging
import random
import sys
import zlib

import pytest

from asgi_middleware.compression import CompressionMiddleware
from asgi_middleware.compression.gzip_backends import make_gzip
from asgi_middleware.testing.driver import http

TEXT = b'{"id": 1, "name": "Ada", "text": "the quick brown fox jumps over the lazy dog"}\n' * 40
MODULES = {"isal": "isal.isal_zlib", "zlib-ng": "zlib_ng.zlib_ng"}


@pytest.fixture(params=["zlib", "isal", "zlib-ng"])
def backend(request):
    """One backend; the two libraries may have no wheel for this interpreter."""
    if request.param in MODULES:
        pytest.importorskip(MODULES[request.param])
    return request.param


@pytest.mark.may_skip("the libraries have no wheel for every interpreter")
@pytest.mark.parametrize("level", [1, 2, 6, 7, 9])
def test_every_backend_writes_gzip(level, backend):
    """Whole bodies are one member without a time stamp, whichever library wrote them [C3]."""
    codec = make_gzip(level, backend, 1_000_000)
    for data in (b"", b"a", TEXT, random.Random(1).randbytes(100_000), bytes(1_000_000)):
        encoded = codec.whole(data)
        assert gzip.decompress(encoded) == data
        assert encoded[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
    assert codec.inline_size > 0


@pytest.mark.may_skip("the libraries have no wheel for every interpreter")
@pytest.mark.parametrize("live", [False, True])
def test_every_backend_streams(live, backend):
    """Each chunk can be decoded on arrival, and the stream is one member [M4, C3]."""
    encoder = make_gzip(6, backend, 1_000_000).open(live=live)
    reading = zlib.decompressobj(31)
    for data in (b"a", TEXT, b"b", random.Random(1).randbytes(200_000), TEXT):
        assert reading.decompress(encoder.feed(data)) == data
    assert reading.decompress(encoder.finish(b"end")) == b"end"
    assert (reading.eof, reading.unused_data) == (True, b"")


@pytest.mark.may_skip("the libraries have no wheel for every interpreter")
@pytest.mark.parametrize(
    ("backend", "level", "missing", "expected"),
    [
        ("auto", 6, (), "isal_zlib"),
        ("auto", 7, (), "zlib_ng"),
        ("auto", 6, ("isal.isal_zlib",), "zlib_ng"),
        ("auto", 6, ("isal.isal_zlib", "zlib_ng.zlib_ng"), "zlib"),
        ("auto", 9, ("zlib_ng.zlib_ng",), "zlib"),
        ("isal", 9, (), "isal_zlib"),
        ("isal", 6, ("isal.isal_zlib",), "zlib"),
        ("zlib-ng", 6, (), "zlib_ng"),
        ("zlib-ng", 6, ("zlib_ng.zlib_ng",), "zlib"),
        ("zlib", 6, (), "zlib"),
    ],
)
def test_which_library_serves(backend, level, missing, expected, monkeypatch):
    """By itself the class takes the fastest that is there and can do the level; a name is obeyed where it can be."""
    for module in MODULES.values():
        pytest.importorskip(module)
    for module in missing:
        monkeypatch.setitem(sys.modules, module, None)
    assert make_gzip(level, backend, 1_000_000)._library.__name__.rpartition(".")[2] == expected


@pytest.mark.parametrize("backend", ["isal", "zlib-ng"])
@pytest.mark.anyio
async def test_a_missing_backend_is_replaced_by_zlib(backend, monkeypatch, caplog, sending, start, body, decode):
    """The coding is served all the same, and one line says what to install [C2]."""
    monkeypatch.setitem(sys.modules, MODULES[backend], None)
    with caplog.at_level(logging.INFO, logger="asgi_middleware.compression"):
        app = CompressionMiddleware(sending(start(), body()), gzip_backend=backend, encodings=["gzip"])
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert (
        caplog.records[0]
        .getMessage()
        .startswith(f"gzip is done by zlib: {backend} cannot be imported; for it, install ")
    )
    assert decode("gzip", (await http(app, headers=[(b"accept-encoding", b"gzip")])).body) == TEXT
