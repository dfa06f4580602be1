"""Response heads and whole bodies: one table of raw ASGI exchanges, over all codings and both event loops."""

import copy
import random
from dataclasses import dataclass, field
from http import HTTPStatus

import pytest

from asgi_middleware._core.exchange import enter
from asgi_middleware.compression import CompressionMiddleware
from asgi_middleware.testing.driver import drive, http, http_scope

pytestmark = pytest.mark.anyio

TEXT = b'{"id": 1, "name": "Ada", "text": "the quick brown fox jumps over the lazy dog"}\n' * 40
JSON = (b"content-type", b"application/json")
NOISE = random.Random(1).randbytes(1024)  # nothing that a coding could use
VARY = b"Accept-Encoding"


@dataclass(frozen=True)
class Case:
    """One exchange and what is to come out.

    `%` in a header value stands for the coding under test.
    """

    name: str
    number: str = ""
    request: tuple = ((b"accept-encoding", b"%"),)
    method: str = "GET"
    status: int = 200
    headers: tuple = (JSON,)
    chunks: tuple = (TEXT,)
    options: dict = field(default_factory=dict)
    encoded: bool = True
    vary: bytes | None = VARY
    expected: tuple = ()  # (header, value or None)
    skip_reason: str | None = None


def plain(name, number, skip_reason, **keys):
    """Make a case in which the body goes out as it was."""
    return Case(name, number, encoded=False, skip_reason=skip_reason, **keys)


def typed(content_type):
    return ((b"content-type", content_type),)


CROSS = (b"sec-fetch-site", b"cross-site")
ACCEPT = (b"accept-encoding", b"%")
ETAG = (b"etag", b'"abc"')

