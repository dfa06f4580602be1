"""Injection: no request puts a control character, a second line or a secret into any output we ship."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import anyio
import pytest
import structlog
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from asgi_middleware._core.exchange import add_fields, exchange_of
from asgi_middleware.logging import LoggingMiddleware, configure_structlog
from asgi_middleware.testing import http, websocket

CANARY = "zqCANARYqz"
EVIL = 'x\r\nforged line\x1b]0;t\x07\x7f\x85\x9b31m\u2028\u2029\u202e\u2066\ud800"\\'
TEXT = st.text(st.characters(exclude_categories=()), max_size=40) | st.just(EVIL)
BYTES = st.binary(max_size=40) | st.just(EVIL.encode("utf-8", "surrogatepass"))


class App:
    """Puts text from elsewhere into every place that reaches the log, and raises it at last."""

    def __init__(self, text: str) -> None:
        self.text = text

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        text = self.text
        exchange = exchange_of(scope)
        assert exchange is not None
        exchange.subject = exchange.route = text
        exchange.add_timing(text, 0.1)
        add_fields(**{text: text, "listed": [text, {text: text}]})
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept", "subprotocol": text})
        else:
            headers = [(b"content-type", text.encode("utf-8", "surrogatepass"))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        error = ValueError(text)
        error.add_note(text)
        raise error


@contextmanager
def output(*, as_json: bool) -> Iterator[io.StringIO]:
    """Write to a string in one of our forms."""
    stream = io.StringIO()
    configure_structlog(stream=stream, json=as_json, capture_server_logs=False)
    try:
        yield stream
    finally:
        structlog.reset_defaults()


def serve(text: str, raw: bytes, query: bytes) -> int:
    """Serve a request and a WebSocket that have nothing but this text; give the failures."""
    wrapped = LoggingMiddleware(
        App(text),
        request_headers=["user-agent", "referer", "x-request-id", "traceparent", "authorization"],
        response_headers=["content-type"],
    )
    headers = [
        (b"user-agent", raw),
        (b"referer", raw),
        (b"x-request-id", raw),
        (b"traceparent", raw),
        (b"tracestate", raw),
        (b"authorization", CANARY.encode()),
        (b"cookie", CANARY.encode()),
    ]

    async def both() -> None:
        keys: dict[str, Any] = {"query_string": query, "client": (text, 1), "http_version": text, "scheme": text}
        await http(wrapped, text, text, headers=headers, raise_exceptions=False, **keys)
        await websocket(wrapped, text, headers=headers, raise_exceptions=False, **keys)

    anyio.run(both)
    return wrapped.failures


@pytest.mark.usefixtures("logging_state")
@pytest.mark.parametrize("as_json", [True, False], ids=["json", "console"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXT, raw=BYTES, query=BYTES)
@example(text=EVIL, raw=EVIL.encode("utf-8", "surrogatepass"), query=EVIL.encode("utf-8", "surrogatepass"))
@example(text='a\n  File "x", line 1, in f\nINFO forged', raw=b"\xff\\x0a", query=b"\xff\\x")
def test_no_request_breaks_out_of_its_line(as_json: bool, text: str, raw: bytes, query: bytes) -> None:
    """Whatever a request holds, the output has no raw control character, and no line that we did not begin [3.4]."""
    secret = quote(CANARY).encode()
    with output(as_json=as_json) as stream:
        assert serve(text, raw, query + b"&token=" + secret) == 0
    shown = stream.getvalue()
    assert CANARY not in shown
    lines = shown.split("\n")
    assert lines.pop() == ""
    for line in lines:
        controls = [c for c in line if ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029\u202e\u2066\ud800"]
        assert controls == [], ascii(line)
    if as_json:
        assert [json.loads(line)["event"] for line in lines] == ["http.request", "websocket.session"]
        return
    # On a console a traceback has lines of its own: each is a frame, indented, or begins with what the traceback says.
    for line in lines:
        assert line == "" or line.startswith(("20", "Traceback (", "ValueError", " ")), ascii(line)
