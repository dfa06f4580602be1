"""Judging heads: the short way by the shape of a head gives what a close look gives, in bounded memory."""

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_middleware._core.config import Problems
from asgi_middleware.compression import DEFAULT_CONTENT_TYPES, CompressionMiddleware
from asgi_middleware.compression.content_types import ContentTypes
from asgi_middleware.compression.heads import Marking, encoded_head
from asgi_middleware.compression.judge import ENCODE, Judge
from asgi_middleware.testing.driver import drive, http, http_scope

TEXT = b'{"id": 1, "name": "Ada", "text": "the quick brown fox jumps over the lazy dog"}\n' * 40
PAIRS = [
    (b"content-type", b"application/json"),
    (b"Content-Type", b"image/png"),
    (b"content-type", b"text/event-stream"),
    (b"content-length", b"5"),
    (b"Content-Length", b"5000"),
    (b"content-length", b"+5"),
    (b"cache-control", b"no-cache"),
    (b"cache-control", b"no-transform"),
    (b"content-encoding", b"gzip"),
    (b"content-range", b"bytes 0-1/2"),
    (b"digest", b"x"),
    (b"etag", b'"a"'),
    (b"vary", b"Origin"),
    (b"x-own", b"1"),
]


def make_judge():
    return Judge(ContentTypes(DEFAULT_CONTENT_TYPES, (), Problems("Judge")), 500)


def judged(judge, status, headers):
    verdict, _, length = judge.judge(status, headers)
    return verdict.vary, verdict.reason, verdict.live, length


@given(
    headers=st.lists(st.sampled_from(PAIRS), max_size=6),
    status=st.sampled_from([101, 200, 201, 204, 205, 206, 304, 404, 599, 700]),
)
def test_what_was_seen_before_changes_nothing(headers, status):
    """The first look at a head and every later one agree, whatever has been learned in between."""
    fresh, used = make_judge(), make_judge()
    for pair in PAIRS:
        used.judge(200, [pair])
        used.judge(200, [pair, PAIRS[0]])
    first = judged(fresh, status, headers)
    assert judged(fresh, status, headers)[:3] == first[:3]
    assert judged(used, status, headers)[:3] == first[:3]


@pytest.mark.parametrize("status", [200, 201, 404, HTTPStatus.INTERNAL_SERVER_ERROR])
def test_statuses_with_a_body_of_their_own_are_alike(status):
    """An error or a 201 is judged like a 200, at the first sight and later."""
    judge = make_judge()
    for _ in range(2):
        assert judge.judge(status, [(b"content-type", b"text/html")])[0] is ENCODE


@pytest.mark.parametrize("size", [0, 1, 49, 50, 99, 499, 500, 501, 999, 1000, 10**19])
@pytest.mark.parametrize("minimum_size", [1, 50, 500, 1000])
def test_sizes_are_compared_as_numbers(size, minimum_size):
    """A declared length below the minimum is small, at the first sight and later; its digits are handed on."""
    judge = Judge(ContentTypes(DEFAULT_CONTENT_TYPES, (), Problems("Judge")), minimum_size)
    headers = [(b"content-type", b"text/html"), (b"content-length", b"%d" % size)]
    for _ in range(2):
        verdict, _, digits = judge.judge(200, headers)
        assert (verdict.reason == "too_small") == (size < minimum_size)
        assert digits == b"%d" % size


JSON = (b"content-type", b"application/json")
PNG = (b"content-type", b"image/png")
LARGE = (b"content-length", b"5000")
NO_CACHE = (b"cache-control", b"no-cache")
NO_TRANSFORM = (b"cache-control", b"no-transform")


@pytest.mark.parametrize(
    ("status", "headers", "reason", "vary", "length"),
    [
        (200, [JSON, NO_TRANSFORM], "no_transform", False, None),
        (200, [JSON, NO_CACHE, NO_TRANSFORM], "no_transform", False, None),
        (200, [JSON, JSON], "content_type", False, None),
        (200, [JSON, PNG], "content_type", False, None),
        (200, [JSON, LARGE, LARGE], None, True, None),
        (200, [JSON, (b"content-length", b"+5")], None, True, None),
        (200, [JSON, (b"content-length", b"")], None, True, None),
        (200, [JSON, (b"content-encoding", b"gzip")], "encoded", False, None),
        (200, [JSON, (b"trailer", b"Content-Digest")], "integrity", False, None),
        (206, [JSON], "range", True, None),
        (206, [JSON, NO_TRANSFORM], "no_transform", False, None),
        (304, [JSON], "not_modified", True, None),
        (304, [JSON, NO_TRANSFORM], "no_transform", False, None),
        (101, [JSON], "status", False, None),
        (204, [JSON], "status", False, None),
    ],
)
def test_a_head_that_is_nearly_one_seen_before(status, headers, reason, vary, length):
    """What differs in one field or in the status from a head that was encoded is judged for itself, again and again."""
    judge = make_judge()
    for known in ([JSON], [PNG], [JSON, LARGE], [JSON, NO_CACHE], [JSON, NO_CACHE, NO_CACHE], [JSON, LARGE, NO_CACHE]):
        judge.judge(200, known)
    for _ in range(2):
        assert judged(judge, status, headers) == (vary, reason, False, length)


