"""Resuming a download: what a client puts together is the file, or it gets the whole again."""

import email.utils

import pytest

from asgi_middleware.compression import CompressionMiddleware
from asgi_middleware.testing.driver import http

starlette_responses = pytest.importorskip("starlette.responses")
pytestmark = pytest.mark.anyio

DATA = b"".join(b'{"number": %d, "square": %d}\n' % (n, n * n) for n in range(5_000))


@pytest.fixture
def served(tmp_path):
    """A file served by Starlette's FileResponse, which knows ranges, If-Range and ETag."""
    path = tmp_path / "data.json"
    path.write_bytes(DATA)
    return starlette_responses.FileResponse(path, media_type="application/json")


@pytest.mark.parametrize("etag", ["weak", "suffix", "drop", "keep"])
@pytest.mark.parametrize("condition", ["etag", "strong form", "date", "future date"])
@pytest.mark.parametrize("cut", [1, 500, 10_000])
async def test_a_resumed_download_is_never_corrupt(cut, condition, etag, coding, served, decode):
    """Cut anywhere and resumed under any condition that the answer gave, the parts decode to the file [H4]."""
    app = CompressionMiddleware(served, etag=etag)
    accept = (b"accept-encoding", coding.encode())
    first = await http(app, headers=[accept])
    assert first.header(b"content-encoding") == coding.encode()
    part = first.body[:cut]
    tag = first.header(b"etag") or b'"none"'
    conditions = {
        "etag": tag,
        "strong form": tag.removeprefix(b"W/"),
        "date": first.header(b"last-modified"),
        "future date": email.utils.formatdate(4_000_000_000, usegmt=True).encode(),
    }
    resume = [accept, (b"range", b"bytes=%d-" % cut), (b"if-range", conditions[condition])]
    second = await http(app, headers=resume)
    if condition == "strong form" and etag == "weak":
        # A client that makes a strong tag of a weak one asks for the plain file, by its own doing (RFC 9110 13.1.5).
        assert second.status == 206
        return
    assert second.status == 200
    assert decode(coding, second.body) == DATA
    assert len(part) == cut


async def test_a_plain_download_resumes_as_ever(served):
    """A client that accepts no coding gets the rest of the file [H7]."""
    app = CompressionMiddleware(served)
    first = await http(app)
    resume = [(b"range", b"bytes=100-"), (b"if-range", first.header(b"etag"))]
    second = await http(app, headers=resume)
    assert second.status == 206
    assert first.body[:100] + second.body == DATA
    assert second.header(b"vary") == b"Accept-Encoding"
