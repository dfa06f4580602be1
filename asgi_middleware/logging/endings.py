"""Endings: how a connection ended, in one word, and how loud that is."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from asgi_middleware._core.exchange import Exchange
from asgi_middleware._core.messages import FIRST_ERROR
from asgi_middleware.logging.traffic import ABNORMAL_CLOSURE, HTTPTraffic, WebSocketTraffic

Outcome: TypeAlias = Literal["ok", "error", "client_disconnect", "no_response", "incomplete", "cancelled", "refused"]
"""How a connection ended:

- ``ok``: the app answered completely, whatever it answered below status 500; a WebSocket was opened and closed;
- ``error``: an unhandled exception, or an answer of status 500 or more; a WebSocket closed by the app with 1011;
- ``client_disconnect``: the client left before the answer was complete; a WebSocket broke off;
- ``no_response``: the app returned without an answer, and the server sent its own 500;
- ``incomplete``: the app returned in the middle of an answer, or left a WebSocket open;
- ``cancelled``: the server stopped the app;
- ``refused``: one of our classes answered instead of the app, or the handshake of a WebSocket was denied.
"""

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}

_FAILED: Final = frozenset({"error", "no_response", "incomplete"})
_INTERNAL_ERROR: Final = 1011


class Ending(NamedTuple):
    """How a connection ended.

    Attributes:
        outcome: One word.
        status: The status that the client saw: 500 where the app raised before it answered, since servers answer
            that; None where none was sent.
        error: The unhandled exception that explains an ``error``, or None.
        duration: Seconds from the request to the end of the answer, or of the app where there was none.
    """

    outcome: Outcome
    status: int | None
    error: BaseException | None
    duration: float


def default_level(ending: Ending) -> str:
    """Give the level of an access event: error, warning for 4xx and refusals, else info."""
    status = ending.status
    if ending.outcome in _FAILED or (status is not None and status >= 500):
        return "error"
    if ending.outcome == "refused" or (status is not None and status >= FIRST_ERROR):
        return "warning"
    return "info"


def is_failure(ending: Ending) -> bool:
    """Tell whether an ending is worth a line even on a path that is excluded from the log."""
    return ending.outcome != "ok" or (ending.status is not None and ending.status >= FIRST_ERROR)


def went_well(traffic: HTTPTraffic, exchange: Exchange) -> bool:
    """Tell whether a request whose app returned was answered completely, below 400: then its ending says no more."""
    return (
        traffic.ended is not None
        and traffic.status is not None
        and traffic.status < FIRST_ERROR
        and not traffic.disconnected
        and exchange.error is None
        and exchange.refusal is None
    )


def ending_of(
    traffic: HTTPTraffic | WebSocketTraffic, exchange: Exchange, raised: BaseException | None, now: float
) -> Ending:
    """Say how a connection ended.

    Args:
        traffic: What passed.
        exchange: The connection's record.
        raised: What the app raised, or None.
        now: When it returned or raised.
    """
    if isinstance(traffic, HTTPTraffic):
        return _end_of_http(traffic, exchange, raised, now)
    return _end_of_websocket(traffic, exchange, raised, now)


def _end_of_http(traffic: HTTPTraffic, exchange: Exchange, raised: BaseException | None, now: float) -> Ending:
    outcome: Outcome
    status = traffic.status
    duration = (now if traffic.ended is None else traffic.ended) - traffic.begun
    interrupted = _interrupted(raised, exchange, traffic)
    if interrupted is not None:
        outcome, error = interrupted
        if outcome == "error" and status is None:
            status = 500
        return Ending(outcome, status, error, duration)
    outcome = "ok"
    if traffic.disconnected:
        outcome = "client_disconnect"
    elif exchange.refusal is not None:
        outcome = "refused"
    elif status is None:
        outcome = "no_response"
    elif traffic.ended is None:
        outcome = "incomplete"
    elif status >= 500:
        outcome = "error"
    return Ending(outcome, status, None, duration)


def _end_of_websocket(
    traffic: WebSocketTraffic, exchange: Exchange, raised: BaseException | None, now: float
) -> Ending:
    duration = now - traffic.begun
    interrupted = _interrupted(raised, exchange, traffic)
    if interrupted is not None and not (interrupted[0] == "client_disconnect" and traffic.send_error is None):
        outcome, error = interrupted
        status = traffic.status
        if outcome == "error" and status is None and traffic.accepted is None:
            status = 500
        return Ending(outcome, status, error, duration)
    return Ending(_websocket_outcome(traffic, exchange), traffic.status, None, duration)


def _websocket_outcome(traffic: WebSocketTraffic, exchange: Exchange) -> Outcome:
    outcome: Outcome = "ok"
    if exchange.refusal is not None:
        outcome = "refused"
    elif traffic.accepted is None:
        if traffic.status is not None:
            outcome = "refused" if traffic.denial_complete else "incomplete"
        else:
            outcome = "client_disconnect" if traffic.disconnected else "no_response"
    elif traffic.close_code == ABNORMAL_CLOSURE or (traffic.closed_by is None and traffic.send_error is not None):
        outcome = "client_disconnect"
    elif traffic.closed_by is None:
        outcome = "incomplete"
    elif traffic.closed_by == "server" and traffic.close_code == _INTERNAL_ERROR:
        outcome = "error"
    return outcome


def _interrupted(
    raised: BaseException | None, exchange: Exchange, traffic: HTTPTraffic | WebSocketTraffic
) -> tuple[Outcome, BaseException | None] | None:
    """Judge the exception, if there is one: the app's fault, the client's leaving, or a cancellation."""
    error = exchange.error if raised is None else raised
    if error is None:
        return None
    if not _is_fault(error):
        # An exception answered before the cancellation still explains more.
        if exchange.error is not None:
            return "error", exchange.error
        return ("client_disconnect" if traffic.disconnected else "cancelled"), None
    if traffic.disconnected and _tells_of_disconnect(error, traffic.send_error):
        return "client_disconnect", None
    if error is traffic.send_error:  # of a connection that was closed behind a complete answer
        return None
    return "error", error


def _is_fault(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(Exception) is not None
    return isinstance(error, Exception)


def _tells_of_disconnect(error: BaseException, send_error: OSError | None) -> bool:
    """Tell whether an exception only reports that the client left, as frameworks do by classes of their own."""
    if isinstance(error, BaseExceptionGroup):
        # What was cancelled beside it tells nothing.
        return all(_tells_of_disconnect(each, send_error) for each in error.exceptions if _is_fault(each))
    return error is send_error or isinstance(error, ConnectionError) or "Disconnect" in type(error).__name__
