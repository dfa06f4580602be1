"""Traffic and endings: how a connection ended, told from the messages that passed."""

import asyncio
from collections.abc import Iterable
from enum import IntEnum
from http import HTTPStatus
from typing import Any
from unittest.mock import patch

import pytest

from asgi_middleware._core.exchange import Exchange
from asgi_middleware._core.refusals import Refusal
from asgi_middleware.logging.endings import Ending, default_level, ending_of, is_failure, went_well
from asgi_middleware.logging.failures import Failures
from asgi_middleware.logging.observation import HTTPObservation
from asgi_middleware.logging.request_ids import Correlation, RequestIds
from asgi_middleware.logging.traffic import WebSocketTraffic

Step = tuple[str, dict[str, Any]] | OSError


class ClientDisconnect(Exception):
    """What frameworks call it."""


RECEIVED = {"http.request", "http.disconnect", "websocket.connect", "websocket.receive", "websocket.disconnect"}


def observed(method: str = "GET") -> HTTPObservation:
    """Begin to observe an exchange, at 0 seconds."""

    def swallow(*_: Any) -> Any:
        return None

    ids = RequestIds(Correlation(), (b"x-request-id",), Failures("test"))
    return HTTPObservation({"type": "http", "method": method}, swallow, swallow, Exchange(), ids, 0.0)


def play(traffic: HTTPObservation | WebSocketTraffic, steps: Iterable[dict[str, Any] | OSError]) -> None:
    """Show a traffic record some messages, a second apart."""
    for second, step in enumerate(steps, start=1):
        if isinstance(step, OSError):
            traffic.failed(step)
        elif step["type"] in RECEIVED:
            traffic.received(step)
        elif isinstance(traffic, WebSocketTraffic):
            traffic.sending(step, float(second))
        else:
            with patch("asgi_middleware.logging.observation.perf_counter", return_value=float(second)):
                traffic.send(step)
            assert traffic.ids.failures.count == 0


def start(status: int = 200, **keys: Any) -> dict[str, Any]:
    """Make a response start."""
    return {"type": "http.response.start", "status": status, "headers": [], **keys}


def body(data: Any = b"", **keys: Any) -> dict[str, Any]:
    """Make a response body message."""
    return {"type": "http.response.body", "body": data, **keys}


LEFT = {"type": "http.disconnect"}
OPEN = {"type": "websocket.connect"}
ACCEPT = {"type": "websocket.accept"}
BROKEN = BrokenPipeError()
GONE = OSError()  # as some servers say it
FAULT = ValueError()


