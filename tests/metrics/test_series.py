"""The numbers: what is appended is what comes out, whoever folds it and when."""

import threading
from bisect import bisect_left
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

from asgi_middleware.metrics.series import Series, cumulate, take
from asgi_middleware.testing.driver import http

pytestmark = pytest.mark.anyio

BOUNDS = (0.1, 0.5, 1.0)
FIGURES = st.lists(st.floats(0, 2) | st.sampled_from(BOUNDS), max_size=300)


@given(st.lists(FIGURES, max_size=4))
@settings(max_examples=100)
def test_a_histogram(batches: list[list[float]]) -> None:
    """Batches give the counts and the sum that one figure after the other would; a bound belongs to its bucket."""
    series = Series((), BOUNDS, threading.RLock())
    expected = [0] * 4
    for batch in batches:
        for figure in batch:
            expected[bisect_left(BOUNDS, figure)] += 1
        series.observe_all(list(batch))
    snapshot = series.snapshot()
    assert list(snapshot.counts) == expected
    assert snapshot.value == pytest.approx(sum(map(sum, batches)))
    assert cumulate(expected)[-1] == sum(map(len, batches))


def test_an_exemplar_stands_in_its_bucket() -> None:
    """A bound belongs to its bucket here, too; what was read before keeps what it was."""
    series = Series((), BOUNDS, threading.RLock())
    series.attach(0.5, {"trace_id": "1"}, 1.0)
    before = series.snapshot()
    series.attach(7.0, {"trace_id": "2"}, 2.0)
    assert {position: exemplar.value for position, exemplar in before.exemplars.items()} == {1: 0.5}
    assert series.snapshot().exemplars.keys() == {1, 3}


def test_what_comes_while_it_is_taken() -> None:
    """A figure that another thread appends in the middle of the taking is not lost."""

    class Racing(list[int]):
        def __getitem__(self, key: Any) -> Any:
            taken = super().__getitem__(key)
            self.append(3)
            return taken

    pending = Racing([1, 2])
    assert take(pending, threading.RLock()) == [1, 2]
    assert pending == [3]


def test_threads_lose_nothing() -> None:
    """While threads append and others fold, every figure is counted once."""
    lock = threading.RLock()
    series, pending = Series((), None, lock), []
    start = threading.Barrier(6)

    def append() -> None:
        start.wait()
        for one in [1] * 5000:
            pending.append(one)  # noqa: PERF402 -- one at a time, as requests do

    def fold() -> None:
        start.wait()
        for _ in range(500):
            series.add(sum(take(pending, lock)))

    threads = [threading.Thread(target=work) for work in (append, append, append, fold, fold, fold)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    series.add(sum(take(pending, lock)))
    assert series.value == 15_000


async def test_threads_of_requests(metrics: Any) -> None:
    """Servers that run the loop of each thread at once count every request, in the gauge as well."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    wrapped = metrics.wrap(app)

    async def serve() -> None:
        for _ in range(200):
            await http(wrapped)

    threads = [threading.Thread(target=anyio.run, args=(serve,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics.requests() == {("GET", "", "200", ""): 800}
    assert metrics.active() == 0


async def test_prometheus_clients_own_encoders(metrics: Any) -> None:
    """A registry with these families is written by prometheus_client in both formats, exemplars and all."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    headers = [(b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
    await http(metrics.wrap(app, body_sizes=True, labels={"t": lambda scope: 'a"\\\n'}), headers=headers)
    registry: CollectorRegistry = metrics.registry
    assert b'_bucket{error_type=""' in generate_latest(registry)
    [duration] = [
        each
        for each in parse(generate_openmetrics(registry).decode())
        if each.name.endswith("request_duration_seconds")
    ]
    assert duration.unit == "seconds"
    assert [sample.exemplar.labels["span_id"] for sample in duration.samples if sample.exemplar] == ["b7ad6b7169203331"]
    restricted = registry.restricted_registry(["http_server_active_requests"])
    assert [family.name for family in restricted.collect()] == ["http_server_active_requests"]
