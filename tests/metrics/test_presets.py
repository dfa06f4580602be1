"""Presets: the names, labels and values that dashboards for other libraries ask for."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asgi_middleware.metrics.presets import PRESETS
from asgi_middleware.testing.driver import http

pytestmark = pytest.mark.anyio


async def page(request: Request) -> Response:
    """Answer, or fail."""
    if request.path_params["id"] == 0:
        raise LookupError
    await request.body()
    return PlainTextResponse("page")


def starlette_app() -> Starlette:
    """Give an application with one route."""
    return Starlette(routes=[Route("/items/{id:int}", page, methods=["GET", "POST"])])


async def ask(wrapped: Any) -> None:
    """Make the requests that all tests speak of."""
    for method, path in (("GET", "/items/7"), ("POST", "/items/7"), ("GET", "/items/0"), ("DELETE", "/items/7")):
        await http(wrapped, method, path, body=b"12345", raise_exceptions=False)


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        (
            "fastapi-instrumentator",
            {
                ("http_requests_total", "handler=/items/{id}", "method=GET", "status=2xx"): 1,
                ("http_requests_total", "handler=/items/{id}", "method=POST", "status=2xx"): 1,
                ("http_requests_total", "handler=/items/{id}", "method=GET", "status=5xx"): 1,
                ("http_requests_total", "handler=/items/{id}", "method=DELETE", "status=4xx"): 1,
                ("http_requests_total", "handler=none", "method=GET", "status=4xx"): 1,
                ("http_request_duration_highr_seconds_count",): 5,
                ("http_request_duration_seconds_count", "handler=/items/{id}", "method=GET"): 2,
                ("http_request_size_bytes_sum", "handler=/items/{id}"): 10,
                ("http_response_size_bytes_count", "handler=none"): 1,
                ("http_requests_inprogress",): 0,
            },
        ),
        (
            "starlette-exporter",
            {
                (
                    "starlette_requests_total",
                    "app_name=starlette",
                    "method=GET",
                    "path=/items/{id}",
                    "status_code=200",
                ): 1,
                (
                    "starlette_requests_total",
                    "app_name=starlette",
                    "method=GET",
                    "path=__unknown__",
                    "status_code=404",
                ): 1,
                (
                    "starlette_request_duration_seconds_count",
                    "app_name=starlette",
                    "method=GET",
                    "path=/items/{id}",
                    "status_code=500",
                ): 1,
                (
                    "starlette_request_body_bytes_total",
                    "app_name=starlette",
                    "method=POST",
                    "path=/items/{id}",
                    "status_code=200",
                ): 5,
                ("starlette_requests_in_progress", "app_name=starlette", "method=POST"): 0,
            },
        ),
        (
            "django",
            {
                ("django_http_requests_before_middlewares_total",): 5,
                ("django_http_requests_total_by_method_total", "method=GET"): 3,
                ("django_http_requests_total_by_method_total", "method=DELETE"): 1,
                ("django_http_requests_latency_seconds_by_view_method_count", "method=GET", "view=/items/{id}"): 2,
                ("django_http_requests_latency_including_middlewares_seconds_count",): 5,
                ("django_http_responses_total_by_status_total", "status=500"): 1,
                (
                    "django_http_responses_total_by_status_view_method_total",
                    "method=GET",
                    "status=404",
                    "view=<unnamed view>",
                ): 1,
                ("django_http_exceptions_total_by_type_total", "type=LookupError"): 1,
                ("django_http_exceptions_total_by_view_total", "view=/items/{id}"): 1,
                ("django_http_responses_body_total_bytes_bucket", "le=4.0"): 2,
            },
        ),
    ],
)
async def test_values(metrics: Any, preset: str, expected: dict[tuple[str, ...], float]) -> None:
    """Each preset's series have the values of the requests, and nothing failed."""
    wrapped = metrics.wrap(starlette_app(), preset=preset, body_sizes=True)
    await ask(wrapped)
    await http(wrapped, "GET", "/nothing")
    values = {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
    }
    assert {key: values.get(key) for key in expected} == expected
    assert metrics.errors() == {}


@pytest.mark.parametrize("preset", PRESETS)
async def test_caps(metrics: Any, preset: str) -> None:
    """Made-up methods and paths add one value, under every preset's names [T1-T3]."""
    wrapped = metrics.wrap(starlette_app(), preset=preset, body_sizes=True)

    async def strange(numbers: range) -> None:
        for number in numbers:
            await http(wrapped, f"M{number}", f"/{number}", scheme=f"s{number}")

    await strange(range(2))
    series = metrics.series()
    await strange(range(2, 60))
    assert metrics.series() == series


@pytest.mark.parametrize("preset", PRESETS)
async def test_max_series(metrics: Any, preset: str) -> None:
    """An application that names routes without bound fills the overflow series, and the counts stay true [T6]."""

    async def unbounded(scope: Any, receive: Any, send: Any) -> None:
        scope["asgi_middleware"].set_route(scope["path"])
        await PlainTextResponse("x")(scope, receive, send)

    wrapped = metrics.wrap(unbounded, preset=preset, max_series=3)
    for number in range(20):
        await http(wrapped, "GET", f"/{number}")
    for family in PRESETS[preset].requests:
        if family.kind == "histogram":
            counts = metrics.read(f"{family.name}_count", *family.labels)
            assert len(counts) <= 4
            assert sum(counts.values()) == 20
    assert sum(metrics.read("asgi_middleware_metrics_overflow_total", "metric").values()) >= 17


def names(registry: CollectorRegistry, prefix: str) -> dict[str, set[str]]:
    """Give each series' name with its labels' names."""
    found: dict[str, set[str]] = {}
    for family in registry.collect():
        for sample in family.samples:
            if sample.name.startswith(prefix) and not sample.name.endswith("_created"):
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.may_skip("the lowest versions are tested without peers")
async def test_the_instrumentator_itself(metrics: Any) -> None:
    """The library that the preset is named after has these very names and labels, and buckets."""
    module = pytest.importorskip("prometheus_fastapi_instrumentator.middleware")
    theirs = CollectorRegistry()
    app = starlette_app()
    app.add_middleware(module.PrometheusInstrumentatorMiddleware, registry=theirs)
    await ask(app)
    await ask(metrics.wrap(starlette_app(), preset="fastapi-instrumentator"))
    ours = names(metrics.registry, "http_re")
    del ours["http_requests_inprogress"]  # optional there
    assert ours == names(theirs, "http_re")
    for name in ("http_request_duration_seconds_bucket", "http_request_duration_highr_seconds_bucket"):
        bounds = [
            {sample.labels["le"] for family in registry.collect() for sample in family.samples if sample.name == name}
            for registry in (theirs, metrics.registry)
        ]
        assert bounds[0] == bounds[1]


def test_an_unknown_preset(metrics: Any) -> None:
    """A preset that is none is named at construction."""
    with pytest.raises(ValueError, match="preset='flask'"):
        metrics.wrap(starlette_app(), preset="flask")