@pytest.mark.parametrize(
    ("steps", "raised", "outcome", "status"),
    [
        pytest.param([start(), body()], None, "ok", 200, id="whole answer"),
        pytest.param([start(399), body()], None, "ok", 399, id="the last that is no failure"),
        pytest.param([start(400), body()], None, "ok", 400, id="the first that is one"),
        pytest.param([start(404), body()], None, "ok", 404, id="not found"),
        pytest.param([start(500), body()], None, "error", 500, id="framework's own 500"),
        pytest.param([start(), {"type": "http.response.body"}], None, "ok", 200, id="bare body message"),
        pytest.param([start(), {"type": "http.response.pathsend", "path": "/f"}], None, "ok", 200, id="pathsend"),
        pytest.param([start(), {"type": "http.response.zerocopysend", "file": 3}], None, "ok", 200, id="zerocopysend"),
        pytest.param(
            [start(), {"type": "http.response.zerocopysend", "file": 3, "more_body": True}],
            None,
            "incomplete",
            200,
            id="zerocopysend goes on",
        ),
        pytest.param([start(trailers=True), body()], None, "incomplete", 200, id="trailers missing"),
        pytest.param(
            [start(trailers=True), body(), {"type": "http.response.trailers", "headers": []}],
            None,
            "ok",
            200,
            id="trailers sent",
        ),
        pytest.param(
            [start(trailers=True), body(), {"type": "http.response.trailers", "more_trailers": True}],
            None,
            "incomplete",
            200,
            id="more trailers to come",
        ),
        pytest.param([], None, "no_response", None, id="nothing sent"),
        pytest.param([body()], None, "no_response", None, id="a body alone"),
        pytest.param([start(), body(b"x", more_body=True)], None, "incomplete", 200, id="cut short"),
        pytest.param([start()], None, "incomplete", 200, id="head only"),
        pytest.param([], FAULT, "error", 500, id="raised before the start"),
        pytest.param([start(), body(b"x", more_body=True)], FAULT, "error", 200, id="raised in the middle"),
        pytest.param([start(), body()], FAULT, "error", 200, id="raised after the end"),
        pytest.param([start(500), body()], FAULT, "error", 500, id="answered and raised, as Starlette does"),
        pytest.param([], OSError(), "error", 500, id="an OSError of the app's own"),
        pytest.param([LEFT], None, "client_disconnect", None, id="left, nothing sent"),
        pytest.param([LEFT], ClientDisconnect(), "client_disconnect", None, id="left, told by the framework"),
        pytest.param([LEFT], ConnectionResetError(), "client_disconnect", None, id="left, told by the system"),
        pytest.param([LEFT], FAULT, "error", 500, id="left, and a fault besides"),
        pytest.param([], ClientDisconnect(), "error", 500, id="such an exception without a disconnect"),
        pytest.param(
            [LEFT],
            ExceptionGroup("g", [ClientDisconnect(), ConnectionError()]),
            "client_disconnect",
            None,
            id="a group of such exceptions",
        ),
        pytest.param([LEFT], ExceptionGroup("g", [ClientDisconnect(), FAULT]), "error", 500, id="a group with a fault"),
        pytest.param(
            [LEFT],
            BaseExceptionGroup("g", [asyncio.CancelledError(), ClientDisconnect()]),
            "client_disconnect",
            None,
            id="a group of such an exception and a cancellation",
        ),
        pytest.param([start(), LEFT, body()], None, "client_disconnect", 200, id="left in the middle"),
        pytest.param([start(), body(), LEFT], None, "ok", 200, id="disconnect after the end is normal"),
        pytest.param([start(), body(b"x"), BROKEN], BROKEN, "client_disconnect", 200, id="send raised"),
        pytest.param([start(), BROKEN], None, "client_disconnect", 200, id="send raised and the app took it"),
        pytest.param(
            [start(), GONE], ExceptionGroup("g", [GONE]), "client_disconnect", 200, id="send raised in a group of tasks"
        ),
        pytest.param([], asyncio.CancelledError(), "cancelled", None, id="cancelled"),
        pytest.param([start()], KeyboardInterrupt(), "cancelled", 200, id="interrupted"),
        pytest.param([], GeneratorExit(), "cancelled", None, id="closed"),
        pytest.param([LEFT], asyncio.CancelledError(), "client_disconnect", None, id="cancelled since the client left"),
        pytest.param(
            [], BaseExceptionGroup("g", [asyncio.CancelledError()]), "cancelled", None, id="a group of cancellations"
        ),
        pytest.param([], BaseExceptionGroup("g", [asyncio.CancelledError(), FAULT]), "error", 500, id="a mixed group"),
    ],
)
def test_http_outcome(steps: list[Any], raised: BaseException | None, outcome: str, status: int | None) -> None:
    """The outcome of an HTTP exchange follows from its messages and its exception alone [3.3]."""
    traffic = observed()
    play(traffic, steps)
    ending = ending_of(traffic, Exchange(), raised, 9.0)
    assert (ending.outcome, ending.status) == (outcome, status)
    assert ending.error is (raised if outcome == "error" else None)
    if raised is None:  # the quick answer is the same
        assert went_well(traffic, Exchange()) is not is_failure(ending)


def deny(status: int = 403, *, complete: bool = True) -> list[dict[str, Any]]:
    """Make a denial response."""
    messages: list[dict[str, Any]] = [{"type": "websocket.http.response.start", "status": status, "headers": []}]
    return [*messages, {"type": "websocket.http.response.body", "body": b"", "more_body": not complete}]


def left(code: Any = 1000) -> dict[str, Any]:
    """Make a disconnect."""
    return {"type": "websocket.disconnect", "code": code}


def close(code: Any = 1000) -> dict[str, Any]:
    """Make a close by the app."""
    return {"type": "websocket.close", "code": code}


