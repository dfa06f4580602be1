"""What a request is measured for besides its duration: each function guards itself, for metrics fail open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import time
from typing import NamedTuple, TypeAlias

from asgi_middleware._core.exchange import Exchange
from asgi_middleware._core.headers import find
from asgi_middleware._core.routes import route_of
from asgi_middleware._core.types import Scope
from asgi_middleware.metrics.exemplars import PAUSE_SECONDS, trace_labels
from asgi_middleware.metrics.family import Family
from asgi_middleware.metrics.labels import OwnLabel, clean_value
from asgi_middleware.metrics.queue_time import queued_seconds
from asgi_middleware.metrics.recording import Line, RequestRecorder

LabelFunction: TypeAlias = Callable[[Scope], object]
Failed: TypeAlias = Callable[[str], None]


class RequestMeasures(NamedTuple):
    """What one instance measures of its requests.

    Attributes:
        recorder: Where durations, sizes and the like go.
        unmatched: The route label of a request that matched none.
        max_series: The bound of each family.
        disconnects: Clients that left.
        refusals: Refusals by reason.
        queue: The family of queue times, or None.
        queue_header: The header that the proxy stamps.
        background: The family of background times, or None.
        spans: The family of ``timing`` blocks, or None.
        own_labels: Each own label with the function that gives its value, or None where handlers do.
        counts_bytes: Whether bytes are counted.
        exemplars: Whether exemplars are kept.
    """

    recorder: RequestRecorder
    unmatched: str
    max_series: int
    disconnects: Family
    refusals: Family
    queue: Family | None
    queue_header: bytes
    background: Family | None
    spans: Family | None
    own_labels: Sequence[tuple[OwnLabel, LabelFunction | None]]
    counts_bytes: bool
    exemplars: bool


def own_values(
    own_labels: Sequence[tuple[OwnLabel, LabelFunction | None]], exchange: Exchange, failed: Failed
) -> tuple[str, ...]:
    """Give the values of own labels: what a handler added, else what the label's function says."""
    added = exchange.copy_labels()
    values = []
    for label, function in own_labels:
        try:
            given = added.get(label.name)
            if given is None and function is not None:
                given = function(exchange.scope)
            values.append(label.value(given))
        except Exception:  # noqa: BLE001 -- metrics fail open
            failed("own_labels")
            values.append("")
    return tuple(values)


def attach_exemplar(line: Line, exchange: Exchange, seconds: float, now: float) -> None:
    """Keep the request as the exemplar of its bucket, if its trace is recorded."""
    labels = trace_labels(exchange.scope, exchange)
    if labels is None:
        return
    line.exemplar_due = now + PAUSE_SECONDS
    for family, series, figure in line.targets:
        if figure == "seconds" and family.bounds:
            series.attach(seconds, labels, time())


def record_ending(failed: Failed, measures: RequestMeasures, route: str, exchange: Exchange, left: str | None) -> None:
    """Count the client that left, and the refusal that answered."""
    if left is not None:
        try:
            measures.disconnects.add((route, left), measures.max_series)
        except Exception:  # noqa: BLE001 -- metrics fail open
            failed("client_disconnects")
    if exchange.refusal is not None:
        count_refusal(failed, measures.refusals, measures.max_series, exchange, "http")


def count_refusal(failed: Failed, refusals: Family, max_series: int, exchange: Exchange, protocol: str) -> None:
    """Count the refusal that answered this connection by its reason."""
    try:
        refusals.add((exchange.refusal.reason, protocol), max_series)  # type: ignore[union-attr]
    except Exception:  # noqa: BLE001 -- metrics fail open
        failed("refusals")


def record_queue(failed: Failed, queue: Family, header: bytes, scope: Scope) -> None:
    """Record how long the request waited between the proxy and here."""
    try:
        value = find(scope.get("headers") or (), header)
        if value is not None:
            waited = queued_seconds(value, time())
            if waited is not None:
                queue.series(()).observe(waited)
    except Exception:  # noqa: BLE001 -- metrics fail open
        failed("queue_time")


def record_background(failed: Failed, measures: RequestMeasures, exchange: Exchange, seconds: float) -> None:
    """Record how long the application went on after its response."""
    try:
        if exchange.measured and measures.background is not None:
            route = route_of(exchange) or measures.unmatched
            measures.background.observe((route,), measures.max_series, seconds)
    except Exception:  # noqa: BLE001 -- metrics fail open
        failed("background")


def record_spans(failed: Failed, spans: Family, max_series: int, route: str, exchange: Exchange) -> None:
    """Record the times of ``timing`` blocks so far."""
    try:
        for name, seconds in exchange.timings.items():
            spans.observe((route, clean_value(name)), max_series, seconds)
    except Exception:  # noqa: BLE001 -- metrics fail open
        failed("timings")
