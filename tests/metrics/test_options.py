"""Options, and families that are shared, never doubled."""

import gc
import logging
import weakref
from typing import Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, values

from asgi_middleware import ConfigurationError
from asgi_middleware.metrics import MetricsEndpoint, PrometheusMiddleware
from asgi_middleware.testing.driver import http

pytestmark = pytest.mark.anyio


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer 200."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello", "more_body": False})


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        ({"registry": "default"}, ["no_registry"]),
        ({"namespace": "9x"}, ["invalid_namespace"]),
        ({"namespace": "a-b"}, ["invalid_namespace"]),
        ({"namespace": None}, ["invalid_namespace"]),
        ({"buckets": ()}, ["not_a_list"]),
        ({"buckets": "0.1"}, ["not_a_list"]),
        ({"buckets": 0.1}, ["not_a_list"]),
        ({"buckets": (1, "2", True)}, ["not_a_number", "not_a_number"]),
        ({"buckets": (1, float("inf"))}, ["not_a_number"]),
        ({"buckets": (2, 1)}, ["not_ascending"]),
        ({"buckets": (1, 1)}, ["not_ascending"]),
        ({"buckets": (0, 1)}, ["not_ascending"]),
        ({"size_buckets": (2, 1)}, ["not_ascending"]),
        ({"body_sizes": "no"}, ["not_a_bool"]),
        ({"exclude_paths": "/metrics"}, ["string_for_list"]),
        ({"exclude_paths": ["metrics"]}, ["invalid_path_rule"]),
        ({"max_series": 0}, ["out_of_range"]),
        ({"max_series": None}, ["not_an_integer"]),
        (
            {"registry": 1, "namespace": "-", "buckets": 1, "body_sizes": 1, "exclude_paths": 1, "max_series": "1"},
            ["no_registry", "invalid_namespace", "not_a_list", "not_a_bool", "not_a_list", "not_an_integer"],
        ),
    ],
)
def test_wrong_options_of_the_middleware(metrics: Any, options: dict[str, Any], codes: list[str]) -> None:
    """Every wrong option is named at construction, and nothing has been registered by then."""
    with pytest.raises(ConfigurationError) as raised:
        PrometheusMiddleware(app, **{"registry": metrics.registry, **options})
    assert [problem.code for problem in raised.value.problems] == codes
    assert list(metrics.registry.collect()) == []


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        ({"path": "metrics"}, ["invalid_path"]),
        ({"path": "/"}, ["invalid_path"]),
        ({"path": "//x"}, ["invalid_path"]),
        ({"path": None}, ["invalid_path"]),
        ({"registry": object()}, ["no_registry"]),
        ({"authorize": ""}, ["invalid_token"]),
        ({"authorize": "two words"}, ["invalid_token"]),
        ({"authorize": 7}, ["not_callable"]),
        ({"compression": 1}, ["not_a_bool"]),
        (
            {"path": 1, "registry": 1, "authorize": "ä", "compression": 1},
            ["invalid_path", "no_registry", "invalid_token", "not_a_bool"],
        ),
    ],
)
def test_wrong_options_of_the_endpoint(options: dict[str, Any], codes: list[str]) -> None:
    """Every wrong option is named at construction; a token is never shown."""
    with pytest.raises(ConfigurationError) as raised:
        MetricsEndpoint(app, **options)
    assert [problem.code for problem in raised.value.problems] == codes
    assert "two words" not in str(raised.value)


async def test_a_stack_that_is_built_again_records_in_the_same_families(metrics: Any) -> None:
    """Any number of instances share the families of a registry, and nothing is registered twice [T22]."""
    for _ in range(3):
        await http(metrics.wrap(app))
    assert metrics.requests() == {("GET", "", "200", ""): 3}


async def test_registries_and_namespaces_are_apart(metrics: Any) -> None:
    """What is recorded for one registry or namespace appears in no other, not even in the default one [T22]."""
    other = CollectorRegistry()
    before = {family.name for family in REGISTRY.collect()}
    await http(metrics.wrap(app))
    await http(metrics.wrap(app, namespace="shop", body_sizes=True))
    PrometheusMiddleware(app, registry=other)
    assert metrics.requests() == {("GET", "", "200", ""): 1}
    assert metrics.read("shop_http_server_request_duration_seconds_count", "http_route") == {"": 1}
    assert metrics.read("shop_http_server_response_body_size_bytes_sum", "http_route") == {"": 5}
    assert not [sample for family in other.collect() for sample in family.samples]
    assert {family.name for family in REGISTRY.collect()} == before


async def test_the_default_registry_is_prometheus_clients() -> None:
    """Without a registry the default one records."""
    name = "default_test_http_server_request_duration_seconds_count"
    labels = {
        "http_request_method": "GET",
        "http_route": "",
        "http_response_status_code": "200",
        "error_type": "",
        "url_scheme": "http",
    }
    before = REGISTRY.get_sample_value(name, labels) or 0
    await http(PrometheusMiddleware(app, namespace="default_test"))
    assert REGISTRY.get_sample_value(name, labels) == before + 1


@pytest.mark.parametrize(
    "clash",
    [
        lambda registry: Gauge("http_server_active_requests", "theirs", registry=registry),
        lambda registry: Counter("asgi_middleware_metrics_overflow", "theirs", registry=registry),
    ],
    ids=["gauge", "counter"],
)
def test_a_name_that_is_taken(metrics: Any, clash: Any) -> None:
    """Someone else's metric of the same name is a configuration error that names the way out."""
    clash(metrics.registry)
    with pytest.raises(ConfigurationError, match="set namespace") as raised:
        metrics.wrap(app)
    assert [problem.code for problem in raised.value.problems] == ["duplicate_metric"]
    metrics.wrap(app, namespace="mine")


