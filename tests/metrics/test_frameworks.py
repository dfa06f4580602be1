"""The labels of each framework's requests: route, 404, 405, mount, nested router, exception, redirect, WebSocket."""

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi import HTTPException as FastAPIHTTPException
from fastapi import WebSocket as FastAPIWebSocket
from litestar import Litestar, asgi
from litestar import Router as LitestarRouter
from litestar import WebSocket as LitestarWebSocket
from litestar import get as litestar_get
from litestar.handlers import websocket as litestar_websocket
from litestar.response import Redirect
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_middleware.testing.driver import http, websocket

pytestmark = pytest.mark.anyio


class Broken(Exception):
    pass


async def page(request: Request) -> Response:
    """Answer."""
    return PlainTextResponse("page")


async def raises(request: Request) -> Response:
    """Fail."""
    raise Broken


async def moved(request: Request) -> Response:
    """Redirect."""
    return RedirectResponse("/elsewhere")


async def chat(websocket: WebSocket) -> None:
    """Accept and leave."""
    await websocket.accept()
    await websocket.close()


def starlette_app() -> Starlette:
    """Give the matrix's routes in Starlette."""
    nested = Starlette(routes=[Route("/deep/{y}", page)])
    return Starlette(
        routes=[
            Route("/items/{id:int}/", page),
            Route("/raises/{x}", raises),
            Route("/moved", moved),
            Mount("/t/{tenant}", routes=[Route("/a/{x}", page), Mount("/n", app=nested)]),
            WebSocketRoute("/ws/{room}", chat),
        ]
    )


def fastapi_app() -> FastAPI:
    """Give the matrix's routes in FastAPI, with a router included within a router."""
    deep = APIRouter(prefix="/n")
    deep.get("/deep/{y}")(lambda y: y)
    tenants = APIRouter(prefix="/t/{tenant}")
    tenants.get("/a/{x}")(lambda x: x)
    tenants.include_router(deep)
    app = FastAPI()
    app.include_router(tenants)
    app.mount("/sub", starlette_app())

    @app.get("/items/{id}/")
    def item(id: int) -> int:  # noqa: A002 -- the parameter's name
        return id

    @app.get("/raises/{x}")
    def fails(x: str) -> None:
        raise Broken

    @app.get("/teapot")
    def teapot() -> None:
        raise FastAPIHTTPException(418)

    @app.get("/moved")
    def goes() -> RedirectResponse:
        return RedirectResponse("/elsewhere")

    @app.websocket("/ws/{room}")
    async def talk(websocket: FastAPIWebSocket) -> None:
        await chat(websocket)

    return app


