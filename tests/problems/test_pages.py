"""Who gets a page, who gets a document, and what the page holds."""

import logging
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from asgi_middleware.logging import LoggingMiddleware
from asgi_middleware.problems import ProblemDetailsMiddleware, Refusal
from asgi_middleware.problems.negotiation import prefers_page
from asgi_middleware.problems.pages import render_page
from asgi_middleware.testing import drive, http, http_scope, websocket

pytestmark = pytest.mark.anyio

CHROME = (
    b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
    b"application/signed-exchange;v=b3;q=0.7"
)
FIREFOX = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
BROWSER = (b"accept", FIREFOX)
FAULT = RuntimeError("db://user:CANARY@host </pre><script>alert(1)</script>")


class SoldOut(Exception):
    pass


async def failing(scope: Any, receive: Any, send: Any) -> None:
    raise FAULT.with_traceback(None)


@pytest.fixture(autouse=True)
def errors(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Collect what goes to the room's logger."""
    caplog.set_level(logging.WARNING, logger="asgi_middleware.problems")
    return caplog


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        pytest.param([], False, id="nothing said"),
        pytest.param([b""], False, id="empty"),
        pytest.param([b"*/*"], False, id="anything, as fetch and curl say"),
        pytest.param([CHROME], True, id="Chrome"),
        pytest.param([FIREFOX], True, id="Firefox and Safari"),
        pytest.param([b"text/html"], True, id="HTML alone"),
        pytest.param([b"TEXT/HTML"], True, id="case"),
        pytest.param([b"text/*"], True, id="any text"),
        pytest.param([b"application/json"], False, id="JSON"),
        pytest.param([b"application/problem+json"], False, id="problem JSON"),
        pytest.param([b"application/json, text/html"], False, id="both alike"),
        pytest.param([b"application/json;q=0.9, text/html"], True, id="HTML preferred"),
        pytest.param([b"application/json, text/html;q=0.9"], False, id="JSON preferred"),
        pytest.param([b"application/problem+json;q=0.5, application/json;q=0.9, text/html;q=0.7"], False, id="either"),
        pytest.param([b"application/*;q=0.9, text/html"], True, id="application of less weight"),
        pytest.param([b"text/html;q=0, */*"], False, id="HTML refused"),
        pytest.param([b"text/*;q=0.5, */*;q=0.6"], False, id="the specific range counts"),
        pytest.param([b"application/json;q=0", b"text/html"], True, id="two lines"),
        pytest.param([b"text/html;level=1"], False, id="a variant that there is not"),
        pytest.param([b"text/html;q=2, application/json"], False, id="bad weight"),
        pytest.param([b"image/png"], False, id="neither"),
        pytest.param([b"\xff\xfe;;;,,"], False, id="rubbish"),
    ],
)
async def test_accept(accept: list[bytes], page: bool) -> None:
    """A page goes to who prefers HTML to JSON, the document to all others [3.5]."""
    result = await http(ProblemDetailsMiddleware(failing), headers=[(b"Accept", value) for value in accept])
    content_type = b"text/html; charset=utf-8" if page else b"application/problem+json"
    assert result.header_all(b"content-type") == [content_type]
    assert result.header_all(b"content-length") == [str(len(result.body)).encode()]
    assert result.header(b"vary") == b"accept"
    assert result.header(b"cache-control") == b"no-store"
    assert (result.status, b"<html" in result.body) == (500, page)


@given(st.lists(st.binary(max_size=60), max_size=3))
def test_any_accept(values: list[bytes]) -> None:
    """No Accept makes an error of an error."""
    assert prefers_page(values) in {True, False}


