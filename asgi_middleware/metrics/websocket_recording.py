"""Recording WebSockets: handshakes, connections, and messages by route and direction. No ASGI here."""

from __future__ import annotations

from time import perf_counter
from typing import NamedTuple

from asgi_middleware._core.exchange import Exchange
from asgi_middleware._core.routes import route_of
from asgi_middleware.metrics import flushing
from asgi_middleware.metrics.extras import count_refusal
from asgi_middleware.metrics.families import Families
from asgi_middleware.metrics.family import Family
from asgi_middleware.metrics.labels import close_code_label, status_label
from asgi_middleware.metrics.series import Series, take


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
        self._flows: dict[tuple[str, ...], Flow] = {}
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
            flow = self._flows.setdefault(messages.labels, flow)  # not by what was asked for, of which there is no end
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
