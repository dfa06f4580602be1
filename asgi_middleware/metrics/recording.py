"""Recording: which figure of a finished exchange goes to which family. No ASGI here.

Every site is guarded on its own: a failure is noted, the other figures are recorded, and the request goes on. A key of
label values leads to its child by one dict look-up; ``labels()`` is called once for each key.
"""

from __future__ import annotations

import sys
from time import perf_counter
from typing import Any, NamedTuple

from asgi_middleware._core.exchange import Exchange
from asgi_middleware._core.routes import route_of
from asgi_middleware._core.types import Scope
from asgi_middleware.metrics.families import Failures, Family
from asgi_middleware.metrics.labels import (
    CANCELLED,
    CLIENT_LEFT,
    OTHER,
    UNMATCHED,
    close_code_label,
    error_label,
    scheme_label,
    status_label,
)


class Bounds(NamedTuple):
    """What all families of one instance share."""

    max_series: int
    overflow: Family
    failures: Failures

    def child(self, family: Family, key: tuple[str, ...]) -> Any:
        """Give the family's child for the label values, its overflow's where there are too many."""
        child = family.known.get(key)
        return family.admit(key, self.max_series, self.overflow) if child is None else child


class RequestRecorder:
    """Records HTTP requests.

    Args:
        bounds: The bound on series, and where failures are noted.
        methods: The methods with a label of their own.
        duration: Seconds of each request.
        active: Requests under way.
        sizes: The families of request and response body bytes, or None.
        disconnects: Clients that left.
        refusals: Refusals by reason.
    """

    __slots__ = ("_active", "_bounds", "_disconnects", "_duration", "_methods", "_refusals", "_sizes", "counts_bytes")

    def __init__(
        self,
        bounds: Bounds,
        *,
        methods: dict[str, str],
        duration: Family,
        active: Family,
        sizes: tuple[Family, Family] | None,
        disconnects: Family,
        refusals: Family,
    ) -> None:
        self._bounds = bounds
        self._methods = methods
        self._duration = duration
        self._active = active
        self._sizes = sizes
        self._disconnects = disconnects
        self._refusals = refusals
        self.counts_bytes = sizes is not None

    def begin(self, scope: Scope) -> RequestRecord:
        """Count the request as active and start its clock."""
        method = scheme = OTHER
        active = None
        try:
            method = self._methods.get(scope.get("method"), OTHER)
            scheme = scheme_label(scope.get("scheme"))
            active = self._bounds.child(self._active, (method, scheme))
            active.inc()
        except Exception:  # noqa: BLE001 -- metrics fail open
            active = None
            self._bounds.failures.note("active_requests")
        return RequestRecord(method, scheme, active, perf_counter())

    def end(
        self,
        record: RequestRecord,
        exchange: Exchange,
        *,
        status: object,
        error: str,
        left: str | None,
        sizes: tuple[int | None, int | None],
    ) -> None:
        """Record the request, once, when the last message of its response was sent or will never be.

        Args:
            record: What :meth:`begin` gave.
            exchange: The connection's record, which leads to the route.
            status: The status that was sent; None if there was none.
            error: The ``error_type``; empty to derive it from the status.
            left: In which phase the client left, or None.
            sizes: Body bytes read and sent; None for bytes that only the server saw.
        """
        elapsed = perf_counter() - record.begun
        bounds = self._bounds
        failed = bounds.failures.note
        if record.active is not None:
            try:
                record.active.dec()
            except Exception:  # noqa: BLE001 -- metrics fail open
                failed("active_requests")
        try:
            route = route_of(exchange) or UNMATCHED
            shown, error = _outcome(status, error, exchange)
            key = (record.method, route, shown, error, record.scheme)
        except Exception:  # noqa: BLE001 -- metrics fail open
            failed("labels")
            return
        try:
            bounds.child(self._duration, key).observe(elapsed)
        except Exception:  # noqa: BLE001 -- metrics fail open
            failed("request_duration")
        if self._sizes is not None:
            try:
                for family, size in zip(self._sizes, sizes, strict=True):
                    if size is not None:
                        bounds.child(family, key).observe(size)
            except Exception:  # noqa: BLE001 -- metrics fail open
                failed("body_sizes")
        if left is not None:
            try:
                bounds.child(self._disconnects, (route, left)).inc()
            except Exception:  # noqa: BLE001 -- metrics fail open
                failed("client_disconnects")
        if exchange.refusal is not None:
            count_refusal(bounds, self._refusals, exchange, "http")


