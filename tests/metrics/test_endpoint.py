"""MetricsEndpoint: paths, methods, who may scrape, and what a scrape costs the others."""

import gzip
import threading
import time
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from asgi_middleware.metrics import MetricsEndpoint
from asgi_middleware.testing.driver import drive, http, http_scope, lifespan, websocket

pytestmark = pytest.mark.anyio

HEADERS = {
    b"content-type": b"text/plain; version=0.0.4; charset=utf-8",
    b"cache-control": b"no-store",
    b"vary": b"accept, accept-encoding",
}


async def inner(scope: Any, receive: Any, send: Any) -> None:
    """Answer 418, so that it cannot be taken for the endpoint."""
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b"inner", "more_body": False})


@pytest.fixture
def registry() -> CollectorRegistry:
    """Give a registry with one counter."""
    made = CollectorRegistry()
    Counter("things", "Things.", registry=made).inc(3)
    return made


@pytest.mark.parametrize(
    ("path", "root_path", "status"),
    [
        ("/metrics", "", 200),
        ("/metrics/", "", 200),
        ("/base/metrics", "/base", 200),
        ("/base/metrics", "/base/", 200),
        ("/metrics", "/root", 200),
        ("/", "", 418),
        ("", "", 418),
        ("/metrics/x", "", 418),
        ("/metricsx", "", 418),
        ("/Metrics", "", 418),
        ("//metrics", "", 418),
        ("/rootmetrics", "/root", 418),
    ],
)
async def test_paths_inside_an_app(registry: CollectorRegistry, path: str, root_path: str, status: int) -> None:
    """With and without the trailing slash it answers, without a redirect; every other path is the app's [T34]."""
    result = await http(MetricsEndpoint(inner, registry=registry), "GET", path, root_path=root_path)
    assert result.status == status
    if status == 200:
        assert b"things_total 3.0" in result.body
        assert {name: result.header(name) for name in HEADERS} == HEADERS
        assert result.header(b"content-length") == b"%d" % len(result.body)


async def test_an_own_path(registry: CollectorRegistry) -> None:
    """The path can be chosen, with or without a trailing slash."""
    for path in ("/internal/stats", "/internal/stats/"):
        endpoint = MetricsEndpoint(inner, registry=registry, path=path)
        for asked, status in (("/internal/stats", 200), ("/internal/stats/", 200), ("/metrics", 418)):
            assert (await http(endpoint, "GET", asked)).status == status


@pytest.mark.parametrize("path", ["/", "", "/metrics", "/metrics/", "/any/path"])
async def test_alone(registry: CollectorRegistry, path: str) -> None:
    """Without an app it answers wherever it was put."""
    result = await http(MetricsEndpoint(registry=registry), "GET", path)
    assert result.status == 200
    assert b"things_total 3.0" in result.body


async def test_alone_the_other_scopes(registry: CollectorRegistry) -> None:
    """As the whole application it runs the lifespan, refuses WebSockets, and raises for what it does not know [T32]."""
    endpoint = MetricsEndpoint(registry=registry)
    assert (await lifespan(endpoint)).types == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert (await websocket(endpoint)).status == 404
    assert (await websocket(endpoint, denial_response=False)).close_code == 1008
    with pytest.raises(RuntimeError, match=r"of\.the\.future"):
        await endpoint({"type": "of.the.future"}, None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["lifespan", "websocket", "of.the.future", "http"])
async def test_inside_an_app_the_other_scopes(registry: CollectorRegistry, kind: str) -> None:
    """Everything that is no scrape reaches the app with the very objects of the server."""
    seen: list[Any] = []

    async def app(*arguments: Any) -> None:
        seen.append(arguments)

    scope, receive, send = {"type": kind, "path": "/x", "headers": []}, object(), object()
    await MetricsEndpoint(app, registry=registry)(scope, receive, send)  # type: ignore[arg-type]
    assert [given is wanted for given, wanted in zip(seen[0], (scope, receive, send), strict=True)] == [True] * 3


async def test_mounted_and_routed(registry: CollectorRegistry) -> None:
    """It works as a Route's endpoint, and below a Mount with the slash that a Mount wants."""
    endpoint = MetricsEndpoint(registry=registry)
    app = Starlette(routes=[Route("/metrics", endpoint), Mount("/m", app=endpoint)])
    for path in ("/metrics", "/m/", "/m/metrics"):
        assert (await http(app, "GET", path)).status == 200


@pytest.mark.parametrize(
    ("method", "status"),
    [("GET", 200), ("get", 200), ("HEAD", 200), ("OPTIONS", 204), ("POST", 405), ("DELETE", 405), ("BREW", 405)],
)
async def test_methods(registry: CollectorRegistry, method: str, status: int) -> None:
    """HEAD has the head of GET and no body; other methods are told what is allowed [T31]."""
    endpoint = MetricsEndpoint(inner, registry=registry)
    result = await http(endpoint, method, "/metrics", body=b"ignored")
    assert result.status == status
    assert result.received == 0
    if status == 200:
        get = await http(endpoint, "GET", "/metrics")
        assert result.headers == get.headers
        assert result.body == (b"" if method == "HEAD" else get.body)
    else:
        assert result.header(b"allow") == b"GET, HEAD, OPTIONS"
        assert (result.body == b"") == (status == 204)


