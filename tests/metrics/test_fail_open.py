"""Metrics fail open: with any step of the recording made to raise, the ASGI stream is the same, byte for byte."""

import logging
import time
from typing import Any

import pytest

from asgi_middleware import timing
from asgi_middleware._core.refusals import Refusal
from asgi_middleware.metrics import ending, extras, recording, requests, websocket_recording, websockets
from asgi_middleware.metrics.family import Family
from asgi_middleware.metrics.labels import OwnLabel
from asgi_middleware.metrics.recording import RequestRecorder
from asgi_middleware.metrics.series import Series
from asgi_middleware.testing.driver import Result, drive, http_scope, websocket, websocket_scope

pytestmark = pytest.mark.anyio


class Broken(Exception):
    pass


def broken(*arguments: Any, **options: Any) -> Any:
    """Fail, as a full disk would."""
    raise Broken


async def http_app(scope: Any, receive: Any, send: Any) -> None:
    """Read a body, stream an answer; refuse, raise, or notice that the client left, as the path says."""
    if scope["path"] == "/refused":
        await Refusal(403, "no").send(scope, receive, send)
        return
    while (message := await receive()).get("more_body"):
        pass
    with timing("db"):
        pass
    if scope["path"] == "/raises":
        raise ValueError
    await send({"type": "http.response.start", "status": 503, "headers": [(b"a", b"b")]})
    for chunk in (b"one", b"two"):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    if message["type"] != "http.disconnect":
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def websocket_app(scope: Any, receive: Any, send: Any) -> None:
    """Echo; refuse or raise, as the path says."""
    if scope["path"] == "/refused":
        await Refusal(403, "no").send(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    if scope["path"] == "/raises":
        raise ValueError
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


STAMP = (b"x-request-start", b"t=%d" % time.time())


async def conversations(wrap: Any) -> list[Result]:
    """Hold the same conversations, whatever is wrapped around the apps."""
    http_wrapped, websocket_wrapped = wrap(http_app), wrap(websocket_app)
    body = [
        {"type": "http.request", "body": b"1", "more_body": True},
        {"type": "http.request", "body": b"2", "more_body": False},
    ]
    results = [
        await drive(http_wrapped, http_scope("POST", path, headers=[STAMP]), script, raise_exceptions=False)
        for path in ("/", "/raises", "/refused")
        for script in (body, [{"type": "http.disconnect"}])
    ]
    results += [
        await websocket(websocket_wrapped, path, messages=["a", "\xe9"], raise_exceptions=False)
        for path in ("/", "/raises", "/refused")
    ]
    early = [{"type": "websocket.disconnect"}]
    results.append(await drive(websocket_wrapped, websocket_scope("/refused"), early, raise_exceptions=False))
    return results


def what_happened(results: list[Result]) -> list[Any]:
    """Give what a server and an app can tell of each conversation."""
    return [(result.sent, result.received, type(result.exception)) for result in results]


DURATION = "http_server_request_duration_seconds"
SIZES = {"http_server_request_body_size_bytes", "http_server_response_body_size_bytes"}
TO_FIRST_BYTE = "http_server_time_to_first_byte_seconds"
ROUTES = {"labels", "websocket_handshakes", "websocket_active", "background"}
# Each step of the recording: where it is looked up, its name, and the sites under which its failures are counted.
SITES: dict[str, tuple[tuple[Any, ...], str, set[str] | None]] = {
    "opening": ((RequestRecorder,), "open", {"active_requests"}),
    "gauge": ((Series,), "fold_moves", {"fold"}),
    "histogram": (
        (Series,),
        "observe_all",
        {DURATION, *SIZES, TO_FIRST_BYTE, "websocket_duration", "background", "queue_time", "timings"},
    ),
    "counter": ((Series,), "add", None),
    "taking": ((recording, websocket_recording), "take", {"fold"}),
    "folding": ((RequestRecorder,), "fold_line", {"fold"}),
    "labels": ((Family,), "admit", None),
    "line": ((RequestRecorder,), "find", {"labels"}),
    "route": ((ending, websocket_recording, extras), "route_of", ROUTES),
    "status": ((recording, websocket_recording), "status_label", {"labels", "websocket_handshakes"}),
    "error": ((recording,), "error_label", set()),
    "outcome": ((ending,), "outcome", {"labels"}),
    "close code": ((websocket_recording,), "close_code_label", {"websocket_duration"}),
    "ends": ((requests,), "ends_response", set()),
    "size": ((requests,), "add_size", {"message"}),
    "text": ((websockets,), "utf8_size", {"message"}),
    "phase": ((requests,), "phase_of", {"message"}),
    "scheme": ((recording,), "scheme_label", {"active_requests"}),
    "raised": ((requests,), "raised_outcome", {"message"}),
    "returned": ((requests,), "returned_outcome", {"message"}),
    "queue": ((extras,), "queued_seconds", {"queue_time"}),
    "trace": ((extras,), "trace_labels", {"requests"}),
    "own label": ((OwnLabel,), "value", {"own_labels"}),
    "spans": ((extras,), "clean_value", {"timings"}),
    "logging": ((logging.Logger,), "_log", set()),
}
EVERYTHING: dict[str, Any] = {
    "body_sizes": True,
    "time_to_first_byte": True,
    "background": True,
    "timings": True,
    "queue_time_header": "x-request-start",
    "labels": {"tenant": lambda scope: scope["path"]},
}


def read_all(metrics: Any) -> None:
    """Fold what is held in lists, as a scrape does."""
    list(metrics.registry.collect())


@pytest.mark.parametrize("site", SITES)
async def test_the_stream_is_the_same(metrics: Any, monkeypatch: pytest.MonkeyPatch, site: str) -> None:
    """With one recording step raising, messages, their number and exceptions are those of the bare apps [T16-T19]."""
    bare = what_happened(await conversations(lambda app: app))
    owners, name, sites = SITES[site]
    for owner in owners:
        monkeypatch.setattr(owner, name, broken)
    wrapped = what_happened(await conversations(lambda app: metrics.wrap(app, **EVERYTHING)))
    assert wrapped == bare
    if sites is not None:
        read_all(metrics)
        assert set(metrics.errors()) == sites


async def test_everything_at_once(metrics: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every step raising, the failure counter included, the stream is still the same."""
    bare = what_happened(await conversations(lambda app: app))
    for owners, name, _ in SITES.values():
        for owner in owners:
            monkeypatch.setattr(owner, name, broken)
    assert what_happened(await conversations(lambda app: metrics.wrap(app, **EVERYTHING))) == bare


async def test_what_works_is_recorded(metrics: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One broken site takes no other figure with it."""
    monkeypatch.setattr(Series, "fold_moves", broken)
    await conversations(lambda app: metrics.wrap(app, body_sizes=True))
    assert sum(metrics.requests().values()) == 6
    assert metrics.read("asgi_middleware_refusals_total", "protocol") == {"http": 2, "websocket": 2}


async def test_failures_are_counted_and_reported_once(
    metrics: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each site counts all its failures and logs the first, with its traceback."""
    monkeypatch.setattr(Series, "observe_all", broken)
    for _ in range(3):
        await conversations(metrics.wrap)
        read_all(metrics)
    assert metrics.errors() == {DURATION: 15, "websocket_duration": 6}
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert {record.name for record in caplog.records} == {"asgi_middleware.metrics"}
    assert all(record.exc_info is not None and record.exc_info[0] is Broken for record in caplog.records)
