"""Endings that are no success: what LoggingMiddleware writes of them, and what it lets pass."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import anyio
import pytest

from asgi_middleware._core.exchange import exchange_of
from asgi_middleware._core.refusals import Refusal
from asgi_middleware.logging import (
    LoggingMiddleware,
)
from asgi_middleware.testing import drive, http, http_scope, websocket_scope

pytestmark = pytest.mark.anyio

Lines = list[MutableMapping[str, Any]]

REQUEST = {"type": "http.request", "body": b"", "more_body": False}

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Answer with five bytes."""
    await send(START)
    await send({"type": "http.response.body", "body": b"hello"})


class TestFailures:
    async def test_exception(self, lines: Lines) -> None:
        """An exception is logged once, with its traceback and without locals, and goes on as the same object [3.3]."""
        fault = ValueError("bad\nINFO forged")

        async def app(scope: Any, receive: Any, send: Any) -> None:
            password = "CANARY"
            assert password
            raise fault

        result = await http(LoggingMiddleware(app), raise_exceptions=False)
        assert result.exception is fault
        [line] = lines
        assert (line["outcome"], line["status"], line["log_level"]) == ("error", 500, "error")
        assert line["error_type"] == "ValueError"
        assert line["exception"].startswith("Traceback (most recent call last):\n")
        assert line["exception"].endswith("ValueError: bad\n    INFO forged")
        assert "test_failures.py" in line["exception"]
        assert "exc_info" not in line

    async def test_locals_stay_out(self, lines: Lines) -> None:
        """No value of a local variable enters the line, in the exception's causes neither [3.4]."""

        class CustomError(Exception):
            pass

        def query(password: str) -> None:
            raise KeyError(len(password))

        async def app(scope: Any, receive: Any, send: Any) -> None:
            try:
                query("CAN" + "ARY")
            except KeyError as error:
                raise CustomError from error

        await http(LoggingMiddleware(app), raise_exceptions=False)
        [line] = lines
        assert "CANARY" not in str(line)
        assert "KeyError: 6" in line["exception"]
        assert line["error_type"].endswith("CustomError")

    @pytest.mark.parametrize("raised", [KeyboardInterrupt, GeneratorExit, SystemExit, asyncio.CancelledError])
    async def test_base_exceptions_pass(self, raised: type[BaseException], lines: Lines) -> None:
        """What is not an Exception goes on unchanged, and is logged without a traceback [3.3]."""
        error = raised()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            raise error

        async def unused(*_: Any) -> Any:
            raise AssertionError

        caught = None
        try:
            await LoggingMiddleware(app)(http_scope(), unused, unused)
        except BaseException as seen:  # noqa: BLE001 -- the very object is compared
            caught = seen
        assert caught is error
        [line] = lines
        assert (line["outcome"], line["log_level"]) == ("cancelled", "info")
        assert "exception" not in line

    async def test_cancellation(self, lines: Lines) -> None:
        """A cancelled request is logged at once, without waiting [3.3]."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            await anyio.sleep_forever()

        with anyio.move_on_after(0.05) as scope:
            await http(LoggingMiddleware(app))
        assert scope.cancelled_caught
        [line] = lines
        assert (line["outcome"], line["status"]) == ("cancelled", 200)

    async def test_answered_exception(self, lines: Lines) -> None:
        """An exception that a class inside has answered is logged once, as an error [3.5]."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            exchange = exchange_of(scope)
            assert exchange is not None
            exchange.error = ValueError("inside")
            await Refusal(500, "internal_error").send(scope, receive, send)

        await http(LoggingMiddleware(app))
        [line] = lines
        assert (line["outcome"], line["status"], line["error_type"]) == ("error", 500, "ValueError")
        assert "refusal" not in line

    async def test_client_disconnect_while_reading(self, lines: Lines) -> None:
        """A client that leaves before the answer is complete is no error of the server's [3.3]."""

        class ClientDisconnect(Exception):
            pass

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if (await receive())["type"] == "http.disconnect":
                raise ClientDisconnect

        await drive(LoggingMiddleware(app), http_scope(), [{"type": "http.disconnect"}], raise_exceptions=False)
        [line] = lines
        assert (line["outcome"], line["log_level"]) == ("client_disconnect", "info")
        assert "exception" not in line

    async def test_client_disconnect_while_sending(self, lines: Lines) -> None:
        """An OSError out of send goes on unchanged and is logged as a disconnect [3.3]."""
        gone = OSError("gone")

        async def receive() -> Any:
            return REQUEST

        async def send(message: Any) -> None:
            raise gone

        with pytest.raises(OSError, match="gone") as caught:
            await LoggingMiddleware(hello)(http_scope(), receive, send)
        assert caught.value is gone
        [line] = lines
        assert line["outcome"] == "client_disconnect"
        assert "exception" not in line

    @pytest.mark.parametrize(
        ("version", "outcome"),
        [
            ("2.4", "client_disconnect"),
            ("2.3", "error"),
            ("2.0", "error"),
            (None, "error"),
            ("x", "client_disconnect"),
            (3, "client_disconnect"),
        ],
    )
    async def test_whose_an_error_of_send_is(self, version: Any, outcome: str, lines: Lines) -> None:
        """An OSError out of send tells of the client on servers of version 2.4, before that of a fault."""

        async def receive() -> Any:
            return REQUEST

        async def send(message: Any) -> None:
            raise OSError

        scope = http_scope(asgi={"version": "3.0", "spec_version": version})
        with pytest.raises(OSError):  # noqa: PT011 -- any
            await LoggingMiddleware(hello)(scope, receive, send)
        assert lines[0]["outcome"] == outcome

    async def test_disconnect_during_the_last_send(self, lines: Lines) -> None:
        """A disconnect that arrives while the last message is being sent is the normal end."""
        tail = anyio.Event()

        async def receive() -> Any:
            await tail.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                tail.set()
                await anyio.sleep(0.01)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(receive)
                await hello(scope, receive, send)

        await LoggingMiddleware(app)(http_scope(), receive, send)
        assert lines[0]["outcome"] == "ok"

    async def test_no_response_and_incomplete(self, lines: Lines) -> None:
        """Returning without an answer, or in the middle of one, is told apart; nothing is sent for the app [3.3]."""

        async def silent(scope: Any, receive: Any, send: Any) -> None:
            pass

        async def half(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

        assert (await http(LoggingMiddleware(silent))).sent == []
        assert not (await http(LoggingMiddleware(half))).complete
        assert [(line["outcome"], line["status"], line["log_level"]) for line in lines] == [
            ("no_response", None, "error"),
            ("incomplete", 200, "error"),
        ]


async def test_websocket_scope_is_not_answered_with_http(lines: Lines) -> None:
    """On a WebSocket only WebSocket messages are sent [3.3]."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 4000})

    result = await drive(LoggingMiddleware(app), websocket_scope(), [{"type": "websocket.connect"}])
    assert result.types == ["websocket.close"]
    assert (lines[0]["outcome"], lines[0]["status"], lines[0]["accepted"]) == ("refused", 403, False)
