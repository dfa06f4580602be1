"""The service in Litestar."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from litestar import Litestar, MediaType, Request, Response, Router, WebSocket, di, get, post
from litestar.background_tasks import BackgroundTask
from litestar.handlers import websocket
from litestar.middleware import DefineMiddleware
from litestar.response import Stream
from services.common import ENCODED, PAGE, PARTS, SECRET, Broken, Calls, Layer, endless, work

TRIO = True

# Litestar asks for it since 2.23, and does not know it before.
User: Any = di.NamedDependency[str] if hasattr(di, "NamedDependency") else str


def see(where: str, request: Any) -> dict[str, Any]:
    return work(where, request.user, request.auth, request.state.request_id)


def dependency(request: Request[Any, Any, Any]) -> str:
    see("dependency", request)
    return str(request.user.identity)


@get(["/items/{number:int}", "/public", "/deep/{number:int}"])
async def item(request: Request[Any, Any, Any]) -> dict[str, Any]:
    return see("item", request)


@get("/sync/{number:int}", sync_to_thread=True)
def sync(request: Request[Any, Any, Any]) -> dict[str, Any]:
    return see("sync", request)


@get("/depends", dependencies={"user": di.Provide(dependency, sync_to_thread=True)})
async def depends(request: Request[Any, Any, Any], user: User) -> dict[str, Any]:
    return see("depends", request) | {"user": user}


@get("/background")
async def background(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    async def task() -> None:
        see("task", request)

    return Response(see("background", request), background=BackgroundTask(task))


@get("/stream")
async def stream(request: Request[Any, Any, Any]) -> Stream:
    async def parts() -> AsyncIterator[str]:
        for part in PARTS:
            yield part
        see("stream", request)

    return Stream(parts(), media_type=MediaType.HTML)


@get("/endless")
async def forever() -> Stream:
    return Stream(endless(), media_type=MediaType.HTML)


@get("/page", media_type=MediaType.HTML)
async def page() -> Response[str]:
    return Response(PAGE, headers={"Vary": "Cookie"})


@get("/encoded", media_type=MediaType.HTML)
async def encoded() -> Response[bytes]:
    return Response(ENCODED, headers={"Content-Encoding": "gzip"})


@get("/raises/{name:str}")
async def raises() -> None:
    raise Broken(SECRET)


@post("/upload")
async def upload(request: Request[Any, Any, Any]) -> dict[str, int]:
    return {"length": len(await request.body())}


@post("/swallow")
async def swallow(request: Request[Any, Any, Any]) -> dict[str, int]:
    with suppress(Exception):
        await request.json()
    return {}


@websocket("/ws/{room:str}")
async def echo(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    see("socket", socket)
    await socket.send_text(f"{socket.user.identity}: {await socket.receive_text()}")
    await socket.close()


def build(layers: list[Layer], calls: Calls) -> Litestar:
    """Build the service with the layers added as Litestar adds them."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        calls.note("startup")
        yield
        calls.note("shutdown")

    handlers = [item, sync, depends, background, stream, forever, page, encoded, raises, upload, swallow, echo]
    return Litestar(
        [*handlers, Router("/sub", route_handlers=[item])],
        middleware=[DefineMiddleware(layer.factory, **layer.options) for layer in layers],
        lifespan=[lifespan],
        openapi_config=None,
        logging_config=None,
    )