CASES = [
    # ---- negotiation seen from outside
    Case("accepted"),
    Case("upper case", "N2", request=((b"accept-encoding", b"%U"),)),
    Case("mixed-case header name", "N2", request=((b"Accept-Encoding", b"%"),)),
    Case("two lines", "N2", request=((b"accept-encoding", b"deflate"), (b"accept-encoding", b"%"))),
    Case("star", "N2", request=((b"accept-encoding", b"*"),), options={"encodings": ("%",)}),
    Case("identity refused", "N4", request=((b"accept-encoding", b"identity;q=0, %"),)),
    plain("no header", "N4", "no_accept_encoding", request=()),
    plain("empty header", "N4", "no_common_coding", request=((b"accept-encoding", b""),)),
    plain("weight 0", "N1", "no_common_coding", request=((b"accept-encoding", b"%;q=0"),)),
    plain("substring", "N1", "no_common_coding", request=((b"accept-encoding", b"x%x"),)),
    plain("identity liked better", "N3", "identity_preferred", request=((b"accept-encoding", b"%;q=0.5, identity"),)),
    plain("nothing left, no 406", "N4", "no_common_coding", request=((b"accept-encoding", b"*;q=0"),)),
    plain("malformed weight", "N5", "no_common_coding", request=((b"accept-encoding", b"%;q=1.01"),)),
    plain("too long", "N5", "accept_too_long", request=((b"accept-encoding", b"%," * 900),)),
    # ---- Vary
    Case("Vary merged", "H1", headers=(JSON, (b"vary", b"Origin")), vary=b"Origin, Accept-Encoding"),
    Case("Vary not repeated", "H1", headers=(JSON, (b"vary", b"accept-encoding")), vary=b"accept-encoding"),
    Case("Vary of two lines", "H1", headers=(JSON, (b"vary", b"A"), (b"Vary", b"B")), vary=b"A, B, Accept-Encoding"),
    Case("Vary star kept", "H1", headers=(JSON, (b"vary", b"*")), vary=b"*"),
    plain(
        "Vary on the plain variant",
        "H1",
        "no_accept_encoding",
        request=(),
        headers=(JSON, (b"vary", b"Origin")),
        vary=b"Origin, Accept-Encoding",
    ),
    plain("no Vary where nothing is ever encoded", "H1", "content_type", headers=typed(b"image/png"), vary=None),
    plain("304 carries Vary", "H2", "not_modified", status=304, headers=(ETAG,), chunks=(b"",)),
    plain(
        "304 of an image does not",
        "H2",
        "not_modified",
        status=304,
        headers=typed(b"image/png"),
        chunks=(b"",),
        vary=None,
    ),
    # ---- the head of an encoded response
    Case("true length", "H3", headers=(JSON, (b"content-length", b"%d" % len(TEXT)))),
    Case("mixed-case length replaced", "H3", headers=(JSON, (b"Content-Length", b"%d" % len(TEXT)))),
    Case("two lengths become one", "H3", headers=(JSON, (b"Content-Length", b"9999"), (b"content-length", b"9999"))),
    Case("malformed length replaced", "H3", headers=(JSON, (b"content-length", b"+5"))),
    Case("no Accept-Ranges", "H3", headers=(JSON, (b"accept-ranges", b"bytes")), expected=((b"accept-ranges", None),)),
    Case(
        "no length beside Transfer-Encoding",
        "H3",
        headers=(JSON, (b"transfer-encoding", b"chunked")),
        expected=((b"content-length", None),),
    ),
    Case(
        "other headers kept in order",
        "H3",
        headers=(JSON, (b"Set-Cookie", b"a"), (b"set-cookie", b"b")),
        expected=((b"set-cookie", b"a"),),
    ),
    # ---- entity tags
    Case("strong tag made weak", "H4", headers=(JSON, ETAG), expected=((b"etag", b'W/"abc"'),)),
    Case("weak tag kept", "H4", headers=(JSON, (b"etag", b'W/"abc"')), expected=((b"etag", b'W/"abc"'),)),
    Case("mixed-case tag name", "H4", headers=(JSON, (b"ETag", b'"abc"')), expected=((b"etag", b'W/"abc"'),)),
    Case("suffix", "H4", headers=(JSON, ETAG), options={"etag": "suffix"}, expected=((b"etag", b'"abc-%"'),)),
    Case(
        "suffix on a weak tag",
        "H4",
        headers=(JSON, (b"etag", b'W/"abc"')),
        options={"etag": "suffix"},
        expected=((b"etag", b'W/"abc-%"'),),
    ),
    Case("drop", "H4", headers=(JSON, ETAG), options={"etag": "drop"}, expected=((b"etag", None),)),
    Case("keep", "H4", headers=(JSON, ETAG), options={"etag": "keep"}, expected=((b"etag", b'"abc"'),)),
    plain(
        "plain body keeps its tag",
        "H4",
        "no_accept_encoding",
        request=(),
        headers=(JSON, ETAG),
        expected=((b"etag", b'"abc"'),),
    ),
    plain(
        "304 repeats the weak form",
        "H4",
        "not_modified",
        request=(ACCEPT, (b"if-none-match", b'W/"abc"')),
        status=304,
        headers=(ETAG,),
        chunks=(b"",),
        expected=((b"etag", b'W/"abc"'),),
    ),
    plain(
        "304 repeats the strong form",
        "H4",
        "not_modified",
        request=(ACCEPT, (b"if-none-match", b'"abc"')),
        status=304,
        headers=(ETAG,),
        chunks=(b"",),
        expected=((b"etag", b'"abc"'),),
    ),
    plain(
        "304 repeats the suffix",
        "H4",
        "not_modified",
        request=(ACCEPT, (b"if-none-match", b'"x", "abc-%"')),
        status=304,
        headers=(ETAG,),
        chunks=(b"",),
        options={"etag": "suffix"},
        expected=((b"etag", b'"abc-%"'),),
    ),
    plain(
        "304 repeats the suffix to a plain client",
        "H4",
        "not_modified",
        request=((b"if-none-match", b'"abc-%"'),),
        status=304,
        headers=(ETAG,),
        chunks=(b"",),
        options={"etag": "suffix"},
        expected=((b"etag", b'"abc-%"'),),
    ),
    # ---- left alone
    plain("no-transform", "H6", "no_transform", headers=(JSON, (b"cache-control", b"public, No-Transform")), vary=None),
    plain(
        "no-transform in a second line",
        "H6",
        "no_transform",
        vary=None,
        headers=(JSON, (b"cache-control", b"public"), (b"Cache-Control", b"no-transform")),
    ),
    plain(
        "no-transform in the first of two lines",
        "H6",
        "no_transform",
        vary=None,
        headers=(JSON, (b"cache-control", b"no-transform"), (b"cache-control", b"public")),
    ),
    Case("another directive", "H6", headers=(JSON, (b"cache-control", b'x-no-transform, ext="no-transform"'))),
    plain("no-transform in the request", "H6", "no_transform", request=(ACCEPT, (b"cache-control", b"no-transform"))),
    *(
        plain(f"integrity: {name}", "H6", "integrity", headers=(JSON, (name, b"x")), vary=None)
        for name in (b"content-digest", b"Repr-Digest", b"digest", b"content-md5", b"signature", b"signature-input")
    ),
    *(
        plain(f"integrity behind the body: {value}", "H6", "integrity", headers=(JSON, (name, value)), vary=None)
        for name, value in ((b"trailer", b"content-digest"), (b"Trailer", b"x-time , Signature"))
    ),
    Case("another trailer", "H6", headers=(JSON, (b"trailer", b"server-timing"))),
    plain(
        "no-transform in the request of another site",
        "H6",
        "no_transform",
        request=(ACCEPT, CROSS, (b"cache-control", b"no-transform")),
    ),
    plain("206", "H7", "range", status=206, headers=(JSON, (b"content-range", b"bytes 0-9/3200"))),
    plain("206 of an image", "H7", "range", status=206, headers=typed(b"image/png"), vary=None),
    plain("Content-Range on a 200", "H7", "range", headers=(JSON, (b"Content-Range", b"bytes 0-9/3200"))),
    plain(
        "206 of no-transform",
        "H7",
        "no_transform",
        status=206,
        headers=(JSON, (b"cache-control", b"no-transform")),
        vary=None,
    ),
    plain("several ranges", "H7", "range", status=206, headers=typed(b"multipart/byteranges; boundary=x")),
    *(
        plain(f"{status} stays empty", "H7", "status", status=status, chunks=(b"", b""), vary=None)
        for status in (204, 205)
    ),
    plain("304 stream stays empty", "H7", "not_modified", status=304, chunks=(b"", b"")),
    plain("CONNECT", "H7", "method", method="CONNECT"),
    *(
        plain(
            f"encoded already: {name} {value}",
            "H9",
            "encoded",
            headers=(JSON, (name, value)),
            vary=None,
            expected=((b"content-encoding", value),),
        )
        for name, value in (
            (b"content-encoding", b"gzip"),
            (b"Content-Encoding", b"br"),
            (b"CONTENT-ENCODING", b"Zstd"),
        )
    ),
    plain(
        "opted out by identity",
        "H9",
        "opted_out",
        headers=(JSON, (b"Content-Encoding", b"Identity")),
        vary=None,
        expected=((b"content-encoding", b"Identity"),),
    ),
    plain(
        "opted out by an empty value",
        "H9",
        "opted_out",
        headers=(JSON, (b"content-encoding", b"")),
        vary=None,
        expected=((b"content-encoding", b""),),
    ),
    # ---- size
    plain(
        "not smaller",
        "H11",
        "not_smaller",
        chunks=(NOISE,),
        headers=(JSON, (b"content-length", b"1024"), ETAG),
        expected=((b"content-length", b"1024"), (b"etag", b'"abc"')),
    ),
    plain("too small", "", "too_small", chunks=(b"tiny",)),
    plain(
        "too small by its length",
        "",
        "too_small",
        chunks=(b"tiny",),
        headers=(JSON, (b"content-length", b"4")),
        vary=None,
    ),
    plain(
        "too small by its length, streamed",
        "M6",
        "too_small",
        chunks=(b"ti", b"ny"),
        vary=None,
        headers=(JSON, (b"content-length", b"4")),
    ),
    plain("empty body with minimum_size 0", "", "too_small", chunks=(b"",), options={"minimum_size": 0}),
    Case("small with minimum_size 0", "", chunks=(b"a" * 60,), options={"minimum_size": 0}),
    # ---- content types
    Case("parameters and case", "", headers=typed(b"Text/HTML; charset=utf-8")),
    Case("suffix +json", "", headers=typed(b"application/problem+json")),
    Case("suffix +xml", "", headers=typed(b"image/svg+xml")),
    plain("no type", "", "content_type", headers=(), vary=None),
    plain(
        "excluded type",
        "",
        "content_type",
        headers=typed(b"TEXT/css"),
        options={"exclude_content_types": ("text/css",)},
        vary=None,
    ),
    plain(
        "excluded wildcard wins",
        "",
        "content_type",
        headers=typed(b"text/css"),
        vary=None,
        options={"exclude_content_types": ("text/*",), "include_content_types": ("*/*",)},
    ),
    Case("included type", "", headers=typed(b"image/png"), options={"include_content_types": ("image/*",)}),
    # ---- statuses that are encoded
    Case("error", "", status=404),
    Case("IntEnum", "", status=HTTPStatus.INTERNAL_SERVER_ERROR),
    # ---- choice
    plain("excluded path", "", None, options={"exclude_paths": ("/",)}, vary=None),
    plain("predicate", "", "predicate", options={"predicate": lambda scope, status, headers: False}),
    Case("predicate says yes", "", options={"predicate": lambda scope, status, headers: status == 200}),
    # ---- BREACH
    plain("cross-site with a cookie", "B2", "cross_site", request=(ACCEPT, CROSS, (b"cookie", b"a=b"))),
    plain("cross-site with a token", "B2", "cross_site", request=(ACCEPT, CROSS, (b"authorization", b"Bearer x"))),
    Case("cross-site without credentials", "B2", request=(ACCEPT, CROSS)),
    Case("same-origin with a cookie", "B2", request=(ACCEPT, (b"sec-fetch-site", b"same-origin"), (b"cookie", b"a=b"))),
    Case(
        "cross-site, switched off",
        "B2",
        request=(ACCEPT, CROSS, (b"cookie", b"a=b")),
        options={"breach_protection": "off"},
    ),
]