class RequestRecord(NamedTuple):
    """What is known of a request at its beginning."""

    method: str
    scheme: str
    active: Any
    begun: float


class WebSocketRecorder:
    """Records WebSockets: the handshake's outcome, then the connection from accept to close.

    Args:
        bounds: The bound on series, and where failures are noted.
        active: Connections that are open.
        handshakes: Handshakes by outcome.
        duration: Seconds from accept to close.
        refusals: Refusals by reason.
    """

    __slots__ = ("_active", "_bounds", "_duration", "_handshakes", "_refusals")

    def __init__(
        self, bounds: Bounds, *, active: Family, handshakes: Family, duration: Family, refusals: Family
    ) -> None:
        self._bounds = bounds
        self._active = active
        self._handshakes = handshakes
        self._duration = duration
        self._refusals = refusals

    def handshake(self, exchange: Exchange, outcome: str, status: object = None) -> None:
        """Count a handshake that ended; `status` is what the client got, None for nothing."""
        try:
            route = route_of(exchange) or UNMATCHED
            shown = "" if status is None else status_label(status)
            self._bounds.child(self._handshakes, (route, outcome, shown)).inc()
        except Exception:  # noqa: BLE001 -- metrics fail open
            self._bounds.failures.note("websocket_handshakes")
        if exchange.refusal is not None:
            count_refusal(self._bounds, self._refusals, exchange, "websocket")

    def accepted(self, exchange: Exchange) -> OpenConnection:
        """Count the handshake and the connection as open, and start its clock."""
        self.handshake(exchange, "accepted", 101)
        route = UNMATCHED
        active = None
        try:
            route = route_of(exchange) or UNMATCHED
            active = self._bounds.child(self._active, (route,))
            active.inc()
        except Exception:  # noqa: BLE001 -- metrics fail open
            active = None
            self._bounds.failures.note("websocket_active")
        return OpenConnection(route, active, perf_counter())

    def closed(self, connection: OpenConnection, code: object) -> None:
        """Record a connection that ended; `code` is a close code, or a word where there was none."""
        elapsed = perf_counter() - connection.begun
        if connection.active is not None:
            try:
                connection.active.dec()
            except Exception:  # noqa: BLE001 -- metrics fail open
                self._bounds.failures.note("websocket_active")
        try:
            shown = code if isinstance(code, str) else close_code_label(code)
            self._bounds.child(self._duration, (connection.route, shown)).observe(elapsed)
        except Exception:  # noqa: BLE001 -- metrics fail open
            self._bounds.failures.note("websocket_duration")


class OpenConnection(NamedTuple):
    """What is known of a WebSocket at its accept."""

    route: str
    active: Any
    begun: float


def count_refusal(bounds: Bounds, refusals: Family, exchange: Exchange, protocol: str) -> None:
    """Count the refusal that answered this connection by its reason."""
    try:
        bounds.child(refusals, (exchange.refusal.reason, protocol)).inc()  # type: ignore[union-attr]
    except Exception:  # noqa: BLE001 -- metrics fail open
        bounds.failures.note("refusals")


def _outcome(status: object, error: str, exchange: Exchange) -> tuple[str, str]:
    """Give the labels ``http_response_status_code`` and ``error_type``."""
    if status is None:
        # Whoever left got nothing. For the rest the server answers 500, as all servers do without a response.
        return ("" if error in {CANCELLED, CLIENT_LEFT} else "500"), error
    shown = status_label(status)
    if not error and shown >= "5" and shown != OTHER:
        # The exception that the app answered: ours know it, and a framework answers while it handles it.
        cause = exchange.error or sys.exception()
        error = shown if cause is None else error_label(cause)
    return shown, error
