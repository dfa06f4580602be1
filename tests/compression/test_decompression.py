"""DecompressionMiddleware at the level of messages: what the app gets, and what is refused."""

import gzip
import zlib

import anyio
import brotli
import pytest
from request_codings import FORMS, skippable_frame, wide_zstd, zeros

from asgi_middleware._core.exchange import enter
from asgi_middleware.compression import DecompressionError, DecompressionMiddleware
from asgi_middleware.compression.encoded_body import EncodedBody, Step
from asgi_middleware.compression.inflation import InflationError
from asgi_middleware.testing import Scenario, check_middleware
from asgi_middleware.testing.driver import drive, http, http_scope, lifespan, websocket

pytestmark = pytest.mark.anyio

TEXT = b'{"id": 1, "name": "Ada", "text": "the quick brown fox jumps over the lazy dog"}\n' * 40
PIECE = 96 * 1024  # the most that any coding gives at a time


class Reader:
    """An app that reads the whole body, notes what it gets, and answers with what it read."""

    def __init__(self):
        self.messages = []
        self.scope = None

    async def __call__(self, scope, receive, send):
        self.scope = scope
        while True:
            message = await receive()
            self.messages.append(message)
            if message["type"] != "http.request" or not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"read"})

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.messages)


class Never:
    """An app that must not be called."""

    async def __call__(self, scope, receive, send):
        raise AssertionError