@pytest.mark.parametrize(
    ("content_type", "reason", "live"),
    [
        (b"application/json ;charset=utf-8", None, False),
        (b"image/png", "content_type", False),
        (b"nonsense", "content_type", False),
        (b"", "content_type", False),
        (b"text/event-stream", None, True),
        (b"application/x-ndjson", None, True),
        (b"multipart/byteranges; boundary=x", "range", False),
    ],
)
@pytest.mark.parametrize("include", [DEFAULT_CONTENT_TYPES, (*DEFAULT_CONTENT_TYPES, "multipart/*")])
def test_types_of_a_kind_of_their_own(content_type, reason, live, include):
    """A stream stays one, and ranges stay ranges, however often their type was seen, and whatever is encoded."""
    judge = Judge(ContentTypes(include, (), Problems("Judge")), 500)
    for _ in range(3):
        verdict, _, _ = judge.judge(200, [(b"content-type", content_type)])
        assert (verdict.reason, verdict.live) == (reason, live)


def test_the_memory_is_bounded():
    """Ever new names, and ever new values of Cache-Control, cannot fill the memory."""
    judge = make_judge()
    for number in range(2000):
        judge.judge(200, [PAIRS[0], (b"x-%d" % number, b""), (b"cache-control", b"max-age=%d" % number)])
    judge.judge(200, [PAIRS[0], (b"cache-control", b"x" * 5000)])
    assert len(judge._shapes) <= 512
    assert len(judge._permitting) <= 128
    assert max(map(len, judge._permitting)) <= 128


def test_every_spelling_is_dropped():
    """A length in an odd spelling is not sent beside the true one, nor is Accept-Ranges [H3]."""
    headers = [(b"CONTENT-length", b"5000"), (b"x-own", b"1"), (b"Accept-RANGES", b"bytes"), PAIRS[0]]
    _, shape, _ = make_judge().judge(200, headers)
    head = encoded_head(headers.copy(), shape, b"br", 7, Marking("weak", (b"Accept-Encoding",)))
    assert head == [
        (b"x-own", b"1"),
        PAIRS[0],
        (b"content-encoding", b"br"),
        (b"content-length", b"7"),
        (b"vary", b"Accept-Encoding"),
    ]


@pytest.mark.anyio
class TestAround:
    """What the class does around the judge."""

    @pytest.mark.parametrize("streamed", [False, True])
    @pytest.mark.parametrize("small", [False, True])
    async def test_a_list_changed_after_the_head(self, streamed, small, coding, start, body, decode):
        """An app that goes on with its own list and message after the start changes nothing that goes out [H10]."""
        text = b"tiny" if small else TEXT

        async def app(scope, receive, send):
            message = start((b"x-own", b"1"), (b"accept-ranges", b"bytes"))
            await send(message)
            message["headers"].insert(0, (b"late", b"1"))
            message["status"] = 500
            await send(body(text, more_body=streamed))
            if streamed:
                await send(body(b""))

        result = await http(CompressionMiddleware(app), headers=[(b"accept-encoding", coding.encode())])
        assert result.status == 200
        assert result.header(b"late") is None
        assert result.header(b"x-own") == b"1"
        encoded = result.header(b"content-encoding") is not None
        assert encoded == (streamed or not small)
        assert text == (decode(coding, result.body) if encoded else result.body)
        assert (result.header(b"accept-ranges") is None) == encoded

    async def test_a_list_changed_after_the_head_of_a_stream_that_may_be_a_file(self, start, body):
        """The same holds for a head that waits only because the server could be told to send a file [H10]."""

        async def app(scope, receive, send):
            message = start(content_type=b"application/x-ndjson")
            await send(message)
            message["headers"].insert(0, (b"late", b"1"))
            message["status"] = 500
            await send(body(b"{}\n", more_body=True))
            await send(body(b""))

        result = await http(
            CompressionMiddleware(app),
            headers=[(b"accept-encoding", b"gzip")],
            extensions={"http.response.pathsend": {}},
        )
        assert result.status == 200
        assert result.header(b"late") is None
        assert result.header(b"content-encoding") == b"gzip"

    async def test_request_headers_as_lists(self, coding, sending, start, body, decode):
        """A server may give pairs that are lists, which no memory can find by their value."""
        app = CompressionMiddleware(sending(start(), body()))
        scope = {**http_scope(), "headers": [[b"host", b"x"], [b"accept-encoding", coding.encode()]]}
        for _ in range(2):
            assert decode(coding, (await drive(app, scope)).body) == TEXT

    async def test_request_headers_that_can_be_read_once(self, coding, start, body, decode):
        """An iterator is read for this class and for the app alike [H10]."""
        seen = []

        async def app(scope, receive, send):
            seen.extend(scope["headers"])
            await send(start())
            await send(body())

        headers = [(b"host", b"x"), (b"accept-encoding", coding.encode())]
        result = await drive(CompressionMiddleware(app), {**http_scope(), "headers": iter(headers)})
        assert decode(coding, result.body) == TEXT
        assert seen == headers

    @pytest.mark.parametrize("credentials", [b"cookie", b"Authorization"])
    async def test_a_known_cross_site_request_is_looked_at_anew(self, credentials, sending, start, body):
        """That a cross-site request without credentials was encoded opens no door to one that has them [B2]."""
        app = CompressionMiddleware(sending(start(), body()))
        headers = [(b"accept-encoding", b"gzip"), (b"sec-fetch-site", b"cross-site")]
        for _ in range(2):
            assert (await http(app, headers=headers)).header(b"content-encoding") == b"gzip"
            assert (await http(app, headers=[*headers, (credentials, b"x")])).header(b"content-encoding") is None

    async def test_one_of_several_lines_that_says_cross_site_counts(self, sending, start, body):
        """A line beside it does not take back what the browser says [B2]."""
        app = CompressionMiddleware(sending(start(), body()))
        sites = [(b"sec-fetch-site", b"same-origin"), (b"Sec-Fetch-Site", b"cross-site")]
        for pair in (sites, sites[::-1]):
            result = await http(app, headers=[(b"accept-encoding", b"gzip"), (b"cookie", b"a=b"), *pair])
            assert result.header(b"content-encoding") is None
