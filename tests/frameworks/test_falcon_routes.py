"""RouteMiddleware for Falcon: the metrics around the application get the URI template."""

from typing import Any

import falcon.asgi
import pytest
from harness import labels_of
from prometheus_client import CollectorRegistry

from asgi_middleware.integrations.falcon import RouteMiddleware
from asgi_middleware.metrics import PrometheusMiddleware
from asgi_middleware.testing import drive, http, websocket_scope

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Falcon runs on asyncio alone."""
    return "asyncio"


class Item:
    async def on_get(self, req: Any, resp: Any, **captured: Any) -> None:
        if captured.get("number") == 0:
            raise falcon.HTTPFound("/elsewhere")

    async def on_websocket(self, req: Any, ws: Any, **captured: Any) -> None:
        await ws.accept()
        await ws.close()


async def sink(req: Any, resp: Any, ws: Any = None, **captured: Any) -> None:
    """Answer what no template matches."""
    resp.text = "sink"


@pytest.fixture
def app() -> Any:
    """Give an application with templates and a sink."""
    made = falcon.asgi.App(middleware=[RouteMiddleware()])
    made.add_route("/items/{number:int}", Item())
    made.add_route("/t/{tenant}/a/{rest:path}", Item())
    made.add_sink(sink, "/sink")
    return made


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/items/7", "/items/{number:int}", "200"),
        ("POST", "/items/7", "/items/{number:int}", "405"),
        ("OPTIONS", "/items/7", "/items/{number:int}", "200"),
        ("GET", "/items/0", "/items/{number:int}", "302"),
        ("GET", "/items/x", "", "404"),
        ("GET", "/t/acme/a/b/c", "/t/{tenant}/a/{rest:path}", "200"),
        ("GET", "/sink/anything", "", "200"),
        ("GET", "/nothing", "", "404"),
    ],
)
async def test_the_template_is_the_route(app: Any, method: str, path: str, route: str, status: str) -> None:
    """The template that matched; nothing for a 404 and a sink [T3]."""
    registry = CollectorRegistry()
    await http(PrometheusMiddleware(app, registry=registry), method, path)
    name = "http_server_request_duration_seconds_count"
    assert labels_of(registry, name, "http_route", "http_response_status_code") == {(route, status)}


async def test_a_websockets_template_is_its_route(app: Any) -> None:
    """A WebSocket has its template too."""
    registry = CollectorRegistry()
    await drive(
        PrometheusMiddleware(app, registry=registry), websocket_scope("/items/7"), [{"type": "websocket.connect"}]
    )
    name = "websocket_server_handshakes_total"
    assert labels_of(registry, name, "http_route", "outcome") == {("/items/{number:int}", "accepted")}


async def test_an_explicit_route_is_kept(app: Any) -> None:
    """A route that was set before Falcon's own stays."""

    async def sets(scope: Any, receive: Any, send: Any) -> None:
        scope["asgi_middleware"].route = "/explicit"
        await app(scope, receive, send)

    registry = CollectorRegistry()
    await http(PrometheusMiddleware(sets, registry=registry), "GET", "/items/7")
    assert labels_of(registry, "http_server_request_duration_seconds_count", "http_route") == {("/explicit",)}


async def test_without_a_class_of_ours_around(app: Any) -> None:
    """Alone it does nothing."""
    assert (await http(app, "GET", "/items/7")).status == 200
