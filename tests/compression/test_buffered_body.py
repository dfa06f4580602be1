"""A body that is inflated before the app is called: what is kept of it, and what is inflated a second time."""

import random
import weakref
import zlib

import brotli
import pytest
from request_codings import FORMS, skippable_frame, streamed_brotli, wide_zstd

from asgi_middleware.compression import DecompressionMiddleware, buffered_body
from asgi_middleware.compression.encoded_body import EncodedBody
from asgi_middleware.testing.driver import drive, http_scope

pytestmark = pytest.mark.anyio

MIB = 1 << 20
KIB = 1 << 10


def half_noise(size):
    """Give a body of which half gets smaller."""
    return (random.Random(size).randbytes(size // 2) + bytes(size - size // 2))[:size]


@pytest.fixture
def begun(monkeypatch):
    """How often the body was begun to be inflated: an item for each time."""
    times = []

    class Counted(EncodedBody):
        def __init__(self, *args):
            times.append(1)
            super().__init__(*args)

    monkeypatch.setattr(buffered_body, "EncodedBody", Counted)
    return times


class Reader:
    """An app that reads to the end, and once more after its answer, and notes the declared length."""

    def __init__(self):
        self.messages = []
        self.length = None
        self.after = None

    async def __call__(self, scope, receive, send):
        self.length = int(dict(scope["headers"])[b"content-length"])
        while not self.messages or self.messages[-1]["more_body"]:
            self.messages.append(await receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        self.after = await receive()

    @property
    def body(self):
        return b"".join(message["body"] for message in self.messages)


async def post(app, coding, *chunks, max_size=MIB, headers=()):
    scope = http_scope("POST", headers=[(b"content-encoding", coding), *headers])
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages[-1]["more_body"] = False
    return await drive(DecompressionMiddleware(app, max_size=max_size, buffer=True), scope, messages)


def in_slices(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


ENCODERS = {
    "br": (b"br", streamed_brotli),
    "br of 64 KB windows": (b"br", lambda data: streamed_brotli(data, lgwin=16)),
    "br of one block": (b"br", lambda data: brotli.compress(data, quality=5)),
    "zstd": (b"zstd", FORMS["zstd"][1]),
    "zstd of 8 MB windows": (b"zstd", lambda data: wide_zstd(23, data)),
    "zstd of two frames": (b"zstd", lambda data: b"".join(map(FORMS["zstd"][1], (data[:1000], data[1000:])))),
    "zstd in gzip": (b"zstd, gzip", lambda data: zlib.compress(wide_zstd(21, data), wbits=31)),
    "br in br": (b"br, br", lambda data: streamed_brotli(streamed_brotli(data))),
    "gzip in br": (b"gzip, br", lambda data: streamed_brotli(zlib.compress(data, wbits=31))),
}


@pytest.mark.parametrize("slices", [1000, 20_000, 10 * MIB])
@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 100 * KIB, 257 * KIB, 700 * KIB, MIB])
@pytest.mark.parametrize("encoder", ENCODERS)
async def test_any_body_arrives(encoder, size, slices):
    """Whether it is kept or inflated again, the app gets the body and its length, and then what the server says."""
    coding, encode = ENCODERS[encoder]
    body, reader = half_noise(size), Reader()
    await post(reader, coding, *(in_slices(encode(body), slices) or [b""]))
    assert reader.body == body
    assert reader.length == size
    assert reader.after == {"type": "http.disconnect"}


@pytest.mark.parametrize("encoder", ENCODERS)
async def test_one_byte_more_than_the_bound(encoder):
    """The bound is the same to the byte where nothing that came out is kept."""
    coding, encode = ENCODERS[encoder]
    result = await post(Reader(), coding, encode(half_noise(MIB + 1)))
    assert (result.status, result.json()["reason"]) == (413, "inflated_body_too_large")


@pytest.mark.parametrize(
    ("encoder", "size", "times"),
    [
        ("br", 128 * KIB, 1),  # a small body is kept whatever its decoder holds
        ("br", 129 * KIB, 1),  # all of it is there before it is too much
        ("br", 300 * KIB, 2),
        ("br of one block", 300 * KIB, 2),  # its tables alone may take 2 MB
        ("zstd", 500 * KIB, 1),  # it looks back at 500 KiB
        ("zstd", 700 * KIB, 2),
        ("zstd of 8 MB windows", 190 * KIB, 1),  # the window is given up when the last piece comes
        ("zstd of 8 MB windows", 300 * KIB, 2),
        ("zstd of two frames", 1000 * KIB, 2),
        ("zstd in gzip", 600 * KIB, 2),
    ],
)
async def test_what_is_inflated_twice(encoder, size, times, begun):
    """A body that would need more than the bound beside its decoder's window and its encoded form."""
    coding, encode = ENCODERS[encoder]
    await post(Reader(), coding, *in_slices(encode(bytes(size)), 10_000))
    assert len(begun) == times


@pytest.mark.parametrize(("body", "times"), [(bytes(400 * KIB), 1), (random.Random(0).randbytes(400 * KIB), 2)])
async def test_what_was_sent_counts(body, times, begun):
    """The encoded body is kept as well, as long as it may be needed."""
    await post(Reader(), b"zstd", *in_slices(FORMS["zstd"][1](body), 10_000))
    assert len(begun) == times


async def test_a_window_counts_once(begun):
    """A frame takes the place of the one before it, where it looks back no further."""
    frame = wide_zstd(17, bytes(30 * KIB))
    await post(Reader(), b"zstd", *[frame] * 10)
    assert len(begun) == 1


async def test_a_window_is_no_larger_than_a_body_of_one_block(begun):
    """The head of a brotli body that was encoded whole tells how much the decoder will hold."""
    await post(Reader(), b"br", brotli.compress(bytes(400 * KIB), quality=5), max_size=4 * MIB)
    assert len(begun) == 1
    await post(Reader(), b"br", streamed_brotli(bytes(400 * KIB)), max_size=4 * MIB)
    assert len(begun) == 3


async def test_a_head_in_pieces(begun):
    """A frame's window is known however its head is cut."""
    body, reader = wide_zstd(23, bytes(300 * KIB)), Reader()
    await post(reader, b"zstd", *in_slices(body[:10], 1), body[10:])
    assert (reader.length, len(begun)) == (300 * KIB, 2)


@pytest.mark.parametrize("form", ["gzip", "deflate"])
async def test_what_looks_back_at_little_is_inflated_once(form, begun):
    """A gzip decoder holds 32 KiB, so that what came out is kept up to the bound."""
    coding, encode = FORMS[form]
    reader = Reader()
    await post(reader, coding, encode(half_noise(MIB)))
    assert (reader.length, len(begun)) == (MIB, 1)


async def test_without_a_bound_it_is_inflated_once(begun):
    """There is nothing to keep within."""
    scope = http_scope("POST", headers=[(b"content-encoding", b"br")])
    message = {"type": "http.request", "body": streamed_brotli(bytes(20 * MIB)), "more_body": False}
    reader = Reader()
    await drive(DecompressionMiddleware(reader, max_size=None, buffer=True), scope, [message])
    assert (reader.length, len(begun)) == (20 * MIB, 1)


async def test_more_was_sent_than_comes_out():
    """An encoded body that runs ahead of what it holds is refused, as soon as it does: no encoder makes such a one."""
    frame = skippable_frame(bytes(64 * KIB - 8))
    result = await post(Reader(), b"zstd", *[frame] * 12, b"")
    assert (result.status, result.json()["reason"]) == (413, "inflated_body_too_large")
    assert result.received == 9
    reader = Reader()
    await post(reader, b"zstd", *[frame] * 8, FORMS["zstd"][1](b"the end"))
    assert reader.body == b"the end"


@pytest.mark.parametrize("slices", [1000, 65_536, 131_000])
async def test_what_gets_no_smaller(slices):
    """Two codings that make nothing smaller, and wait for whole blocks, run no further ahead than they may."""
    body, reader = random.Random(0).randbytes(900 * KIB), Reader()
    await post(reader, b"zstd, zstd", *in_slices(wide_zstd(20, wide_zstd(20, body)), slices))
    assert reader.body == body


@pytest.mark.parametrize(("over", "status"), [(0, 200), (1, 413)])
async def test_a_message_beyond_the_bound(over, status):
    """No more is kept of an encoded body than the bound and a little, in however few messages it comes."""
    frame = skippable_frame(bytes(MIB + 512 * KIB - 8 + over))
    result = await post(Reader(), b"zstd", frame, headers=[(b"content-length", b"%d" % len(frame))])
    assert (result.status, result.types) == (status, ["http.response.start", "http.response.body"])


async def test_a_whole_body_that_is_refused():
    """Nobody waits for the rest of a body that has come to its end."""
    headers = [(b"content-encoding", b"zstd"), (b"content-length", b"9")]
    message = {"type": "http.request", "body": b"not zstd!", "more_body": False}
    result = await drive(DecompressionMiddleware(Reader(), buffer=True), http_scope("POST", headers=headers), [message])
    assert (result.status, result.received) == (400, 1)
    assert result.types == ["http.response.start", "http.response.body"]


async def test_two_wide_windows():
    """What several decoders hold counts together."""
    body = wide_zstd(22, wide_zstd(22, bytes(900 * KIB)))
    assert (await post(Reader(), b"zstd, zstd", body)).status == 200
    body = wide_zstd(23, wide_zstd(22, bytes(900 * KIB)))
    assert (await post(Reader(), b"zstd, zstd", body)).status == 413


async def test_a_message_of_another_kind(begun):
    """What is no part of the body and no farewell is passed over."""
    messages = [
        {"type": "http.request", "body": FORMS["zstd"][1](b"x"), "more_body": True},
        {"type": "http.something"},
        {"type": "http.request", "body": b"", "more_body": False},
    ]
    reader = Reader()
    scope = http_scope("POST", headers=[(b"content-encoding", b"zstd")])
    await drive(DecompressionMiddleware(reader, buffer=True), scope, messages)
    assert reader.body == b"x"


@pytest.mark.parametrize(
    ("form", "max_size", "made"), [("zstd", MIB, 2), ("br", MIB, 2), ("zstd", None, 1), ("gzip", MIB, 1)]
)
async def test_nothing_is_kept_without_need(form, max_size, made, monkeypatch):
    """What was sent is kept only where it may be needed again, and no longer."""
    stores, alive = [], []

    class Counted(buffered_body.Store):
        def __init__(self):
            stores.append(weakref.ref(self))
            super().__init__()

    async def app(scope, receive, send):
        alive.append(sum(store() is not None for store in stores))
        await receive()

    monkeypatch.setattr(buffered_body, "Store", Counted)
    coding, encode = FORMS[form]
    scope = http_scope("POST", headers=[(b"content-encoding", coding)])
    message = {"type": "http.request", "body": encode(b"x"), "more_body": False}
    await drive(DecompressionMiddleware(app, max_size=max_size, buffer=True), scope, [message])
    assert (len(stores), alive) == (made, [1])


async def test_small_pieces_are_joined():
    """However small the pieces are in which a body comes, few objects hold it."""
    compressor = zlib.compressobj(0, wbits=31)
    body = random.Random(0).randbytes(70_000)
    encoded = compressor.compress(body) + compressor.flush()
    reader = Reader()
    await post(reader, b"gzip", *in_slices(encoded, 7))
    assert reader.body == body
    assert len(reader.messages) == 2


async def test_a_buffer_that_the_server_uses_again():
    """What is kept to be inflated again is a copy of what the server gave."""
    encoded = streamed_brotli(half_noise(800 * KIB))
    buffer, reader = bytearray(100_000), Reader()
    rest = in_slices(encoded, len(buffer))

    async def receive():
        if not rest:
            return {"type": "http.disconnect"}
        chunk = rest.pop(0)
        buffer[: len(chunk)] = chunk
        return {"type": "http.request", "body": memoryview(buffer)[: len(chunk)], "more_body": bool(rest)}

    async def send(message):
        pass

    scope = http_scope("POST", headers=[(b"content-encoding", b"br")])
    await DecompressionMiddleware(reader, max_size=MIB, buffer=True)(scope, receive, send)
    assert reader.body == half_noise(800 * KIB)
