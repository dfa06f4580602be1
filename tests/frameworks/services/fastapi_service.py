"""The service in FastAPI."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Body, Depends, FastAPI, Request, WebSocket
from fastapi.responses import HTMLResponse, Response, StreamingResponse
from services.common import ENCODED, PAGE, PARTS, SECRET, Broken, Calls, Layer, endless, work

TRIO = True


def see(where: str, request: Any) -> dict[str, Any]:
    return work(where, request.user, request.auth, request.state.request_id)


def dependency(request: Request) -> Iterator[str]:
    see("dependency", request)
    yield request.user.identity
    see("after", request)


router = APIRouter()


@router.get("/public")
@router.get("/items/{id}")
async def item(request: Request) -> dict[str, Any]:
    return see("item", request)


@router.get("/sync/{id}")
def sync(id: int, request: Request) -> dict[str, Any]:  # noqa: A002 -- the parameter's name
    return see("sync", request)


@router.get("/depends")
async def depends(request: Request, user: Annotated[str, Depends(dependency)]) -> dict[str, Any]:
    return see("depends", request) | {"user": user}


@router.get("/background")
async def background(request: Request, tasks: BackgroundTasks) -> dict[str, Any]:
    tasks.add_task(see, "task", request)
    return see("background", request)


@router.get("/stream")
async def stream(request: Request) -> StreamingResponse:
    def parts() -> Iterator[str]:
        yield from PARTS
        see("stream", request)

    return StreamingResponse(parts(), media_type="text/html")


@router.get("/endless")
async def forever() -> StreamingResponse:
    return StreamingResponse(endless(), media_type="text/html")


@router.get("/page", response_class=HTMLResponse)
async def page(response: Response) -> str:
    response.headers["Vary"] = "Cookie"
    return PAGE


@router.get("/encoded")
async def encoded() -> HTMLResponse:
    return HTMLResponse(ENCODED, headers={"Content-Encoding": "gzip"})


@router.get("/raises/{id}")
async def raises(id: str) -> None:  # noqa: A002 -- as above
    raise Broken(SECRET)


@router.post("/upload")
async def upload(body: Annotated[dict[str, str], Body()]) -> dict[str, int]:
    return {"length": len(body["text"]) + len('{"text": ""}')}


@router.post("/swallow")
async def swallow(request: Request) -> dict[str, int]:
    with suppress(Exception):
        await request.json()
    return {}


@router.websocket("/ws/{room}")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    see("socket", websocket)
    await websocket.send_text(f"{websocket.user.identity}: {await websocket.receive_text()}")
    await websocket.close()


def build(layers: list[Layer], calls: Calls) -> FastAPI:
    """Build the service with the layers added as FastAPI adds them: the last one added is the outermost."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        calls.note("startup")
        yield
        calls.note("shutdown")

    app = FastAPI(lifespan=lifespan)
    app.include_router(router)
    sub = FastAPI()
    sub.get("/deep/{id}")(item)
    app.mount("/sub", sub)
    for layer in reversed(layers):
        app.add_middleware(layer.factory, **layer.options)
    return app
