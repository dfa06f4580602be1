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

from typing import Any, Final

from asgi_middleware._core.messages import body_size, ends_response, size_of
from asgi_middleware._core.types import Message

NO_STATUS_RECEIVED: Final = 1005
ABNORMAL_CLOSURE: Final = 1006
_FILES: Final = frozenset({"http.response.pathsend", "http.response.zerocopysend"})  # the server reads them itself
_BODILESS: Final = frozenset({204, 304})


class HTTPTraffic:
    """What passed in one HTTP exchange.

    Attributes:
        begun: When the request arrived, seconds on a monotonic clock.
        started: When the response started, or None.
        ended: When the last message of a complete response was sent, or None.
        status: The status sent, or None.
        headers: The raw response headers as the app gave them.
        request_bytes: Body bytes that the app took.
        request_chunks: Body messages that were not empty.
        response_bytes: Body bytes sent; None where the server sends a file itself.
        response_chunks: Body messages that were not empty.
        disconnected: Whether the client left before the response was complete.
        send_error: What a failing ``send`` raised.
    """

    __slots__ = (
        "_bodiless", "_trailers", "begun", "disconnected", "ended", "headers", "request_bytes", "request_chunks",
        "response_bytes", "response_chunks", "send_error", "started", "status",
    )  # fmt: skip

    def __init__(self, begun: float, *, head: bool) -> None:
        """Begin with nothing seen.

        Args:
            begun: When the request arrived.
            head: Whether the method is HEAD.
        """
        self.begun = begun
        self.started: float | None = None
        self.ended: float | None = None
        self.status: int | None = None
        self.headers: Any = None
        self.request_bytes = 0
        self.request_chunks = 0
        self.response_bytes: int | None = 0
        self.response_chunks = 0
        self.disconnected = False
        self.send_error: OSError | None = None
        self._bodiless = head
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
        """Read a message on its way to the server."""
        kind = message["type"]
        if kind == "http.response.start":
            if self.started is None:
                self.started = now
                self.status = status = int(message["status"])
                self.headers = message.get("headers")
                self._trailers = bool(message.get("trailers", False))
                self._bodiless = self._bodiless or status in _BODILESS
        elif self.ended is None:
            if kind == "http.response.body":
                size = 0 if self._bodiless else body_size(message)
                if size:
                    self.response_chunks += 1
                    if self.response_bytes is not None:
                        self.response_bytes += size
            elif kind in _FILES and not self._bodiless:
                self.response_bytes = None
            if ends_response(message, trailers=self._trailers):
                self.ended = now

    def send_failed(self, error: OSError) -> None:
        """Note that ``send`` raised: the client is gone (ASGI HTTP specification 2.4)."""
        self.disconnected = True
        self.send_error = error


class WebSocketTraffic:
    """What passed in one WebSocket session.

    Attributes:
        begun: When the handshake arrived, seconds on a monotonic clock.
        accepted: When it was accepted, or None.
        status: The status of a handshake that was refused, or None.
        subprotocol: The one that was chosen, or None.
        close_code: The code of the side that closed first, or None.
        closed_by: ``"client"``, ``"server"``, or None while open.
        received_messages: Messages from the client.
        received_bytes: Their size; text counted as UTF-8.
        sent_messages: Messages to the client.
        sent_bytes: Their size.
        send_error: What a failing ``send`` raised.
    """

    __slots__ = (
        "accepted", "begun", "close_code", "closed_by", "denial_complete", "received_bytes", "received_messages",
        "send_error", "sent_bytes", "sent_messages", "status", "subprotocol",
    )  # fmt: skip

    def __init__(self, begun: float) -> None:
        """Begin with nothing seen."""
        self.begun = begun
        self.accepted: float | None = None
        self.status: int | None = None
        self.subprotocol: str | None = None
        self.close_code: int | None = None
        self.closed_by: str | None = None
        self.received_messages = 0
        self.received_bytes = 0
        self.sent_messages = 0
        self.sent_bytes = 0
        self.send_error: OSError | None = None
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
            self.status = int(message["status"])
        elif kind == "websocket.http.response.body" and not message.get("more_body", False):
            self.denial_complete = True

    def send_failed(self, error: OSError) -> None:
        """Note that ``send`` raised: the client is gone."""
        self.send_error = error


def payload_size(message: Message) -> int:
    """Give the number of bytes of a WebSocket message; text counts as the UTF-8 that is on the wire."""
    text = message.get("text")
    if text is None:
        return size_of(message.get("bytes"))
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
