"""Traffic: what passed in one connection, told by the messages that went by.

Two small state machines, without I/O and without a clock of their own: the shell shows them every message before it
hands it on, with the time. They only read.

Facts this module rests on:

- A response ends with the body message that has no ``more_body``, with ``http.response.pathsend``, or, where the start
  announced trailers, with the last ``http.response.trailers`` (ASGI HTTP specification and extensions).
- The end is noted before the final message is sent. Some servers tell a waiting ``receive()`` of the end of the
  exchange, by ``http.disconnect``, while that ``send`` is still under way; only a disconnect before it means that the
  client left.
- A body may be missing, and may be ``bytes``, ``bytearray`` or ``memoryview``. A response to HEAD, and one of status
  204 or 304, has no body on the wire whatever the app sends (RFC 9110 6.4.1).
- ``status`` and close codes may be ``IntEnum`` members. Of ``text`` and ``bytes`` one may be there as None.
"""

from __future__ import annotations

import sys
from typing import Any, Final, TypeAlias

from asgi_middleware._core.messages import body_size, ends_response, size_of
from asgi_middleware._core.types import Message
from asgi_middleware.logging.cleaning import clean_text
from asgi_middleware.logging.redaction import hide_tokens
from asgi_middleware.logging.tracebacks import error_type

NO_STATUS_RECEIVED: Final = 1005
ABNORMAL_CLOSURE: Final = 1006
_FILES: Final = frozenset({"http.response.pathsend", "http.response.zerocopysend"})  # the server reads them itself
_BODILESS: Final = frozenset({204, 304})
_SERVER_ERROR: Final = 500
_LONGEST_SUBPROTOCOL: Final = 128
NOTEWORTHY: Final = 0.001
"""Seconds from which on the time after a response is told."""


def milliseconds(seconds: float) -> float:
    """Give milliseconds with three digits, at a third of what ``round`` to three digits costs."""
    return int(seconds * 1e6 + 0.5) / 1000


class Traffic:
    """What passed in one connection. Slotted: reading a default from the class would cost ten times as much.

    Attributes:
        begun: When the request arrived, seconds on a monotonic clock.
        status: The status sent, or None.
        headers: The raw response headers as the app gave them.
        request_headers: The raw request headers as the server gave them.
        send_error: What a failing ``send`` or ``receive`` raised.
        answered_error: The class of the exception that was being handled when a status of 500 or more was sent.
    """

    __slots__ = ("answered_error", "begun", "headers", "request_headers", "send_error", "status")

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.begun = 0.0
        self.status: int | None = None
        self.headers: Any = None
        self.request_headers: Any = None
        self.send_error: OSError | None = None
        self.answered_error: str | None = None

    def note_answered_error(self) -> None:
        """Look for an exception that is being handled: a framework is answering it itself."""
        error = sys.exception()
        if error is not None:
            self.answered_error = error_type(error)


class HTTPTraffic(Traffic):
    """What passed in one HTTP exchange.

    Attributes:
        started: When the response started, or None.
        ended: When the last message of a complete response was sent, or None.
        request_bytes: Body bytes that the app took.
        request_chunks: Body messages that were not empty.
        response_bytes: Body bytes sent; None where the server sends a file itself.
        response_chunks: Body messages that were not empty.
        disconnected: Whether the client left before the response was complete.
        bodiless: Whether the response has no body, whatever the app sends: to begin with, whether the method is HEAD.
    """

    __slots__ = (
        "_trailers", "bodiless", "disconnected", "ended", "request_bytes", "request_chunks", "response_bytes",
        "response_chunks", "started",
    )  # fmt: skip

    def __init__(self) -> None:
        """Begin with nothing seen."""
        super().__init__()
        self.started: float | None = None
        self.ended: float | None = None
        self.request_bytes = 0
        self.request_chunks = 0
        self.response_bytes: int | None = 0
        self.response_chunks = 0
        self.disconnected = False
        self.bodiless = False
        self._trailers = False

    def received(self, message: Message) -> None:
        """Read a message on its way to the app."""
        kind = message["type"]
        if kind == "http.request":
            size = body_size(message)
            if size:
                self.request_bytes += size
                self.request_chunks += 1
        elif kind == "http.disconnect" and self.ended is None:
            self.disconnected = True

    def sending(self, message: Message, now: float) -> None:
        """Read a message on its way to the server: any but those of the body, which the shell counts itself."""
        kind = message["type"]
        if kind == "http.response.start":
            if self.started is None:
                self.started = now
                self.status = status = int(message["status"])
                self.headers = message.get("headers")
                if message.get("trailers"):
                    self._trailers = True
                if status in _BODILESS:
                    self.bodiless = True
                elif status >= _SERVER_ERROR:
                    self.note_answered_error()
        elif self.ended is None:
            if kind in _FILES and not self.bodiless:
                self.response_bytes = None
            if ends_response(message, trailers=self._trailers):
                self.ended = now

    def failed(self, error: OSError) -> None:
        """Note that ``send`` or ``receive`` raised: the client is gone (ASGI HTTP specification 2.4)."""
        self.send_error = error
        self.disconnected = True

    def describe(self, fields: dict[str, Any], now: float) -> None:
        """Add to an event what passed."""
        started, ended = self.started, self.ended
        if started is not None:
            fields["ttfb_ms"] = milliseconds(started - self.begun)
        if ended is not None and now - ended >= NOTEWORTHY:
            fields["after_response_ms"] = milliseconds(now - ended)
        fields["request_bytes"] = self.request_bytes
        fields["request_chunks"] = self.request_chunks
        if self.response_bytes is not None:
            fields["response_bytes"] = self.response_bytes
        fields["response_chunks"] = self.response_chunks


