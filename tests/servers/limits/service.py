"""The same upload in every framework, each within the limit; and the limits by themselves, with what they still hold.

The first segment of the path names the app; behind it stands the framework's own path.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from asgi_middleware import (
    BodyBudget,
    BodyTimeoutMiddleware,
    HeaderLimitMiddleware,
    RequestBodyLimitMiddleware,
    WebSocketMessageLimitMiddleware,
    layer,
    stack,
)
from asgi_middleware._core import deadlines

LIMIT = 100_000
BUDGET = BodyBudget(64_000_000)
working: set[object] = set()


def starlette(**options):
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def take(request):
        return PlainTextResponse(str(len(await request.body())))

    return Starlette(routes=[Route("/", take, methods=["POST"])], **options)


def starlette_base():
    from starlette.middleware.base import BaseHTTPMiddleware

    async def dispatch(request, call_next):
        return await call_next(request)

    app = starlette()
    app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
    return app


def starlette_catch_all():
    from starlette.responses import PlainTextResponse

    async def handle(request, error):
        return PlainTextResponse("handled", 500)

    return starlette(exception_handlers={Exception: handle})


def fastapi_json():
    from fastapi import FastAPI

    app = FastAPI()

    @app.post("/")
    async def take(items: list[int]) -> int:
        return len(items)

    return app


def fastapi_form():
    from fastapi import FastAPI, Form

    app = FastAPI()

    async def take(name):
        return len(name)

    take.__annotations__ = {"name": Annotated[str, Form()]}
    app.post("/")(take)
    return app


def litestar():
    from litestar import Litestar, Request, post

    async def take(request: Request[Any, Any, Any]) -> str:
        return str(len(await request.body()))

    take.__annotations__ = {"request": Request[Any, Any, Any], "return": str}
    return Litestar([post("/", status_code=200)(take)])


def quart():
    from quart import Quart, request

    app = Quart("app")

    @app.post("/")
    async def take() -> str:
        return str(len(await request.get_data()))

    return app


def django(*, kind):
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application

    if not settings.configured:
        settings.configure(SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, LOGGING_CONFIG=None)
        django.setup()
    app = get_asgi_application()

    async def at_its_path(scope, receive, send):
        await app({**scope, "path": f"/{kind}", "raw_path": b"/" + kind.encode()}, receive, send)

    return at_its_path


def _django_views():
    from django.http import HttpResponse
    from django.urls import path

    def take(request):
        return HttpResponse(str(len(request.body)))

    async def take_async(request):
        return HttpResponse(str(len(request.body)))

    return [path("sync", take), path("async", take_async)]


urlpatterns = _django_views()


def falcon():
    from falcon.asgi import App

    class Take:
        async def on_post(self, req, resp):
            resp.text = str(len(await req.stream.read()))

    app = App()
    app.add_route("/", Take())
    return app


def blacksheep():
    from blacksheep import Application, Request, text

    app = Application()

    async def take(request: Request):
        return text(str(len(await request.read() or b"")))

    take.__annotations__ = {"request": Request}
    app.router.add_post("/", take)
    return app


async def bare(scope, receive, send):
    """Read and answer; or echo; or tell what is still held."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
        return
    if scope["path"] == "/held":
        await answer(send, json.dumps(held()).encode())
        return
    working.add(request := object())
    try:
        if scope["path"] == "/download":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(2_000):
                await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            return
        while (message := await receive()).get("more_body"):
            pass
        if message["type"] != "http.disconnect":
            await answer(send, b"read")
    finally:
        working.discard(request)


async def answer(send, body):
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def held():
    """What the limits hold now; the request that asks is none of it."""
    gc.collect()
    return {
        "active": len(working),
        "in_flight": BUDGET.in_flight,
        "timers": sum(len(bucket) for wheel in deadlines._wheels.values() for bucket in wheel.values()),
        "tasks": len(asyncio.all_tasks()),
        "memory": peak(),
    }


def peak():
    """The most memory that this process ever held, in kilobytes; getrusage would tell that of its parent too."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except FileNotFoundError:  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


MAKERS: dict[str, Any] = {
    "starlette": starlette,
    "starlette-base": starlette_base,
    "starlette-catch-all": starlette_catch_all,
    "fastapi-json": fastapi_json,
    "fastapi-form": fastapi_form,
    "litestar": litestar,
    "quart": quart,
    "django-sync": lambda: django(kind="sync"),
    "django-async": lambda: django(kind="async"),
    "falcon": falcon,
    "blacksheep": blacksheep,
}
FRAMEWORKS = {name: name.partition("-")[0] for name in MAKERS}
HERE = {name for name, framework in FRAMEWORKS.items() if find_spec(framework) is not None}

frameworks = {name: RequestBodyLimitMiddleware(MAKERS[name](), max_body_size=LIMIT) for name in HERE}
limited = stack(
    bare,
    layer(HeaderLimitMiddleware, max_header_count=50),
    layer(RequestBodyLimitMiddleware, max_body_size=LIMIT, budget=BUDGET, overrides={"/raw/held": None}),
    layer(BodyTimeoutMiddleware, idle_timeout=1.0, min_rate=240, min_rate_grace=0.5, send_timeout=1.0),
    layer(WebSocketMessageLimitMiddleware, max_message_size=1_000, idle_timeout=0.5, max_connections_per_key=4),
)


async def app(scope, receive, send):
    """Pass each request to the app that its path names."""
    if scope["type"] == "lifespan":
        await live(scope, receive, send)
        return
    name, _, rest = scope["path"].lstrip("/").partition("/")
    inner = {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode()}
    await frameworks.get(name, limited)(inner, receive, send)


async def live(scope, receive, send):
    """Start BlackSheep, which needs it, and nothing else."""
    if "blacksheep" in HERE:
        await frameworks["blacksheep"](scope, receive, send)
        return
    while (await receive())["type"] == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