class TestPage:
    async def test_what_it_says(self) -> None:
        """The page says what the document says, the request id included, and nothing of the exception [3.5]."""
        with capture_logs():
            app = LoggingMiddleware(ProblemDetailsMiddleware(failing))
            result = await http(app, headers=[BROWSER, (b"x-request-id", b"abc")])
        text = result.body.decode()
        assert "<title>500 Internal Server Error</title>" in text
        assert "The server could not complete the request." in text
        assert "<code>abc</code>" in text
        assert "CANARY" not in text
        assert "RuntimeError" not in text
        assert (result.header(b"content-security-policy") or b"").startswith(b"default-src 'none'")
        assert result.header(b"x-content-type-options") == b"nosniff"

    async def test_nothing_of_the_request(self) -> None:
        """Neither path, query nor header of a request appears on the page."""
        scope = http_scope("GET", "/<CANARY>", query_string=b"<CANARY>", headers=[BROWSER, (b"x-a", b"<CANARY>")])
        result = await drive(ProblemDetailsMiddleware(failing), scope)
        assert b"CANARY" not in result.body

    async def test_mapped_exceptions(self) -> None:
        """What an exception was mapped to is escaped, and its headers go along."""
        answer = Refusal(429, "slow_down", title="Slow <down>", detail="a & <b>", headers=[(b"retry-after", b"5")])

        async def app(scope: Any, receive: Any, send: Any) -> None:
            raise SoldOut

        result = await http(ProblemDetailsMiddleware(app, handlers={SoldOut: answer}), headers=[BROWSER])
        assert (result.status, result.header(b"retry-after")) == (429, b"5")
        assert b"<h1>429 Slow &lt;down&gt;</h1>" in result.body
        assert b"<p>a &amp; &lt;b&gt;</p>" in result.body

    async def test_head(self) -> None:
        """HEAD gets the page's head alone."""
        result = await http(ProblemDetailsMiddleware(failing), "HEAD", headers=[BROWSER])
        assert result.body == b""
        assert result.header(b"content-type") == b"text/html; charset=utf-8"
        assert int(result.header(b"content-length") or 0) > 100

    async def test_off(self) -> None:
        """Without pages everyone gets the document, which then does not vary."""
        result = await http(ProblemDetailsMiddleware(failing, html=False), headers=[BROWSER])
        assert result.header(b"content-type") == b"application/problem+json"
        assert result.header(b"vary") is None

    async def test_one_shot_headers(self) -> None:
        """Request headers that could be read only once, and were, leave the document."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            list(scope["headers"])
            raise FAULT.with_traceback(None)

        scope = http_scope() | {"headers": iter([BROWSER])}
        result = await drive(ProblemDetailsMiddleware(app), scope)
        assert result.header(b"content-type") == b"application/problem+json"

    async def test_websocket(self) -> None:
        """A denied handshake is a document always: no browser shows it."""
        result = await websocket(ProblemDetailsMiddleware(failing), headers=[BROWSER])
        assert result.json()["reason"] == "internal_error"


class TestOwnPages:
    async def test_own(self) -> None:
        """A function makes the page from the answer and the request id."""

        def page(answer: Refusal, request_id: str | None) -> str:
            return f"<p>{answer.reason} {request_id} é</p>"

        result = await http(ProblemDetailsMiddleware(failing, html=page), headers=[BROWSER])
        assert result.body.decode() == "<p>internal_error None é</p>"
        assert result.header(b"content-length") == b"%d" % len(result.body)

    @pytest.mark.parametrize("made", [None, 1, "\ud800"])
    async def test_a_broken_one(self, made: Any, errors: pytest.LogCaptureFixture) -> None:
        """A function that raises, or gives no text, costs the page, not the answer."""
        result = await http(ProblemDetailsMiddleware(failing, html=lambda *_: made), headers=[BROWSER])
        assert result.json()["reason"] == "internal_error"
        assert "the page could not be made" in [record.getMessage() for record in errors.records]


class Elements(HTMLParser):
    """Notes the elements of a page, and the text of its ``pre``."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.names.append(tag)

    def handle_data(self, data: str) -> None:
        if self.names[-1:] == ["pre"]:
            self.text += data


MARKUP = st.text(st.sampled_from("<>&;\"'/!-=apre \n\x00é"), max_size=30)


@settings(max_examples=100)
@example("<p>", "<p>", ["<p>"])
@example("&lt;<script>", "<script>", ["</pre><script>"])
@given(MARKUP, MARKUP, st.lists(MARKUP, min_size=1))
def test_nothing_escapes_its_place(detail: str, request_id: str, traceback: list[str]) -> None:
    """No text makes an element of its own, in debug mode either."""
    answer = Refusal(500, "internal_error", detail=detail)
    page = render_page(answer, request_id, traceback)
    names = ["html", "head", *["meta"] * 3, "title", "body", "main", "h1", "p", "p", "code", "h2", "p", "pre"]
    assert Elements(page).names == names


class TestDebug:
    @pytest.mark.parametrize("html", [True, lambda *_: "mine"], ids=["ours", "own pages"])
    async def test_page(self, html: Any) -> None:
        """Debug mode shows browsers the traceback, escaped, on a page that says loudly what it is [3.5]."""
        result = await http(ProblemDetailsMiddleware(failing, debug=True, html=html), headers=[BROWSER])
        page = Elements(result.body.decode())
        assert "script" not in page.names
        assert page.text.strip().splitlines()[-1] == f"RuntimeError: {FAULT}"
        assert b"<h2>DEBUG MODE</h2>" in result.body
        assert b"Never use it in production." in result.body

    async def test_document(self) -> None:
        """The document says the same in a member of its own."""
        document = (await http(ProblemDetailsMiddleware(failing, debug=True))).json()
        assert document["debug"] is True
        assert "debug=True" in document["detail"]

    async def test_production_has_no_trace_of_it(self) -> None:
        """Without debug neither form has anything of it."""
        for headers in ([], [BROWSER]):
            result = await http(ProblemDetailsMiddleware(failing), headers=headers)
            assert not any(word in result.body for word in (b"debug", b"DEBUG", b"raceback", b"CANARY"))

    async def test_an_exception_that_cannot_be_shown(self) -> None:
        """An exception whose text cannot be made, or not be encoded, is answered all the same."""

        class Broken(Exception):
            def __str__(self) -> str:
                raise self

        for error in (Broken(), ValueError("\ud800")):

            async def app(scope: Any, receive: Any, send: Any, error: Exception = error) -> None:
                raise error

            for headers in ([], [BROWSER]):
                result = await http(ProblemDetailsMiddleware(app, debug=True), headers=headers)
                assert result.status == 500
                assert len(result.sent) == 2