def filled(value, coding):
    """Put the coding under test in the place of `%`."""
    if isinstance(value, bytes):
        return value.replace(b"%U", coding.upper().encode()).replace(b"%", coding.encode())
    return value


@pytest.mark.parametrize("case", CASES, ids=[f"{case.number} {case.name}".strip() for case in CASES])
async def test_case(case, coding, sending, body, decode):
    """Each exchange of the table comes out with the body, the head and the figures that it must have."""
    request = [(name, filled(value, coding)) for name, value in case.request]
    options = {"encodings": ("zstd", "br", "gzip"), **case.options}
    options["encodings"] = tuple(coding if name == "%" else name for name in options["encodings"])
    last = len(case.chunks) - 1
    messages = [{"type": "http.response.start", "status": case.status, "headers": list(case.headers)}]
    messages += [body(chunk, more_body=position < last) for position, chunk in enumerate(case.chunks)]
    before = copy.deepcopy(messages)
    seen = []

    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    wrapped = CompressionMiddleware(app, **options, on_complete=lambda scope, figures: seen.append(figures))
    result = await http(wrapped, case.method, headers=request)
    unwatched = await http(CompressionMiddleware(app, **options), case.method, headers=request)

    assert result.sent == unwatched.sent, "being watched changes nothing"
    assert before == messages, "the app's own messages were changed [H10]"
    original = b"".join(case.chunks)
    assert case.status == result.status
    assert ([] if case.vary is None else [case.vary]) == result.header_all(b"vary")
    if case.encoded:
        assert [coding.encode()] == result.header_all(b"content-encoding")
        assert original == decode(coding, result.body)
        assert result.header(b"accept-ranges") is None
        lengths = result.header_all(b"content-length")
        assert lengths in ([b"%d" % len(result.body)], []), "one true length or none [H3]"
    else:
        assert original == result.body
    for name, value in case.expected:
        found = result.header(name)
        assert filled(value, coding) == found
    assert all(type(pair) is tuple for pair in result.first("http.response.start")["headers"])
    figures = seen[0] if seen else None
    if case.encoded:
        assert (coding, len(original), len(result.body), None) == (*figures[:3], figures.skip_reason)
        assert figures.seconds > 0
    else:
        assert case.skip_reason == (None if figures is None else figures.skip_reason)


