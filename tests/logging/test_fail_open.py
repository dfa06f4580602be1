"""Fail open: whatever breaks inside the logging, the response is the same, byte for byte."""

import contextvars
import io
import sys
import types
from collections.abc import MutableMapping
from typing import Any

import pytest
import structlog

from asgi_middleware._core.exchange import add_fields, current_exchange, exchange_of
from asgi_middleware.logging import CorrelationIdMiddleware, LoggingMiddleware, configure_structlog, correlation_id
from asgi_middleware.logging.failures import Failures
from asgi_middleware.testing import Result, http, websocket

pytestmark = pytest.mark.anyio

ROOM = "asgi_middleware.logging"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Read everything, answer in chunks; on a WebSocket, echo once and close."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({**(await receive()), "type": "websocket.send"})
        await send({"type": "websocket.close", "code": 4000})
        return
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 201, "headers": [(b"a", b"1")]})
    await send({"type": "http.response.body", "body": b"one", "more_body": True})
    await send({"type": "http.response.body", "body": b"two"})


async def responses(wrapped: Any) -> list[Any]:
    """Give everything that a server sees, save the id."""
    results: list[Result] = [
        await http(wrapped, "POST", "/x", query_string=b"a=1", body=[b"a", b"b"], headers=[(b"x-request-id", b"abc")]),
        await websocket(wrapped, messages=["hi"]),
    ]
    seen: list[Any] = []
    for result in results:
        for message in result.sent:
            headers = [pair for pair in message.get("headers", []) if pair[0] != b"x-request-id"]
            seen.append({**message, "headers": headers})
    return seen


def broken(*_: Any, **__: Any) -> Any:
    """Fail."""
    message = "step"
    raise RuntimeError(message)


