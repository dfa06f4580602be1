"""record_routes for Channels: the metrics around a URLRouter get the pattern."""

from typing import Any

import pytest
from channels.middleware import BaseMiddleware
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.urls import path, re_path
from harness import labels_of
from prometheus_client import CollectorRegistry

from asgi_middleware.integrations.channels import record_routes
from asgi_middleware.metrics import PrometheusMiddleware
from asgi_middleware.testing import drive, http, websocket_scope

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Channels runs on asyncio alone."""
    return "asyncio"


async def talk(scope: Any, receive: Any, send: Any) -> None:
    """Accept and leave; or answer."""
    await receive()
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})


@pytest.fixture
def router() -> URLRouter:
    """Give a router with routers below it, one of them behind a middleware."""
    if not settings.configured:
        settings.configure(SECRET_KEY="for tests", LOGGING_CONFIG=None, USE_TZ=True)
    below = URLRouter([path("<int:number>", talk), re_path(r"^year/(?P<year>[0-9]{4})$", talk)])
    behind = BaseMiddleware(URLRouter([path("<slug:name>/", talk)]))
    behind._path_routing = True  # what URLRouter looks for, and its middleware hides
    routes = [
        path("plain/<room>", talk),
        re_path(r"^pattern/(?P<x>\w+)$", talk),
        path("below/", below),
        path("behind/", behind),
    ]
    return URLRouter(routes)


@pytest.mark.parametrize(
    ("asked", "route"),
    [
        ("/plain/7", "/plain/<room>"),
        ("/pattern/x", "/pattern/(?P<x>\\w+)$"),
        ("/below/7", "/below/<int:number>"),
        ("/below/year/1999", "/below/year/(?P<year>[0-9]{4})$"),
        ("/behind/x/", "/behind/<slug:name>/"),
    ],
)
async def test_the_pattern_is_the_route(router: URLRouter, asked: str, route: str) -> None:
    """The pattern that matched, with those of the routers around it [T3]."""
    registry = CollectorRegistry()
    app = ProtocolTypeRouter({"websocket": record_routes(record_routes(router))})
    scope = websocket_scope(asked)
    await drive(PrometheusMiddleware(app, registry=registry), scope, [{"type": "websocket.connect"}])
    name = "websocket_server_handshakes_total"
    assert labels_of(registry, name, "http_route", "outcome") == {(route, "accepted")}


async def test_http(router: URLRouter) -> None:
    """HTTP consumers behind a URLRouter have their route as well."""
    registry = CollectorRegistry()
    await http(PrometheusMiddleware(record_routes(router), registry=registry), "GET", "/plain/7")
    name = "http_server_request_duration_seconds_count"
    assert labels_of(registry, name, "http_route") == {("/plain/<room>",)}


async def test_without_a_class_of_ours_around(router: URLRouter) -> None:
    """Alone it does nothing."""
    assert (await http(record_routes(router), "GET", "/plain/7")).status == 200
