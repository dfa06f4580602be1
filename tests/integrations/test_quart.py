"""record_routes: the metrics around a Quart application get the URL rule."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from asgi_middleware.metrics import PrometheusMiddleware
from asgi_middleware.testing.driver import drive, http, websocket_scope

pytestmark = [pytest.mark.anyio, pytest.mark.may_skip("Quart needs a newer Python than the oldest supported")]


@pytest.fixture
def anyio_backend() -> str:
    """Quart runs on asyncio alone."""
    return "asyncio"


@pytest.fixture
def app() -> Any:
    """Give a Quart application that names its routes."""
    quart = pytest.importorskip("quart")
    from asgi_middleware.integrations.quart import record_routes

    made = quart.Quart(__name__)
    below = quart.Blueprint("below", __name__, url_prefix="/t/<tenant>")

    @made.get("/items/<int:pk>/")
    async def item(pk: int) -> str:
        return str(pk)

    @made.get("/raises/<x>")
    async def raises(x: str) -> str:
        raise ValueError(x)

    @made.get("/moved")
    async def moved() -> Any:
        return quart.redirect("/elsewhere")

    @below.get("/a/<x>")
    async def nested(tenant: str, x: str) -> str:
        return tenant + x

    @made.websocket("/ws/<room>")
    async def talk(room: str) -> None:
        await quart.websocket.accept()
        await quart.websocket.close(1000)

    made.register_blueprint(below)
    record_routes(made)
    record_routes(made)
    return made


def labels(registry: CollectorRegistry, name: str, *wanted: str) -> set[tuple[str, ...]]:
    """Give the label values of a series."""
    return {
        tuple(sample.labels[label] for label in wanted)
        for family in registry.collect()
        for sample in family.samples
        if sample.name == name
    }


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/items/7/", "/items/<int:pk>/", "200"),
        ("POST", "/items/7/", "", "405"),
        ("GET", "/items/7", "", "308"),
        ("GET", "/nothing", "", "404"),
        ("GET", "/t/acme/a/1", "/t/<tenant>/a/<x>", "200"),
        ("GET", "/moved", "/moved", "302"),
        ("GET", "/raises/1", "/raises/<x>", "500"),
    ],
)
async def test_the_rule_is_the_route(app: Any, method: str, path: str, route: str, status: str) -> None:
    """The rule that matched, blueprints' prefixes included; nothing for 404, 405 and slash redirects [T3]."""
    registry = CollectorRegistry()
    app.asgi_app = PrometheusMiddleware(app.asgi_app, registry=registry)
    result = await http(app, method, path, headers=[(b"host", b"x")])
    assert str(result.status) == status
    name = "http_server_request_duration_seconds_count"
    assert labels(registry, name, "http_route", "http_response_status_code") == {(route, status)}


async def test_a_websockets_rule_is_its_route(app: Any) -> None:
    """A WebSocket has its rule too."""
    registry = CollectorRegistry()
    scope = websocket_scope("/ws/7", headers=[(b"host", b"x")])
    await drive(PrometheusMiddleware(app, registry=registry), scope, [{"type": "websocket.connect"}])
    assert labels(registry, "websocket_server_handshakes_total", "http_route", "outcome") == {
        ("/ws/<room>", "accepted")
    }


async def test_without_a_class_of_ours_around(app: Any) -> None:
    """Alone it does nothing."""
    assert (await http(app, "GET", "/items/7/", headers=[(b"host", b"x")])).status == 200