@pytest.mark.parametrize(
    ("steps", "raised", "outcome", "status", "closed"),
    [
        pytest.param([OPEN, ACCEPT, left()], None, "ok", None, ("client", 1000), id="client closed"),
        pytest.param([OPEN, ACCEPT, left(4001)], None, "ok", None, ("client", 4001), id="with a code of its own"),
        pytest.param([OPEN, ACCEPT, left(None)], None, "ok", None, ("client", 1005), id="without a code"),
        pytest.param([OPEN, ACCEPT, close(), left()], None, "ok", None, ("server", 1000), id="app closed"),
        pytest.param([OPEN, ACCEPT, close(), BROKEN], None, "ok", None, ("server", 1000), id="and sent once more"),
        pytest.param([OPEN, ACCEPT, left(4001), close()], None, "ok", None, ("client", 4001), id="both closed"),
        pytest.param([OPEN, ACCEPT, left(1011)], None, "ok", None, ("client", 1011), id="client closed with 1011"),
        pytest.param([OPEN, ACCEPT, {"type": "websocket.close"}], None, "ok", None, ("server", 1000), id="no code"),
        pytest.param([OPEN, ACCEPT, close(1011)], None, "error", None, ("server", 1011), id="app closed with 1011"),
        pytest.param([OPEN, ACCEPT, left(1006)], None, "client_disconnect", None, ("client", 1006), id="broke off"),
        pytest.param([OPEN, ACCEPT, BROKEN], BROKEN, "client_disconnect", None, (None, None), id="send raised"),
        pytest.param(
            [OPEN, ACCEPT, left()], ClientDisconnect(), "ok", None, ("client", 1000), id="framework tells of the end"
        ),
        pytest.param([OPEN, ACCEPT], None, "incomplete", None, (None, None), id="left open"),
        pytest.param([OPEN, ACCEPT], FAULT, "error", None, (None, None), id="raised while open"),
        pytest.param([OPEN], FAULT, "error", 500, (None, None), id="raised before the accept"),
        pytest.param([OPEN, close()], None, "refused", 403, (None, None), id="closed before the accept"),
        pytest.param([OPEN, *deny(401)], None, "refused", 401, (None, None), id="denied"),
        pytest.param([OPEN, *deny(401, complete=False)], None, "incomplete", 401, (None, None), id="denial cut short"),
        pytest.param([OPEN, close(), left()], None, "refused", 403, (None, None), id="disconnect after a denial"),
        pytest.param([OPEN], None, "no_response", None, (None, None), id="nothing sent"),
        pytest.param([OPEN, left()], None, "client_disconnect", None, ("client", 1000), id="left before the accept"),
        pytest.param([OPEN, ACCEPT], asyncio.CancelledError(), "cancelled", None, (None, None), id="cancelled"),
    ],
)
def test_websocket_outcome(
    steps: list[Any], raised: BaseException | None, outcome: str, status: int | None, closed: tuple[Any, Any]
) -> None:
    """The outcome of a WebSocket session follows from its messages and its exception alone [3.3]."""
    traffic = WebSocketTraffic()
    play(traffic, steps)
    ending = ending_of(traffic, Exchange(), raised, 9.0)
    assert (ending.outcome, ending.status) == (outcome, status)
    assert (traffic.closed_by, traffic.close_code) == closed
    assert ending.error is (raised if outcome == "error" else None)


def test_refusal_and_answered_error() -> None:
    """A refusal makes the outcome `refused`; an exception that one of our classes answered makes it an error."""
    refused, failed, both = Exchange(), Exchange(), Exchange()
    refused.refusal = both.refusal = Refusal(503, "overloaded")
    failed.error = both.error = FAULT
    for exchange, outcome in ((refused, "refused"), (failed, "error"), (both, "error")):
        http, websocket = observed(), WebSocketTraffic()
        play(http, [start(503), body()])
        play(websocket, [OPEN, close()])
        assert ending_of(http, exchange, None, 1.0).outcome == outcome
        answered = observed()
        play(answered, [start(), body()])
        assert ending_of(answered, exchange, None, 1.0).outcome == outcome
        assert not went_well(answered, exchange)
        assert ending_of(websocket, exchange, None, 1.0).outcome == outcome
    assert ending_of(observed(), failed, asyncio.CancelledError(), 1.0).error is FAULT


@pytest.mark.parametrize(
    ("data", "size"),
    [(b"abc", 3), (bytearray(b"ab"), 2), (memoryview(b"abcd").cast("H"), 4), (None, 0), (b"", 0)],
    ids=["bytes", "bytearray", "memoryview of shorts", "None", "empty"],
)
def test_sizes(data: Any, size: int) -> None:
    """Bodies are counted in bytes, whatever holds them; empty ones are no chunk."""
    traffic = observed()
    play(traffic, [{"type": "http.request", "body": data, "more_body": False}, start(), body(data)])
    assert (traffic.request_bytes, traffic.response_bytes) == (size, size)
    assert (traffic.request_chunks, traffic.response_chunks) == (bool(size), bool(size))


