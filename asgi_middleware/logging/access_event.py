"""The access event: one connection as one flat record of named values.

The names are plain words (``method``, ``status``, ``duration_ms``), since people read and query them. They are the
neutral form: a schema of ``schemas`` renames these keys and converts the units, and needs nothing else. Every value is
clean: numbers, bools, text without control characters, and small dicts of them.

What is not known is left out, save ``status``, which is then null.
"""

from __future__ import annotations

from typing import Any, Final

from asgi_middleware._core.exchange import Exchange
from asgi_middleware._core.routes import route_of
from asgi_middleware._core.types import RawHeaders, Scope
from asgi_middleware.logging.cleaning import CleanText, clean_text, clean_value, free_name
from asgi_middleware.logging.endings import Ending
from asgi_middleware.logging.redaction import Redactor
from asgi_middleware.logging.tracebacks import error_type, format_exception
from asgi_middleware.logging.traffic import AnyTraffic, milliseconds

EVENTS: Final = {"http": "http.request", "websocket": "websocket.session"}
"""The event's name by scope type: a constant, since some renderers write it as it is."""

STARTED: Final = {"http": "http.request.started", "websocket": "websocket.session.started"}
RUNNING: Final = {"http": "http.request.running", "websocket": "websocket.session.running"}

FIELDS: Final[dict[str, str]] = {
    "request_id": "The correlation id.",
    "client_request_id": "The id that a peer sent whose ids are not trusted.",
    "trace_id": "The W3C trace id.",
    "span_id": "The id of this request within the trace.",
    "parent_span_id": "The caller's span id, when the trace came from a caller.",
    "outcome": "How it ended: ok, error, client_disconnect, no_response, incomplete, cancelled or refused.",
    "refusal": "Why it was refused: the stable reason word.",
    "cors": "What the CORS class decided: its reason word.",
    "compression": "The coding that the body went out in, or why it went out plain: a reason word.",
    "original_bytes": "Body bytes that the app sent, where they were encoded.",
    "compression_ms": "Milliseconds that encoding them took.",
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
    "error_type": "The class of the exception behind an error: unhandled, or answered by the framework.",
    "exception": "Its traceback, without local variables.",
    "sampling_rate": "With sampling: which part of its like this line stands for; 1 where all are written.",
}
"""Every field of the access event, with its meaning. Fields of handlers come beside them."""

# RFC 9110 9.3, RFC 5789, RFC 10008 (QUERY).
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY"})
SCHEMES: Final = frozenset({"http", "https", "ws", "wss"})
VERSIONS: Final = frozenset({"1.0", "1.1", "2", "3"})
LONGEST_WORD: Final = 64


