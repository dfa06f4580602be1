"""What the compression tests share: the three codings, their decoders, and an app that sends given messages."""

import zlib

import brotli
import pytest

try:
    from compression import zstd
except ImportError:
    from backports import zstd

TEXT = b'{"id": 1, "name": "Ada", "text": "the quick brown fox jumps over the lazy dog"}\n' * 40


class Decoder:
    """Decodes one coded body piece by piece, as a client does."""

    def __init__(self, coding):
        self.coding = coding
        if coding == "gzip":
            self._decoder = zlib.decompressobj(31)
            self.feed = self._decoder.decompress
        elif coding == "br":
            self._decoder = brotli.Decompressor()
            self.feed = self._drain
        else:
            self._decoder = zstd.ZstdDecompressor()
            self.feed = self._decoder.decompress

    def _drain(self, data):
        # One call of this decoder may give a part only of what it could: it is asked until it has no more.
        pieces = [self._decoder.process(data)]
        while pieces[-1]:
            pieces.append(self._decoder.process(b""))
        return b"".join(pieces)

    @property
    def ended(self):
        """Whether the coded stream came to its end, with nothing behind it."""
        if self.coding == "br":
            return self._decoder.is_finished()
        return self._decoder.eof and not self._decoder.unused_data


def decode_whole(coding, data):
    """Decode a whole body and check that it is complete."""
    decoder = Decoder(coding)
    decoded = decoder.feed(data)
    assert decoder.ended
    return decoded


@pytest.fixture(params=["gzip", "br", "zstd"])
def coding(request):
    """One content coding."""
    return request.param


@pytest.fixture
def text():
    """A body of 3,200 bytes that every coding makes smaller."""
    return TEXT


@pytest.fixture
def decoder():
    """Make an incremental decoder."""
    return Decoder


@pytest.fixture
def decode():
    """Decode a whole body."""
    return decode_whole


@pytest.fixture
def sending():
    """Make an app that sends the given messages."""

    def make(*messages):
        async def app(scope, receive, send):
            for message in messages:
                await send(message)

        return app

    return make


@pytest.fixture
def start():
    """Make a start message."""

    def make(*headers, status=200, content_type=b"application/json", **keys):
        typed = [] if content_type is None else [(b"content-type", content_type)]
        return {"type": "http.response.start", "status": status, "headers": [*typed, *headers], **keys}

    return make


@pytest.fixture
def body():
    """Make a body message."""

    def make(data=TEXT, **keys):
        return {"type": "http.response.body", "body": data, **keys}

    return make