def litestar_app() -> Litestar:
    """Give the matrix's routes in Litestar."""

    @litestar_get("/items/{item_id:int}", sync_to_thread=False)
    def item() -> str:
        return "item"

    @litestar_get("/raises/{x:str}", sync_to_thread=False)
    def fails() -> str:
        raise Broken

    @litestar_get("/moved", sync_to_thread=False)
    def goes() -> Redirect:
        return Redirect("/elsewhere")

    @litestar_get("/a/{x:str}", sync_to_thread=False)
    def below() -> str:
        return "below"

    @litestar_get("/deep/{y:str}", sync_to_thread=False)
    def deep() -> str:
        return "deep"

    @litestar_websocket("/ws/{room:str}")
    async def talk(socket: LitestarWebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        await socket.close()

    @asgi("/sub", is_mount=True, copy_scope=False)
    async def mount(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("mount")(scope, receive, send)

    nested = LitestarRouter("/n", route_handlers=[deep])
    tenants = LitestarRouter("/t/{tenant:str}", route_handlers=[below, nested])
    return Litestar([item, fails, goes, talk, mount, tenants], openapi_config=None, logging_config=None)


MATRIX = [
    (starlette_app, "GET", "/items/7/", "/items/{id}/", "200", ""),
    (starlette_app, "HEAD", "/items/7/", "/items/{id}/", "200", ""),
    (starlette_app, "GET", "/nothing", "", "404", ""),
    (starlette_app, "POST", "/items/7/", "/items/{id}/", "405", ""),
    (starlette_app, "OPTIONS", "/items/7/", "/items/{id}/", "405", ""),
    (starlette_app, "GET", "/t/acme/a/1", "/t/{tenant}/a/{x}", "200", ""),
    (starlette_app, "GET", "/t/acme/nothing", "/t/{tenant}/{path}", "404", ""),
    (starlette_app, "GET", "/t/acme/n/deep/1", "/t/{tenant}/n/deep/{y}", "200", ""),
    (starlette_app, "GET", "/raises/1", "/raises/{x}", "500", f"{__name__}.Broken"),
    (starlette_app, "GET", "/moved", "/moved", "307", ""),
    (starlette_app, "GET", "/items/7", "", "307", ""),
    (fastapi_app, "GET", "/items/7/", "/items/{id}/", "200", ""),
    (fastapi_app, "GET", "/items/x/", "/items/{id}/", "422", ""),
    (fastapi_app, "GET", "/nothing", "", "404", ""),
    (fastapi_app, "POST", "/items/7/", "/items/{id}/", "405", ""),
    (fastapi_app, "GET", "/t/acme/a/1", "/t/{tenant}/a/{x}", "200", ""),
    (fastapi_app, "POST", "/t/acme/a/1", "/t/{tenant}/a/{x}", "405", ""),
    (fastapi_app, "GET", "/t/acme/n/deep/1", "/t/{tenant}/n/deep/{y}", "200", ""),
    (fastapi_app, "GET", "/sub/t/acme/a/1", "/sub/t/{tenant}/a/{x}", "200", ""),
    (fastapi_app, "GET", "/sub/nothing", "/sub/{path}", "404", ""),
    (fastapi_app, "GET", "/raises/1", "/raises/{x}", "500", f"{__name__}.Broken"),
    (fastapi_app, "GET", "/sub/raises/1", "/sub/raises/{x}", "500", f"{__name__}.Broken"),
    (fastapi_app, "GET", "/teapot", "/teapot", "418", ""),
    (fastapi_app, "GET", "/moved", "/moved", "307", ""),
    (fastapi_app, "GET", "/items/7", "", "307", ""),
    (litestar_app, "GET", "/items/7", "/items/{item_id}", "200", ""),
    (litestar_app, "GET", "/items/7/", "/items/{item_id}", "200", ""),
    (litestar_app, "GET", "/nothing", "", "404", ""),
    (litestar_app, "POST", "/items/7", "", "405", ""),
    (litestar_app, "GET", "/t/acme/a/1", "/t/{tenant}/a/{x}", "200", ""),
    (litestar_app, "GET", "/t/acme/n/deep/1", "/t/{tenant}/n/deep/{y}", "200", ""),
    (litestar_app, "GET", "/sub/any/path", "", "200", ""),
    (litestar_app, "GET", "/raises/1", "/raises/{x}", "500", f"{__name__}.Broken"),
    (litestar_app, "GET", "/moved", "/moved", "302", ""),
]


@pytest.mark.parametrize(
    ("make", "method", "path", "route", "status", "error"),
    MATRIX,
    ids=[f"{make.__name__} {method} {path}" for make, method, path, *_ in MATRIX],
)
async def test_requests(
    metrics: Any, *, make: Any, method: str, path: str, route: str, status: str, error: str
) -> None:
    """Each case has the template, the status and the exception's class as labels, and the path in none [T1-T5, T12]."""
    await http(metrics.wrap(make()), method, path, raise_exceptions=False)
    assert metrics.requests() == {(method, route, status, error): 1}
    assert metrics.active() == 0
    assert metrics.errors() == {}


@pytest.mark.parametrize(
    ("make", "path", "route", "outcome"),
    [
        (starlette_app, "/ws/7", "/ws/{room}", "accepted"),
        (starlette_app, "/nothing", "", "rejected"),
        (fastapi_app, "/ws/7", "/ws/{room}", "accepted"),
        (fastapi_app, "/sub/ws/7", "/sub/ws/{room}", "accepted"),
        (fastapi_app, "/nothing", "", "rejected"),
        (litestar_app, "/ws/7", "/ws/{room}", "accepted"),
    ],
)
async def test_websockets(metrics: Any, make: Any, path: str, route: str, outcome: str) -> None:
    """A WebSocket's handshake has its route's template [T26]."""
    await websocket(metrics.wrap(make()), path, raise_exceptions=False)
    assert metrics.read("websocket_server_handshakes_total", "http_route", "outcome") == {(route, outcome): 1}
    assert metrics.requests() == {}


@pytest.mark.parametrize("make", [starlette_app, fastapi_app, litestar_app])
async def test_two_hundred_made_up_requests_add_no_series(metrics: Any, make: Any) -> None:
    """Slash redirects, mount parameters, 404s, 405s and methods without end leave the series as they were [T1-T4]."""
    wrapped = metrics.wrap(make())

    async def ask(numbers: range) -> None:
        for number in numbers:
            for method, path in (
                ("GET", f"/items/{number}/"),
                ("GET", f"/items/{number}"),
                ("GET", f"/t/{number}/a/{number}"),
                ("GET", f"/t/{number}/{number}"),
                ("GET", f"/{number}"),
                ("POST", f"/items/{number}/"),
                (f"M{number}", "/moved"),
            ):
                await http(wrapped, method, path, raise_exceptions=False)

    await ask(range(2))
    series = metrics.series()
    await ask(range(2, 32))
    assert metrics.series() == series


async def test_background_tasks_are_no_latency(metrics: Any) -> None:
    """A Starlette background task runs after the clock has stopped [T11]."""
    during: list[tuple[float, float]] = []

    async def task() -> None:
        during.append((metrics.active(), metrics.seconds()))

    async def endpoint(request: Request) -> Response:
        return PlainTextResponse("page", background=BackgroundTask(task))

    await http(metrics.wrap(Starlette(routes=[Route("/", endpoint)])))
    assert during == [(0, metrics.seconds())]


async def test_added_inside_the_framework(metrics: Any) -> None:
    """Added with add_middleware it still has the template, and sees the exception before the framework answers it."""
    for app in (starlette_app(), fastapi_app()):
        app.add_middleware(CORSMiddleware, allow_origins=["*"])
        app.add_middleware(type(metrics.wrap(app)), registry=metrics.registry)
        await http(app, "GET", "/items/7/")
        await http(app, "GET", "/raises/7", raise_exceptions=False)
    assert metrics.requests() == {
        ("GET", "/items/{id}/", "200", ""): 2,
        ("GET", "/raises/{x}", "500", f"{__name__}.Broken"): 2,
    }
