"""The service in BlackSheep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from blacksheep import Application, Content, Request, Response, Router, StreamedContent, WebSocket, json
from services.common import ENCODED, PAGE, PARTS, SECRET, Broken, Calls, Layer, endless, work_in

from asgi_middleware import stack
from asgi_middleware.integrations.blacksheep import record_routes

TRIO = False


class Dependency:
    """Made by BlackSheep for each request."""

    def see(self, scope: Any) -> str:
        return str(work_in("dependency", scope)["user"])


def html(body: bytes, *headers: tuple[bytes, bytes]) -> Response:
    return Response(200, list(headers), Content(b"text/html; charset=utf-8", body))


def build(layers: list[Layer], calls: Calls) -> Any:
    """Build the service with the layers around it: BlackSheep's own middleware is no ASGI middleware."""
    app = Application(router=Router())
    app.services.add_scoped(Dependency)
    tasks: set[asyncio.Task[None]] = set()

    @app.router.get("/items/{int:number}")
    async def item(request: Request, number: int) -> Response:
        return json(work_in("item", request.scope))

    @app.router.get("/public")
    async def public(request: Request) -> Response:
        return json(work_in("item", request.scope))

    @app.router.get("/sync/{int:number}")
    def sync(request: Request, number: int) -> Response:
        return json(work_in("sync", request.scope))

    @app.router.get("/depends")
    async def depends(request: Request, dependency: Dependency) -> Response:
        user = dependency.see(request.scope)
        return json(work_in("depends", request.scope) | {"user": user})

    @app.router.get("/background")
    async def background(request: Request) -> Response:
        async def task(scope: Any) -> None:
            work_in("task", scope)

        tasks.add(asyncio.create_task(task(request.scope)))
        return json(work_in("background", request.scope))

    @app.router.get("/stream")
    async def stream(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            for part in PARTS:
                yield part.encode()
            work_in("stream", request.scope)

        return Response(200, content=StreamedContent(b"text/html", parts))

    @app.router.get("/endless")
    async def forever() -> Response:
        return Response(200, content=StreamedContent(b"text/html", endless))

    @app.router.head("/page")
    @app.router.get("/page")
    async def page() -> Response:
        return html(PAGE.encode(), (b"Vary", b"Cookie"))

    @app.router.get("/encoded")
    async def encoded() -> Response:
        return html(ENCODED, (b"Content-Encoding", b"gzip"))

    @app.router.get("/raises/{name}")
    async def raises(name: str) -> None:
        raise Broken(SECRET)

    @app.router.post("/upload")
    async def upload(request: Request) -> Response:
        return json({"length": len(await request.read() or b"")})

    @app.router.post("/swallow")
    async def swallow(request: Request) -> Response:
        with suppress(Exception):
            await request.read()
        return json({})

    @app.router.ws("/ws/{room}")
    async def echo(socket: WebSocket, room: str) -> None:
        await socket.accept()
        work_in("socket", socket.scope)
        await socket.send_text(f"{socket.scope['user'].identity}: {await socket.receive_text()}")
        await socket.close()

    sub = Application(router=Router())

    @sub.router.get("/deep/{int:number}")
    async def deep(request: Request, number: int) -> Response:
        return json(work_in("item", request.scope))

    app.mount_registry.auto_events = True
    app.mount("/sub", sub)

    @app.on_start
    async def startup(_: Application) -> None:
        calls.note("startup")

    @app.on_stop
    async def shutdown(_: Application) -> None:
        calls.note("shutdown")

    record_routes(app)
    return stack(app, *layers)
