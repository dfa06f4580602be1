"""The service in Starlette."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from services.common import ENCODED, PAGE, PARTS, SECRET, Broken, Calls, Layer, endless, work
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

TRIO = True


def see(where: str, request: Any) -> dict[str, Any]:
    return work(where, request.user, request.auth, request.state.request_id)


async def item(request: Request) -> Response:
    return JSONResponse(see("item", request))


def sync(request: Request) -> Response:
    return JSONResponse(see("sync", request))


async def background(request: Request) -> Response:
    return JSONResponse(see("background", request), background=BackgroundTask(see, "task", request))


async def stream(request: Request) -> Response:
    async def parts() -> AsyncIterator[str]:
        for part in PARTS:
            yield part
        see("stream", request)

    return StreamingResponse(parts(), media_type="text/html")


async def forever(request: Request) -> Response:
    return StreamingResponse(endless(), media_type="text/html")


async def page(request: Request) -> Response:
    return HTMLResponse(PAGE, headers={"Vary": "Cookie"})


async def encoded(request: Request) -> Response:
    return HTMLResponse(ENCODED, headers={"Content-Encoding": "gzip"})


async def raises(request: Request) -> Response:
    raise Broken(SECRET)


async def upload(request: Request) -> Response:
    return JSONResponse({"length": len(await request.body())})


async def swallow(request: Request) -> Response:
    with suppress(Exception):
        await request.body()
    return JSONResponse({})


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    see("socket", websocket)
    await websocket.send_text(f"{websocket.user.identity}: {await websocket.receive_text()}")
    await websocket.close()


def build(layers: list[Layer], calls: Calls) -> Starlette:
    """Build the service with the layers added as Starlette adds them."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        calls.note("startup")
        yield
        calls.note("shutdown")

    return Starlette(
        routes=[
            Route("/items/{id:int}", item),
            Route("/sync/{id:int}", sync),
            Route("/public", item),
            Route("/background", background),
            Route("/stream", stream),
            Route("/endless", forever),
            Route("/page", page),
            Route("/encoded", encoded),
            Route("/raises/{id}", raises),
            Route("/upload", upload, methods=["POST"]),
            Route("/swallow", swallow, methods=["POST"]),
            Mount("/sub", app=Starlette(routes=[Route("/deep/{id:int}", item)])),
            WebSocketRoute("/ws/{room}", echo),
        ],
        middleware=[Middleware(layer.factory, **layer.options) for layer in layers],
        lifespan=lifespan,
    )