async def test_reasons_do_not_depend_on_what_was_seen_before(start, body):
    """An image that was seen is left alone at once, and an answer of another status still says its own reason."""
    reasons = []

    async def app(scope, receive, send):
        await send(start(status=int(scope["path"][1:]), content_type=b"image/png"))
        await send(body(b""))

    wrapped = CompressionMiddleware(app, on_complete=lambda scope, figures: reasons.append(figures.skip_reason))
    for status in (206, 304, 204, 200, 200, 206, 304, 204):
        await http(wrapped, path=f"/{status}", headers=[(b"accept-encoding", b"gzip")])
    first = ["range", "not_modified", "status"]
    assert reasons == [*first, "content_type", "content_type", *first]


def test_the_table_is_large_enough():
    """The table holds at least 60 exchanges, each run over three codings."""
    assert len(CASES) >= 60


class TestHead:
    """HEAD has the head of GET and no body [H8]."""

    async def test_has_the_encoded_head(self, coding, sending, start, body):
        """The plain length goes, the coding and Vary come; bytes that the app sends anyway do not pass [H8]."""
        app = CompressionMiddleware(sending(start((b"content-length", b"3200"), ETAG), body()))
        result = await http(app, "HEAD", headers=[(b"accept-encoding", coding.encode())])
        assert result.header(b"content-length") is None
        assert result.header(b"content-encoding") == coding.encode()
        assert result.header(b"etag") == b'W/"abc"'
        assert result.header(b"vary") == VARY
        assert result.body == b""

    async def test_judges_by_the_body_where_no_length_is_declared(self, coding, sending, start, body):
        """An app that sends its body for HEAD too is judged by that body [H8]."""
        request = [(b"accept-encoding", coding.encode())]
        large = await http(CompressionMiddleware(sending(start(), body())), "HEAD", headers=request)
        assert (large.header(b"content-encoding"), large.body) == (coding.encode(), b"")
        streamed = sending(start(), body(b"a", more_body=True), body(b"b"))
        result = await http(CompressionMiddleware(streamed), "HEAD", headers=request)
        assert (result.header(b"content-encoding"), result.body) == (coding.encode(), b"")
        assert len(result.chunks) == 2

    @pytest.mark.parametrize("data", [b"", b"data: 1\n\n"])
    @pytest.mark.parametrize("method", ["HEAD", "head"])
    async def test_of_a_live_stream(self, method, data, coding, sending, start, body):
        """Not one byte follows, neither of the app's nor of an encoder's; such would begin the next response [H8]."""
        stream = sending(start(content_type=b"text/event-stream"), body(data, more_body=True), body(b""))
        result = await http(CompressionMiddleware(stream), method, headers=[(b"accept-encoding", coding.encode())])
        assert (result.header(b"content-encoding"), result.header(b"vary")) == (coding.encode(), VARY)
        assert (result.body, result.complete) == (b"", True)

    async def test_lets_trailers_pass(self, coding, sending, start, body):
        """Only bodies are emptied [H8, M2]."""
        trailers = {"type": "http.response.trailers", "headers": [], "more_trailers": False}
        app = CompressionMiddleware(sending(start((b"content-length", b"3200"), trailers=True), body(b""), trailers))
        result = await http(app, "HEAD", headers=[(b"accept-encoding", coding.encode())])
        assert result.sent[-1] is trailers

    @pytest.mark.parametrize("data", [b"", b"tiny"])
    async def test_claims_nothing_that_it_cannot_know(self, data, coding, sending, start, body):
        """Without a length and without a body to judge by, nothing is said that only one answer to GET would [H8]."""
        app = CompressionMiddleware(sending(start(ETAG), body(data)))
        result = await http(app, "HEAD", headers=[(b"accept-encoding", coding.encode())])
        assert result.header(b"content-encoding") is None
        assert result.header(b"vary") == VARY
        assert result.header(b"etag") == (b'"abc"' if data else b'W/"abc"')

    async def test_keeps_the_length_of_what_is_never_encoded(self, coding, sending, start, body):
        """An image's HEAD keeps its Content-Length [H8]."""
        app = CompressionMiddleware(sending(start((b"content-length", b"9000"), content_type=b"image/png"), body(b"")))
        result = await http(app, "HEAD", headers=[(b"accept-encoding", coding.encode())])
        assert result.header(b"content-length") == b"9000"