def in_slices(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


async def post(app, body, *codings, headers=(), **keys):
    """Post a body with one Content-Encoding line a coding."""
    lines = [(b"content-encoding", coding) for coding in codings]
    return await http(app, "POST", headers=[*lines, *headers], body=body, **keys)


def assert_refused(result, status, reason):
    assert result.status == status
    assert result.json()["reason"] == reason
    assert result.header(b"content-length") == b"%d" % len(result.body)
    assert result.types == ["http.response.start", "http.response.body"]


@pytest.fixture(params=FORMS)
def form(request):
    """The name of a coding's form."""
    return request.param


@pytest.fixture(params=[False, True], ids=["streamed", "buffered"])
def buffer(request):
    """Whether the body is inflated before the app is called."""
    return request.param


class TestBodies:
    """What the app gets of a valid body."""

    @pytest.mark.parametrize("size", [1, 7, 1_000_000], ids=lambda size: f"slices of {size}")
    async def test_are_inflated(self, form, buffer, size):
        """The app gets the plain body, in whatever pieces the encoded one comes [D1]."""
        coding, encode = FORMS[form]
        reader = Reader()
        result = await post(DecompressionMiddleware(reader, buffer=buffer), in_slices(encode(TEXT), size), coding)
        assert result.status == 200
        assert reader.body == TEXT

    async def test_large_ones_come_in_pieces(self, form):
        """No message is larger than one piece, however large the body or its encoded chunk is [D2]."""
        coding, encode = FORMS[form]
        reader = Reader()
        await post(DecompressionMiddleware(reader), encode(TEXT * 300), coding)
        assert reader.body == TEXT * 300
        assert max(len(message["body"]) for message in reader.messages) <= PIECE

    async def test_of_about_a_piece(self, form):
        """A decoder that has taken all its input may have output left: no body's end is missed for that [D6]."""
        coding, encode = FORMS[form]
        for size in range(65_500, 65_536 + 300, 3):
            reader = Reader()
            await post(DecompressionMiddleware(reader, thread_minimum_size=0), encode(bytes(size)), coding)
            assert len(reader.body) == size

    async def test_a_small_one_is_one_message(self, form):
        """A body that comes whole goes on whole: the app need not ask twice."""
        coding, encode = FORMS[form]
        reader = Reader()
        await post(DecompressionMiddleware(reader), encode(TEXT), coding)
        assert reader.messages == [{"type": "http.request", "body": TEXT, "more_body": False}]

    @pytest.mark.parametrize("line", [b"GZIP", b"Gzip", b" gzip ", b"gzip,", b", ,gzip", b"identity, gzip", b"X-GZip"])
    async def test_names_in_any_spelling(self, line):
        """Names are compared without regard to case; empty elements and identity mean nothing [D7]."""
        reader = Reader()
        await post(DecompressionMiddleware(reader), gzip.compress(TEXT), line)
        assert reader.body == TEXT

    @pytest.mark.parametrize("name", [b"Content-Encoding", b"CONTENT-ENCODING", b"cOnTent-eNcoding"])
    async def test_field_names_in_any_case(self, name):
        """The field is found and taken off in any letter case."""
        reader = Reader()
        await http(DecompressionMiddleware(reader), "POST", headers=[(name, b"gzip")], body=gzip.compress(TEXT))
        assert reader.body == TEXT
        assert reader.scope["headers"] == []

    @pytest.mark.parametrize("lines", [(b"gzip, br",), (b"gzip", b"br"), (b"gzip", b"identity", b"br")])
    async def test_several_codings_are_undone_from_the_right(self, lines, buffer):
        """What was applied last is undone first, whether the codings stand in one line or several [D7]."""
        reader = Reader()
        body = in_slices(brotli.compress(gzip.compress(TEXT)), 10)
        await post(DecompressionMiddleware(reader, buffer=buffer), body, *lines)
        assert reader.body == TEXT

    @pytest.mark.parametrize("outer", FORMS)
    async def test_every_pair_of_codings(self, form, outer):
        """Any coding in any other is undone [D7]."""
        reader = Reader()
        body = FORMS[outer][1](FORMS[form][1](TEXT * 100))
        await post(DecompressionMiddleware(reader), body, FORMS[form][0], FORMS[outer][0])
        assert reader.body == TEXT * 100

    @pytest.mark.parametrize("size", [1, 13, 1_000_000])
    @pytest.mark.parametrize("name", ["gzip", "zstd"])
    async def test_of_several_members(self, name, size, buffer):
        """The members of a gzip body and the frames of a zstd body are one body [D6]."""
        coding, encode = FORMS[name]
        body = encode(TEXT) + encode(b"") + encode(b"and more")
        reader = Reader()
        await post(DecompressionMiddleware(reader, buffer=buffer), in_slices(body, size), coding)
        assert reader.body == TEXT + b"and more"

    async def test_of_many_members(self):
        """Thousands of members cost no more than they have: blocks of a kilobyte, as some log shippers send [D6]."""
        block = gzip.compress(TEXT[:1000], mtime=0)
        reader = Reader()
        await post(DecompressionMiddleware(reader), block * 3000, b"gzip")
        assert len(reader.body) == 3_000_000

    async def test_skippable_zstd_frames(self):
        """A frame that decoders are to skip is skipped (RFC 8878 3.1.2)."""
        reader = Reader()
        body = skippable_frame(b"note") + FORMS["zstd"][1](TEXT) + skippable_frame(b"")
        await post(DecompressionMiddleware(reader), body, b"zstd")
        assert reader.body == TEXT

    async def test_a_zstd_window_of_8_mb(self):
        """The largest window that RFC 9659 allows is taken [D5]."""
        reader = Reader()
        await post(DecompressionMiddleware(reader), wide_zstd(23, TEXT), b"zstd")
        assert reader.body == TEXT

    async def test_empty_ones(self, form, buffer):
        """No body at all is an empty body, whatever Content-Encoding says [D9]."""
        reader = Reader()
        await post(DecompressionMiddleware(reader, buffer=buffer), b"", FORMS[form][0])
        assert reader.messages == [{"type": "http.request", "body": b"", "more_body": False}]

    async def test_encoded_empty_ones(self, form, buffer):
        """An encoded empty body is an empty body."""
        reader = Reader()
        await post(DecompressionMiddleware(reader, buffer=buffer), FORMS[form][1](b""), FORMS[form][0])
        assert reader.messages == [{"type": "http.request", "body": b"", "more_body": False}]

    async def test_messages_in_every_legal_shape(self):
        """Chunks may be empty, missing, None or any buffer, and the last one may lack `more_body`."""
        data = gzip.compress(TEXT)
        messages = [
            {"type": "http.request", "more_body": True},
            {"type": "http.request", "body": bytearray(data[:10]), "more_body": True},
            {"type": "http.request", "body": None, "more_body": True},
            {"type": "http.request", "body": memoryview(data)[10:-1], "more_body": True},
            {"type": "http.request", "body": b"", "more_body": True},
            {"type": "http.request", "body": data[-1:]},
        ]
        reader = Reader()
        await drive(
            DecompressionMiddleware(reader), http_scope("POST", headers=[(b"content-encoding", b"gzip")]), messages
        )
        assert reader.body == TEXT

    @pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
    async def test_arrive_as_they_come(self, name):
        """What the client flushes reaches the app before the client sends more."""
        encoders = {
            "gzip": (zlib.compressobj(wbits=31), zlib.Z_SYNC_FLUSH),
            "deflate": (zlib.compressobj(), zlib.Z_SYNC_FLUSH),
        }
        if name in encoders:
            encoder, mode = encoders[name]
            first, rest = encoder.compress(b"first") + encoder.flush(mode), encoder.flush()
        elif name == "br":
            encoder = brotli.Compressor()
            first, rest = encoder.process(b"first") + encoder.flush(), encoder.finish()
        else:
            first, rest = FORMS["zstd"][1](b"first"), b""
        arrived = anyio.Event()

        async def app(scope, receive, send):
            assert await receive() == {"type": "http.request", "body": b"first", "more_body": True}
            arrived.set()
            assert await receive() == {"type": "http.request", "body": b"", "more_body": False}

        given = iter([first, rest])

        async def receive():
            data = next(given)
            if data is rest:
                assert arrived.is_set()
            return {"type": "http.request", "body": data, "more_body": data is not rest}

        scope = http_scope("POST", headers=[(b"content-encoding", name.encode())])
        with anyio.fail_after(5):
            await DecompressionMiddleware(app)(scope, receive, None)
        assert arrived.is_set()


class TestHeads:
    """What the app sees of the request's head."""

    async def test_when_streamed(self):
        """The app sees neither Content-Encoding nor the encoded length, and the rest in its order [D8]."""
        headers = [(b"x-a", b"1"), (b"Content-Length", b"99"), (b"transfer-encoding", b"chunked"), (b"x-a", b"2")]
        reader = Reader()
        await post(DecompressionMiddleware(reader), gzip.compress(TEXT), b"gzip", headers=headers)
        assert reader.scope["headers"] == [(b"x-a", b"1"), (b"transfer-encoding", b"chunked"), (b"x-a", b"2")]

    async def test_when_buffered(self):
        """The app sees the true length, and no chunked coding beside it (RFC 9112 6.3) [D8]."""
        headers = [(b"x-a", b"1"), (b"content-length", b"99"), (b"transfer-encoding", b"chunked")]
        reader = Reader()
        await post(DecompressionMiddleware(reader, buffer=True), gzip.compress(TEXT), b"gzip", headers=headers)
        assert reader.scope["headers"] == [(b"x-a", b"1"), (b"content-length", b"%d" % len(TEXT))]

    async def test_digests_stay(self, buffer):
        """A digest or a signature of the encoded body is left to who checks it [D12]."""
        headers = [
            (b"content-digest", b"sha-256=:AAAA:"),
            (b"repr-digest", b"sha-256=:AAAA:"),
            (b"signature", b"s=:A:"),
        ]
        reader = Reader()
        await post(DecompressionMiddleware(reader, buffer=buffer), gzip.compress(TEXT), b"gzip", headers=headers)
        assert [pair for pair in reader.scope["headers"] if pair[0] != b"content-length"] == headers

    @pytest.mark.parametrize("line", [b"identity", b"Identity", b"", b" , "])
    async def test_identity(self, line):
        """A body in no coding is the body: its length stays, the field goes [D7]."""
        reader = Reader()
        await post(DecompressionMiddleware(reader), b"plain", line, headers=[(b"content-length", b"5")])
        assert reader.scope["headers"] == [(b"content-length", b"5")]
        assert reader.body == b"plain"

    async def test_nothing_of_the_server_is_changed(self, buffer):
        """The server's scope, its headers and its messages stay as they were."""
        scope = http_scope("POST", headers=[(b"content-encoding", b"gzip"), (b"content-length", b"9")])
        before = {**scope, "headers": [*scope["headers"]]}
        message = {"type": "http.request", "body": gzip.compress(TEXT), "more_body": False}
        given = {**message}
        await drive(DecompressionMiddleware(Reader(), buffer=buffer), scope, [message])
        assert scope == before
        assert message == given

    async def test_an_exchange_follows(self):
        """Who follows the innermost scope sees the one that the app got."""
        scope, exchange = enter(http_scope("POST", headers=[(b"content-encoding", b"gzip")]))
        exchange.follow(scope)
        reader = Reader()
        await drive(DecompressionMiddleware(reader), scope, [{"type": "http.request", "body": gzip.compress(TEXT)}])
        assert exchange.scope is reader.scope

    async def test_an_exchange_that_nobody_follows_by_keeps_no_scope(self):
        """A scope that is kept for nobody would form a circle with its Exchange."""
        scope, exchange = enter(http_scope("POST", headers=[(b"content-encoding", b"gzip")]))
        await drive(DecompressionMiddleware(Reader()), scope, [{"type": "http.request", "body": gzip.compress(TEXT)}])
        assert exchange.scope is None


class TestRefusals:
    """What is refused, and how."""

    @pytest.mark.parametrize(
        "line", [b"lzma", b"compress", b"gzip;q=1", b"gzip lzma", b"*", b"gzip, lzma", b"lzma, gzip"]
    )
    async def test_unknown_codings(self, line, buffer):
        """A coding that is not at hand is a 415 that names those that are; the app is not called [D1]."""
        result = await post(DecompressionMiddleware(Never(), buffer=buffer), b"x", line)
        assert_refused(result, 415, "unsupported_content_encoding")
        assert result.header(b"accept-encoding") == b"gzip, deflate, br, zstd"
        assert result.received == 0

    async def test_codings_that_are_not_wanted(self):
        """What `encodings` leaves out is refused, and not offered [D1]."""
        app = DecompressionMiddleware(Never(), encodings=["zstd", "gzip"])
        result = await post(app, brotli.compress(TEXT), b"br")
        assert_refused(result, 415, "unsupported_content_encoding")
        assert result.header(b"accept-encoding") == b"zstd, gzip"

    @pytest.mark.parametrize("options", [{}, {"max_encodings": 1}])
    async def test_too_many_codings(self, options):
        """More codings than `max_encodings` are a 415 [D7]."""
        body = gzip.compress(gzip.compress(gzip.compress(TEXT)))
        line = b"gzip, gzip, gzip" if not options else b"gzip, gzip"
        result = await post(DecompressionMiddleware(Never(), **options), body, line)
        assert_refused(result, 415, "too_many_content_encodings")

    async def test_as_many_as_wished(self):
        """`max_encodings` allows more."""
        reader = Reader()
        body = gzip.compress(gzip.compress(gzip.compress(TEXT)))
        await post(DecompressionMiddleware(reader, max_encodings=3), body, b"gzip, gzip, gzip")
        assert reader.body == TEXT

    @pytest.mark.parametrize("line", [b"lzma", b"gzip, gzip, gzip", b"gzip, lzma"])
    async def test_passed_on(self, line):
        """With "pass" the app gets the very scope and receive of a request that cannot be undone [D1]."""
        reader = Reader()
        scope = http_scope("POST", headers=[(b"content-encoding", line)])
        await drive(
            DecompressionMiddleware(reader, unsupported="pass"),
            scope,
            [{"type": "http.request", "body": b"x", "more_body": False}],
        )
        assert reader.scope is scope
        assert reader.body == b"x"

    async def test_every_truncation(self, form, buffer):
        """A body that stops after any of its bytes is a 400, and the app never sees its end [D6]."""
        coding, encode = FORMS[form]
        data = encode(TEXT[:200])
        for size in range(1, len(data)):
            reader = Reader()
            result = await post(DecompressionMiddleware(reader, buffer=buffer), data[:size], coding)
            assert_refused(result, 400, "truncated_encoded_body")
            assert all(message.get("more_body", True) for message in reader.messages)

    @pytest.mark.parametrize("cut", [1, 11, 20])
    @pytest.mark.parametrize("name", ["gzip", "zstd"])
    async def test_truncation_in_a_later_member(self, name, cut):
        """A body whose second member stops short is a 400 [D6]."""
        coding, encode = FORMS[name]
        result = await post(DecompressionMiddleware(Reader()), encode(TEXT) + encode(TEXT)[:cut], coding)
        assert_refused(result, 400, "truncated_encoded_body")

    @pytest.mark.parametrize("apart", [False, True], ids=["together", "apart"])
    @pytest.mark.parametrize("rest", [b"garbage behind the end", b"\0" * 8], ids=["garbage", "zeros"])
    async def test_trailing_data(self, form, rest, apart, buffer):
        """What follows the end of a body is no part of it: 400 [D6]."""
        coding, encode = FORMS[form]
        body = [encode(TEXT), rest] if apart else encode(TEXT) + rest
        result = await post(DecompressionMiddleware(Reader(), buffer=buffer), body, coding)
        assert_refused(result, 400, "malformed_encoded_body")

    @pytest.mark.parametrize(
        ("coding", "body"),
        [
            (b"gzip", b"just plain text"),
            (b"zstd", b"just plain text"),
            (b"br", b"\x0bjust plain text"),
            (b"deflate", b"\xffjust plain text"),  # no kind of block
            (b"deflate", b"\x78just plain text"),  # the zlib wrapping with a wrong check
        ],
        ids=["gzip", "zstd", "br", "raw deflate", "deflate"],
    )
    async def test_what_is_something_else(self, coding, body, buffer):
        """A body that is not in the coding it claims is a 400 [D6]."""
        result = await post(DecompressionMiddleware(Reader(), buffer=buffer), body * 3, coding)
        assert_refused(result, 400, "malformed_encoded_body")

    @pytest.mark.parametrize(("max_size", "status"), [(10 << 20, 413), (17 << 20, 413), (18 << 20, 200), (None, 200)])
    async def test_a_brotli_window_beyond_the_bound(self, max_size, status):
        """A decoder fills its window before it gives anything, so that it may not be larger than the body [D4]."""
        body = brotli.compress(TEXT, lgwin=24)
        result = await post(DecompressionMiddleware(Reader(), max_size=max_size), body, b"br")
        assert result.status == status

    @pytest.mark.parametrize("window", range(10, 25))
    @pytest.mark.parametrize("quality", [0, 2, 5, 11])
    async def test_every_brotli_window(self, window, quality):
        """A body that was encoded with any window and quality is inflated."""
        reader = Reader()
        body = brotli.compress(TEXT, lgwin=window, quality=quality)
        await post(DecompressionMiddleware(reader, max_size=None), body, b"br")
        assert reader.body == TEXT

    async def test_the_rest_of_a_refused_body_is_taken(self, buffer):
        """The last byte of the answer waits until the client has sent what it has, so that it sees the answer."""
        body = [b"just plain text", *[b"x" * 1000] * 5]
        headers = [(b"content-length", b"5015")]
        result = await post(DecompressionMiddleware(Reader(), buffer=buffer), body, b"gzip", headers=headers)
        assert (result.status, result.received) == (400, 6)
        assert result.header(b"content-length") == b"%d" % len(result.body)
        assert result.types == ["http.response.start", "http.response.body", "http.response.body"]
        assert len(result.sent[-1]["body"]) == 1

    async def test_a_wrong_checksum(self):
        """A gzip body whose check does not fit is a 400 [D6]."""
        data = bytearray(gzip.compress(TEXT))
        data[-6] ^= 1
        assert_refused(
            await post(DecompressionMiddleware(Reader()), bytes(data), b"gzip"), 400, "malformed_encoded_body"
        )

    async def test_a_zstd_window_beyond_8_mb(self):
        """A frame that asks for more memory than RFC 9659 allows is a 400 [D5]."""
        result = await post(DecompressionMiddleware(Reader()), wide_zstd(24, TEXT), b"zstd")
        assert_refused(result, 400, "malformed_encoded_body")

    async def test_a_fault_in_the_inner_coding(self):
        """A fault is found in whichever coding it is."""
        app = DecompressionMiddleware(Reader())
        assert_refused(await post(app, brotli.compress(b"no gzip at all"), b"gzip, br"), 400, "malformed_encoded_body")
        inner = brotli.compress(gzip.compress(TEXT)[:-1])
        assert_refused(await post(app, inner, b"gzip, br"), 400, "truncated_encoded_body")


class TestBounds:
    """How much may come out."""

    @pytest.mark.parametrize(("over", "status"), [(0, 200), (1, 413)])
    async def test_to_the_byte(self, form, buffer, over, status):
        """A body of exactly `max_size` passes, one more byte is a 413 [D2]."""
        coding, encode = FORMS[form]
        app = DecompressionMiddleware(Reader(), max_size=len(TEXT) - over, buffer=buffer)
        result = await post(app, encode(TEXT), coding)
        assert result.status == status
        if over:
            assert_refused(result, 413, "inflated_body_too_large")

    async def test_whatever_length_is_declared(self, form):
        """The bound is on what comes out, not on any number in the head [D3]."""
        coding, encode = FORMS[form]
        app = DecompressionMiddleware(Reader(), max_size=1000)
        result = await post(app, encode(TEXT), coding, headers=[(b"content-length", b"5")])
        assert_refused(result, 413, "inflated_body_too_large")

    async def test_the_app_gets_no_more_than_that(self, form):
        """What the app gets before the 413 stays within the bound; then its client is gone [D2]."""
        coding, encode = FORMS[form]
        reader = Reader()
        result = await post(DecompressionMiddleware(reader, max_size=200_000), encode(TEXT * 300), coding)
        assert_refused(result, 413, "inflated_body_too_large")
        assert len(reader.body) <= 200_000
        assert reader.messages[-1] == {"type": "http.disconnect"}

    async def test_by_default(self):
        """Ten MiB pass, and no more."""
        app = DecompressionMiddleware(Reader())
        assert (await post(app, zeros(10 << 20, "zstd"), b"zstd")).status == 200
        assert (await post(app, zeros(11 << 20, "zstd"), b"zstd")).status == 413

    async def test_none_for_any(self):
        """None is no bound."""
        app = DecompressionMiddleware(Reader(), max_size=None)
        assert (await post(app, zeros(11 << 20, "zstd"), b"zstd")).status == 200

    @pytest.mark.parametrize(("ratio", "status"), [(None, 200), (100, 413), (100_000, 200)])
    async def test_by_ratio(self, ratio, status):
        """`max_ratio` bounds what comes out by what came in, for bodies over 1 MiB [D3]."""
        result = await post(DecompressionMiddleware(Reader(), max_ratio=ratio), zeros(3 << 20, "zstd"), b"zstd")
        assert result.status == status
        if status == 413:
            assert result.json()["reason"] == "inflation_ratio_too_high"

    async def test_small_bodies_have_any_ratio(self):
        """A few kilobytes of spaces are no bomb [D3]."""
        assert (
            await post(DecompressionMiddleware(Reader(), max_ratio=2), zeros(1 << 20, "zstd"), b"zstd")
        ).status == 200

    @pytest.mark.parametrize("name", ["gzip", "zstd"])
    async def test_empty_members_count(self, name):
        """A body of nothing but empty members ends [D6]."""
        coding, encode = FORMS[name]
        app = DecompressionMiddleware(Reader(), max_size=100_000)
        result = await post(app, encode(b"") * 2000, coding)
        assert_refused(result, 413, "inflated_body_too_large")

    async def test_a_coding_that_inflates_to_empty_blocks(self):
        """What one coding hands to the next may not run ahead of the body: megabytes of empty blocks are a 413 [D3]."""
        blocks = b"\x00\x00\x00\xff\xff" * 1_000_000  # empty stored blocks (RFC 1951 3.2.4)
        app = DecompressionMiddleware(Reader())
        assert_refused(
            await post(app, brotli.compress(blocks, quality=1), b"deflate, br"), 413, "inflated_body_too_large"
        )

    async def test_what_needs_no_inflating_is_not_bounded(self):
        """Bodies in no coding are the business of RequestBodyLimitMiddleware."""
        reader = Reader()
        await http(DecompressionMiddleware(reader, max_size=1), "POST", body=TEXT)
        assert reader.body == TEXT


class TestReading:
    """The app reads when it likes, as much as it likes."""

    async def test_an_app_that_does_not_read(self):
        """Nothing is received and nothing inflated for an app that does not ask [D11]."""

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        result = await post(DecompressionMiddleware(app), zeros(20 << 20, "gzip"), b"gzip")
        assert result.status == 204
        assert result.received == 0

    async def test_an_app_that_reads_a_part(self):
        """An app that answers after the first piece has its answer, though the rest would be too large [D11]."""

        async def app(scope, receive, send):
            await receive()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"enough"})

        chunks = in_slices(zeros(20 << 20, "gzip"), 1000)
        result = await post(DecompressionMiddleware(app), chunks, b"gzip")
        assert result.body == b"enough"
        assert result.received == 1

    async def test_not_ahead_of_the_app(self):
        """A chunk is taken from the server when all of the one before has been given to the app."""
        chunks = in_slices(FORMS["gzip"][1](TEXT * 2000), 4000)
        received = []

        async def app(scope, receive, send):
            given = 0
            while True:
                message = await receive()
                given += len(message["body"])
                received.append((len(script), given))
                if not message["more_body"]:
                    return

        script = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
        script[-1]["more_body"] = False

        async def receive():
            return script.pop(0)

        await DecompressionMiddleware(app)(http_scope("POST", headers=[(b"content-encoding", b"gzip")]), receive, None)
        left, given = received[0]
        assert left == len(chunks) - 1
        assert given <= PIECE

    async def test_after_the_body(self, form, buffer):
        """After the body the app hears of the client's leaving."""
        coding, encode = FORMS[form]
        kinds = []

        async def app(scope, receive, send):
            while (await receive())["more_body"]:
                pass
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            kinds.append((await receive())["type"])

        await post(DecompressionMiddleware(app, buffer=buffer), encode(TEXT), coding)
        assert kinds == ["http.disconnect"]

    async def test_a_client_that_leaves_in_mid_body(self, form):
        """The client's leaving goes on to the app, again and again, and nothing loops [D10]."""
        coding, encode = FORMS[form]
        kinds = []

        async def app(scope, receive, send):
            kinds.extend([(await receive())["type"] for _ in range(4)])

        gone = {"type": "http.disconnect"}
        messages = [{"type": "http.request", "body": encode(TEXT)[:-3], "more_body": True}, gone, gone, gone, gone]
        await drive(DecompressionMiddleware(app), http_scope("POST", headers=[(b"content-encoding", coding)]), messages)
        assert kinds[-3:] == ["http.disconnect"] * 3

    async def test_a_client_that_leaves_while_it_is_buffered(self):
        """The app is not called for a client that left before its body was whole [D10]."""
        messages = [{"type": "http.request", "body": b"\x1f", "more_body": True}, {"type": "http.disconnect"}]
        scope = http_scope("POST", headers=[(b"content-encoding", b"gzip")])
        result = await drive(DecompressionMiddleware(Never(), buffer=True), scope, messages)
        assert result.sent == []

    async def test_unknown_messages_pass(self):
        """A message that is no part of the body goes on as it is."""
        kinds = []

        async def app(scope, receive, send):
            kinds.extend([(await receive())["type"] for _ in range(2)])

        messages = [{"type": "http.new"}, {"type": "http.request", "body": gzip.compress(TEXT)}]
        await drive(
            DecompressionMiddleware(app), http_scope("POST", headers=[(b"content-encoding", b"gzip")]), messages
        )
        assert kinds == ["http.new", "http.request"]

    async def test_unknown_messages_within_the_body_pass(self, form):
        """One between two parts of the body ends nothing."""
        coding, encode = FORMS[form]
        data = encode(TEXT)
        parts = [{"type": "http.request", "body": part, "more_body": True} for part in (data[:20], data[20:])]
        parts[1]["more_body"] = False
        seen = []

        async def app(scope, receive, send):
            while not seen or seen[-1].get("more_body", True):
                seen.append(await receive())

        scope = http_scope("POST", headers=[(b"content-encoding", coding)])
        await drive(DecompressionMiddleware(app), scope, [parts[0], {"type": "http.new"}, parts[1]])
        assert [message["type"] for message in seen].count("http.new") == 1
        assert b"".join(message.get("body", b"") for message in seen) == TEXT

    async def test_no_message_is_empty_but_the_last(self, form):
        """A part of the encoded body that gives nothing yet wakes nobody."""
        coding, encode = FORMS[form]
        reader = Reader()
        await post(DecompressionMiddleware(reader), in_slices(encode(TEXT), 1), coding)
        assert all(message["body"] for message in reader.messages[:-1])

    @pytest.mark.parametrize("form", ["gzip", "deflate", "br", "zstd"])
    async def test_a_buffer_that_the_server_uses_again(self, form):
        """What has been received is the app's, whatever becomes of the server's own memory."""
        coding, encode = FORMS[form]
        data = bytearray(encode(TEXT * 3000))
        pieces = []

        async def app(scope, receive, send):
            more = True
            while more:
                message = await receive()
                data[:] = bytes(len(data))
                pieces.append(message["body"])
                more = message["more_body"]

        scope = http_scope("POST", headers=[(b"content-encoding", coding)])
        await drive(DecompressionMiddleware(app), scope, [{"type": "http.request", "body": data}])
        assert len(pieces) > 1
        assert b"".join(pieces) == TEXT * 3000

    async def test_a_bad_body_is_not_read_on(self):
        """Every further call of a body that could not be inflated says the same, and asks the server for nothing."""
        asked = []

        async def receive():
            asked.append(1)
            return {"type": "http.request", "body": b"no gzip at all", "more_body": True}

        middleware = DecompressionMiddleware(Reader())
        body = EncodedBody(receive, middleware._simple[b"gzip"], middleware._pool)
        for _ in range(3):
            with pytest.raises(InflationError, match="malformed"):
                await body.read()
        assert len(asked) == 1

    def test_a_step_that_failed_fails_for_whoever_asks_next(self):
        """The caller that began it may be gone by then."""

        def fail():
            raise InflationError("malformed_encoded_body")

        step = Step(fail)
        for _ in range(2):
            with pytest.raises(InflationError, match="malformed"):
                step()


