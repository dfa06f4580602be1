"""Measuring one WebSocket: the handshake's outcome, the connection from accept to close, and its messages.

A message costs an append to a list. Its series are found once, at the accept.
"""

from __future__ import annotations

from time import perf_counter
from typing import Final, NamedTuple

from asgi_middleware._core.exchange import Exchange, enter
from asgi_middleware._core.messages import size_of
from asgi_middleware._core.routes import route_of
from asgi_middleware._core.types import ASGIApp, Message, Receive, Scope, Send
from asgi_middleware.metrics import flushing
from asgi_middleware.metrics.extras import count_refusal
from asgi_middleware.metrics.families import Families
from asgi_middleware.metrics.family import Family
from asgi_middleware.metrics.labels import CANCELLED, OTHER, close_code_label, status_label
from asgi_middleware.metrics.series import Series, take

_BATCH: Final = 1024
_ENDINGS: Final = frozenset({"websocket.close", "websocket.http.response.start"})


class WebSocketFamilies(NamedTuple):
    """The families of WebSockets."""

    active: Family
    handshakes: Family
    duration: Family
    refusals: Family
    messages: Family | None
    bytes: Family | None


class Flow:
    """The messages of one route in one direction: their sizes, until they are folded."""

    __slots__ = ("bytes", "messages", "sizes")

    def __init__(self, messages: Series, size: Series) -> None:
        self.messages = messages
        self.bytes = size
        self.sizes: list[int] = []


class Connection(NamedTuple):
    """What is known of a WebSocket at its accept."""

    route: str
    active: Series | None
    begun: float


class WebSocketRecorder:
    """Records WebSockets; instances with the same options share it.

    Args:
        families: Whose families they are.
        measured: The families.
        max_series: The bound of each.
    """

    __slots__ = ("_families", "_flows", "_max_series", "_measured", "counts_messages", "failed")

    def __init__(self, families: Families, measured: WebSocketFamilies, *, max_series: int) -> None:
        self._families = families
        self._measured = measured
        self._max_series = max_series
        self._flows: dict[tuple[str, str], Flow] = {}
        self.counts_messages = measured.messages is not None
        self.failed = families.failures.note

    def handshake(self, exchange: Exchange, outcome: str, status: object = None) -> None:
        """Count a handshake that ended; `status` is what the client got, None for nothing."""
        if not exchange.measured:
            return
        flushing.start()
        try:
            shown = "" if status is None else status_label(status)
            self._measured.handshakes.add((route_of(exchange) or "", outcome, shown), self._max_series)
        except Exception:  # noqa: BLE001 -- metrics fail open
            self.failed("websocket_handshakes")
        if exchange.refusal is not None:
            count_refusal(self.failed, self._measured.refusals, self._max_series, exchange, "websocket")

    def accepted(self, exchange: Exchange) -> Connection | None:
        """Count the handshake and the connection as open, and start its clock; None if it is not to be measured."""
        self.handshake(exchange, "accepted", 101)
        route, active = "", None
        try:
            if not exchange.measured:
                return None
            route = route_of(exchange) or ""
            active = self._measured.active.admit((route,), self._max_series)
            active.add(1)
        except Exception:  # noqa: BLE001 -- metrics fail open
            active = None
            self.failed("websocket_active")
        return Connection(route, active, perf_counter())

    def closed(self, connection: Connection, code: object) -> None:
        """Record a connection that ended; `code` is a close code, or a word where there was none."""
        elapsed = perf_counter() - connection.begun
        if connection.active is not None:
            try:
                connection.active.add(-1)
            except Exception:  # noqa: BLE001 -- metrics fail open
                self.failed("websocket_active")
        try:
            shown = code if isinstance(code, str) else close_code_label(code)
            self._measured.duration.observe((connection.route, shown), self._max_series, elapsed)
        except Exception:  # noqa: BLE001 -- metrics fail open
            self.failed("websocket_duration")

    def flow(self, route: str, direction: str) -> Flow:
        """Give the messages of a route in one direction."""
        flow = self._flows.get((route, direction))
        if flow is None:
            measured = self._measured
            assert measured.messages is not None  # noqa: S101 -- asked for only where messages are counted
            assert measured.bytes is not None  # noqa: S101
            messages = measured.messages.admit((route, direction), self._max_series)
            flow = Flow(messages, measured.bytes.admit((route, direction), self._max_series))
            if measured.messages.is_overflow(messages):
                route = direction = OTHER
            flow = self._flows.setdefault((route, direction), flow)
        return flow

    def fold_flow(self, flow: Flow) -> None:
        """Add up the messages of a flow that are not counted yet."""
        sizes = take(flow.sizes, self._families.lock)
        if not sizes:
            return
        flow.messages.add(len(sizes))
        flow.bytes.add(sum(sizes))
        for family, series in ((self._measured.messages, flow.messages), (self._measured.bytes, flow.bytes)):
            if family is not None and family.is_overflow(series):
                self._families.count_overflow(family, len(sizes))

    def fold(self) -> None:
        """Add up all messages that are not counted yet."""
        for flow in tuple(self._flows.values()):
            self.fold_flow(flow)

    def forget(self) -> None:
        """Forget what was recorded: it is the parent's, and this is a fork of it."""
        self._flows.clear()


