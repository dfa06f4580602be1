"""Rendering, compared with prometheus_client's own encoders: the same metrics, read by strict parsers."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Metric, Summary, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from asgi_middleware.metrics import PrometheusMiddleware
from asgi_middleware.metrics.pauses import AT_ONCE, pause
from asgi_middleware.metrics.rendering import Rendering
from asgi_middleware.metrics.series import Exemplar, Snapshot
from asgi_middleware.metrics.table import TableMetric
from asgi_middleware.testing.driver import http

TEXT = st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace").decode())
NUMBER = st.floats(min_value=0, max_value=1e18)
COUNT = st.integers(min_value=0, max_value=2**50)
BOUNDS = (0.005, 0.5, 10.0)


@st.composite
def metrics(draw: Any) -> TableMetric:
    """Give a metric of any kind, with awkward words in it."""
    kind = draw(st.sampled_from(["counter", "gauge", "histogram", "summary"]))
    labels = tuple(draw(st.lists(st.sampled_from(["method", "a", "zone", "route"]), max_size=3, unique=True)))
    number = {"histogram": len(BOUNDS) + 1, "summary": 1}.get(kind, 0)
    bounds = BOUNDS if kind == "histogram" else ()
    snapshots = []
    for values in draw(st.sets(st.tuples(*[TEXT] * len(labels)), max_size=4)):
        exemplars = {}
        if kind == "histogram" and draw(st.booleans()):
            trace_id = draw(TEXT).replace('"', "'")  # over which the parser stumbles in an exemplar
            exemplars = {draw(st.integers(0, 3)): Exemplar({"trace_id": trace_id, "a": "%d"}, 0.25, 1700000000.5)}
        counts = tuple(draw(st.lists(COUNT, min_size=number, max_size=number)))
        snapshots.append(Snapshot(values, draw(NUMBER), counts, exemplars))
    return TableMetric(
        "things_seconds", draw(TEXT), kind, unit="seconds", labels=labels, bounds=bounds, snapshots=snapshots
    )


class Registry:
    """A registry of such metrics."""

    def __init__(self, *metrics: Metric) -> None:
        self.metrics = metrics

    def collect(self) -> tuple[Metric, ...]:
        return self.metrics


@pytest.mark.parametrize("openmetrics", [False, True])
@settings(max_examples=80, deadline=None)
@given(metric=metrics())
def test_the_same_as_the_usual_encoders(openmetrics: bool, metric: TableMetric) -> None:
    """Whatever the numbers, labels and words are, it reads the same as what prometheus_client writes."""
    rendering = Rendering(openmetrics=openmetrics)
    parse, usual = (parse_openmetrics, generate_openmetrics) if openmetrics else (parse_text, generate_latest)
    for _ in range(2):  # the second time from what was kept
        ours = rendering.render(Registry(metric)).decode()
        assert list(parse(ours)) == list(parse(usual(Registry(metric)).decode()))


@pytest.mark.parametrize("openmetrics", [False, True])
def test_beside_other_collectors(openmetrics: bool) -> None:
    """Metrics of prometheus_client, of every kind, stand beside ours, and the end stands once."""
    registry = CollectorRegistry()
    Counter("a", "Things.\nOn two lines \\ with a backslash.", ["which"], registry=registry).labels('a"\n\\é').inc()
    Gauge("b", "Level.", registry=registry).set(2.5)
    Histogram("c_seconds", "Time.", registry=registry).observe(1)
    Summary("d", "Sizes.", registry=registry).observe(1)
    Info("e", "Build.", registry=registry).info({"version": "1"})
    Enum("f", "State.", states=["on", "off"], registry=registry)
    snapshots = [Snapshot((), 3.0, (), {})]
    other = TableMetric("g", "Ours.", "counter", labels=(), bounds=(), snapshots=snapshots)
    both = Registry(*registry.collect(), other)
    ours = Rendering(openmetrics=openmetrics).render(both).decode()
    usual = generate_openmetrics(both) if openmetrics else generate_latest(both)
    assert ours == usual.decode()
    assert ours.count("# EOF") == openmetrics


def test_what_utf8_cannot_hold() -> None:
    """A label with a lone surrogate is written with a replacement, and fails no scrape."""
    snapshots = [Snapshot(("\udce9",), 1.0, (), {})]
    metric = TableMetric("g", "Ours.", "gauge", labels=("name",), bounds=(), snapshots=snapshots)
    assert b'g{name="?"} 1.0' in Rendering(openmetrics=True).render(Registry(metric))


def test_names_that_need_quotes() -> None:
    """A metric whose name is not plain is left to prometheus_client, which knows how to write it."""
    snapshots = [Snapshot((), 1.0, (), {})]
    metric = TableMetric("a.b", "Dotted.", "gauge", labels=(), bounds=(), snapshots=snapshots)
    assert Rendering(openmetrics=False).render(Registry(metric)) == generate_latest(Registry(metric))


def test_what_is_kept_follows_the_metric() -> None:
    """A metric that comes back with other labels or bounds is written with those."""
    rendering = Rendering(openmetrics=False)
    for labels in (("a",), ("b",)):
        metric = TableMetric("g", "G.", "gauge", labels=labels, bounds=(), snapshots=[Snapshot(("x",), 1.0, (), {})])
        assert f'g{{{labels[0]}="x"}} 1.0\n'.encode() in rendering.render(Registry(metric))


def test_it_stands_aside() -> None:
    """A long rendering is interrupted again and again, so that the event loop gets its turn."""
    pauses: list[None] = []
    snapshots = [Snapshot((str(number),), 1.0, (), {}) for number in range(1000)]
    metric = TableMetric("g", "G.", "gauge", labels=("a",), bounds=(), snapshots=snapshots)
    rendering = Rendering(openmetrics=True, stand_aside=lambda: pauses.append(None))
    rendering.render(Registry(metric))
    assert len(pauses) > 50
    pauses.clear()
    rendering.render(Registry(*[Metric(f"m{number}", "Of another library.", "gauge") for number in range(30)]))
    assert len(pauses) == 30


@pytest.mark.anyio
async def test_collecting_stands_aside() -> None:
    """What was recorded since the last time is added up, and taken, in small pieces."""
    pauses: list[None] = []
    registry = CollectorRegistry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["asgi_middleware"].set_route(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    wrapped = PrometheusMiddleware(app, registry=registry)
    for number in range(320):
        await http(wrapped, "GET", f"/{number}")
    token = pause.set(lambda: pauses.append(None))
    try:
        [metric] = [each for each in registry.collect() if each.name == "http_server_request_duration_seconds"]
    finally:
        pause.reset(token)
    assert len(pauses) == 320 / AT_ONCE
    assert isinstance(metric, TableMetric)
    assert [sum(snapshot.counts) for snapshot in metric.snapshots] == [1] * 320