class TestTakingOver:
    """A body that turns out to be bad while the app is at work."""

    @pytest.mark.parametrize("answer", [True, False], ids=["answers all the same", "raises"])
    async def test_before_its_response(self, answer):
        """The refusal goes out, once, whatever the app makes of its client's leaving [D2]."""

        async def app(scope, receive, send):
            while (message := await receive()).get("more_body"):
                pass
            assert message["type"] == "http.disconnect"
            assert (await receive())["type"] == "http.disconnect"
            if not answer:
                raise ValueError
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"all fine"})

        result = await post(DecompressionMiddleware(app, max_size=10), gzip.compress(TEXT), b"gzip")
        assert_refused(result, 413, "inflated_body_too_large")

    async def test_two_tasks_that_receive(self):
        """Two tasks of the app that ask for the body get one refusal, and each hears that its client left."""
        sent, heard = [], []

        async def app(scope, receive, send):
            async def read():
                heard.append((await receive())["type"])

            async with anyio.create_task_group() as group:
                group.start_soon(read)
                group.start_soon(read)

        async def receive():
            await anyio.wait_all_tasks_blocked()
            return {"type": "http.request", "body": b"no gzip"}

        async def send(message):
            sent.append(message["type"])
            await anyio.wait_all_tasks_blocked()

        with anyio.fail_after(5):
            await DecompressionMiddleware(app)(
                http_scope("POST", headers=[(b"content-encoding", b"gzip")]), receive, send
            )
        assert heard == ["http.disconnect"] * 2
        assert sent == ["http.response.start", "http.response.body"]

    async def test_after_its_response_began(self):
        """A response that began cannot be completed: the connection is aborted, and says so to the server."""

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while (await receive()).get("more_body"):
                await send({"type": "http.response.body", "body": b"so far", "more_body": True})
            await send({"type": "http.response.body", "body": b"all fine"})

        with pytest.raises(DecompressionError, match="could not be inflated"):
            await post(DecompressionMiddleware(app, max_size=200_000), gzip.compress(TEXT * 300), b"gzip")

    async def test_what_the_app_made_of_it_is_the_cause(self):
        """Where the connection is aborted, the app's own exception stands behind the error."""

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await receive()
            raise LookupError("mine")

        with pytest.raises(DecompressionError) as caught:
            await post(DecompressionMiddleware(app), b"no gzip", b"gzip")
        assert isinstance(caught.value.__cause__, LookupError)

    async def test_an_error_behind_a_complete_response_comes_out(self):
        """Where the app's answer stands, so does what it raises: nothing was taken away from it."""
        error = LookupError("mine")

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 202, "headers": []})
            await send({"type": "http.response.body", "body": b"taken"})
            await receive()
            raise error

        with pytest.raises(LookupError) as caught:
            await post(DecompressionMiddleware(app), b"no gzip", b"gzip")
        assert caught.value is error

    async def test_after_an_error_response_began(self):
        """The app's own error may be completed: it promises nothing that is not so."""

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 422, "headers": []})
            await send({"type": "http.response.body", "body": b"not ", "more_body": True})
            assert (await receive())["type"] == "http.disconnect"
            await send({"type": "http.response.body", "body": b"this"})

        result = await post(DecompressionMiddleware(app), b"no gzip", b"gzip")
        assert (result.status, result.body) == (422, b"not this")

    async def test_after_its_response_was_complete(self):
        """A complete response stands."""

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 202, "headers": []})
            await send({"type": "http.response.body", "body": b"taken"})
            assert (await receive())["type"] == "http.disconnect"

        result = await post(DecompressionMiddleware(app), b"no gzip", b"gzip")
        assert (result.status, result.body) == (202, b"taken")

    async def test_the_app_s_own_errors(self):
        """What the app raises for reasons of its own comes out, before its request is taken away."""

        async def app(scope, receive, send):
            await receive()
            raise LookupError

        with pytest.raises(LookupError):
            await post(DecompressionMiddleware(app), gzip.compress(TEXT), b"gzip")

    async def test_it_is_noted(self):
        """The Exchange has the refusal, and the answer the request's id."""
        scope, exchange = enter(http_scope("POST", headers=[(b"content-encoding", b"gzip")]))
        exchange.request_id = "id-1"
        result = await drive(DecompressionMiddleware(Reader()), scope, [{"type": "http.request", "body": b"no gzip"}])
        assert result.json()["request_id"] == "id-1"
        assert exchange.refusal.reason == "malformed_encoded_body"


