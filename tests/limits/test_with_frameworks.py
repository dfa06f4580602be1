"""The 413 around real frameworks, whatever they make of a body that breaks off [B1]."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import litestar
import pytest
import quart
from fastapi import FastAPI, Form, Request
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route

import asgi_middleware
from asgi_middleware.limits import RequestBodyLimitMiddleware
from asgi_middleware.testing.driver import http

pytestmark = pytest.mark.anyio

LIMIT = 1000
CALLED: list[str] = []


@pytest.fixture
def anyio_backend() -> str:
    """Most of the frameworks here know asyncio alone."""
    return "asyncio"


async def read_plainly(request: Any) -> PlainTextResponse:
    """Read the body."""
    CALLED.append("starlette")
    return PlainTextResponse(str(len(await request.body())))


async def read_and_catch(request: Any) -> PlainTextResponse:
    """Read the body and make a 400 of whatever goes wrong."""
    try:
        return PlainTextResponse(str(len(await request.body())))
    except Exception:  # noqa: BLE001 -- this is the app that swallows everything
        return PlainTextResponse("bad", 400)


async def read_and_stream(request: Any) -> StreamingResponse:
    """Read the body, and stream for ever if it breaks off."""
    try:
        size = len(await request.body())
    except Exception:  # noqa: BLE001 -- as above
        size = -1

    async def ticks() -> Any:
        yield str(size)
        while size < 0:
            yield "tick"

    return StreamingResponse(ticks())


async def make_500(request: Any, error: Exception) -> JSONResponse:
    """Handle every exception."""
    return JSONResponse({"error": "handled"}, 500)


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Any:
        """Pass on."""
        return await call_next(request)


def starlette(endpoint: Any = read_plainly, **options: Any) -> Starlette:
    """Make a Starlette app with one endpoint."""
    return Starlette(routes=[Route("/", endpoint, methods=["POST"])], **options)


def starlette_base() -> Starlette:
    """Make a Starlette app with BaseHTTPMiddleware, which makes exception groups."""
    app = starlette()
    app.add_middleware(Passing)
    return app


def fastapi_app(**options: Any) -> FastAPI:
    """Make a FastAPI app that takes JSON, and a form."""
    app = FastAPI(**options)

    @app.post("/")
    async def take_json(item: dict[str, str]) -> int:
        return len(item)

    @app.post("/form")
    async def take_form(name: Annotated[str, Form()]) -> int:
        return len(name)

    return app


def fastapi_swallowing() -> FastAPI:
    """Make a FastAPI app whose endpoint swallows everything."""
    app = FastAPI()

    @app.post("/")
    async def take(request: Request) -> int:
        try:
            return len(await request.body())
        except Exception:  # noqa: BLE001 -- as above
            return -1

    return app


def litestar_app() -> litestar.Litestar:
    """Make a Litestar app."""

    @litestar.post("/")
    async def take(request: litestar.Request[Any, Any, Any]) -> str:
        return str(len(await request.body()))

    return litestar.Litestar([take])


def quart_app() -> quart.Quart:
    """Make a Quart app."""
    app = quart.Quart("app")

    @app.post("/")
    async def take() -> str:
        return str(len(await quart.request.get_data()))

    return app


def quart_streaming() -> quart.Quart:
    """Make a Quart app that reads chunk by chunk, past its own limit."""
    app = quart.Quart("app")

    @app.post("/")
    async def take() -> str:
        return str(sum([len(chunk) async for chunk in quart.request.body]))

    return app


APPS: list[tuple[str, Callable[[], Any], str]] = [
    ("starlette", starlette, "/"),
    ("starlette, exception handler", lambda: starlette(exception_handlers={Exception: make_500}), "/"),
    ("starlette, debug", lambda: starlette(debug=True), "/"),
    ("starlette, BaseHTTPMiddleware", starlette_base, "/"),
    ("starlette, endpoint swallows", lambda: starlette(read_and_catch), "/"),
    ("starlette, endpoint streams for ever", lambda: starlette(read_and_stream), "/"),
    ("fastapi", fastapi_app, "/"),
    ("fastapi, form", fastapi_app, "/form"),
    ("fastapi, exception handler", lambda: fastapi_app(exception_handlers={Exception: make_500}), "/"),
    ("fastapi, endpoint swallows", fastapi_swallowing, "/"),
    ("litestar", litestar_app, "/"),
    ("quart", quart_app, "/"),
    ("quart, chunk by chunk", quart_streaming, "/"),
]

HOST = (b"host", b"example.com")
CHUNKED = [HOST, (b"transfer-encoding", b"chunked"), (b"content-type", b"application/json")]
FORM = [HOST, (b"transfer-encoding", b"chunked"), (b"content-type", b"application/x-www-form-urlencoded")]
OVER = [b'{"a": "' + b"x" * 394, b"x" * 401, b"x" * 399 + b'"}']
UNDER = [b'{"a": "' + b"x" * 394, b"x" * 401 + b'"}']


def limited(app: Any) -> RequestBodyLimitMiddleware:
    """Wrap an app."""
    return RequestBodyLimitMiddleware(app, max_body_size=LIMIT)


@pytest.mark.parametrize(("name", "make", "where"), APPS, ids=[row[0] for row in APPS])
class TestTable:
    async def test_counted(self, name: str, make: Callable[[], Any], where: str) -> None:
        """A chunked body over the limit is a 413, and nothing of the app's answer shows [B1]."""
        result = await http(limited(make()), "POST", where, headers=FORM if where == "/form" else CHUNKED, body=OVER)
        assert result.status == 413
        assert result.json()["reason"] == "body_too_large"
        assert result.types.count("http.response.start") == 1
        assert result.complete

    async def test_declared(self, name: str, make: Callable[[], Any], where: str) -> None:
        """A declared length over the limit is a 413 without the app [B8]."""
        CALLED.clear()
        headers = [HOST, (b"content-length", b"1203"), (b"expect", b"100-continue")]
        result = await http(limited(make()), "POST", where, headers=headers, body=OVER)
        assert result.status == 413
        assert result.received == 0
        assert CALLED == []

    async def test_within(self, name: str, make: Callable[[], Any], where: str) -> None:
        """A body within the limit reaches the app."""
        form = where == "/form"
        body = [b"name=" + b"x" * 500] if form else UNDER
        result = await http(limited(make()), "POST", where, headers=FORM if form else CHUNKED, body=body)
        assert result.status in {200, 201}


