"""Measuring one WebSocket: the ASGI shell around ``websocket_recording.py``.

A message costs an append to a list. Its series are found once, at the accept.

Hardly any connection mixes text and bytes. So a message is asked for what the last one had, by subscript: where that
fails it is something else, and there is time to look closely.
"""

from __future__ import annotations

from typing import Final

from asgi_middleware._core.exchange import Exchange, enter
from asgi_middleware._core.messages import size_of
from asgi_middleware._core.types import ASGIApp, Message, Receive, Scope, Send
from asgi_middleware.metrics.families import Families
from asgi_middleware.metrics.labels import CANCELLED
from asgi_middleware.metrics.websocket_recording import Connection, Flow, WebSocketRecorder

BATCH: Final = 1024
"""How many sizes a list holds before they are folded."""
LOOK_EVERY: Final = 32
"""After how many messages of a connection its lists are looked at: these may come on top of a batch."""
_ENDINGS: Final = frozenset({"websocket.close", "websocket.http.response.start"})


class MeasuredWebSocket:
    """One WebSocket on its way.

    The sizes of messages that nobody counts (before the accept, after the close, or where none are) go into lists of
    its own, so that a message need not ask.

    Attributes:
        arrived: The sizes of messages that were received.
        left: The sizes of messages that were sent.
        ended: Whether it has been recorded.
    """

    __slots__ = ("_connection", "_ending", "_exchange", "_received", "_recorder", "_sent", "arrived", "ended", "left")

    def __init__(self, recorder: WebSocketRecorder, exchange: Exchange) -> None:
        self._recorder = recorder
        self._exchange = exchange
        self._connection: Connection | None = None
        self._ending = False
        self._received: Flow | None = None
        self._sent: Flow | None = None
        self.arrived: list[int] = []
        self.left: list[int] = []
        self.ended = False

    def arrive(self, message: Message) -> str:
        """Take a message that came, and give the key under which the next one's data are likely to be."""
        key = "text"
        if self.ended:
            return key
        try:
            kind = message["type"]
            if kind == "websocket.receive":
                key, size = _measure(message)
                self.arrived.append(size)
            elif kind == "websocket.disconnect" and not self._ending:
                # Some servers tell a waiting receive of the end while the application's own close is still being sent.
                self.end("disconnected", message.get("code"))
        except Exception:  # noqa: BLE001 -- metrics fail open
            self._recorder.failed("message")
        return key

    def leaving(self, message: Message) -> None:
        """Note a message that is on its way to the server."""
        try:
            if message.get("type") in _ENDINGS:
                self._ending = True
        except Exception:  # noqa: BLE001 -- metrics fail open
            self._recorder.failed("message")

    def leave(self, message: Message) -> str:
        """Take a message that has been sent, and give the key under which the next one's data are likely to be."""
        key = "text"
        if self.ended:
            return key
        try:
            kind = message["type"]
            if kind == "websocket.send":
                key, size = _measure(message)
                self.left.append(size)
            elif kind == "websocket.accept" and self._connection is None:
                self._accept()
            elif kind == "websocket.close":
                # 403 is what servers answer to a close before the accept.
                self.end("rejected", message.get("code", 1000), 403)
            elif kind == "websocket.http.response.start":
                self.end("denied", None, message["status"])
        except Exception:  # noqa: BLE001 -- metrics fail open
            self._recorder.failed("message")
        return key

    def lose(self) -> None:
        """Note that the server could not send: the client is gone."""
        if not self.ended:
            self.end("disconnected", 1006)

    def trim(self) -> None:
        """Add up the sizes, where there are many."""
        for flow, sizes in ((self._received, self.arrived), (self._sent, self.left)):
            if len(sizes) >= BATCH:
                try:
                    self._empty(flow, sizes)
                except Exception:  # noqa: BLE001 -- metrics fail open
                    self._recorder.failed("message")

    def _accept(self) -> None:
        recorder = self._recorder
        connection = self._connection = recorder.accepted(self._exchange)
        if connection is None:
            self.ended = True
        elif recorder.counts_messages:
            self._received = recorder.flow(connection.route, "received")
            self._sent = recorder.flow(connection.route, "sent")
            self.arrived, self.left = self._received.sizes, self._sent.sizes

    def _empty(self, flow: Flow | None, sizes: list[int]) -> None:
        if flow is None or flow.sizes is not sizes:
            sizes.clear()
        else:
            self._recorder.fold_flow(flow)

    def end(self, outcome: str, code: object, status: object = None) -> None:
        """End the handshake with an outcome and a status, or the open connection with a code."""
        self.ended = True
        self.arrived, self.left = [], []
        if self._connection is None:
            self._recorder.handshake(self._exchange, outcome, status)
        else:
            self._recorder.closed(self._connection, code)


def _receiving(session: MeasuredWebSocket, receive: Receive) -> Receive:
    """Give what stands in for the server's ``receive``."""
    key, until = "text", LOOK_EVERY

    async def receive_measured() -> Message:
        nonlocal key, until
        message = await receive()
        try:
            data = message[key]
            session.arrived.append(len(data) if data.isascii() else _size(data))
        except Exception:  # noqa: BLE001 -- it has no data of the kind that came last, or is none at all
            key = session.arrive(message)
        until -= 1
        if not until:
            until = LOOK_EVERY
            session.trim()
        return message

    return receive_measured


def _sending(session: MeasuredWebSocket, send: Send) -> Send:
    """Give what stands in for the server's ``send``."""
    key, until = "text", LOOK_EVERY

    async def send_measured(message: Message) -> None:
        nonlocal key, until
        size: int | None = None
        try:
            data = message[key]
            size = len(data) if data.isascii() else _size(data)
        except Exception:  # noqa: BLE001 -- as above
            session.leaving(message)
        try:
            await send(message)
        except OSError:
            session.lose()
            raise
        if size is None:
            key = session.leave(message)
        else:
            session.left.append(size)
        until -= 1
        if not until:
            until = LOOK_EVERY
            session.trim()

    return send_measured


def measure_websockets(app: ASGIApp, families: Families, recorder: WebSocketRecorder) -> ASGIApp:
    """Give the function that passes a WebSocket on and measures it."""
    claim = families.claim

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        scope, exchange = enter(scope)
        if not exchange.claim(claim):
            await app(scope, receive, send)  # a copy further out, on the same registry, records it
            return
        first = exchange.follow(scope)
        session = MeasuredWebSocket(recorder, exchange)
        try:
            await app(scope, _receiving(session, receive), _sending(session, send))
        except BaseException as raised:
            if not session.ended:
                failed = isinstance(raised, Exception)
                session.end(*(("error", 1011, 500) if failed else (CANCELLED, CANCELLED)))
            raise
        else:
            if not session.ended:
                session.end("error", "unclosed", 500)
        finally:
            if first:
                exchange.scope = None

    return handle


def _measure(message: Message) -> tuple[str, int]:
    """Give the key under which a message has its data, and their bytes."""
    text = message.get("text")
    return ("bytes", size_of(message.get("bytes"))) if text is None else ("text", utf8_size(text))


def _size(data: object) -> int:
    return utf8_size(data) if isinstance(data, str) else size_of(data)


def utf8_size(text: str) -> int:
    """Give the bytes of a text in UTF-8 (RFC 6455 5.6); a lone surrogate, which no server can send, counts as three."""
    return len(text.encode("utf-8", "surrogatepass"))