class TestPassingOn:
    """What is none of its business."""

    async def test_requests_without_the_field(self):
        """A request without Content-Encoding passes with the very objects of the server."""
        passed = []

        async def app(*given):
            passed.extend(given)

        scope, receive, send = (
            http_scope("POST", headers=[(b"accept-encoding", b"gzip"), (b"x" * 16, b"gzip")]),
            object(),
            object(),
        )
        await DecompressionMiddleware(app)(scope, receive, send)
        assert [given is own for given, own in zip(passed, (scope, receive, send), strict=True)] == [True] * 3

    @pytest.mark.parametrize("shape", [tuple, iter, list], ids=["tuple", "iterator", "list"])
    @pytest.mark.parametrize("coding", [b"gzip", None])
    async def test_headers_in_every_shape(self, shape, coding):
        """Headers may be any iterable, also one that can be read once; the app can read them still."""
        headers = [(b"x-a", b"1")]
        encoded = headers if coding is None else [*headers, (b"content-encoding", coding)]
        reader = Reader()
        scope = http_scope("POST") | {"headers": shape(encoded)}
        body = TEXT if coding is None else gzip.compress(TEXT)
        await drive(
            DecompressionMiddleware(reader), scope, [{"type": "http.request", "body": body, "more_body": False}]
        )
        assert list(reader.scope["headers"]) == headers
        assert reader.body == TEXT

    async def test_excluded_paths(self):
        """A request that is excluded passes encoded."""
        reader = Reader()
        app = DecompressionMiddleware(reader, exclude_paths=["/blobs/**"])
        await http(app, "PUT", "/blobs/1", headers=[(b"content-encoding", b"gzip")], body=b"whatever")
        assert reader.body == b"whatever"
        assert reader.scope["headers"] == [(b"content-encoding", b"gzip")]

    async def test_other_protocols(self):
        """WebSockets and the lifespan pass, whatever stands in their head."""

        async def app(scope, receive, send):
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.accept"})
                assert (b"content-encoding", b"gzip") in scope["headers"]
                return
            await receive()
            await send({"type": "lifespan.startup.complete"})

        decompressing = DecompressionMiddleware(app)
        assert (await websocket(decompressing, headers=[(b"content-encoding", b"gzip")])).accepted
        assert (await lifespan(decompressing)).sent == [{"type": "lifespan.startup.complete"}]

    async def test_nested_copies_undo_once(self):
        """A second copy finds nothing to do."""
        reader = Reader()
        await post(DecompressionMiddleware(DecompressionMiddleware(reader)), gzip.compress(TEXT), b"gzip")
        assert reader.body == TEXT


class Encoding:
    """Encodes every request body on its way in, chunk by chunk; what is inside of it is to undo that."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        encoder = zlib.compressobj(wbits=31)

        async def encoding():
            message = await receive()
            if message["type"] != "http.request":
                return message
            more = message.get("more_body", False)
            body = encoder.compress(message.get("body") or b"")
            return {**message, "body": body + encoder.flush(zlib.Z_SYNC_FLUSH if more else zlib.Z_FINISH)}

        headers = [*(scope.get("headers") or ()), (b"content-encoding", b"gzip")]
        await self.app({**scope, "headers": headers}, encoding, send)


async def test_it_keeps_the_rules_of_asgi(buffer):
    """Through the whole battery the app gets the bodies that were encoded, and nothing else is changed."""

    def around(app):
        return Encoding(DecompressionMiddleware(app, buffer=buffer))

    skip = {"receive-changed:http.request"}  # empty chunks are left out
    if buffer:
        # It reads before the app does, and does not call it where the client leaves meanwhile.
        skip |= {"early-receive:http", "app-not-called:http"}
    report = await check_middleware(around, scenario=Scenario(method="POST", skip=skip))
    report.raise_if_any()
