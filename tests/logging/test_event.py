"""The access event of LoggingMiddleware: what is written of a request and of a WebSocket session."""

import gc
from collections.abc import MutableMapping
from ipaddress import IPv4Address
from typing import Any

import pytest
from small_apps import START, echo, hello

from asgi_middleware._core.exchange import add_fields, exchange_of, timing
from asgi_middleware._core.refusals import Refusal
from asgi_middleware.compression import CompressionFigures
from asgi_middleware.logging import (
    FIELDS,
    LoggingMiddleware,
    Redaction,
    Sampling,
)
from asgi_middleware.testing import drive, http, http_scope, websocket

pytestmark = pytest.mark.anyio

Lines = list[MutableMapping[str, Any]]


class TestEvent:
    async def test_http(self, lines: Lines) -> None:
        """One request is one event with plain names, and nothing but what is documented [3.3]."""
        result = await http(
            LoggingMiddleware(hello),
            "GET",
            "/greet",
            query_string=b"a=1",
            headers=[(b"x-request-id", b"abc")],
            scheme="https",
        )
        assert result.body == b"hello"
        [line] = lines
        timed = {name: line.pop(name) for name in ("duration_ms", "ttfb_ms", "trace_id", "span_id")}
        assert line == {
            "event": "http.request",
            "log_level": "info",
            "request_id": "abc",
            "outcome": "ok",
            "method": "GET",
            "path": "/greet",
            "query": "a=1",
            "scheme": "https",
            "http_version": "1.1",
            "status": 200,
            "client": "127.0.0.1",
            "request_bytes": 0,
            "request_chunks": 0,
            "response_bytes": 5,
            "response_chunks": 1,
        }
        assert 0 <= timed["ttfb_ms"] <= timed["duration_ms"] < 5000
        assert set(line) - {"event", "log_level"} | set(timed) <= set(FIELDS)

    async def test_websocket(self, lines: Lines) -> None:
        """One session is one event with its counts, whatever the number of its messages."""
        await websocket(LoggingMiddleware(echo), "/chat", messages=["é", b"abc", "x"])
        [line] = lines
        assert line["event"] == "websocket.session"
        expected = {
            "outcome": "ok",
            "path": "/chat",
            "scheme": "ws",
            "status": None,
            "accepted": True,
            "subprotocol": "chat",
            "close_code": 1000,
            "closed_by": "client",
            "received_messages": 3,
            "received_bytes": 6,
            "sent_messages": 3,
            "sent_bytes": 6,
            "client": "127.0.0.1",
        }
        assert {name: line[name] for name in expected} == expected
        assert 0 <= line["handshake_ms"] <= line["duration_ms"]
        assert set(line) - {"event", "log_level"} <= set(FIELDS)

    async def test_streaming_is_one_line(self, lines: Lines) -> None:
        """A stream of many chunks is one event at its end."""

        async def stream(scope: Any, receive: Any, send: Any) -> None:
            await send(START)
            for _ in range(50):
                await send({"type": "http.response.body", "body": b"chunk", "more_body": True})
            await send({"type": "http.response.body", "body": b""})

        await http(LoggingMiddleware(stream))
        [line] = lines
        assert (line["response_bytes"], line["response_chunks"]) == (250, 50)

    async def test_request_body_is_counted(self, lines: Lines) -> None:
        """What the app reads is counted."""

        async def reader(scope: Any, receive: Any, send: Any) -> None:
            while (await receive())["more_body"]:
                pass
            await hello(scope, receive, send)

        await http(LoggingMiddleware(reader), "POST", body=[b"abc", b"", b"de"])
        [line] = lines
        assert (line["request_bytes"], line["request_chunks"]) == (5, 2)

    @pytest.mark.parametrize(
        ("method", "expected"),
        [
            ("GET", {"method": "GET"}),
            ("QUERY", {"method": "QUERY"}),
            ("get", {"method": "_OTHER", "method_original": "get"}),
            ("BREW\x1b", {"method": "_OTHER", "method_original": "BREW\\x1b"}),
        ],
        ids=["known", "new", "lower case", "unknown"],
    )
    async def test_method(self, method: str, expected: dict[str, str], lines: Lines) -> None:
        """A method that HTTP does not know is logged as `_OTHER`, with the original beside it [3.4]."""
        await http(LoggingMiddleware(hello), method)
        assert {name: lines[0][name] for name in lines[0] if name.startswith("method")} == expected

    @pytest.mark.parametrize(
        ("client", "expected"),
        [
            (("10.0.0.1", 5), "10.0.0.1"),
            (["::1", "5"], "::1"),
            (None, None),
            ((None, 0), None),
            (("a\nb", 1), "a\\x0ab"),
            (("x" * 65, 1), "x" * 64 + "…(+1)"),
            ((IPv4Address("10.0.0.1"), 1), "10.0.0.1"),
            (..., None),
        ],
        ids=["tuple", "list with text port", "None", "None inside", "rubbish", "long", "no text", "absent"],
    )
    async def test_client(self, client: Any, expected: str | None, lines: Lines) -> None:
        """The client's address is logged in whatever shape the server gives it [3.2]."""
        await http(LoggingMiddleware(hello), client=client)
        assert lines[0].get("client") == expected

    async def test_sparse_scope(self, lines: Lines) -> None:
        """A scope without any optional key is served and logged [3.2]."""
        await drive(LoggingMiddleware(hello), {"type": "http", "method": "GET", "path": "/", "headers": []})
        script = [{"type": "websocket.connect"}, {"type": "websocket.disconnect"}]
        await drive(LoggingMiddleware(echo), {"type": "websocket", "path": "/", "headers": []}, script)
        assert [line["outcome"] for line in lines] == ["ok", "ok"]

    async def test_times(self, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
        """Times are milliseconds; the work after the response stands apart from the duration."""
        ticks = iter([10.0, 10.25, 10.5, 12.5])
        for module in ("middleware", "observation", "access_log"):
            monkeypatch.setattr(f"asgi_middleware.logging.{module}.perf_counter", lambda: next(ticks))
        await http(LoggingMiddleware(hello))
        [line] = lines
        assert (line["ttfb_ms"], line["duration_ms"], line["after_response_ms"]) == (250.0, 500.0, 2000.0)

    async def test_fields_and_timings(self, lines: Lines) -> None:
        """Handlers add fields and times; a name of the event's own is prefixed, every value is cleaned."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            add_fields(user_id=7, status="mine", note="a\nb", big=2**70, event="x", items=[1, "\x1b"], name="n")
            with timing("db"):
                pass
            with timing("db"):
                pass
            await hello(scope, receive, send)

        await http(LoggingMiddleware(app))
        [line] = lines
        assert line["user_id"] == 7
        assert line["status"] == 200
        assert line["app_status"] == "mine"
        assert line["app_event"] == "x"
        assert line["note"] == "a\\x0ab"
        assert line["big"] == str(2**70)
        assert line["items"] == [1, "\\x1b"]
        assert line["app_name"] == "n"
        assert set(line["timings_ms"]) == {"db"}

    async def test_fields_that_come_late(self, lines: Lines) -> None:
        """A field that is added while the line is made, as a thread may, costs nothing of it."""

        class Late:
            def __str__(self) -> str:
                add_fields(late=True)
                return "text"

        async def app(scope: Any, receive: Any, send: Any) -> None:
            add_fields(first=Late())
            await hello(scope, receive, send)

        wrapped = LoggingMiddleware(app)
        await http(wrapped)
        assert (lines[0]["first"], wrapped.failures) == ("text", 0)

    async def test_exchange_values(self, lines: Lines) -> None:
        """Route and subject come from the Exchange, where other classes and frameworks leave them."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            exchange = exchange_of(scope)
            assert exchange is not None
            exchange.subject = "alice\n"
            scope["path_template"] = "/items/{id}"
            scope["path"] = "/rewritten"
            await hello(scope, receive, send)

        await http(LoggingMiddleware(app), path="/items/7")
        [line] = lines
        assert (line["route"], line["subject"], line["path"]) == ("/items/{id}", "alice\\x0a", "/items/7")

    async def test_headers_are_allowed_by_name(self, lines: Lines) -> None:
        """No header is logged unless asked for; a secret one is hidden even then [3.4]."""
        headers = [(b"user-agent", b"curl"), (b"authorization", b"Bearer CANARY"), (b"cookie", b"CANARY")]

        async def app(scope: Any, receive: Any, send: Any) -> None:
            answer = [(b"Set-Cookie", b"CANARY"), (b"Content-Type", b"text/plain"), (b"location", b"/?token=CANARY")]
            await send({"type": "http.response.start", "status": 200, "headers": answer})
            await send({"type": "http.response.body"})

        await http(LoggingMiddleware(app), headers=headers)
        await http(
            LoggingMiddleware(
                app,
                request_headers=["User-Agent", "Authorization", "Accept"],
                response_headers=["set-cookie", "content-type", "location"],
            ),
            headers=headers,
        )
        assert "CANARY" not in str(lines)
        assert "curl" not in str(lines[0])
        assert lines[1]["request_headers"] == {"user-agent": "curl", "authorization": "REDACTED"}
        assert lines[1]["response_headers"] == {
            "set-cookie": "REDACTED",
            "content-type": "text/plain",
            "location": "/?token=REDACTED",
        }

    async def test_redaction_options(self, lines: Lines) -> None:
        """Values have a maximum length; the query can be dropped."""
        app = LoggingMiddleware(hello, redaction=Redaction(query="drop", max_length=16))
        await http(app, path="/" + "x" * 100, query_string=b"a=1")
        [line] = lines
        assert line["path"] == "/" + "x" * 15 + "…(+85)"
        assert "query" not in line

    async def test_refusal(self, lines: Lines) -> None:
        """A refusal is told with its reason."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await Refusal(413, "body_too_large").send(scope, receive, send)

        result = await http(LoggingMiddleware(app))
        await websocket(LoggingMiddleware(app))
        assert [(line["outcome"], line["refusal"], line["status"]) for line in lines] == [
            ("refused", "body_too_large", 413),
            ("refused", "body_too_large", 413),
        ]
        assert result.json()["request_id"] == lines[0]["request_id"]
        assert lines[1]["accepted"] is False

    @pytest.mark.parametrize(
        ("figures", "fields"),
        [
            (("br", 5000, 900, 0.0025, None), {"compression": "br", "original_bytes": 5000, "compression_ms": 2.5}),
            (("br", None, 0, 0.0, None), {"compression": "br", "compression_ms": 0.0}),
            ((None, 12, 12, 0.0, "too_small"), {"compression": "too_small"}),
        ],
    )
    async def test_compression(self, lines: Lines, figures: Any, fields: dict[str, Any]) -> None:
        """What became of the body is on the line: its coding and figures, or why it went out plain."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["asgi_middleware"].compression = CompressionFigures(*figures)
            await hello(scope, receive, send)

        await http(LoggingMiddleware(app))
        names = ("compression", "original_bytes", "compression_ms")
        assert {name: lines[0][name] for name in names if name in lines[0]} == fields

    async def test_cors(self, lines: Lines) -> None:
        """The CORS class's decision stands on the line."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            exchange = exchange_of(scope)
            assert exchange is not None
            exchange.cors = "origin_not_allowed"
            await hello(scope, receive, send)

        await http(LoggingMiddleware(app))
        assert lines[0]["cors"] == "origin_not_allowed"

    async def test_an_error_that_the_framework_answers(self, lines: Lines) -> None:
        """Where a framework answers an exception itself with a status of 500 or more, its class is told [3.5]."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            try:
                raise LookupError
            except LookupError:
                await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body"})

        await http(LoggingMiddleware(app))
        assert (lines[0]["outcome"], lines[0]["error_type"]) == ("error", "LookupError")
        assert "exception" not in lines[0]

    async def test_a_refusal_that_the_client_left(self, lines: Lines) -> None:
        """Nobody hides the reason of a refusal by leaving while the rest of the body is waited for."""
        messages = [{"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}]

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            pass

        app = LoggingMiddleware(Refusal(401, "no_token").send)
        await app(http_scope("POST", headers=[(b"content-length", b"9")]), receive, send)
        assert [(line["outcome"], line["refusal"], line["status"]) for line in lines] == [
            ("client_disconnect", "no_token", 401)
        ]

    async def test_an_error_that_was_refused(self, lines: Lines) -> None:
        """A refusal is told by its reason, not by what was being handled when it was sent."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            try:
                raise TimeoutError
            except TimeoutError:
                await Refusal(504, "timeout").send(scope, receive, send)

        await http(LoggingMiddleware(app))
        assert (lines[0]["outcome"], lines[0]["refusal"]) == ("refused", "timeout")
        assert "error_type" not in lines[0]

    @pytest.mark.parametrize("answered", [False, True])
    async def test_a_server_whose_receive_raises(self, answered: bool, lines: Lines) -> None:
        """An OSError out of the server's receive is a client that left, unless the answer was complete [3.3]."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if answered:
                await hello(scope, receive, send)
            await receive()

        async def receive() -> Any:
            raise ConnectionResetError

        async def send(message: Any) -> None:
            return None

        with pytest.raises(ConnectionResetError):
            await LoggingMiddleware(app)(http_scope(), receive, send)
        assert lines[0]["outcome"] == ("ok" if answered else "client_disconnect")

    async def test_a_websocket_whose_receive_raises(self, lines: Lines) -> None:
        """The same holds of a WebSocket that is open."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "websocket.accept"})
            await receive()

        async def receive() -> Any:
            raise OSError

        async def send(message: Any) -> None:
            return None

        with pytest.raises(OSError):  # noqa: PT011 -- any
            await LoggingMiddleware(app)({"type": "websocket", "path": "/", "headers": []}, receive, send)
        assert lines[0]["outcome"] == "client_disconnect"

    async def test_memory_stays(self, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither many requests nor a session of many messages leave anything behind."""
        monkeypatch.setattr("asgi_middleware.logging.access_log.AccessLog._write", lambda *_: None)
        wrapped = LoggingMiddleware(hello, sampling=Sampling(rate=0.5), still_running_after=60)
        scope = http_scope(query_string=b"a=1")
        asked = {"type": "websocket.receive", "text": "hello"}

        async def talk(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "websocket.accept"})
            for _ in range(1000):
                await receive()
                await send({"type": "websocket.send", "text": "hello"})

        async def receive() -> Any:
            return asked

        async def send(message: Any) -> None:
            return None

        chat = LoggingMiddleware(talk)
        session = {"type": "websocket", "path": "/", "headers": []}
        held = []
        gc.collect()
        for _ in range(3):
            for _ in range(500):
                await wrapped(scope, receive, send)
            await chat(session, receive, send)
            gc.collect()
            held.append(len(gc.get_objects()))
        assert held[2] - held[1] < 100
