"""Events on the way: the start line, and the request that is still running. And what a hook adds at the end."""

from collections.abc import MutableMapping
from typing import Any

import anyio
import pytest
from small_apps import echo, hello

from asgi_middleware._core import deadlines
from asgi_middleware.logging import LoggingMiddleware
from asgi_middleware.testing import http, websocket

pytestmark = pytest.mark.anyio

Lines = list[MutableMapping[str, Any]]


async def test_start_line(lines: Lines) -> None:
    """With `log_start` a request has a line at its start, too, with the ids of the other one."""
    await http(LoggingMiddleware(hello, log_start=True), "POST", "/x", query_string=b"token=s3cret")
    await websocket(LoggingMiddleware(echo, log_start=True), "/chat")
    assert [line["event"] for line in lines] == [
        "http.request.started", "http.request", "websocket.session.started", "websocket.session",
    ]  # fmt: skip
    first, last = lines[:2]
    assert {name: first[name] for name in ("method", "path", "query")} == {
        "method": "POST", "path": "/x", "query": "token=REDACTED",
    }  # fmt: skip
    assert not {"outcome", "status", "duration_ms", "timestamp", "level"} & set(first)
    assert (first["request_id"], first["span_id"]) == (last["request_id"], last["span_id"])


async def test_start_line_of_an_excluded_path(lines: Lines) -> None:
    """An excluded path has no start line."""
    await http(LoggingMiddleware(hello, log_start=True, exclude_paths=["/"]))
    assert lines == []


@pytest.mark.parametrize("exclude_paths", [[], ["/stuck"]], ids=["any path", "an excluded path"])
async def test_still_running(lines: Lines, monkeypatch: pytest.MonkeyPatch, exclude_paths: list[str]) -> None:
    """A request that goes on for longer is told once, with its ids, and ends with its line as any other [4]."""
    monkeypatch.setattr(deadlines, "TICK", 0.005)
    told = anyio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        with anyio.fail_after(5):
            await told.wait()
        await hello(scope, receive, send)

    wrapped = LoggingMiddleware(
        slow, still_running_after=0.1, enrich=lambda *_: told.set(), exclude_paths=exclude_paths
    )
    await http(wrapped, "GET", "/stuck")
    if exclude_paths:  # of a request that ends well the last line is left out
        assert [line["event"] for line in lines] == ["http.request.running"]
        return
    running, last = lines
    assert (running["event"], running["log_level"], running["path"]) == ("http.request.running", "warning", "/stuck")
    assert 90 <= running["duration_ms"] <= last["duration_ms"]
    assert running["request_id"] == last["request_id"]
    assert "outcome" not in running


async def test_quick_ones_leave_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that is done, and a WebSocket that was accepted, leave nothing behind that could fire."""
    timers: list[deadlines.Timer] = []
    states: list[bool] = []

    def call_after(*arguments: Any) -> deadlines.Timer:
        timers.append(deadlines.call_after(*arguments))
        return timers[-1]

    async def chat(scope: Any, receive: Any, send: Any) -> None:
        states.append(timers[-1].started)
        await send({"type": "websocket.accept"})
        states.append(timers[-1].started)
        await send({"type": "websocket.close"})

    monkeypatch.setattr("asgi_middleware.logging.middleware.call_after", call_after)
    await http(LoggingMiddleware(hello, still_running_after=60))
    await websocket(LoggingMiddleware(chat, still_running_after=60))
    assert states == [True, False]
    assert [timer.started for timer in timers] == [False, False]


async def test_enrich(lines: Lines) -> None:
    """The hook sees scope and event, and may add, change and remove; what it gives is cleaned."""

    def enrich(scope: Any, event: dict[str, Any]) -> None:
        event["tenant"] = scope["path"] + "\n"
        event["status"] = str(event["status"])
        event["path"] = "/other\n"
        del event["client"]
        event["event"] = event["level"] = event["timestamp"] = "mine"

    wrapped = LoggingMiddleware(hello, enrich=enrich)
    await http(wrapped, path="/acme")
    [line] = lines
    assert (line["tenant"], line["path"]) == ("/acme\\x0a", "/other\\x0a")
    assert (line["status"], line["event"]) == ("200", "http.request")
    assert not {"client", "level", "timestamp"} & set(line)
    assert wrapped.failures == 0


async def test_enrich_that_raises(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    """A hook that raises costs what it did, not the line."""

    def enrich(scope: Any, event: dict[str, Any]) -> None:
        event["half"] = 1
        raise RuntimeError

    wrapped = LoggingMiddleware(hello, enrich=enrich)
    await http(wrapped)
    assert lines[0]["status"] == 200
    assert "half" not in lines[0]
    assert wrapped.failures == 1
    assert "enrich an event" in capsys.readouterr().err
