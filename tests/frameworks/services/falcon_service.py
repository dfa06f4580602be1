"""The service in Falcon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import falcon
import falcon.asgi
from services.common import ENCODED, PAGE, PARTS, SECRET, Broken, Calls, Layer, endless, work_in

from asgi_middleware import stack
from asgi_middleware.integrations.falcon import RouteMiddleware

TRIO = False


class Item:
    async def on_get(self, req: Any, resp: Any, **captured: Any) -> None:
        resp.media = work_in("item", req.scope)


class Sync:
    async def on_get(self, req: Any, resp: Any, number: int) -> None:
        resp.media = await asyncio.to_thread(work_in, "sync", req.scope)


class Background:
    async def on_get(self, req: Any, resp: Any) -> None:
        async def task() -> None:
            work_in("task", req.scope)

        resp.schedule(task)
        resp.media = work_in("background", req.scope)


class Stream:
    async def on_get(self, req: Any, resp: Any) -> None:
        async def parts() -> AsyncIterator[bytes]:
            for part in PARTS:
                yield part.encode()
            work_in("stream", req.scope)

        resp.content_type = falcon.MEDIA_HTML
        resp.stream = parts()


class Endless:
    async def on_get(self, req: Any, resp: Any) -> None:
        resp.content_type = falcon.MEDIA_HTML
        resp.stream = endless()


class Page:
    async def on_get(self, req: Any, resp: Any) -> None:
        resp.content_type = falcon.MEDIA_HTML
        resp.append_header("Vary", "Cookie")
        resp.text = PAGE

    async def on_head(self, req: Any, resp: Any) -> None:
        await self.on_get(req, resp)


class Encoded:
    async def on_get(self, req: Any, resp: Any) -> None:
        resp.content_type = falcon.MEDIA_HTML
        resp.set_header("Content-Encoding", "gzip")
        resp.data = ENCODED


class Raises:
    async def on_get(self, req: Any, resp: Any, name: str) -> None:
        raise Broken(SECRET)


class Upload:
    async def on_post(self, req: Any, resp: Any) -> None:
        resp.media = {"length": len(await req.stream.read())}


class Swallow:
    async def on_post(self, req: Any, resp: Any) -> None:
        with suppress(Exception):
            await req.stream.read()


class Echo:
    async def on_websocket(self, req: Any, ws: Any, room: str) -> None:
        await ws.accept()
        work_in("socket", req.scope)
        await ws.send_text(f"{req.scope['user'].identity}: {await ws.receive_text()}")
        await ws.close()


class Life:
    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    async def process_startup(self, scope: Any, event: Any) -> None:
        self.calls.note("startup")

    async def process_shutdown(self, scope: Any, event: Any) -> None:
        self.calls.note("shutdown")


def build(layers: list[Layer], calls: Calls) -> Any:
    """Build the service with the layers around it: Falcon's own components are no ASGI middleware."""
    app = falcon.asgi.App(middleware=[RouteMiddleware(), Life(calls)])
    for template, resource in {
        "/items/{number:int}": Item(),
        "/sync/{number:int}": Sync(),
        "/public": Item(),
        "/background": Background(),
        "/stream": Stream(),
        "/endless": Endless(),
        "/page": Page(),
        "/encoded": Encoded(),
        "/raises/{name}": Raises(),
        "/upload": Upload(),
        "/swallow": Swallow(),
        "/sub/deep/{number:int}": Item(),
        "/ws/{room}": Echo(),
    }.items():
        app.add_route(template, resource)
    return stack(app, *layers)
