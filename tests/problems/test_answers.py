"""What ProblemDetailsMiddleware answers."""

import json
import logging
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from raising import raising
from structlog.testing import capture_logs

from asgi_middleware.logging import LoggingMiddleware
from asgi_middleware.problems import ProblemDetailsMiddleware, Refusal
from asgi_middleware.problems.answers import answer_for
from asgi_middleware.testing import drive, http, websocket, websocket_scope

pytestmark = pytest.mark.anyio

FAULT = RuntimeError("db://user:CANARY@host")


class SoldOut(Exception):
    pass


class AllGone(SoldOut):
    pass


class TestAnswer:
    async def test_http(self, errors: pytest.LogCaptureFixture) -> None:
        """An unhandled exception becomes a problem document that holds nothing of it [3.5]."""
        result = await http(ProblemDetailsMiddleware(raising(FAULT)))
        assert result.status == 500
        assert result.header(b"content-type") == b"application/problem+json"
        assert result.header(b"cache-control") == b"no-store"
        assert result.header(b"content-length") == str(len(result.body)).encode()
        assert result.json() == {
            "title": "Internal Server Error",
            "status": 500,
            "detail": "The server could not complete the request.",
            "reason": "internal_error",
        }
        assert result.types == ["http.response.start", "http.response.body"]

    async def test_head(self, errors: pytest.LogCaptureFixture) -> None:
        """HEAD gets the head alone."""
        result = await http(ProblemDetailsMiddleware(raising(FAULT)), "HEAD")
        assert (result.status, result.body) == (500, b"")

    async def test_request_id(self, errors: pytest.LogCaptureFixture) -> None:
        """The document names the request id, so that a user can quote it."""
        with capture_logs():
            app = LoggingMiddleware(ProblemDetailsMiddleware(raising(FAULT)))
            result = await http(app, headers=[(b"x-request-id", b"abc")])
        assert result.json()["request_id"] == "abc"
        assert result.header(b"x-request-id") == b"abc"

    @pytest.mark.parametrize("denial", [True, False])
    @pytest.mark.parametrize("connected", [True, False])
    async def test_websocket_before_accept(
        self, denial: bool, connected: bool, errors: pytest.LogCaptureFixture
    ) -> None:
        """Before the accept a WebSocket is denied, or closed, whether the app took the connect or not [3.5]."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if connected:
                await receive()
            raise FAULT.with_traceback(None)

        result = await drive(
            ProblemDetailsMiddleware(app),
            websocket_scope(denial_response=denial),
            [{"type": "websocket.connect"}],
        )
        if denial:
            assert result.types == ["websocket.http.response.start", "websocket.http.response.body"]
            assert (result.status, result.json()["reason"]) == (500, "internal_error")
        else:
            assert result.sent == [{"type": "websocket.close", "code": 1011, "reason": "internal_error"}]

    async def test_websocket_after_accept(self, errors: pytest.LogCaptureFixture) -> None:
        """After the accept a WebSocket is closed with 1011 [3.5]."""
        result = await websocket(ProblemDetailsMiddleware(raising(FAULT, {"type": "websocket.accept"})))
        assert (result.close_code, result.close_reason) == (1011, "internal error")
        assert errors.records[0].exc_info is not None

    async def test_group_of_one(self, errors: pytest.LogCaptureFixture) -> None:
        """A group with one exception in it stands for that one."""
        app = ProblemDetailsMiddleware(
            raising(ExceptionGroup("g", [ExceptionGroup("h", [SoldOut()])])),
            handlers={SoldOut: Refusal(409, "sold_out")},
        )
        assert (await http(app)).status == 409
        several = ExceptionGroup("g", [SoldOut(), SoldOut()])
        assert answer_for(several, {SoldOut: Refusal(409, "sold_out")}).status == 500
        assert answer_for(several, {ExceptionGroup: Refusal(409, "sold_out")}).status == 409


class TestHandlers:
    @pytest.mark.parametrize(
        ("error", "status"),
        [(SoldOut(), 409), (AllGone(), 410), (KeyError("CANARY"), 404), (ValueError("CANARY"), 500)],
    )
    async def test_map(self, error: Exception, status: int, errors: pytest.LogCaptureFixture) -> None:
        """The nearest class of an exception decides, by a refusal or a function of the exception."""
        app = ProblemDetailsMiddleware(
            raising(error),
            handlers={
                LookupError: lambda error: Refusal(404, "unknown", detail=type(error).__name__),
                SoldOut: Refusal(409, "sold_out"),
                AllGone: Refusal(410, "all_gone"),
            },
        )
        result = await http(app)
        assert result.status == status
        assert b"CANARY" not in result.body

    async def test_expected_exceptions_are_no_faults(self, errors: pytest.LogCaptureFixture) -> None:
        """An exception that is mapped below 500 is not logged as an error; the access line names the reason."""
        with capture_logs() as lines:
            app = ProblemDetailsMiddleware(
                raising(SoldOut()), handlers={SoldOut: Refusal(409, "sold_out")}, reraise=True
            )
            await http(LoggingMiddleware(app))
            await http(app)
        assert (lines[0]["outcome"], lines[0]["refusal"], lines[0]["status"]) == ("refused", "sold_out", 409)
        assert "exception" not in lines[0]
        assert errors.records == []

    async def test_websocket_codes(self) -> None:
        """On an open WebSocket an expected exception closes with its own code."""
        app = ProblemDetailsMiddleware(
            raising(SoldOut(), {"type": "websocket.accept"}),
            handlers={SoldOut: Refusal(409, "sold_out", close_code=4409, close_reason="sold out")},
        )
        result = await websocket(app)
        assert (result.close_code, result.close_reason) == (4409, "sold out")

    @pytest.mark.parametrize(
        "handler", [lambda _: 1 / 0, lambda _: None, lambda: None], ids=["raises", "None", "takes nothing"]
    )
    async def test_broken_handler(self, handler: Any, errors: pytest.LogCaptureFixture) -> None:
        """A handler that fails gives the plain 500, and is logged."""
        app = ProblemDetailsMiddleware(raising(SoldOut()), handlers={SoldOut: handler})
        assert (await http(app)).json()["reason"] == "internal_error"
        assert "the handler for SoldOut" in errors.records[0].getMessage()


@given(st.text(), st.booleans())
def test_no_text_of_an_exception_leaks(text: str, as_websocket: bool) -> None:
    """Whatever an exception says, its answer is always the same bytes."""
    logger = logging.getLogger("asgi_middleware.problems")
    logger.disabled = True
    try:
        app = ProblemDetailsMiddleware(raising(ValueError(text)))
        result = anyio.run(websocket if as_websocket else http, app)
        assert json.loads(result.body)["reason"] == "internal_error"
        assert result.body == anyio.run(http, ProblemDetailsMiddleware(raising(KeyError()))).body
    finally:
        logger.disabled = False