def test_other_buckets_in_the_same_registry(metrics: Any) -> None:
    """Two instances cannot disagree about a histogram's buckets; the second is told which option."""
    metrics.wrap(app, body_sizes=True)
    with pytest.raises(ConfigurationError) as raised:
        metrics.wrap(app, buckets=[1, 2], size_buckets=[1024], body_sizes=True)
    assert {problem.option for problem in raised.value.problems} == {"buckets", "size_buckets"}
    assert {problem.code for problem in raised.value.problems} == {"conflicting_buckets"}


async def test_buckets_are_used(metrics: Any) -> None:
    """A histogram has the bounds that were passed."""
    await http(metrics.wrap(app, buckets=[1, 60], size_buckets=[4, 5], body_sizes=True))
    assert metrics.read("http_server_request_duration_seconds_bucket", "le") == {"1.0": 1, "60.0": 1, "+Inf": 1}
    assert metrics.read("http_server_response_body_size_bytes_bucket", "le") == {"4.0": 0, "5.0": 1, "+Inf": 1}


async def test_a_registry_that_was_emptied(metrics: Any) -> None:
    """After a test suite has emptied the registry, the next instance registers its families again."""
    await http(metrics.wrap(app))
    for collector in list(metrics.registry._collector_to_names):
        metrics.registry.unregister(collector)
    assert metrics.requests() == {}
    await http(metrics.wrap(app))
    assert metrics.requests() == {("GET", "", "200", ""): 2}


def test_a_registry_is_not_kept_alive() -> None:
    """The store of families does not hold a registry that nobody else holds."""
    registry = CollectorRegistry()
    PrometheusMiddleware(app, registry=registry)
    gone = weakref.ref(registry)
    del registry
    gc.collect()
    assert gone() is None


async def test_max_series(metrics: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Beyond max_series one overflow series grows and is counted; nothing is dropped, and one line is logged [T6]."""

    async def many(scope: Any, receive: Any, send: Any) -> None:
        scope["asgi_middleware"].route = scope["path"]  # an app that names routes without bound
        await app(scope, receive, send)

    wrapped = metrics.wrap(many, max_series=3)
    for turn in range(2):
        for number in range(10):
            await http(wrapped, "GET", f"/{number}")
        assert metrics.requests() == {
            ("GET", "/0", "200", ""): turn + 1,
            ("GET", "/1", "200", ""): turn + 1,
            ("GET", "/2", "200", ""): turn + 1,
            ("_OTHER", "_OTHER", "_OTHER", "_OTHER"): 7 * (turn + 1),
        }
    assert metrics.read("asgi_middleware_metrics_overflow_total", "metric") == {
        "http_server_request_duration_seconds": 14
    }
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "http_server_request_duration_seconds has 3 label sets" in caplog.text


async def test_the_bound_is_shared_by_all_instances(metrics: Any) -> None:
    """Rebuilding the stack does not grant further series [T6]."""

    async def many(scope: Any, receive: Any, send: Any) -> None:
        scope["asgi_middleware"].route = scope["path"]
        await app(scope, receive, send)

    for number in range(10):
        await http(metrics.wrap(many, max_series=3, namespace="x"), "GET", f"/{number}")
    assert len(metrics.read("x_http_server_request_duration_seconds_count", "http_route")) == 4


@pytest.mark.parametrize("paths", [("/metrics", "/metrics/"), ("/health/**",), (), ("GET /only",)])
@pytest.mark.parametrize("root_path", ["", "/api"])
async def test_excluded_paths_pass_as_they_are(metrics: Any, paths: tuple[str, ...], root_path: str) -> None:
    """An excluded request reaches the app with the very objects of the server, and leaves no trace [T34]."""
    seen: list[Any] = []

    async def spy(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        await app(scope, receive, send)

    wrapped = metrics.wrap(spy, exclude_paths=paths)
    for path in ("/metrics", "/metrics/", "/health", "/health/live", "/only", "/other"):
        result = await http(wrapped, "GET", root_path + path, root_path=root_path)
        assert (seen[-1] is result.scope) == ("asgi_middleware" not in seen[-1])
    kept = 6 - sum("asgi_middleware" not in scope for scope in seen)
    assert sum(metrics.requests().values()) == kept
    assert kept == {"/metrics": 4, "/health/**": 4, "GET /only": 5}.get(paths[0] if paths else "", 6)


def test_multiprocess_that_was_set_too_late(metrics: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """The variable set after prometheus_client's import is an error, not a worker missing from the scrape [T38]."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    assert not values.ValueClass._multiprocess
    with pytest.raises(ConfigurationError) as raised:
        metrics.wrap(app)
    assert [problem.code for problem in raised.value.problems] == ["multiprocess_set_too_late"]
    MetricsEndpoint(app)  # it only reads the files


@pytest.mark.parametrize("directory", ["", "/nowhere/at/all"])
def test_multiprocess_without_its_directory(metrics: Any, monkeypatch: pytest.MonkeyPatch, directory: str) -> None:
    """A directory that is not there is an error of both classes [T38]."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", directory)
    for make in (metrics.wrap, MetricsEndpoint):
        with pytest.raises(ConfigurationError) as raised:
            make(app)
        assert [problem.code for problem in raised.value.problems] == ["no_multiprocess_directory"]
