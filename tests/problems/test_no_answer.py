"""When ProblemDetailsMiddleware does not answer, and what happens to the exception then."""

import asyncio
from typing import Any

import anyio
import pytest
from raising import raising

from asgi_middleware._core.exchange import enter
from asgi_middleware.problems import ProblemDetailsMiddleware
from asgi_middleware.testing import drive, http, http_scope, websocket, websocket_scope

pytestmark = pytest.mark.anyio

START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}

FAULT = RuntimeError("db://user:CANARY@host")


class TestNoAnswer:
    @pytest.mark.parametrize(
        "sent",
        [
            [START],
            [START, {"type": "http.response.body", "body": b"x", "more_body": True}],
            [{**START, "trailers": True}, {"type": "http.response.body", "body": b"x"}],
            [
                {**START, "trailers": True},
                {"type": "http.response.body", "body": b"x"},
                {"type": "http.response.trailers", "headers": [], "more_trailers": True},
            ],
        ],
        ids=["head", "part of the body", "no trailers", "part of the trailers"],
    )
    async def test_in_the_middle(self, sent: list[dict[str, Any]], errors: pytest.LogCaptureFixture) -> None:
        """After the start the exception goes on, so that the server breaks the response off; nothing is added [3.3]."""
        result = await http(ProblemDetailsMiddleware(raising(FAULT, *sent)), raise_exceptions=False)
        assert result.exception is FAULT
        assert result.sent == sent
        assert errors.records == []

    @pytest.mark.parametrize(
        "last",
        [
            {"type": "http.response.body", "body": b"oops"},
            {"type": "http.response.pathsend", "path": "/x"},
            {"type": "http.response.zerocopysend", "file": 3},
        ],
        ids=["body", "pathsend", "zerocopysend"],
    )
    async def test_after_the_end(self, last: dict[str, Any], errors: pytest.LogCaptureFixture) -> None:
        """A framework that has answered and raises then is not answered again; the exception is noted once [3.5]."""
        app = ProblemDetailsMiddleware(raising(FAULT, {**START, "status": 500}, last))
        result = await http(app)
        assert len(result.sent) == 2
        assert len(errors.records) == 1
        again = await http(ProblemDetailsMiddleware(raising(FAULT, START, last), reraise=True), raise_exceptions=False)
        assert again.exception is FAULT

    async def test_trailers_end(self, errors: pytest.LogCaptureFixture) -> None:
        """A response with trailers ends with the last of them."""
        sent = [
            {**START, "trailers": True},
            {"type": "http.response.body", "body": b"x"},
            {"type": "http.response.trailers", "headers": []},
        ]
        result = await http(ProblemDetailsMiddleware(raising(FAULT, *sent)))
        assert result.sent == sent

    async def test_client_gone(self, errors: pytest.LogCaptureFixture) -> None:
        """Where the client is gone there is nobody to answer: the exception goes on."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            raise FAULT.with_traceback(None)

        for scope, kind in ((http_scope(), "http"), (websocket_scope(), "websocket")):
            result = await drive(
                ProblemDetailsMiddleware(app), scope, [{"type": f"{kind}.disconnect"}], raise_exceptions=False
            )
            assert result.exception is FAULT
            assert result.sent == []

    @pytest.mark.parametrize("kind", ["http", "websocket"])
    async def test_client_gone_and_answered_by_the_framework(self, kind: str, errors: pytest.LogCaptureFixture) -> None:
        """A framework's own answer to a client that left reaches nobody: the exception goes on all the same.

        A body limit further out gives the app such a disconnect, and has answered the client itself.
        """
        gone = ConnectionError("the client left")

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            if kind == "http":
                await send({"type": "http.response.start", "status": 500, "headers": []})
                await send({"type": "http.response.body", "body": b"Internal Server Error"})
            else:
                await send({"type": "websocket.close", "code": 1011, "reason": ""})
            raise gone

        scope = http_scope() if kind == "http" else websocket_scope()
        scope, exchange = enter(scope)
        exchange.claim("logging")
        messages = [{"type": f"{kind}.disconnect"}]
        result = await drive(ProblemDetailsMiddleware(app), scope, messages, raise_exceptions=False)
        assert result.exception is gone
        assert exchange.error is None
        assert not errors.records

    @pytest.mark.parametrize("failing", [0, 1, 2])
    async def test_send_fails(self, failing: int, errors: pytest.LogCaptureFixture) -> None:
        """An OSError out of send, of whichever message, is the client's leaving: it goes on unchanged."""
        gone = OSError("gone")
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)
            if len(sent) > failing:
                raise gone

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            await send({"type": "http.response.body"})

        with pytest.raises(OSError, match="gone") as caught:
            await ProblemDetailsMiddleware(app)(http_scope(), anyio.sleep_forever, send)
        assert caught.value is gone
        assert len(sent) == failing + 1
        assert errors.records == []

    async def test_an_oserror_of_the_apps_own(self, errors: pytest.LogCaptureFixture) -> None:
        """An OSError that is the app's own is a fault like any other, after the end of a response, too."""
        assert (await http(ProblemDetailsMiddleware(raising(FileNotFoundError())))).status == 500
        last = {"type": "http.response.body"}
        await http(ProblemDetailsMiddleware(raising(FileNotFoundError(), START, last)))
        assert len(errors.records) == 2

    @pytest.mark.parametrize("kind", ["http", "websocket"])
    async def test_client_leaves_after_the_end(self, kind: str, errors: pytest.LogCaptureFixture) -> None:
        """A disconnect that comes after the end is how every connection ends: an exception then is noted."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if kind == "http":
                await send(START)
                await send({"type": "http.response.body"})
            else:
                await send({"type": "websocket.accept"})
                await send({"type": "websocket.close", "code": 1000})
            await receive()
            raise FAULT.with_traceback(None)

        scope = http_scope() if kind == "http" else websocket_scope()
        await drive(ProblemDetailsMiddleware(app), scope, [{"type": f"{kind}.disconnect", "code": 1000}])
        assert len(errors.records) == 1

    async def test_answer_cannot_be_sent(self, errors: pytest.LogCaptureFixture) -> None:
        """A client that leaves while it is being answered hides no exception: that one is logged."""

        async def send(message: Any) -> None:
            raise OSError

        await ProblemDetailsMiddleware(raising(FAULT))(http_scope(), anyio.sleep_forever, send)
        assert errors.records[0].exc_info is not None
        assert errors.records[0].exc_info[1] is FAULT

    @pytest.mark.parametrize(
        "error",
        [
            asyncio.CancelledError(),
            KeyboardInterrupt(),
            GeneratorExit(),
            BaseExceptionGroup("g", [asyncio.CancelledError()]),
        ],
        ids=lambda error: type(error).__name__,
    )
    async def test_base_exceptions(self, error: BaseException) -> None:
        """What is not an Exception passes unchanged, and nothing is sent [3.3]."""
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        caught = None
        try:
            await ProblemDetailsMiddleware(raising(error))(http_scope(), anyio.sleep_forever, send)
        except BaseException as seen:  # noqa: BLE001 -- the very object is compared
            caught = seen
        assert caught is error
        assert sent == []

    async def test_websocket_denial_begun(self, errors: pytest.LogCaptureFixture) -> None:
        """A denial that has begun is not begun again; one that is complete is not repeated."""
        begun: dict[str, Any] = {"type": "websocket.http.response.start", "status": 401, "headers": []}
        result = await websocket(ProblemDetailsMiddleware(raising(FAULT, begun)), raise_exceptions=False)
        assert (result.exception, result.sent) == (FAULT, [begun])
        whole = [begun, {"type": "websocket.http.response.body", "body": b"", "more_body": False}]
        result = await websocket(ProblemDetailsMiddleware(raising(FAULT, *whole)))
        assert result.sent == whole

    async def test_websocket_closed(self, errors: pytest.LogCaptureFixture) -> None:
        """A WebSocket that the app has closed is not closed again; the exception is logged."""
        sent: list[dict[str, Any]] = [{"type": "websocket.accept"}, {"type": "websocket.close", "code": 1000}]
        result = await websocket(ProblemDetailsMiddleware(raising(FAULT, *sent)))
        assert result.sent == sent
        assert len(errors.records) == 1