class AccessEvents:
    """Describes connections, with what was asked for and what is to be hidden.

    Attributes:
        shows_headers: Whether any header was asked for.
    """

    __slots__ = ("_redactor", "_request_headers", "_response_headers", "shows_headers")

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
        self.shows_headers = bool(request_headers or response_headers)

    def describe_request(self, scope: Scope, exchange: Exchange) -> dict[str, Any]:
        """Describe what is known of a connection when it comes in; time, level and event are left to be set.

        Args:
            scope: The scope as the server gave it.
            exchange: The connection's record.
        """
        redactor = self._redactor
        trace, request_id = exchange.trace, exchange.request_id
        method, scheme, version = scope.get("method"), scope.get("scheme"), scope.get("http_version")
        fields: dict[str, Any] = {
            "timestamp": None,
            "level": None,
            "event": None,
            "request_id": request_id,
            "trace_id": None if trace is None else trace.trace_id,
            "span_id": None if trace is None else trace.span_id,
            "outcome": None,
            "method": method,
            "path": redactor.path(scope.get("path", "")),
            "status": None,
            "duration_ms": None,
            "scheme": scheme,
            "http_version": version,
        }
        # What nearly every request has is set above, in one step; what one lacks, or what is odd, costs extra.
        if request_id is None:
            del fields["request_id"]
        if trace is None:
            del fields["trace_id"], fields["span_id"]
        elif trace.parent_id is not None:
            fields["parent_span_id"] = trace.parent_id
        if method not in METHODS:
            _odd_method(fields, scope)
        if scheme not in SCHEMES:
            _odd_word(fields, "scheme")
        if version not in VERSIONS:
            _odd_word(fields, "http_version")
        query = scope.get("query_string")
        if query:
            query = redactor.query(query)
            if query is not None:
                fields["query"] = query
        client = scope.get("client")
        if client:
            address = client[0]
            if address is not None:
                fields["client"] = (
                    address
                    if type(address) is str and len(address) < LONGEST_WORD and address.isprintable()
                    else clean_text(str(address), LONGEST_WORD)
                )
        return fields

    def describe(
        self,
        scope: Scope,
        exchange: Exchange,
        traffic: AnyTraffic,
        ending: Ending,
        *,
        now: float,
    ) -> dict[str, Any]:
        """Describe a connection at its end.

        Args:
            scope: The scope as the server gave it.
            exchange: The connection's record, which still follows the scope.
            traffic: What passed.
            ending: How it ended.
            now: When the app returned.
        """
        fields = self.describe_request(scope, exchange)
        outcome, status, error, duration = ending
        fields["outcome"] = outcome
        fields["status"] = status
        fields["duration_ms"] = milliseconds(duration)
        traffic.describe(fields, now)
        limit = self._redactor.max_length
        route = route_of(exchange)
        if route is not None:
            fields["route"] = clean_text(str(route), limit)
        if exchange.subject is not None:
            fields["subject"] = clean_text(str(exchange.subject), limit)
        if exchange.cors is not None:
            fields["cors"] = exchange.cors
        if exchange.compression is not None:
            _compression(fields, exchange.compression)
        # Who was refused may leave before the last byte, or be cut off; of an error, the exception tells more.
        if exchange.refusal is not None and outcome != "error":
            fields["refusal"] = exchange.refusal.reason
        self.add_rest(fields, exchange, traffic)
        if error is not None:
            fields["error_type"] = clean_text(error_type(error), limit)
            fields["exception"] = CleanText(format_exception(error))
        elif traffic.answered_error is not None and outcome == "error":
            fields["error_type"] = clean_text(traffic.answered_error, limit)
        return fields

    def add_rest(self, fields: dict[str, Any], exchange: Exchange, traffic: AnyTraffic) -> None:
        """Add the headers that were asked for, and what handlers added.

        Args:
            fields: What is to be added to.
            exchange: The connection's record.
            traffic: What passed.
        """
        if self.shows_headers:
            self._headers(fields, traffic)
        if exchange._timings is not None:  # noqa: SLF001 -- most requests have none
            fields["timings_ms"] = {
                clean_text(str(name), LONGEST_WORD): milliseconds(spent) for name, spent in exchange.timings.items()
            }
        if exchange._fields is not None:
            for name, value in exchange.copy_fields().items():
                fields[free_name(name, FIELDS)] = clean_value(value, self._redactor.max_length)

    def _headers(self, fields: dict[str, Any], traffic: AnyTraffic) -> None:
        sides: list[tuple[str, tuple[bytes, ...], RawHeaders | None]] = [
            ("request_headers", self._request_headers, traffic.request_headers),
            ("response_headers", self._response_headers, traffic.headers),
        ]
        for side, names, headers in sides:
            if names:
                fields[side] = self._redactor.headers(headers, names)


def _compression(fields: dict[str, Any], figures: Any) -> None:
    coding = figures.encoding
    fields["compression"] = figures.skip_reason if coding is None else coding
    if coding is not None:
        if figures.original_size is not None:  # as after HEAD
            fields["original_bytes"] = figures.original_size
        fields["compression_ms"] = milliseconds(figures.seconds)


def _odd_method(fields: dict[str, Any], scope: Scope) -> None:
    if scope["type"] == "websocket":
        del fields["method"]
        return
    fields["method"] = "_OTHER"
    fields["method_original"] = clean_text(str(scope.get("method", "")), LONGEST_WORD)


def _odd_word(fields: dict[str, Any], name: str) -> None:
    value = fields[name]
    if value is None:
        del fields[name]
    else:
        fields[name] = clean_text(str(value), LONGEST_WORD)
