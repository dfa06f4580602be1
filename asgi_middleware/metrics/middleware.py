"""PrometheusMiddleware: its options, and what they choose. What is recorded where stands in ``recording.py``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from prometheus_client import REGISTRY, CollectorRegistry

from asgi_middleware._core.config import Problems
from asgi_middleware._core.paths import PathRules
from asgi_middleware._core.types import ASGIApp, Receive, Scope, Send
from asgi_middleware.metrics import definitions
from asgi_middleware.metrics.definitions import BOUNDS, Definition
from asgi_middleware.metrics.extras import LabelFunction, RequestMeasures
from asgi_middleware.metrics.families import Families, families_of
from asgi_middleware.metrics.family import Family
from asgi_middleware.metrics.flushing import is_multiprocess
from asgi_middleware.metrics.labels import known_methods
from asgi_middleware.metrics.lifespan import attend_lifespan
from asgi_middleware.metrics.multiprocess import check_directory
from asgi_middleware.metrics.options import (
    check_labels,
    check_namespace,
    check_registry,
    histogram_bounds,
    list_rules,
    literal_paths,
)
from asgi_middleware.metrics.presets import PRESETS, PresetName
from asgi_middleware.metrics.recording import RequestRecorder
from asgi_middleware.metrics.requests import RequestParts, serve
from asgi_middleware.metrics.websocket_recording import WebSocketFamilies, WebSocketRecorder
from asgi_middleware.metrics.websockets import measure_websockets

_Recorder = TypeVar("_Recorder")


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
        preset: Under whose names requests are recorded: "opentelemetry", or those of another library, so that
            dashboards survive: "fastapi-instrumentator", "starlette-exporter", "django".
        buckets: The upper bounds of the duration histograms, in seconds, ascending; None for the preset's, by default
            those that OpenTelemetry advises.
        body_sizes: Whether body bytes, both ways, are recorded. Off by default: it triples the series.
        size_buckets: The upper bounds of their histograms, in bytes, ascending; None for the preset's, by default 256
            bytes to 64 MiB.
        time_to_first_byte: Whether a histogram of the time to the response's head is recorded. Off by default: it
            doubles the series, and tells more than the duration only where responses are streamed.
        background: Whether a histogram of what the application does after its response is recorded.
        queue_time_header: The header in which a proxy stamps a request's arrival, such as "x-request-start"; None to
            record no queue times. Name it only where the proxy sets it: else clients do.
        timings: Whether the blocks of ``timing("name")`` are recorded in a histogram.
        websocket_messages: Whether WebSocket messages and their bytes are counted.
        loop_lag: Whether the event loop's lag is sampled, four times a second, from start-up to shut-down.
        labels: Own labels of the request families: each name with a function that takes the scope, after the
            application ran, and gives the value; or with None, where handlers give it by ``add_label``.
        max_label_values: How many values each own label may have in this process; further ones are ``_OTHER``.
        exemplars: Whether buckets keep the trace of one of their requests, at most one a second. Not across processes.
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

    __slots__ = ("_claim", "_handlers", "app", "exempts", "literals", "parts")

    def __init__(
        self,
        app: ASGIApp,
        *,
        registry: CollectorRegistry | None = None,
        namespace: str = "",
        preset: PresetName = "opentelemetry",
        buckets: Sequence[float] | None = None,
        body_sizes: bool = False,
        size_buckets: Sequence[float] | None = None,
        time_to_first_byte: bool = False,
        background: bool = False,
        queue_time_header: str | None = None,
        timings: bool = False,
        websocket_messages: bool = True,
        loop_lag: bool = False,
        labels: Mapping[str, LabelFunction | None] | None = None,
        max_label_values: int = 100,
        exemplars: bool = True,
        exclude_paths: Iterable[str | re.Pattern[str]] = ("/metrics", "/metrics/"),
        max_series: int = 2000,
    ) -> None:
        problems = Problems(type(self).__name__)
        self.app = app
        registry = REGISTRY if registry is None else registry
        check_registry(registry, problems)
        check_namespace(namespace, problems)
        chosen = PRESETS[preset if problems.one_of("preset", preset, PRESETS) else "opentelemetry"]
        bounds = {**BOUNDS, **chosen.bounds}
        if buckets is not None:
            bounds["seconds"] = histogram_bounds("buckets", buckets, problems)
        if size_buckets is not None:
            bounds["bytes"] = histogram_bounds("size_buckets", size_buckets, problems)
        for option, value in (
            ("body_sizes", body_sizes),
            ("time_to_first_byte", time_to_first_byte),
            ("background", background),
            ("timings", timings),
            ("websocket_messages", websocket_messages),
            ("loop_lag", loop_lag),
            ("exemplars", exemplars),
        ):
            problems.boolean(option, value)
        header = b"" if queue_time_header is None else problems.header_name("queue_time_header", queue_time_header)
        own_labels = check_labels({} if labels is None else labels, chosen, problems)
        problems.integer("max_label_values", max_label_values, minimum=1)
        excluded = list_rules(exclude_paths)
        self.exempts = PathRules(excluded, problems=problems).exempts
        problems.integer("max_series", max_series, minimum=1)
        check_directory(problems, recording=True)
        problems.raise_if_any()  # before anything is registered
        self.literals = literal_paths(excluded)

        families = families_of(registry, namespace, problems)

        def family(definition: Definition, own: tuple[str, ...] = ()) -> Family:
            return families.open(registry, definition, bounds, problems, own)

        def optional(definition: Definition, *, wanted: bool) -> Family | None:
            return family(definition) if wanted else None

        refusals = family(definitions.REFUSALS)
        requested = (
            *chosen.requests,
            *(chosen.sizes if body_sizes else ()),
            *((definitions.TIME_TO_FIRST_BYTE,) if time_to_first_byte else ()),
        )
        names = {each: tuple(own_labels) if each.facts else () for each in requested}
        requests = [(family(each, own), len(own)) for each, own in names.items()]
        active = family(chosen.active)
        figures = {each.figure for each in requested}
        several = background or timings or header != b"" or not figures <= {"seconds", "requests"}
        methods = known_methods()
        recorder = _shared(
            families,
            (preset, several, max_series, tuple(methods), *((each.name, each.labels) for each, _ in requests)),
            lambda: RequestRecorder(
                families,
                active=active,
                requests=requests,
                methods=methods,
                other_method=chosen.other_method,
                max_series=max_series,
                several=several,
            ),
        )
        measures = RequestMeasures(
            recorder=recorder,
            unmatched=chosen.unmatched,
            max_series=max_series,
            disconnects=family(definitions.CLIENT_DISCONNECTS),
            refusals=refusals,
            queue=optional(definitions.QUEUE_DURATION, wanted=queue_time_header is not None),
            queue_header=header,
            background=optional(definitions.BACKGROUND_DURATION, wanted=background),
            spans=optional(definitions.SPANS, wanted=timings),
            own_labels=[
                (families.own_label(registry, name, max_label_values), function)
                for name, function in own_labels.items()
            ],
            counts_bytes=not figures.isdisjoint({"bytes_read", "bytes_written"}),
            exemplars=exemplars and not is_multiprocess(),
        )
        websockets = WebSocketFamilies(
            active=family(definitions.WEBSOCKET_ACTIVE),
            handshakes=family(definitions.WEBSOCKET_HANDSHAKES),
            duration=family(definitions.WEBSOCKET_DURATION),
            refusals=refusals,
            messages=optional(definitions.WEBSOCKET_MESSAGES, wanted=websocket_messages),
            bytes=optional(definitions.WEBSOCKET_BYTES, wanted=websocket_messages),
        )
        lag = optional(definitions.LOOP_LAG, wanted=loop_lag)
        problems.raise_if_any()
        websocket_recorder = _shared(
            families,
            ("websocket", websocket_messages, max_series),
            lambda: WebSocketRecorder(families, websockets, max_series=max_series),
        )
        self._claim = families.claim  # by which check_order tells copies from instances on different registries
        self.parts = RequestParts(app, families, measures)
        handlers = {"websocket": measure_websockets(app, families, websocket_recorder)}
        if lag is not None or is_multiprocess():
            handlers["lifespan"] = attend_lifespan(app, families, lag)
        self._handlers: dict[str, ASGIApp] = handlers

    __call__ = serve

    async def others(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what is no request; everything but WebSockets passes untouched, the lifespan where nothing needs it."""
        handler = self._handlers.get(scope["type"], self.app)
        if handler is not self.app and self.exempts(scope):
            handler = self.app
        await handler(scope, receive, send)


def _shared(families: Families, key: tuple[object, ...], make: Callable[[], _Recorder]) -> _Recorder:
    """Give the recorder that instances with the same options share, so that a stack built again adds none."""
    with families.lock:
        recorder: _Recorder | None = families.recorders.get(key)
        if recorder is None:
            recorder = families.recorders[key] = make()
        return recorder
