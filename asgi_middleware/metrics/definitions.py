"""What is measured: each family's name, kind, labels and words. The page about the metrics is checked against this.

A request is described by *facts* (its method, route, status and so on). A family of requests names, for each of its
labels, the fact that fills it, and the figure of a request that it holds. So another library's families are another
table, and cost a request nothing more.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["counter", "gauge", "histogram", "summary"]
Figure: TypeAlias = Literal["", "requests", "seconds", "first_byte", "bytes_read", "bytes_written"]


class Definition(NamedTuple):
    """What one family is called, means, and is labelled with."""

    kind: Kind
    name: str
    labels: tuple[str, ...]
    help: str
    buckets: str = ""
    """Which bounds a histogram has: a key of ``BOUNDS`` or of a preset's."""
    figure: Figure = ""
    """For families of requests: which figure of a request is recorded."""
    facts: tuple[str, ...] = ()
    """For families of requests: the fact behind each label."""
    only_if: str = ""
    """For families of requests: a fact without which nothing is recorded."""

    @property
    def full_name(self) -> str:
        """The name of the family's series; a histogram adds ``_bucket``, ``_count`` and ``_sum``."""
        return f"{self.name}_total" if self.kind == "counter" else self.name

    @property
    def unit(self) -> str:
        """The unit that the name ends with (OpenMetrics 1.0, "Unit"); empty for none."""
        ending = self.name.rpartition("_")[2]
        return ending if ending in {"seconds", "bytes"} else ""


DURATION_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
SIZE_BUCKETS: Final = (256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 16777216.0, 67108864.0)
BOUNDS: Final[dict[str, tuple[float, ...]]] = {
    "seconds": DURATION_BUCKETS,
    "bytes": SIZE_BUCKETS,
    "lifetime": (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0),
    "lag": (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
    "background": (0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0),
}

_REQUEST: Final = ("http_request_method", "http_route", "http_response_status_code", "error_type", "url_scheme")
_REQUEST_FACTS: Final = ("method", "route", "status", "error", "scheme")

REQUEST_DURATION: Final = Definition(
    "histogram",
    "http_server_request_duration_seconds",
    _REQUEST,
    "Time from the request's arrival to the last message of its response.",
    "seconds",
    "seconds",
    _REQUEST_FACTS,
)
ACTIVE_REQUESTS: Final = Definition(
    "gauge",
    "http_server_active_requests",
    ("http_request_method", "url_scheme"),
    "Requests whose response is not complete yet.",
    facts=("method", "scheme"),
)
REQUEST_BODY_SIZE: Final = Definition(
    "histogram",
    "http_server_request_body_size_bytes",
    _REQUEST,
    "Request body bytes that the application read.",
    "bytes",
    "bytes_read",
    _REQUEST_FACTS,
)
RESPONSE_BODY_SIZE: Final = Definition(
    "histogram",
    "http_server_response_body_size_bytes",
    _REQUEST,
    "Response body bytes that were sent.",
    "bytes",
    "bytes_written",
    _REQUEST_FACTS,
)
TIME_TO_FIRST_BYTE: Final = Definition(
    "histogram",
    "http_server_time_to_first_byte_seconds",
    _REQUEST,
    "Time from the request's arrival to the head of its response.",
    "seconds",
    "first_byte",
    _REQUEST_FACTS,
)
CLIENT_DISCONNECTS: Final = Definition(
    "counter",
    "http_server_client_disconnects",
    ("http_route", "phase"),
    "Requests whose client left, or that were cancelled, before the response was complete.",
)
QUEUE_DURATION: Final = Definition(
    "histogram",
    "http_server_queue_duration_seconds",
    (),
    "Time from the proxy's stamp on a request to its arrival here.",
    "seconds",
)
BACKGROUND_DURATION: Final = Definition(
    "histogram",
    "http_server_background_duration_seconds",
    ("http_route",),
    "Time from the last message of a response to the application's return.",
    "background",
)
SPANS: Final = Definition(
    "histogram",
    "asgi_middleware_timing_seconds",
    ("http_route", "name"),
    'Time that a request spent in timing("name"), added up.',
    "seconds",
)
REFUSALS: Final = Definition(
    "counter",
    "asgi_middleware_refusals",
    ("reason", "protocol"),
    "Requests and WebSockets that a middleware of this library refused.",
)
WEBSOCKET_ACTIVE: Final = Definition(
    "gauge", "websocket_server_active_connections", ("http_route",), "WebSockets that are accepted and not closed."
)
WEBSOCKET_HANDSHAKES: Final = Definition(
    "counter",
    "websocket_server_handshakes",
    ("http_route", "outcome", "http_response_status_code"),
    "WebSocket handshakes by their outcome.",
)
WEBSOCKET_DURATION: Final = Definition(
    "histogram",
    "websocket_server_connection_duration_seconds",
    ("http_route", "code"),
    "Time from a WebSocket's accept to its close.",
    "lifetime",
)
WEBSOCKET_MESSAGES: Final = Definition(
    "counter", "websocket_server_messages", ("http_route", "direction"), "WebSocket messages by their direction."
)
WEBSOCKET_BYTES: Final = Definition(
    "counter",
    "websocket_server_message_bytes",
    ("http_route", "direction"),
    "Bytes in WebSocket messages, those of text in UTF-8.",
)
LOOP_LAG: Final = Definition(
    "histogram",
    "asgi_middleware_event_loop_lag_seconds",
    (),
    "How much later than asked for the event loop ran a timer.",
    "lag",
)
OVERFLOW: Final = Definition(
    "counter",
    "asgi_middleware_metrics_overflow",
    ("metric",),
    "Recordings that went to the overflow series, since their label set was one too many.",
)
LABEL_OVERFLOW: Final = Definition(
    "counter",
    "asgi_middleware_metrics_label_overflow",
    ("label",),
    "Values of an own label that were given as _OTHER, since they were one too many.",
)
ERRORS: Final = Definition(
    "counter",
    "asgi_middleware_metrics_errors",
    ("site",),
    "Failures to record, by where; the request went on undisturbed.",
)

DEFINITIONS: Final = (
    REQUEST_DURATION,
    ACTIVE_REQUESTS,
    REQUEST_BODY_SIZE,
    RESPONSE_BODY_SIZE,
    TIME_TO_FIRST_BYTE,
    CLIENT_DISCONNECTS,
    QUEUE_DURATION,
    BACKGROUND_DURATION,
    SPANS,
    REFUSALS,
    WEBSOCKET_ACTIVE,
    WEBSOCKET_HANDSHAKES,
    WEBSOCKET_DURATION,
    WEBSOCKET_MESSAGES,
    WEBSOCKET_BYTES,
    LOOP_LAG,
    OVERFLOW,
    LABEL_OVERFLOW,
    ERRORS,
)
