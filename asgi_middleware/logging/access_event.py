"""The access event: one connection as one flat record of named values.

The names are plain words (``method``, ``status``, ``duration_ms``), since people read and query them. They are the
neutral
form: another schema renames these keys and converts the units, and needs nothing else. Every value is clean: numbers,
bools, text without control characters, and small dicts of them.

What is not known is left out, save ``status``, which is then null.
"""

from __future__ import annotations

from typing import Any, Final

from asgi_middleware._core.exchange import Exchange
from asgi_middleware._core.headers import HeaderIndex, index_headers
from asgi_middleware._core.routes import route_of
from asgi_middleware._core.types import Scope
from asgi_middleware.logging.cleaning import clean_text, clean_value, free_name
from asgi_middleware.logging.context import request_ids
from asgi_middleware.logging.endings import Ending
from asgi_middleware.logging.redaction import Redactor
from asgi_middleware.logging.tracebacks import error_type, format_exception
from asgi_middleware.logging.traffic import HTTPTraffic, WebSocketTraffic

EVENTS: Final = {"http": "http.request", "websocket": "websocket.session"}
"""The event's name by scope type: a constant, since some renderers write it as it is."""

FIELDS: Final[dict[str, str]] = {
    "request_id": "The correlation id.",
    "trace_id": "The W3C trace id.",
    "span_id": "The id of this request within the trace.",
    "parent_span_id": "The caller's span id, when the trace came from a caller.",
    "outcome": "How it ended: ok, error, client_disconnect, no_response, incomplete, cancelled or refused.",
    "refusal": "Why it was refused: the stable reason word.",
    "method": "The method; _OTHER for one that HTTP does not know.",
    "method_original": "The method as it came, when it is _OTHER.",
    "path": "The decoded path, cleaned.",
    "query": "The query, its secrets hidden.",
    "route": "The route template that the framework matched.",
    "scheme": "http, https, ws or wss.",
    "http_version": "The protocol version.",
    "status": "The status sent; null when none was. For a WebSocket: of a refused handshake only.",
    "client": "The client's address, as the server gives it.",
    "subject": "Who was authenticated.",
    "duration_ms": "Milliseconds to the end of the response, or of the session.",
    "ttfb_ms": "Milliseconds to the start of the response.",
    "after_response_ms": "Milliseconds that the app went on after the response (background tasks), from 1 on.",
    "request_bytes": "Body bytes that the app read.",
    "request_chunks": "The messages they came in.",
    "response_bytes": "Body bytes sent; left out where the server sends a file itself.",
    "response_chunks": "The messages they went out in.",
    "accepted": "WebSocket: whether the handshake was accepted.",
    "handshake_ms": "WebSocket: milliseconds to the accept.",
    "subprotocol": "WebSocket: the one chosen.",
    "close_code": "WebSocket: the code of the side that closed first.",
    "closed_by": "WebSocket: client or server.",
    "received_messages": "WebSocket: messages from the client.",
    "received_bytes": "WebSocket: their size.",
    "sent_messages": "WebSocket: messages to the client.",
    "sent_bytes": "WebSocket: their size.",
    "timings_ms": "Milliseconds by name, from timing().",
    "request_headers": "The request headers that were asked for.",
    "response_headers": "The response headers that were asked for.",
    "error_type": "The class of the unhandled exception.",
    "exception": "Its traceback, without local variables.",
}
"""Every field of the access event, with its meaning. Fields of handlers come beside them."""

# RFC 9110 9.3, RFC 5789, RFC 10008 (QUERY).
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY"})
_LONGEST_WORD: Final = 64


