"""PrometheusMiddleware: the ASGI shell. What is recorded where stands in ``recording.py``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from prometheus_client import REGISTRY, CollectorRegistry

from asgi_middleware._core.config import Problems
from asgi_middleware._core.exchange import Exchange, enter
from asgi_middleware._core.messages import ends_response
from asgi_middleware._core.paths import PathRules
from asgi_middleware._core.types import ASGIApp, Message, Receive, Scope, Send
from asgi_middleware.metrics import families as definitions
from asgi_middleware.metrics.families import Definition, Family, families_of
from asgi_middleware.metrics.labels import CANCELLED, known_methods
from asgi_middleware.metrics.messages import add_size, phase_of, raised_outcome, returned_outcome
from asgi_middleware.metrics.multiprocess import check_directory
from asgi_middleware.metrics.options import check_namespace, check_registry, histogram_bounds
from asgi_middleware.metrics.recording import Bounds, OpenConnection, RequestRecorder, WebSocketRecorder

DURATION_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
SIZE_BUCKETS: Final = (256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 16777216.0, 67108864.0)
LIFETIME_BUCKETS: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0)


class PrometheusMiddleware:
    """Measure every request and WebSocket for Prometheus, under the names of OpenTelemetry's HTTP conventions.

    Put it outermost, around the whole application: only there does it see refusals by other middleware and exceptions
    that nobody handled. Added with ``app.add_middleware`` it stands inside the framework's own error handling.

    No label holds anything of a client's choosing: routes are templates, unknown methods share one value, and
    `max_series` bounds the rest. Nothing it does can change or break a response; its failures are counted in
    ``asgi_middleware_metrics_errors_total``.

    Example::

        from asgi_middleware import MetricsEndpoint, PrometheusMiddleware


        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"hello"})


        app = MetricsEndpoint(PrometheusMiddleware(app))  # GET /metrics

    Args:
        app: The ASGI application.
        registry: The registry to record in; None for prometheus_client's default. Instances may share one.
        namespace: Put before every name, with an underscore; empty for none.
        buckets: The upper bounds of the duration histogram, in seconds, ascending; by default those that OpenTelemetry
            advises.
        body_sizes: Whether histograms of body bytes, both ways, are recorded. Off by default: it triples the series.
        size_buckets: Their upper bounds, in bytes, ascending.
        exclude_paths: What is passed through unrecorded, as path rules; relative to the root path. The scrape itself by
            default.
        max_series: How many label sets one family may have in this process, at least 1. Further ones share one series,
            whose labels are all ``_OTHER``, and are counted in ``asgi_middleware_metrics_overflow_total``. The default
            holds an API of some 200 routes, and a scrape of it still takes less than a second.

    Raises:
        ConfigurationError: An option is wrong, the registry holds other metrics of these names, or
            ``PROMETHEUS_MULTIPROC_DIR`` cannot be used.

    Source: OpenTelemetry semantic conventions, "HTTP metrics"; Prometheus, "Metric and label naming".
    """

    __slots__ = ("_claim", "_exclude", "_failures", "_requests", "_websockets", "app")

    def __init__(
        self,
        app: ASGIApp,
        *,
        registry: CollectorRegistry | None = None,
        namespace: str = "",
        buckets: Sequence[float] = DURATION_BUCKETS,
        body_sizes: bool = False,
        size_buckets: Sequence[float] = SIZE_BUCKETS,
        exclude_paths: Iterable[str | re.Pattern[str]] = ("/metrics", "/metrics/"),
        max_series: int = 2000,
    ) -> None:
        problems = Problems(type(self).__name__)
        self.app = app
        registry = REGISTRY if registry is None else registry
        check_registry(registry, problems)
        check_namespace(namespace, problems)
        bounds = {
            "seconds": histogram_bounds("buckets", buckets, problems),
            "bytes": histogram_bounds("size_buckets", size_buckets, problems),
            "lifetime": LIFETIME_BUCKETS,
        }
        problems.boolean("body_sizes", body_sizes)
        self._exclude = PathRules(exclude_paths, problems=problems)
        problems.integer("max_series", max_series, minimum=1)
        check_directory(problems, recording=True)
        problems.raise_if_any()  # before anything is registered

        families = families_of(registry, namespace, problems)

        def family(definition: Definition) -> Family:
            return families.open(registry, definition, bounds, problems)

        self._claim = f"metrics {id(families)}"
        self._failures = families.failures
        shared = Bounds(max_series, families.overflow, families.failures)
        refusals = family(definitions.REFUSALS)
        sizes = (definitions.REQUEST_BODY_SIZE, definitions.RESPONSE_BODY_SIZE)
        self._requests = RequestRecorder(
            shared,
            methods=known_methods(),
            duration=family(definitions.REQUEST_DURATION),
            active=family(definitions.ACTIVE_REQUESTS),
            sizes=(family(sizes[0]), family(sizes[1])) if body_sizes else None,
            disconnects=family(definitions.CLIENT_DISCONNECTS),
            refusals=refusals,
        )
        self._websockets = WebSocketRecorder(
            shared,
            active=family(definitions.WEBSOCKET_ACTIVE),
            handshakes=family(definitions.WEBSOCKET_HANDSHAKES),
            duration=family(definitions.WEBSOCKET_DURATION),
            refusals=refusals,
        )
        problems.raise_if_any()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Measure one connection; everything but HTTP and WebSocket passes untouched."""
        kind = scope["type"]
        if kind not in {"http", "websocket"} or (self._exclude and self._exclude.exempts(scope)):
            await self.app(scope, receive, send)
            return
        scope, exchange = enter(scope)
        if not exchange.claim(self._claim):
            await self.app(scope, receive, send)  # a copy further out, on the same registry, records it
            return
        first = exchange.follow(scope)
        try:
            if kind == "http":
                await self._http(scope, receive, send, exchange)
            else:
                await self._websocket(scope, receive, send, exchange)
        finally:
            if first:
                exchange.scope = None

    # Closures over local names, in place of an object with methods for every request.
    async def _http(  # noqa: C901, PLR0915 -- two short closures and the ends of a request, which belong together
        self, scope: Scope, receive: Receive, send: Send, exchange: Exchange
    ) -> None:
        recorder = self._requests
        counts_bytes = recorder.counts_bytes
        failures = self._failures
        status: Any = None
        left: str | None = None
        read: int | None = 0
        written: int | None = 0
        trailers = complete = ended = False
        record = recorder.begin(scope)

        def end(error: str = "") -> None:
            nonlocal ended
            ended = True
            recorder.end(record, exchange, status=status, error=error, left=left, sizes=(read, written))

        async def receive_wrapper() -> Message:
            nonlocal left, read
            message = await receive()
            if not ended:
                try:
                    kind = message["type"]
                    if kind == "http.disconnect":
                        # Some servers tell a waiting receive of the end while the last message is still being sent.
                        left = left if complete else phase_of(status)
                    elif counts_bytes:
                        read = add_size(read, kind, message)
                except Exception:  # noqa: BLE001 -- metrics fail open
                    failures.note("message")
            return message

        async def send_wrapper(message: Message) -> None:
            nonlocal status, left, written, trailers, complete
            kind, last = "", False
            try:
                kind = message["type"]
                last = ends_response(message, trailers=trailers)
                complete = complete or last
            except Exception:  # noqa: BLE001 -- metrics fail open
                failures.note("message")
            try:
                await send(message)
            except OSError:
                # One way to learn that the client is gone (ASGI HTTP specification 2.4). Other servers return silently;
                # there the app's own receive tells. It is never polled: that would take messages from the app.
                if not ended:
                    left = phase_of(status)
                raise
            if ended:
                return
            try:
                if kind == "http.response.start":
                    status = message["status"]
                    trailers = bool(message.get("trailers", False))
                    return
                if counts_bytes:
                    written = add_size(written, kind, message)
                if last:
                    end()
            except Exception:  # noqa: BLE001 -- metrics fail open
                failures.note("message")

        try:
            await self.app(scope, receive_wrapper, send_wrapper)
        except BaseException as raised:
            if not ended:
                try:
                    error, left = raised_outcome(raised, left)
                    end(error)
                except Exception:  # noqa: BLE001 -- metrics fail open
                    failures.note("message")
            raise
        if not ended:
            end(returned_outcome(status, left))

    async def _websocket(  # noqa: C901 -- as above
        self, scope: Scope, receive: Receive, send: Send, exchange: Exchange
    ) -> None:
        recorder = self._websockets
        failures = self._failures
        connection: OpenConnection | None = None
        ended = False

        def end(outcome: str, code: object, status: object = None) -> None:
            """End the handshake with an outcome and a status, or the open connection with a code."""
            nonlocal ended
            ended = True
            if connection is None:
                recorder.handshake(exchange, outcome, status)
            else:
                recorder.closed(connection, code)

        async def receive_wrapper() -> Message:
            message = await receive()
            if not ended:
                try:
                    if message["type"] == "websocket.disconnect":
                        end("disconnected", message.get("code"))
                except Exception:  # noqa: BLE001 -- metrics fail open
                    failures.note("message")
            return message

        async def send_wrapper(message: Message) -> None:
            nonlocal connection
            try:
                await send(message)
            except OSError:
                if not ended:
                    end("disconnected", 1006)
                raise
            if ended:
                return
            try:
                kind = message["type"]
                if kind == "websocket.accept":
                    connection = recorder.accepted(exchange)
                elif kind == "websocket.close":
                    end("rejected", message.get("code", 1000), 403)  # what servers answer to a close before the accept
                elif kind == "websocket.http.response.start":
                    end("denied", None, message["status"])
            except Exception:  # noqa: BLE001 -- metrics fail open
                failures.note("message")

        try:
            await self.app(scope, receive_wrapper, send_wrapper)
        except BaseException as raised:
            if not ended:
                failed = isinstance(raised, Exception)
                end(*("error", 1011, 500) if failed else (CANCELLED, CANCELLED))
            raise
        if not ended:
            end("error", "unclosed", 500)
