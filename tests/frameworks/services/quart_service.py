"""The service in Quart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from quart import Blueprint, Quart, Response, request, websocket
from services.common import ENCODED, PAGE, PARTS, SECRET, Broken, Calls, Layer, endless, work_in

from asgi_middleware import stack
from asgi_middleware.integrations.quart import record_routes

TRIO = False


def build(layers: list[Layer], calls: Calls) -> Quart:
    """Build the service with the layers put around its ASGI side, as Quart's documentation says."""
    app = Quart("service")
    sub = Blueprint("sub", "service", url_prefix="/sub")

    @sub.get("/deep/<int:number>")
    @app.get("/items/<int:number>")
    async def item(number: int) -> dict[str, Any]:
        return work_in("item", request.scope)

    @app.get("/public")
    async def public() -> dict[str, Any]:
        return work_in("item", request.scope)

    @app.get("/sync/<int:number>")
    def sync(number: int) -> dict[str, Any]:
        return work_in("sync", request.scope)

    @app.get("/background")
    async def background() -> dict[str, Any]:
        async def task(scope: Any) -> None:
            work_in("task", scope)

        app.add_background_task(task, request.scope)
        return work_in("background", request.scope)

    @app.get("/stream")
    async def stream() -> Response:
        async def parts(scope: Any) -> AsyncIterator[str]:
            for part in PARTS:
                yield part
            work_in("stream", scope)

        return Response(parts(request.scope), mimetype="text/html")

    @app.get("/endless")
    async def forever() -> Response:
        return Response(endless(), mimetype="text/html")

    @app.get("/page")
    async def page() -> Response:
        return Response(PAGE, mimetype="text/html", headers={"Vary": "Cookie"})

    @app.get("/encoded")
    async def encoded() -> Response:
        return Response(ENCODED, mimetype="text/html", headers={"Content-Encoding": "gzip"})

    @app.get("/raises/<name>")
    async def raises(name: str) -> str:
        raise Broken(SECRET)

    @app.post("/upload")
    async def upload() -> dict[str, int]:
        return {"length": len(await request.get_data())}

    @app.post("/swallow")
    async def swallow() -> dict[str, int]:
        with suppress(Exception):
            await request.get_data()
        return {}

    @app.websocket("/ws/<room>")
    async def echo(room: str) -> None:
        await websocket.accept()
        work_in("socket", websocket.scope)
        await websocket.send(f"{websocket.scope['user'].identity}: {await websocket.receive()}")
        await websocket.close(1000)

    @app.before_serving
    async def startup() -> None:
        calls.note("startup")

    @app.after_serving
    async def shutdown() -> None:
        calls.note("shutdown")

    app.register_blueprint(sub)
    record_routes(app)
    app.asgi_app = stack(app.asgi_app, *layers)  # type: ignore[method-assign]
    return app