DJANGO = """
import json, sys, types
import anyio, django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path
from asgi_middleware.limits import RequestBodyLimitMiddleware
from asgi_middleware.testing.driver import http

def sync_view(request):
    return HttpResponse(str(len(request.body)))

async def async_view(request):
    return HttpResponse(str(len(request.body)))

urlpatterns = [path("sync", sync_view), path("async", async_view)]
settings.configure(SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, LOGGING_CONFIG=None)
app = RequestBodyLimitMiddleware(get_asgi_application(), max_body_size=1000)
headers = [(b"host", b"example.com"), (b"transfer-encoding", b"chunked")]

async def main():
    for where in ("/sync", "/async"):
        for chunks in ([b"x" * 401] * 2, [b"x" * 401] * 3):
            result = await http(app, "POST", where, headers=headers, body=chunks)
            print(json.dumps([where, result.status, result.body.decode()]))

anyio.run(main)
"""


def test_django() -> None:
    """Django stops reading at the limit, before any view; within it the view gets the body [B14]."""
    # In a process of its own: Django's settings can be configured once.
    run = subprocess.run(
        [sys.executable, "-P", "-c", DJANGO],
        env={**os.environ, "PYTHONPATH": str(Path(asgi_middleware.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert [(where, status) for where, status, _ in answers] == [
        ("/sync", 200),
        ("/sync", 413),
        ("/async", 200),
        ("/async", 413),
    ]
    assert [body for _, status, body in answers if status == 200] == ["802", "802"]
    assert all(json.loads(body)["reason"] == "body_too_large" for _, status, body in answers if status == 413)


async def test_starlette_adds_it() -> None:
    """Added by the framework itself, the class refuses as well."""
    app = starlette()
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=LIMIT)
    result = await http(app, "POST", headers=CHUNKED, body=OVER)
    assert result.status == 413


async def test_background_work_survives() -> None:
    """A task that the app started is not touched by the refusal."""
    done = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def later() -> None:
            await asyncio.sleep(0)
            done.set()

        task = asyncio.create_task(later())
        await receive()
        await task

    assert (await http(limited(app), "POST", body=b"x" * 1001)).status == 413
    assert done.is_set()