def test_missing_keys_count_as_empty() -> None:
    """Messages without a body are legal."""
    traffic = observed()
    play(
        traffic,
        [{"type": "http.request"}, {"type": "http.response.start", "status": 200}, {"type": "http.response.body"}],
    )
    assert (traffic.request_bytes, traffic.response_bytes, traffic.ended) == (0, 0, 3.0)


@pytest.mark.parametrize(("head", "status"), [(True, 200), (False, 204), (False, 304)])
def test_no_body_on_the_wire(head: bool, status: int) -> None:
    """What an app sends to HEAD, or with 204 or 304, never reaches the wire and counts as nothing."""
    traffic = observed("HEAD" if head else "GET")
    play(traffic, [start(status), body(b"ignored")])
    assert (traffic.response_bytes, traffic.response_chunks) == (0, 0)


def test_a_file_sent_by_the_server_has_no_known_size() -> None:
    """Of a path handed to the server the size is not known, and is not guessed."""
    traffic = observed()
    play(traffic, [start(), {"type": "http.response.pathsend", "path": "/x"}])
    assert traffic.response_bytes is None
    fields: dict[str, Any] = {}
    traffic.describe(fields, 9.0)
    assert "response_bytes" not in fields
    head = observed("HEAD")
    play(head, [start(), {"type": "http.response.pathsend", "path": "/x"}])
    assert head.response_bytes == 0
    mixed = observed()
    play(mixed, [start(), {"type": "http.response.zerocopysend", "file": 3, "more_body": True}, body(b"x")])
    assert (mixed.response_bytes, mixed.response_chunks, mixed.ended) == (None, 1, 3.0)


def test_after_the_end_nothing_counts() -> None:
    """Messages after the end, and a second start, change nothing."""
    traffic = observed()
    play(traffic, [start(200), body(b"ab"), body(b"cd"), start(500), {"type": "http.response.pathsend", "path": "/x"}])
    assert (traffic.status, traffic.response_bytes, traffic.ended) == (200, 2, 2.0)


def test_numbers_may_be_enums() -> None:
    """Statuses and close codes arrive as members of enumerations and are kept as plain numbers [3.3]."""

    class Code(IntEnum):
        AWAY = 1001

    http, websocket, denied = observed(), WebSocketTraffic(), WebSocketTraffic()
    play(http, [start(HTTPStatus.NOT_ACCEPTABLE)])
    play(websocket, [OPEN, ACCEPT, left(Code.AWAY)])
    play(denied, [OPEN, *deny(HTTPStatus.FORBIDDEN)])
    assert [type(number) for number in (http.status, websocket.close_code, denied.status)] == [int] * 3


def test_websocket_counts() -> None:
    """Messages and bytes are counted each way: text as UTF-8, of two keys one may be None, empty text is a message."""
    traffic = WebSocketTraffic()
    play(
        traffic,
        [
            OPEN,
            ACCEPT,
            {"type": "websocket.receive", "text": "héé", "bytes": None},
            {"type": "websocket.receive", "bytes": b"\x00\x01", "text": None},
            {"type": "websocket.receive", "text": ""},
            {"type": "websocket.send", "text": "\ud800"},
            {"type": "websocket.send", "bytes": bytearray(b"abc")},
        ],
    )
    assert (traffic.received_messages, traffic.received_bytes) == (3, 7)
    assert (traffic.sent_messages, traffic.sent_bytes) == (2, 6)


@pytest.mark.parametrize(
    ("outcome", "status", "level", "failure"),
    [
        ("ok", 200, "info", False),
        ("ok", 304, "info", False),
        ("ok", 404, "warning", True),
        ("ok", None, "info", False),
        ("error", 500, "error", True),
        ("error", 200, "error", True),
        ("no_response", None, "error", True),
        ("incomplete", 200, "error", True),
        ("client_disconnect", 200, "info", True),
        ("cancelled", None, "info", True),
        ("refused", 401, "warning", True),
        ("refused", None, "warning", True),
        ("refused", 503, "error", True),
    ],
)
def test_level(outcome: Any, status: int | None, level: str, failure: bool) -> None:
    """The level follows from outcome and status; whatever is not a plain success counts as a failure."""
    ending = Ending(outcome, status, None, 0.0)
    assert default_level(ending) == level
    assert is_failure(ending) is failure
