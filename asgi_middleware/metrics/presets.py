"""Presets: which families hold the requests, under whose names.

A preset other than our own keeps dashboards and alerts alive over a change of library: the same names and labels, with
the values that this library finds. Where the other library's value is unbounded, ours is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

from asgi_middleware.metrics import definitions as own
from asgi_middleware.metrics.definitions import Definition

PresetName: TypeAlias = Literal["opentelemetry", "fastapi-instrumentator", "starlette-exporter", "django"]


class Preset(NamedTuple):
    """The families of requests.

    Attributes:
        requests: What is always recorded.
        active: The gauge of requests under way.
        sizes: What is recorded with ``body_sizes``, besides.
        unmatched: The route of a request that matched none.
        other_method: The method that stands for all unknown ones.
        bounds: The histograms' bounds, where they are not those of ``definitions.BOUNDS``.
    """

    requests: tuple[Definition, ...]
    active: Definition
    sizes: tuple[Definition, ...] = ()
    unmatched: str = ""
    other_method: str = "_OTHER"
    bounds: Mapping[str, tuple[float, ...]] = {}


_OPENTELEMETRY: Final = Preset(
    (own.REQUEST_DURATION,), own.ACTIVE_REQUESTS, (own.REQUEST_BODY_SIZE, own.RESPONSE_BODY_SIZE)
)

_HANDLER: Final = ("handler",)
_ROUTE: Final = ("route",)
_FASTAPI_INSTRUMENTATOR: Final = Preset(
    requests=(
        Definition(
            "counter",
            "http_requests",
            ("method", "status", "handler"),
            "Requests by method, class of status and route.",
            figure="requests",
            facts=("method", "status_class", "route"),
        ),
        Definition(
            "histogram",
            "http_request_duration_highr_seconds",
            (),
            "Request durations in many buckets.",
            "many",
            "seconds",
        ),
        Definition(
            "histogram",
            "http_request_duration_seconds",
            ("method", "handler"),
            "Request durations in few buckets.",
            "seconds",
            "seconds",
            ("method", "route"),
        ),
        Definition(
            "summary",
            "http_request_size_bytes",
            _HANDLER,
            "Request body bytes that the application read.",
            figure="bytes_read",
            facts=_ROUTE,
        ),
        Definition(
            "summary",
            "http_response_size_bytes",
            _HANDLER,
            "Response body bytes that were sent.",
            figure="bytes_written",
            facts=_ROUTE,
        ),
    ),
    active=Definition("gauge", "http_requests_inprogress", (), "Requests whose response is not complete yet."),
    unmatched="none",
    bounds={
        "seconds": (0.1, 0.5, 1.0),
        "many": (
            *(0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0),
            *(2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 7.5, 10.0, 30.0, 60.0),
        ),
    },
)

_STARLETTE_LABELS: Final = ("method", "path", "status_code", "app_name")
_STARLETTE_FACTS: Final = ("method", "route", "status", "=starlette")
_STARLETTE_EXPORTER: Final = Preset(
    requests=(
        Definition(
            "counter",
            "starlette_requests",
            _STARLETTE_LABELS,
            "Requests by method, route and status.",
            figure="requests",
            facts=_STARLETTE_FACTS,
        ),
        Definition(
            "histogram",
            "starlette_request_duration_seconds",
            _STARLETTE_LABELS,
            "Time from the request's arrival to the last message of its response.",
            "seconds",
            "seconds",
            _STARLETTE_FACTS,
        ),
    ),
    active=Definition(
        "gauge",
        "starlette_requests_in_progress",
        ("method", "app_name"),
        "Requests whose response is not complete yet.",
        facts=("method", "=starlette"),
    ),
    sizes=(
        Definition(
            "counter",
            "starlette_request_body_bytes",
            _STARLETTE_LABELS,
            "Request body bytes that the application read.",
            figure="bytes_read",
            facts=_STARLETTE_FACTS,
        ),
        Definition(
            "counter",
            "starlette_response_body_bytes",
            _STARLETTE_LABELS,
            "Response body bytes that were sent.",
            figure="bytes_written",
            facts=_STARLETTE_FACTS,
        ),
    ),
    unmatched="__unknown__",
    bounds={"seconds": (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)},
)


def _counts(name: str, labels: tuple[str, ...], facts: tuple[str, ...], text: str, only_if: str = "") -> Definition:
    return Definition("counter", name, labels, text, figure="requests", facts=facts, only_if=only_if)


_POWERS_OF_TWO: Final = tuple(float(2**power) for power in range(30))
_DJANGO: Final = Preset(
    requests=(
        _counts("django_http_requests_before_middlewares", (), (), "Requests."),
        _counts("django_http_responses_before_middlewares", (), (), "Responses."),
        Definition(
            "histogram",
            "django_http_requests_latency_including_middlewares_seconds",
            (),
            "Time from the request's arrival to the last message of its response.",
            "seconds",
            "seconds",
        ),
        Definition(
            "histogram",
            "django_http_requests_latency_seconds_by_view_method",
            ("view", "method"),
            "The same by route and method.",
            "seconds",
            "seconds",
            ("route", "method"),
        ),
        _counts("django_http_requests_total_by_method", ("method",), ("method",), "Requests by method."),
        _counts("django_http_requests_total_by_transport", ("transport",), ("scheme",), "Requests by scheme."),
        _counts(
            "django_http_requests_total_by_view_transport_method",
            ("view", "transport", "method"),
            ("route", "scheme", "method"),
            "Requests by route, scheme and method.",
        ),
        _counts("django_http_responses_total_by_status", ("status",), ("status",), "Responses by status."),
        _counts(
            "django_http_responses_total_by_status_view_method",
            ("status", "view", "method"),
            ("status", "route", "method"),
            "Responses by status, route and method.",
        ),
        _counts("django_http_exceptions_total_by_type", ("type",), ("exception",), "Exceptions by class.", "exception"),
        _counts("django_http_exceptions_total_by_view", ("view",), ("route",), "Exceptions by route.", "exception"),
    ),
    active=own.ACTIVE_REQUESTS,
    sizes=(
        Definition(
            "histogram",
            "django_http_requests_body_total_bytes",
            (),
            "Request body bytes that the application read.",
            "bytes",
            "bytes_read",
        ),
        Definition(
            "histogram",
            "django_http_responses_body_total_bytes",
            (),
            "Response body bytes that were sent.",
            "bytes",
            "bytes_written",
        ),
    ),
    unmatched="<unnamed view>",
    other_method="<invalid method>",
    bounds={
        "seconds": (
            *(0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0),
            *(2.5, 5.0, 7.5, 10.0, 25.0, 50.0, 75.0),
        ),
        "bytes": _POWERS_OF_TWO,
    },
)

PRESETS: Final[dict[str, Preset]] = {
    "opentelemetry": _OPENTELEMETRY,
    "fastapi-instrumentator": _FASTAPI_INSTRUMENTATOR,
    "starlette-exporter": _STARLETTE_EXPORTER,
    "django": _DJANGO,
}
