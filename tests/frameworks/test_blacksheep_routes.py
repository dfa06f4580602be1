"""record_routes for BlackSheep: the metrics around the application get the route pattern."""

from typing import Any

import pytest
from blacksheep import Application, Request, Response, Router, WebSocket, redirect
from harness import labels_of, running
from prometheus_client import CollectorRegistry

from asgi_middleware.integrations.blacksheep import record_routes
from asgi_middleware.metrics import PrometheusMiddleware
from asgi_middleware.testing import drive, http, websocket_scope

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """BlackSheep runs on asyncio alone."""
    return "asyncio"


def application() -> Application:
    """Give an application with patterns of every notation."""
    made = Application(router=Router())

    @made.router.get("/items/{int:number}")
    async def item(request: Request, number: int) -> Response:
        return Response(200)

    @made.router.get("/colon/:name")
    async def colon(name: str) -> Response:
        return Response(200)

    @made.router.get("/angle/<name>")
    async def angle(name: str) -> Response:
        return Response(200)

    @made.router.get("/moved")
    def moved() -> Response:
        return redirect("/elsewhere")

    @made.router.ws("/ws/{room}")
    async def talk(socket: WebSocket, room: str) -> None:
        await socket.accept()
        await socket.close()

    return made


@pytest.fixture
def app() -> Any:
    """Give an application that records, with another one mounted."""
    made = application()
    made.mount_registry.auto_events = True
    made.mount("/sub", application())
    record_routes(made)
    record_routes(made)
    return made


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/items/7", "/items/{number}", "200"),
        ("GET", "/colon/x", "/colon/{name}", "200"),
        ("GET", "/angle/x", "/angle/{name}", "200"),
        ("GET", "/moved", "/moved", "302"),
        ("POST", "/items/7", "", "404"),
        ("GET", "/items/x", "", "404"),
        ("GET", "/nothing", "", "404"),
        ("GET", "/sub/items/7", "/sub/items/{number}", "200"),
        ("GET", "/sub/nothing", "", "404"),
    ],
)
async def test_the_pattern_is_the_route(app: Any, method: str, path: str, route: str, status: str) -> None:
    """The pattern that matched, a mount's prefix included; nothing for a 404 [T3]."""
    registry = CollectorRegistry()
    async with running(app):
        await http(PrometheusMiddleware(app, registry=registry), method, path)
    name = "http_server_request_duration_seconds_count"
    assert labels_of(registry, name, "http_route", "http_response_status_code") == {(route, status)}


@pytest.mark.parametrize("prefix", ["", "/sub"])
async def test_a_websockets_pattern_is_its_route(app: Any, prefix: str) -> None:
    """A WebSocket has its pattern too."""
    registry = CollectorRegistry()
    scope = websocket_scope(f"{prefix}/ws/7")
    async with running(app):
        await drive(PrometheusMiddleware(app, registry=registry), scope, [{"type": "websocket.connect"}])
    name = "websocket_server_handshakes_total"
    assert labels_of(registry, name, "http_route", "outcome") == {(f"{prefix}/ws/{{room}}", "accepted")}


async def test_without_lifespan(app: Any) -> None:
    """Under a server without lifespan BlackSheep starts with the first request, which has its route already."""
    registry = CollectorRegistry()
    await http(PrometheusMiddleware(app, registry=registry), "GET", "/items/7")
    name = "http_server_request_duration_seconds_count"
    assert labels_of(registry, name, "http_route") == {("/items/{number}",)}


async def test_without_a_class_of_ours_around(app: Any) -> None:
    """Alone it does nothing."""
    assert (await http(app, "GET", "/items/7")).status == 200