async def test_openmetrics_and_gzip(registry: CollectorRegistry) -> None:
    """Format and coding are negotiated from every line of the fields; what is served parses strictly."""
    headers = [
        (b"Accept", b"text/plain;q=0.5"),
        (b"accept", b"application/openmetrics-text;version=1.0.0"),
        (b"accept-encoding", b"br"),
        (b"accept-encoding", b"gzip"),
    ]
    result = await http(MetricsEndpoint(inner, registry=registry), "GET", "/metrics", headers=headers)
    assert result.header(b"content-type") == b"application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert result.header(b"content-encoding") == b"gzip"
    assert result.header(b"content-length") == b"%d" % len(result.body)
    families = list(parse_openmetrics(gzip.decompress(result.body).decode()))
    assert [family.name for family in families] == ["things"]


async def test_headers_that_can_be_read_once(registry: CollectorRegistry) -> None:
    """Request headers may be any iterable: the token, the format and the coding are found all the same."""
    pairs = [
        (b"authorization", b"Bearer t"),
        (b"accept", b"application/openmetrics-text"),
        (b"accept-encoding", b"gzip"),
    ]
    result = await drive(MetricsEndpoint(registry=registry, authorize="t"), {**http_scope(), "headers": iter(pairs)})
    assert (result.status, result.header(b"content-encoding")) == (200, b"gzip")
    assert (result.header(b"content-type") or b"").startswith(b"application/openmetrics-text")


async def test_without_compression(registry: CollectorRegistry) -> None:
    """Compression can be left to others."""
    endpoint = MetricsEndpoint(inner, registry=registry, compression=False)
    result = await http(endpoint, "GET", "/metrics", headers=[(b"accept-encoding", b"gzip")])
    assert result.header(b"content-encoding") is None
    assert b"things_total" in result.body


@pytest.mark.parametrize("query", [b"name[]=other_total", b"name[]=%ff", b"name[]="])
async def test_names_that_are_not_there(registry: CollectorRegistry, query: bytes) -> None:
    """A filter that fits nothing gives an empty document, no error [T32]."""
    result = await http(MetricsEndpoint(inner, registry=registry), "GET", "/metrics", query_string=query)
    assert (result.status, result.body) == (200, b"")


async def test_a_scope_without_a_query(registry: CollectorRegistry) -> None:
    """The query string may be missing or None, headers may be mixed-case."""
    endpoint = MetricsEndpoint(inner, registry=registry)
    for query in (None, ...):
        assert (await http(endpoint, "GET", "/metrics", query_string=query)).status == 200  # type: ignore[arg-type]


