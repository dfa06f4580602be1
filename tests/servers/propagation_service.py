"""Six kinds of app behind one LoggingMiddleware, whose handlers tell and log from wherever their framework runs them.

The path's first part names the framework, the second the place. Each place calls `work` once, some more often, under
names of their own: fields and times of that name must be on the access line, and two log lines must carry its ids.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import threading

import anyio
import structlog
from anyio import to_thread
from service_constants import KEY

from asgi_middleware import LoggingMiddleware, add_fields, timing
from asgi_middleware.logging import configure_structlog, correlation_id

CHUNKS = 200
PAUSE = 0.03

configure_structlog(json=True)
log = structlog.get_logger("app")
standard = logging.getLogger("app.standard")


def work(name):
    add_fields(**{name: 1})
    with timing(name):
        pass
    structlog.contextvars.bind_contextvars(left_behind=name)
    log.info("working", place=name)
    standard.warning("working", extra={"place": name})


async def async_work(name):
    work(name)


async def endless():
    """Give a body that nobody waits for."""
    for _ in range(CHUNKS):
        yield b"x" * 1000
        await anyio.sleep(PAUSE)


async def answer(send, body=b"ok"):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})


async def bare(scope, receive, send):
    match scope["path"]:
        case "/bare/tasks":
            async with anyio.create_task_group() as group:
                group.start_soon(async_work, "child")
        case "/bare/threads":
            await to_thread.run_sync(work, "worker")
            own = threading.Thread(target=contextvars.copy_context().run, args=(work, "own"))
            own.start()
            await to_thread.run_sync(own.join)
        case "/bare/upload":
            seen = structlog.contextvars.get_contextvars().get("left_behind")
            more = True
            while more:
                more = (await receive()).get("more_body", False)
            work("upload")
            await answer(send, json.dumps({"id": correlation_id.get(), "left_behind": seen}).encode())
            return
        case "/bare/nothing":
            return
        case "/bare/half":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            return
        case "/bare/fails":
            raise RuntimeError("a secret of the handler")
    await answer(send)


def starlette_app(*middleware):
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    async def on_loop(request):
        work("on_loop")
        return PlainTextResponse("ok")

    def in_thread(request):
        work("in_thread")
        return PlainTextResponse("ok")

    async def streaming(request):
        async def body():
            for number in range(2):
                work(f"chunk_{number}")
                yield b"x"
                await anyio.sleep(0.01)

        return StreamingResponse(body())

    async def sync_streaming(request):
        def body():
            work("sync_chunk")
            yield b"x"

        return StreamingResponse(body())

    async def background(request):
        return PlainTextResponse("ok", background=BackgroundTask(work, "background"))

    async def endless_streaming(request):
        return StreamingResponse(endless())

    handlers = (on_loop, in_thread, streaming, sync_streaming, background, endless_streaming)
    routes = [Route(f"/{{_}}/{handler.__name__}", handler) for handler in handlers]
    return Starlette(routes=routes, middleware=middleware)


def under_base_http_middleware():
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware

    async def dispatch(request, call_next):
        work("dispatch")
        return await call_next(request)

    return starlette_app(Middleware(BaseHTTPMiddleware, dispatch=dispatch))


def fastapi_app():
    from fastapi import Depends, FastAPI
    from fastapi.responses import StreamingResponse

    app = FastAPI()

    async def on_loop():
        work("dependency")

    def in_thread():
        work("dependency")

    def around():
        work("before")
        yield
        work("after")

    async def view():
        work("view")
        return {}

    def thread_view():
        work("view")
        return {}

    @app.get("/fastapi/endless_streaming")
    async def endless_streaming():
        return StreamingResponse(endless())

    for path, function, dependency in (
        ("async_dependency", view, on_loop),
        ("sync_dependency", view, in_thread),
        ("around", view, around),
        ("in_thread", thread_view, on_loop),
    ):
        app.get(f"/fastapi/{path}", dependencies=[Depends(dependency)])(function)
    return app


def litestar_app():
    from litestar import Litestar, get
    from litestar.response import Stream

    globals()["Stream"] = Stream  # where postponed annotations are resolved

    @get("/litestar/on_loop")
    async def on_loop() -> dict[str, int]:
        work("on_loop")
        return {}

    @get("/litestar/in_thread", sync_to_thread=True)
    def in_thread() -> dict[str, int]:
        work("in_thread")
        return {}

    @get("/litestar/endless_streaming")
    async def endless_streaming() -> Stream:
        return Stream(endless())

    return Litestar([on_loop, in_thread, endless_streaming], logging_config=None)


def quart_app():
    from quart import Quart

    app = Quart(__name__)

    @app.get("/quart/on_loop")
    async def on_loop():
        work("on_loop")
        return "ok"

    @app.get("/quart/in_thread")
    def in_thread():
        work("in_thread")
        return "ok"

    @app.get("/quart/endless_streaming")
    async def endless_streaming():
        return endless()

    return app


def django_app():
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import HttpResponse, StreamingHttpResponse
    from django.urls import path

    settings.configure(SECRET_KEY=KEY, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, LOGGING_CONFIG=None)
    django.setup()

    async def on_loop(request):
        work("on_loop")
        await asyncio.to_thread(work, "worker")
        return HttpResponse("ok")

    def in_thread(request):
        work("in_thread")
        return HttpResponse("ok")

    async def streaming(request):
        async def body():
            work("chunk")
            yield b"x"

        return StreamingHttpResponse(body())

    async def endless_streaming(request):
        return StreamingHttpResponse(endless())

    views = (on_loop, in_thread, streaming, endless_streaming)
    patterns = [path(f"django/{view.__name__}", view) for view in views]
    return get_asgi_application(), patterns


django, urlpatterns = django_app()
APPS = {
    "bare": bare,
    "django": django,
    "fastapi": fastapi_app(),
    "litestar": litestar_app(),
    "quart": quart_app(),
    "starlette": starlette_app(),
    "base_http": under_base_http_middleware(),
}


async def service(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    else:
        await APPS.get(scope["path"].split("/")[1], bare)(scope, receive, send)


app = LoggingMiddleware(service)