class MeasuredWebSocket:
    """One WebSocket on its way.

    The sizes of messages that nobody counts (before the accept, after the close, or where none are) go into lists of
    its own, so that a message need not ask.
    """

    __slots__ = (
        "_arrived",
        "_connection",
        "_ending",
        "_exchange",
        "_left",
        "_receive",
        "_received",
        "_recorder",
        "_send",
        "_sent",
        "ended",
    )

    def __init__(self, recorder: WebSocketRecorder, receive: Receive, send: Send, exchange: Exchange) -> None:
        self._recorder = recorder
        self._receive = receive
        self._send = send
        self._exchange = exchange
        self._connection: Connection | None = None
        self._ending = False
        self._received: Flow | None = None
        self._sent: Flow | None = None
        self._arrived: list[int] = []
        self._left: list[int] = []
        self.ended = False

    async def receive(self) -> Message:
        """Stand in for the server's ``receive``."""
        message = await self._receive()
        try:
            text = message.get("text")
            arrived = self._arrived
            if text is not None:
                arrived.append(len(text) if text.isascii() else utf8_size(text))
            if text is None or len(arrived) >= _BATCH:
                self._arrive(message)
        except Exception:  # noqa: BLE001 -- metrics fail open
            self._recorder.failed("message")
        return message

    async def send(self, message: Message) -> None:
        """Stand in for the server's ``send``."""
        text = None
        try:
            text = message.get("text")
            if text is None and message.get("type") in _ENDINGS:
                self._ending = True
        except Exception:  # noqa: BLE001 -- metrics fail open
            self._recorder.failed("message")
        try:
            await self._send(message)
        except OSError:
            if not self.ended:
                self.end("disconnected", 1006)
            raise
        try:
            left = self._left
            if text is not None:
                left.append(len(text) if text.isascii() else utf8_size(text))
            if text is None or len(left) >= _BATCH:
                self._leave(message)
        except Exception:  # noqa: BLE001 -- metrics fail open
            self._recorder.failed("message")

    def _arrive(self, message: Message) -> None:
        """Take a message that is no text, or one that fills the list."""
        if len(self._arrived) >= _BATCH:
            self._empty(self._received, self._arrived)
        if self.ended:
            return
        kind = message["type"]
        if kind == "websocket.disconnect":
            # Some servers tell a waiting receive of the end while the application's own close is still being sent.
            if not self._ending:
                self.end("disconnected", message.get("code"))
        elif kind == "websocket.receive" and message.get("text") is None:
            self._arrived.append(size_of(message.get("bytes")))

    def _leave(self, message: Message) -> None:
        """Take a message that is no text, or one that fills the list, when it has been sent."""
        if len(self._left) >= _BATCH:
            self._empty(self._sent, self._left)
        if self.ended:
            return
        kind = message["type"]
        if kind == "websocket.send":
            if message.get("text") is None:
                self._left.append(size_of(message.get("bytes")))
        elif kind == "websocket.accept":
            self._accept()
        elif kind == "websocket.close":
            # 403 is what servers answer to a close before the accept.
            self.end("rejected", message.get("code", 1000), 403)
        elif kind == "websocket.http.response.start":
            self.end("denied", None, message["status"])

    def _accept(self) -> None:
        recorder = self._recorder
        connection = self._connection = recorder.accepted(self._exchange)
        if connection is None:
            self.ended = True
        elif recorder.counts_messages:
            self._received = recorder.flow(connection.route, "received")
            self._sent = recorder.flow(connection.route, "sent")
            self._arrived, self._left = self._received.sizes, self._sent.sizes

    def _empty(self, flow: Flow | None, sizes: list[int]) -> None:
        if flow is None or flow.sizes is not sizes:
            sizes.clear()
        else:
            self._recorder.fold_flow(flow)

    def end(self, outcome: str, code: object, status: object = None) -> None:
        """End the handshake with an outcome and a status, or the open connection with a code."""
        self.ended = True
        self._arrived, self._left = [], []
        if self._connection is None:
            self._recorder.handshake(self._exchange, outcome, status)
        else:
            self._recorder.closed(self._connection, code)


def measure_websockets(app: ASGIApp, families: Families, recorder: WebSocketRecorder) -> ASGIApp:
    """Give the function that passes a WebSocket on and measures it."""
    claim = families.claim

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        scope, exchange = enter(scope)
        if not exchange.claim(claim):
            await app(scope, receive, send)  # a copy further out, on the same registry, records it
            return
        first = exchange.follow(scope)
        connection = MeasuredWebSocket(recorder, receive, send, exchange)
        try:
            await app(scope, connection.receive, connection.send)
        except BaseException as raised:
            if not connection.ended:
                failed = isinstance(raised, Exception)
                connection.end(*(("error", 1011, 500) if failed else (CANCELLED, CANCELLED)))
            raise
        else:
            if not connection.ended:
                connection.end("error", "unclosed", 500)
        finally:
            if first:
                exchange.scope = None

    return handle


def utf8_size(text: str) -> int:
    """Give the bytes of a text in UTF-8 (RFC 6455 5.6); a lone surrogate, which no server can send, counts as three."""
    return len(text.encode("utf-8", "surrogatepass"))