class TestShapes:
    """Legal but odd messages [H10]."""

    @pytest.mark.parametrize(
        "shape", [tuple, iter, lambda pairs: [list(pair) for pair in pairs]], ids=["tuple", "iterator", "lists"]
    )
    @pytest.mark.parametrize("accept", [b"gzip", b"identity"])
    async def test_reads_headers_of_any_shape(self, shape, accept, sending, body, decode):
        """Tuples, iterators and lists of lists are read once and come out as a list of tuples [H10]."""
        pairs = [JSON, (b"vary", b"Origin")]
        app = sending({"type": "http.response.start", "status": 200, "headers": shape(pairs)}, body())
        result = await http(CompressionMiddleware(app), headers=[(b"accept-encoding", accept)])
        assert type(result.sent[0]["headers"]) is list
        assert result.header(b"content-type") == b"application/json"
        assert result.header(b"vary") == b"Origin, Accept-Encoding"
        assert (decode("gzip", result.body) if accept == b"gzip" else result.body) == TEXT

    @pytest.mark.parametrize("accept", [b"gzip", b"identity"])
    async def test_does_without_headers(self, accept, sending, body):
        """A start message without `headers` gets an empty list: some servers fail without one [H10]."""
        app = sending({"type": "http.response.start", "status": 200}, body())
        result = await http(CompressionMiddleware(app), headers=[(b"accept-encoding", accept)])
        assert result.sent[0]["headers"] == []
        assert result.body == TEXT

    async def test_leaves_a_constant_response_alone(self, coding, start, body, decode):
        """An app that sends the same messages for ever gets each request answered by itself [H10]."""
        head, content = start((b"content-length", b"3200")), body()

        async def app(scope, receive, send):
            await send(head)
            await send(content)

        wrapped = CompressionMiddleware(app)
        for _ in range(3):
            encoded = await http(wrapped, headers=[(b"accept-encoding", coding.encode())])
            assert decode(coding, encoded.body) == TEXT
            assert encoded.header_all(b"vary") == [VARY]
            unencoded = await http(wrapped)
            assert unencoded.body == TEXT
            assert unencoded.header(b"content-encoding") is None
            assert unencoded.header(b"content-length") == b"3200"

    @pytest.mark.parametrize("cache_size", [0, 1_000_000])
    @pytest.mark.parametrize("buffer", [bytearray, memoryview, lambda text: memoryview(text).cast("Q")])
    async def test_takes_other_buffers(self, buffer, cache_size, coding, sending, start, body, decode):
        """A bytearray or a memoryview is encoded like bytes, whatever the size of its items is [M4]."""
        app = CompressionMiddleware(sending(start(), body(buffer(TEXT))), cache_size=cache_size, minimum_size=500)
        result = await http(app, headers=[(b"accept-encoding", coding.encode())])
        assert decode(coding, result.body) == TEXT
        assert type(result.sent[-1]["body"]) is bytes

    @pytest.mark.parametrize("buffer", [bytearray, memoryview, lambda text: memoryview(text).cast("Q")])
    async def test_takes_them_as_chunks_too(self, buffer, coding, sending, start, body, decode):
        """They are counted in bytes [M4]."""
        seen = []
        messages = [body(buffer(chunk), more_body=bool(chunk)) for chunk in (TEXT, TEXT, b"")]
        app = CompressionMiddleware(
            sending(start(), *messages), on_complete=lambda scope, figures: seen.append(figures)
        )
        result = await http(app, headers=[(b"accept-encoding", coding.encode())])
        assert decode(coding, result.body) == TEXT * 2
        assert seen[0].original_size == len(TEXT) * 2

    async def test_the_bodies_of_head_stay_the_apps(self, start, body):
        """What is withheld from the client is not taken out of the app's own message [H10]."""
        content = body()

        async def app(scope, receive, send):
            await send(start((b"content-length", b"3200")))
            await send(content)

        result = await http(CompressionMiddleware(app), "HEAD", headers=[(b"accept-encoding", b"gzip")])
        assert result.body == b""
        assert content["body"] == TEXT

    @pytest.mark.parametrize(("size", "encoded"), [(499, False), (500, True)])
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    async def test_a_body_of_the_minimum_is_large_enough(self, method, size, encoded, coding, sending, start, body):
        """The minimum is the smallest size that is encoded, where the body shows it and not its length."""
        app = CompressionMiddleware(sending(start(), body(TEXT[:size])), minimum_size=500)
        result = await http(app, method, headers=[(b"accept-encoding", coding.encode())])
        assert (result.header(b"content-encoding") is not None) == encoded

    @pytest.mark.parametrize("limit", [None, 1])
    @pytest.mark.parametrize("watched", [False, True])
    @pytest.mark.parametrize(("saved", "encoded"), [(-1, False), (0, False), (1, True)])
    async def test_a_body_that_gets_no_smaller_stays(self, saved, encoded, watched, limit, sending, start, body):
        """One byte less is worth it, the same size is not; Vary says in any case that it was weighed [H11]."""

        class Codec:
            """A codec that makes a body smaller by so many bytes."""

            coding = b"gzip"
            inline_size = 100_000

            def whole(self, data):
                return bytes(len(data) - saved)

        listener = (lambda scope, figures: None) if watched else None
        app = CompressionMiddleware(sending(start(), body()), thread_minimum_size=limit, on_complete=listener)
        app._policy.agreements._codecs[b"gzip"] = Codec()
        result = await http(app, headers=[(b"accept-encoding", b"gzip")])
        assert (result.header(b"content-encoding") is not None) == encoded
        assert len(result.body) == len(TEXT) - (saved if encoded else 0)
        assert result.header_all(b"vary") == [VARY]

    async def test_hands_the_predicate_a_copy(self, sending, start, body):
        """A predicate may do what it likes with its headers; the response keeps its own [H10]."""

        def predicate(scope, status, headers):
            headers.clear()
            return True

        result = await http(
            CompressionMiddleware(sending(start(), body()), predicate=predicate),
            headers=[(b"accept-encoding", b"gzip")],
        )
        assert result.header(b"content-type") == b"application/json"