class WebSocketTraffic(Traffic):
    """What passed in one WebSocket session; `status` is that of a handshake that was refused.

    Attributes:
        accepted: When it was accepted, or None.
        subprotocol: The one that was chosen, or None.
        close_code: The code of the side that closed first, or None.
        closed_by: ``"client"``, ``"server"``, or None while open.
        received_messages: Messages from the client.
        received_bytes: Their size; text counted as UTF-8.
        sent_messages: Messages to the client.
        sent_bytes: Their size.
        denial_complete: Whether the answer to a refused handshake was complete.
    """

    __slots__ = (
        "accepted", "close_code", "closed_by", "denial_complete", "received_bytes", "received_messages", "sent_bytes",
        "sent_messages", "subprotocol",
    )  # fmt: skip

    def __init__(self) -> None:
        """Begin with nothing seen."""
        Traffic.__init__(self)
        self.accepted: float | None = None
        self.subprotocol: str | None = None
        self.close_code: int | None = None
        self.closed_by: str | None = None
        self.received_messages = 0
        self.received_bytes = 0
        self.sent_messages = 0
        self.sent_bytes = 0
        self.denial_complete = False

    @property
    def disconnected(self) -> bool:
        """Whether the client is gone."""
        return self.closed_by == "client" or self.send_error is not None

    def received(self, message: Message) -> None:
        """Read a message on its way to the app."""
        kind = message["type"]
        if kind == "websocket.receive":
            self.received_messages += 1
            self.received_bytes += payload_size(message)
        elif kind == "websocket.disconnect" and self.closed_by is None and self.status is None:
            self.closed_by = "client"
            code = message.get("code")
            self.close_code = NO_STATUS_RECEIVED if code is None else int(code)

    def sending(self, message: Message, now: float) -> None:
        """Read a message on its way to the server."""
        kind = message["type"]
        if kind == "websocket.send":
            self.sent_messages += 1
            self.sent_bytes += payload_size(message)
        elif kind == "websocket.accept":
            self.accepted = now
            self.subprotocol = message.get("subprotocol")
        elif kind == "websocket.close":
            if self.accepted is None:
                # The server answers the handshake with 403 (ASGI WebSocket specification, "Close").
                self.status = 403
                self.denial_complete = True
            elif self.closed_by is None:
                self.closed_by = "server"
                code = message.get("code")
                self.close_code = 1000 if code is None else int(code)
        elif kind == "websocket.http.response.start":
            self.status = status = int(message["status"])
            if status >= _SERVER_ERROR:
                self.note_answered_error()
        elif kind == "websocket.http.response.body" and not message.get("more_body", False):
            self.denial_complete = True

    def failed(self, error: OSError) -> None:
        """Note that ``send`` or ``receive`` raised: the client is gone."""
        self.send_error = error

    def describe(self, fields: dict[str, Any], now: float) -> None:  # noqa: ARG002 -- as for HTTP
        """Add to an event what passed."""
        fields["accepted"] = self.accepted is not None
        if self.accepted is not None:
            fields["handshake_ms"] = milliseconds(self.accepted - self.begun)
        if self.subprotocol is not None:
            fields["subprotocol"] = clean_text(hide_tokens(str(self.subprotocol)), _LONGEST_SUBPROTOCOL)
        if self.closed_by is not None:
            fields["close_code"] = self.close_code
            fields["closed_by"] = self.closed_by
        fields["received_messages"] = self.received_messages
        fields["received_bytes"] = self.received_bytes
        fields["sent_messages"] = self.sent_messages
        fields["sent_bytes"] = self.sent_bytes


def payload_size(message: Message) -> int:
    """Give the number of bytes of a WebSocket message; text counts as the UTF-8 that is on the wire."""
    text = message.get("text")
    if text is None:
        return size_of(message.get("bytes"))
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


AnyTraffic: TypeAlias = HTTPTraffic | WebSocketTraffic