class TestAuthorize:
    TOKEN = "a-long-random.token~+/=="

    @pytest.mark.parametrize(
        ("given", "status", "challenge"),
        [
            ([], 401, b"Bearer"),
            ([b"Bearer a-long-random.token~+/=="], 200, None),
            ([b"bearer   a-long-random.token~+/=="], 200, None),
            ([b"Bearer a-long-random.token~+/="], 401, b'Bearer error="invalid_token"'),
            ([b"Bearer "], 401, b'Bearer error="invalid_token"'),
            ([b"Bearer"], 401, b'Bearer error="invalid_token"'),
            ([b"a-long-random.token~+/=="], 401, b"Bearer"),
            ([b"Basic a-long-random.token~+/=="], 401, b"Bearer"),
            ([b"Basic x", b"Digest y"], 401, b"Bearer"),
            ([b"Bearer a-long-random.token~+/==", b"Basic x"], 401, b'Bearer error="invalid_token"'),
            ([b"Basic x", b"Bearer a-long-random.token~+/=="], 401, b'Bearer error="invalid_token"'),
            ([b"Bearer \xff\xfe"], 401, b'Bearer error="invalid_token"'),
            ([b"Bearer a-long-random.token~+/==", b"Bearer x"], 401, b'Bearer error="invalid_token"'),
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
    async def test_a_token(
        self, registry: CollectorRegistry, given: list[bytes], status: int, challenge: bytes | None, method: str
    ) -> None:
        """Without the token nothing is served or told, whatever the method; the challenge says why [T34]."""
        endpoint = MetricsEndpoint(inner, registry=registry, authorize=self.TOKEN)
        headers = [(b"authorization", value) for value in given]
        result = await http(endpoint, method, "/metrics", headers=headers)
        assert result.status == (status if status == 401 else {"POST": 405, "OPTIONS": 204}.get(method, 200))
        assert result.header(b"www-authenticate") == challenge
        assert (await http(endpoint, "GET", "/other")).status == 418

    @pytest.mark.parametrize(
        ("answer", "status"),
        [(True, 200), (False, 403), (None, 403), (1, 403), ("yes", 403), (RuntimeError("x"), 403)],
    )
    @pytest.mark.parametrize("waits", [False, True])
    async def test_a_function(self, registry: CollectorRegistry, answer: Any, status: int, waits: bool) -> None:
        """A function decides, plain or async; anything but True, an exception too, is no [T34]."""
        scopes: list[Any] = []

        def decide(scope: Any) -> Any:
            scopes.append(scope)
            if isinstance(answer, Exception):
                raise answer
            return answer

        async def decide_later(scope: Any) -> Any:
            await anyio.lowlevel.checkpoint()
            return decide(scope)

        endpoint = MetricsEndpoint(inner, registry=registry, authorize=decide_later if waits else decide)
        result = await http(endpoint, "GET", "/metrics")
        assert result.status == status
        assert scopes == [result.scope]
        await http(endpoint, "GET", "/other")
        assert len(scopes) == 1


class Slow:
    """A collector that takes its time, and counts."""

    def __init__(self) -> None:
        self.begun = 0
        self.threads: set[int] = set()

    def collect(self) -> Iterator[Metric]:
        """Give nothing, slowly."""
        self.begun += 1
        self.threads.add(threading.get_ident())
        time.sleep(0.05)
        return iter(())


async def test_the_event_loop_stays_free() -> None:
    """While a scrape is rendered, other requests are served; scrapes that wait share a rendering."""
    registry, slow = CollectorRegistry(), Slow()
    registry.register(slow)
    endpoint = MetricsEndpoint(inner, registry=registry)
    order: list[str] = []

    async def ask(path: str) -> None:
        await http(endpoint, "GET", path)
        order.append(path)

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(ask, "/metrics")
        for _ in range(3):
            tasks.start_soon(ask, "/other")
    assert order[:3] == ["/other"] * 3
    assert 1 <= slow.begun <= 2
    assert threading.get_ident() not in slow.threads


async def test_only_the_same_variant_is_shared(registry: CollectorRegistry) -> None:
    """Scrapers that wait together get each their own format, coding and names."""
    registry.register(Slow())
    endpoint = MetricsEndpoint(inner, registry=registry)
    bodies: dict[str, bytes] = {}

    async def ask(name: str, headers: list[tuple[bytes, bytes]], query: bytes) -> None:
        bodies[name] = (await http(endpoint, "GET", "/metrics", headers=headers, query_string=query)).body

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "text", [], b"")
        tasks.start_soon(ask, "gzip", [(b"accept-encoding", b"gzip")], b"")
        tasks.start_soon(ask, "openmetrics", [(b"accept", b"application/openmetrics-text")], b"")
        tasks.start_soon(ask, "none", [], b"name[]=none")
    assert gzip.decompress(bodies["gzip"]) == bodies["text"]
    assert bodies["openmetrics"].endswith(b"# EOF\n")
    assert bodies["none"] == b""


async def test_a_rendering_is_never_older_than_the_scrape(registry: CollectorRegistry) -> None:
    """A scrape that follows another sees what was counted in between, and its own format."""
    endpoint = MetricsEndpoint(inner, registry=registry)
    counter = Counter("later", "Later.", registry=registry)
    for count in range(3):
        result = await http(endpoint, "GET", "/metrics")
        assert b"later_total %d.0" % count in result.body
        counter.inc()


async def test_a_broken_collector(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    """A collector that raises makes a plain 500 that says nothing of it; the log does."""

    class Broken:
        def collect(self) -> Iterator[Metric]:
            raise RuntimeError("secret detail")

    registry.register(Broken())
    result = await http(MetricsEndpoint(inner, registry=registry), "GET", "/metrics")
    assert result.status == 500
    assert b"secret" not in result.body
    assert "secret detail" in caplog.text


async def test_the_default_registry() -> None:
    """Without a registry prometheus_client's own is shown."""
    names = {family.name for family in REGISTRY.collect()}
    result = await http(MetricsEndpoint(), headers=[(b"accept", b"application/openmetrics-text")])
    assert {family.name for family in parse_openmetrics(result.body.decode())} >= names


async def test_its_own_scrapes_are_not_measured(metrics: Any) -> None:
    """Outside or inside of PrometheusMiddleware, a scrape leaves no trace in the figures [T34]."""
    outside = MetricsEndpoint(metrics.wrap(inner), registry=metrics.registry)
    inside = metrics.wrap(MetricsEndpoint(inner, registry=metrics.registry))
    for app in (outside, inside):
        for path in ("/metrics", "/metrics/"):
            assert (await http(app, "GET", path)).status == 200
    assert metrics.requests() == {}


async def test_every_family_parses_strictly(metrics: Any) -> None:
    """With every family in use, both formats are read by the strict parser, with and without a namespace."""
    for namespace in ("", "shop"):
        app = metrics.wrap(inner, body_sizes=True, namespace=namespace, max_series=1)
        for method in ("GET", "POST"):
            await http(app, method)
        await websocket(app, raise_exceptions=False)
    endpoint = MetricsEndpoint(registry=metrics.registry)
    result = await http(endpoint, headers=[(b"accept", b"application/openmetrics-text")])
    families = {family.name: family for family in parse_openmetrics(result.body.decode())}
    assert families["http_server_request_duration_seconds"].unit == "seconds"
    assert families["shop_http_server_response_body_size_bytes"].unit == "bytes"
    assert families["asgi_middleware_metrics_overflow"].type == "counter"