class TestRequests:
    """What the app gets to see."""

    @pytest.fixture
    def recording(self, start, body):
        """An app that records its scope."""
        seen = []

        async def app(scope, receive, send):
            seen.append(scope)
            await send(start(ETAG))
            await send(body())

        app.seen = seen
        return app

    async def test_takes_suffixes_off_the_conditions(self, recording, coding):
        """In suffix mode the app sees its own tags, in lists and weak forms, on reads and writes [H4]."""
        tag = f'"abc-{coding}"'.encode()
        request = [
            (b"accept-encoding", b"gzip"),
            (b"if-none-match", b'"x", W/' + tag),
            (b"If-Match", tag),
            (b"if-range", tag),
        ]
        original = copy.deepcopy(request)
        await http(CompressionMiddleware(recording, etag="suffix"), "PUT", headers=request)
        seen = dict(recording.seen[0]["headers"])
        assert seen[b"if-none-match"] == b'"x", W/"abc"'
        assert seen[b"If-Match"] == b'"abc"'
        assert seen[b"if-range"] == tag, "an encoded part must not be completed by a plain one"
        assert original == request

    async def test_a_plain_response_keeps_its_own_tag(self, recording):
        """Only a 304 repeats what the client sent: a plain body is not the one that the suffix stands for [H4]."""
        request = [(b"accept-encoding", b"gzip"), (b"if-none-match", b'"abc-gzip"')]
        app = CompressionMiddleware(recording, etag="suffix", predicate=lambda scope, status, headers: False)
        assert (await http(app, headers=request)).header(b"etag") == ETAG[1]

    async def test_takes_suffixes_off_where_nothing_is_encoded_too(self, recording):
        """A lock taken on an encoded response holds for a request that accepts no coding [H4]."""
        for name in (b"if-match", b"If-None-Match"):
            await http(CompressionMiddleware(recording, etag="suffix"), "PUT", headers=[(name, b'"abc-br"')])
            assert dict(recording.seen[-1]["headers"])[name] == b'"abc"'

    @pytest.mark.parametrize(
        ("condition", "etag", "kept"),
        [
            (b'"abc"', "weak", True),
            (b'"abc"', "drop", True),
            (b'"abc"', "suffix", True),
            (b'"abc"', "keep", False),
            (b'W/"abc"', "weak", False),
            (b"Wed, 21 Oct 2026 07:28:00 GMT", "weak", False),
            (None, "weak", True),
        ],
    )
    async def test_resumes_no_encoded_body_with_plain_bytes(self, condition, etag, kept, recording):
        """Where If-Range cannot tell the encoded body from the plain one, the app does not see Range [H4]."""
        request = [(b"accept-encoding", b"gzip"), (b"range", b"bytes=100-")]
        if condition is not None:
            request.append((b"if-range", condition))
        await http(CompressionMiddleware(recording, etag=etag), headers=request)
        seen = dict(recording.seen[0]["headers"])
        assert kept == (b"range" in seen)
        assert (kept and condition is not None) == (b"if-range" in seen)

    @pytest.mark.parametrize(
        ("name", "condition", "etag", "kept"),
        [
            (b"if-match", b'"abc"', "weak", True),
            (b"if-match", b'"abc"', "suffix", True),
            (b"if-match", b'"abc"', "drop", True),
            (b"if-match", b'"abc"', "keep", False),
            (b"if-match", b'"abc-br"', "weak", True),
            (b"If-Match", b'"abc-br"', "suffix", False),
            (b"If-Unmodified-Since", b"Wed, 21 Oct 2026 07:28:00 GMT", "weak", False),
        ],
    )
    async def test_resumes_no_encoded_body_by_another_condition(self, name, condition, etag, kept, recording):
        """A client may also resume under If-Match or If-Unmodified-Since, with what it holds in either form [H4]."""
        request = [(b"accept-encoding", b"gzip"), (b"range", b"bytes=100-"), (name, condition)]
        await http(CompressionMiddleware(recording, etag=etag), headers=request)
        seen = dict(recording.seen[0]["headers"])
        assert kept == (b"range" in seen)
        assert name in seen

    async def test_hides_a_vague_range_beside_the_codings(self, recording):
        """An app that is to see no Accept-Encoding sees none here either [H4]."""
        request = [
            (b"accept-encoding", b"gzip"),
            (b"range", b"bytes=100-"),
            (b"if-range", b'W/"abc"'),
            (b"x-own", b"1"),
        ]
        await http(CompressionMiddleware(recording, remove_accept_encoding=True), headers=request)
        assert recording.seen[0]["headers"] == [(b"x-own", b"1")]

    @pytest.mark.parametrize("etag", ["weak", "suffix"])
    async def test_resumes_for_clients_that_accept_no_coding(self, etag, recording):
        """A client that never gets an encoded body resumes by date as ever."""
        request = [(b"range", b"bytes=100-"), (b"if-range", b"Wed, 21 Oct 2026 07:28:00 GMT")]
        await http(CompressionMiddleware(recording, etag=etag), headers=request)
        assert dict(recording.seen[0]["headers"])[b"range"] == b"bytes=100-"

    async def test_hides_zerocopysend_in_a_copy(self, recording):
        """An app cannot put raw file bytes into an encoded body, and the server's own dict stays whole [M3]."""
        extensions = {"http.response.zerocopysend": {}, "http.response.pathsend": {}, "http.response.push": {}}
        await http(CompressionMiddleware(recording), headers=[(b"accept-encoding", b"gzip")], extensions=extensions)
        assert set(recording.seen[0]["extensions"]) == {"http.response.pathsend", "http.response.push"}
        assert len(extensions) == 3

    async def test_tells_the_exchange_of_the_copy(self, recording):
        """Who follows the scope for the route reads the one that reached the app."""
        scope, exchange = enter(http_scope(headers=[(b"accept-encoding", b"gzip"), (b"if-match", b'"abc-br"')]))
        exchange.follow(scope)
        await drive(CompressionMiddleware(recording, etag="suffix"), scope)
        assert exchange.scope is recording.seen[0]
        assert exchange.scope is not scope

    async def test_keeps_no_scope_for_an_exchange_that_nobody_follows_by(self, recording):
        """A scope that is kept for nobody would form a circle with its Exchange."""
        scope, exchange = enter(http_scope(headers=[(b"accept-encoding", b"gzip"), (b"if-match", b'"abc-br"')]))
        await drive(CompressionMiddleware(recording, etag="suffix"), scope)
        assert exchange.scope is None

    async def test_leaves_zerocopysend_to_clients_without_codings(self, recording):
        """What is never encoded may be sent by the server itself [M3]."""
        extensions = {"http.response.zerocopysend": {}}
        await http(CompressionMiddleware(recording), extensions=extensions)
        assert recording.seen[0]["extensions"] == extensions

    @pytest.mark.parametrize("extensions", [None, ...])
    async def test_does_without_extensions(self, extensions, recording, decode):
        """A server may give no extensions at all."""
        result = await http(
            CompressionMiddleware(recording), headers=[(b"accept-encoding", b"gzip")], extensions=extensions
        )
        assert decode("gzip", result.body) == TEXT