class AccessEvents:
    """Describes connections, with what was asked for and what is to be hidden."""

    __slots__ = ("_redactor", "_request_headers", "_response_headers")

    def __init__(
        self, redactor: Redactor, request_headers: tuple[bytes, ...] = (), response_headers: tuple[bytes, ...] = ()
    ) -> None:
        """Keep what each event needs.

        Args:
            redactor: What to hide.
            request_headers: Lower-case names of request headers to show.
            response_headers: Lower-case names of response headers to show.
        """
        self._redactor = redactor
        self._request_headers = request_headers
        self._response_headers = response_headers

    def describe(
        self,
        scope: Scope,
        index: HeaderIndex,
        exchange: Exchange,
        traffic: HTTPTraffic | WebSocketTraffic,
        ending: Ending,
        *,
        now: float,
    ) -> dict[str, Any]:
        """Describe a connection.

        Args:
            scope: The scope as the server gave it.
            index: The request headers as the server gave them.
            exchange: The connection's record, which still follows the scope.
            traffic: What passed.
            ending: How it ended.
            now: When the app returned.
        """
        fields = _opening(exchange, ending)
        if isinstance(traffic, HTTPTraffic):
            _method(fields, scope)
            self._request(fields, scope, exchange, ending)
            self._http(fields, traffic, now)
        else:
            self._request(fields, scope, exchange, ending)
            self._websocket(fields, traffic)
        limit = self._redactor.max_length
        if self._request_headers:
            fields["request_headers"] = self._redactor.headers(index, self._request_headers)
        timings = exchange.timings
        if timings:
            fields["timings_ms"] = {clean_text(str(name), _LONGEST_WORD): _ms(spent) for name, spent in timings.items()}
        for name, value in exchange.copy_fields().items():
            fields[free_name(name, FIELDS)] = clean_value(value, limit)
        error = ending.error
        if error is not None:
            fields["error_type"] = clean_text(error_type(error), limit)
            fields["exception"] = format_exception(error)
        return fields

    def _http(self, fields: dict[str, Any], traffic: HTTPTraffic, now: float) -> None:
        if traffic.started is not None:
            fields["ttfb_ms"] = _ms(traffic.started - traffic.begun)
        if traffic.ended is not None and now - traffic.ended >= 0.001:
            fields["after_response_ms"] = _ms(now - traffic.ended)
        fields["request_bytes"] = traffic.request_bytes
        fields["request_chunks"] = traffic.request_chunks
        if traffic.response_bytes is not None:
            fields["response_bytes"] = traffic.response_bytes
        fields["response_chunks"] = traffic.response_chunks
        if self._response_headers:
            shown = self._redactor.headers(index_headers(traffic.headers), self._response_headers)
            fields["response_headers"] = shown

    def _websocket(self, fields: dict[str, Any], traffic: WebSocketTraffic) -> None:
        fields["accepted"] = traffic.accepted is not None
        if traffic.accepted is not None:
            fields["handshake_ms"] = _ms(traffic.accepted - traffic.begun)
        if traffic.subprotocol is not None:
            fields["subprotocol"] = self._redactor.text(str(traffic.subprotocol))
        if traffic.closed_by is not None:
            fields["close_code"] = traffic.close_code
            fields["closed_by"] = traffic.closed_by
        fields["received_messages"] = traffic.received_messages
        fields["received_bytes"] = traffic.received_bytes
        fields["sent_messages"] = traffic.sent_messages
        fields["sent_bytes"] = traffic.sent_bytes

    def _request(self, fields: dict[str, Any], scope: Scope, exchange: Exchange, ending: Ending) -> None:
        redactor = self._redactor
        fields["path"] = redactor.path(str(scope.get("path", "")))
        query = redactor.query(scope.get("query_string"))
        if query is not None:
            fields["query"] = query
        route = route_of(exchange)
        if route is not None:
            fields["route"] = clean_text(str(route), redactor.max_length)
        for name in ("scheme", "http_version"):
            value = scope.get(name)
            if value is not None:
                fields[name] = clean_text(str(value), _LONGEST_WORD)
        client = scope.get("client")
        if client and client[0] is not None:
            fields["client"] = clean_text(str(client[0]), _LONGEST_WORD)
        if exchange.subject is not None:
            fields["subject"] = clean_text(str(exchange.subject), redactor.max_length)
        fields["status"] = ending.status
        fields["duration_ms"] = _ms(ending.duration)


def _opening(exchange: Exchange, ending: Ending) -> dict[str, Any]:
    fields: dict[str, Any] = request_ids(exchange)
    trace = exchange.trace
    if trace is not None and trace.parent_id is not None:
        fields["parent_span_id"] = trace.parent_id
    fields["outcome"] = ending.outcome
    if ending.outcome == "refused" and exchange.refusal is not None:
        fields["refusal"] = exchange.refusal.reason
    return fields


def _method(fields: dict[str, Any], scope: Scope) -> None:
    method = scope.get("method", "")
    if method in _METHODS:
        fields["method"] = method
    else:
        fields["method"] = "_OTHER"
        fields["method_original"] = clean_text(str(method), _LONGEST_WORD)


def _ms(seconds: float) -> float:
    return round(seconds * 1_000_000) / 1000  # a third of what round() to three digits costs