STEPS = [
    f"{ROOM}.request_ids.RequestIds.give",
    "asgi_middleware._core.header_finder.HeaderFinder.pick",
    f"{ROOM}.middleware.random_ids",
    f"{ROOM}.middleware.trace_of",
    f"{ROOM}.middleware.bind_request",
    f"{ROOM}.middleware.open_road",
    f"{ROOM}.observation.carriers_of",
    f"{ROOM}.observation.with_line",
    f"{ROOM}.observation.perf_counter",
    f"{ROOM}.traffic.HTTPTraffic.received",
    f"{ROOM}.traffic.HTTPTraffic.sending",
    f"{ROOM}.traffic.WebSocketTraffic.received",
    f"{ROOM}.traffic.WebSocketTraffic.sending",
    f"{ROOM}.traffic.body_size",
    f"{ROOM}.access_log.ending_of",
    f"{ROOM}.access_log._is_enabled",
    f"{ROOM}.access_event.AccessEvents.describe",
    f"{ROOM}.access_event.AccessEvents.describe_request",
    f"{ROOM}.access_event.route_of",
    f"{ROOM}.redaction.Redactor.path",
    f"{ROOM}.redaction.Redactor.query",
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.removeprefix(f"{ROOM}."))
async def test_every_step(
    step: str, lines: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each internal step may raise: the response is the same; it is counted, told once, and the context is set back."""
    expected = await responses(LoggingMiddleware(app))
    wrapped = LoggingMiddleware(app)
    monkeypatch.setattr(step, broken)
    assert await responses(wrapped) == expected
    once = wrapped.failures
    assert once > 0
    assert await responses(wrapped) == expected
    assert wrapped.failures == 2 * once
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("asgi_middleware:")]
    assert 1 <= len(told) == len(set(told))
    assert (correlation_id.get(), current_exchange.get()) == (None, None)


@pytest.mark.parametrize(
    ("wrap", "step"),
    [
        (LoggingMiddleware, "unbind_request"),
        (LoggingMiddleware, "_reset_current"),
        (CorrelationIdMiddleware, "_reset_id"),
    ],
)
async def test_setting_back(
    wrap: Any, step: str, logging_state: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Should setting the context back fail, the exception of the app is still the one that comes out."""
    fault = ValueError()

    async def raises(scope: Any, receive: Any, send: Any) -> None:
        raise fault

    if step == "_reset_current":  # what the fast road takes
        configure_structlog(stream=io.StringIO(), capture_server_logs=False)
    else:
        structlog.configure(processors=[structlog.testing.LogCapture()])
    module = wrap.__module__
    real = getattr(sys.modules[module], step)

    def fails_then(bound: Any) -> None:
        real(bound)
        broken()

    monkeypatch.setattr(f"{module}.{step}", fails_then)
    wrapped = wrap(raises)
    assert (await http(wrapped, raise_exceptions=False)).exception is fault
    assert wrapped.failures == 1
    assert capsys.readouterr().err


@pytest.mark.parametrize("wrap", [LoggingMiddleware, CorrelationIdMiddleware])
def test_setting_back_in_another_context(wrap: Any, logging_state: None) -> None:
    """A request that ends in another context than it began in leaves nothing there, and that is no failure [3.2]."""
    configure_structlog(stream=io.StringIO(), capture_server_logs=False)

    @types.coroutine
    def pause() -> Any:
        yield

    async def pauses(scope: Any, receive: Any, send: Any) -> None:
        await pause()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    async def swallow(message: Any) -> None:
        pass

    wrapped = wrap(pauses)
    request = wrapped({"type": "http", "method": "GET", "path": "/", "headers": []}, swallow, swallow)
    began, ended = contextvars.copy_context(), contextvars.copy_context()
    began.run(request.send, None)
    assert began.run(correlation_id.get) is not None
    with pytest.raises(StopIteration):
        ended.run(request.send, None)
    assert ended.run(lambda: (correlation_id.get(), current_exchange.get())) == (None, None)
    assert wrapped.failures == 0


class BrokenFile(io.StringIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


@pytest.mark.parametrize(
    "error", [BrokenPipeError(), OSError(28, "No space left on device"), ValueError("I/O operation on closed file")]
)
async def test_unwritable_log(error: Exception, logging_state: None, capsys: pytest.CaptureFixture[str]) -> None:
    """A log that cannot be written costs no response [3.4]."""
    expected = await responses(app)
    configure_structlog(stream=BrokenFile(error), capture_server_logs=False)
    wrapped = LoggingMiddleware(app)
    assert await responses(wrapped) == expected
    assert wrapped.failures == 2
    assert type(error).__name__ in capsys.readouterr().err


async def test_failing_processor(logging_state: None, capsys: pytest.CaptureFixture[str]) -> None:
    """A processor of the user's chain that raises costs no response [3.4]."""
    structlog.configure(processors=[broken])
    expected = await responses(app)
    wrapped = LoggingMiddleware(app)
    assert await responses(wrapped) == expected
    assert wrapped.failures == 2
    assert "RuntimeError: step" in capsys.readouterr().err


async def test_broken_logger_factory(logging_state: None, capsys: pytest.CaptureFixture[str]) -> None:
    """A logger that cannot be made costs no response."""
    structlog.configure(logger_factory=broken)
    wrapped = LoggingMiddleware(app)
    assert await responses(wrapped) == await responses(app)
    assert wrapped.failures == 2
    assert capsys.readouterr().err


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


async def test_hostile_values(lines: list[MutableMapping[str, Any]]) -> None:
    """Values that no encoder takes do not cost the line."""

    async def adds(scope: Any, receive: Any, send: Any) -> None:
        add_fields(hostile=Hostile(), surrogate="\ud800", big=2**70, more=float("nan"))
        exchange = exchange_of(scope)
        assert exchange is not None
        exchange.fields[7] = "odd name"  # type: ignore[index]
        await app(scope, receive, send)

    wrapped = LoggingMiddleware(adds)
    await http(wrapped)
    [line] = lines
    assert (line["hostile"], line["surrogate"], line["big"]) == ("<unprintable Hostile>", "\\ud800", str(2**70))
    assert line["7"] == "odd name"
    assert wrapped.failures == 0


@pytest.mark.parametrize("stderr", [None, BrokenFile(OSError())], ids=["None", "broken"])
def test_no_standard_error(stderr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without a standard error still only counts."""
    monkeypatch.setattr(sys, "stderr", stderr)
    failures = Failures("Some")
    failures.note("do it", ValueError())
    assert failures.count == 1


async def test_lone_surrogates_and_odd_scopes(lines: list[MutableMapping[str, Any]]) -> None:
    """A path with lone surrogates, a query of text, a client of one item: all are logged."""
    wrapped = LoggingMiddleware(app)
    await http(wrapped, path="/\ud800", raw_path=b"/%FF", query_string="a=1&token=x", client=("h",))
    [line] = lines
    assert (line["path"], line["query"], line["client"]) == ("/\\ud800", "a=1&token=REDACTED", "h")
    assert wrapped.failures == 0
