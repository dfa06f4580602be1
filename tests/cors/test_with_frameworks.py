"""CORSMiddleware around real frameworks, added as each of them adds a class."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import litestar
import pytest
import quart
from fastapi import FastAPI, HTTPException
from litestar.middleware import DefineMiddleware
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import asgi_middleware
from asgi_middleware.cors import CORSMiddleware
from asgi_middleware.testing.driver import http

pytestmark = pytest.mark.anyio

APP = "https://app.example.com"
HEADERS = [(b"host", b"api.example.com"), (b"origin", APP.encode())]
PREFLIGHT = [*HEADERS, (b"access-control-request-method", b"PUT"), (b"access-control-request-headers", b"x-token")]
OPTIONS: dict[str, Any] = {"allow_origins": [APP], "allow_methods": ["PUT"], "allow_headers": ["x-token"]}


@pytest.fixture
def anyio_backend() -> str:
    """Quart knows asyncio alone."""
    return "asyncio"


async def hello(request: Any) -> PlainTextResponse:
    """Answer."""
    return PlainTextResponse("hello", headers={"vary": "Cookie"})


async def boom(request: Any) -> PlainTextResponse:
    """Raise."""
    raise RuntimeError("secret")


def starlette_inside() -> Any:
    """Add it as Starlette does."""
    app = Starlette(routes=[Route("/", hello), Route("/boom", boom)])
    app.add_middleware(CORSMiddleware, **OPTIONS)
    return app


def starlette_outside() -> Any:
    """Put it around the app."""
    return CORSMiddleware(Starlette(routes=[Route("/", hello), Route("/boom", boom)]), **OPTIONS)


def fastapi() -> Any:
    """Add it as FastAPI does."""
    app = FastAPI()

    @app.get("/")
    async def answer() -> str:
        return "hello"

    @app.get("/boom")
    async def fail() -> str:
        raise RuntimeError("secret")

    @app.get("/forbidden")
    async def forbidden() -> str:
        raise HTTPException(403)

    app.add_middleware(CORSMiddleware, **OPTIONS)
    return app


def litestar_app() -> Any:
    """Put it around a Litestar app."""

    @litestar.get("/")
    async def answer() -> str:
        return "hello"

    @litestar.get("/boom")
    async def fail() -> str:
        raise RuntimeError("secret")

    return CORSMiddleware(litestar.Litestar([answer, fail]), **OPTIONS)


def quart_app() -> Any:
    """Wrap a Quart app's ASGI side."""
    app = quart.Quart("app")

    @app.get("/")
    async def answer() -> str:
        return "hello"

    @app.get("/boom")
    async def fail() -> str:
        raise RuntimeError("secret")

    app.asgi_app = CORSMiddleware(app.asgi_app, **OPTIONS)  # type: ignore[method-assign]
    return app


APPS: list[Callable[[], Any]] = [starlette_inside, starlette_outside, fastapi, litestar_app, quart_app]


@pytest.mark.parametrize("make", APPS, ids=[make.__name__ for make in APPS])
class TestFrameworks:
    @pytest.mark.parametrize(("path", "status"), [("/", 200), ("/missing", 404), ("/boom", 500)])
    async def test_every_outcome(self, make: Callable[[], Any], path: str, status: int) -> None:
        """An answer, a 404 and an unhandled exception are all readable for the other origin [14, 15]."""
        result = await http(make(), path=path, headers=HEADERS, raise_exceptions=False)
        assert result.status == status
        assert result.header_all(b"access-control-allow-origin") == [APP.encode()]
        (vary,) = result.header_all(b"vary")
        assert b"Origin" in vary
        assert b"secret" not in result.body

    async def test_preflight(self, make: Callable[[], Any]) -> None:
        """A preflight for a path that takes no OPTIONS is answered all the same [1]."""
        result = await http(make(), "OPTIONS", path="/anything", headers=PREFLIGHT)
        assert result.status == 204
        assert result.header(b"access-control-allow-headers") == b"x-token"


async def test_litestar_adds_it() -> None:
    """Litestar's own way of adding a class works."""

    @litestar.get("/")
    async def answer() -> str:
        return "hello"

    app = litestar.Litestar([answer], middleware=[DefineMiddleware(CORSMiddleware, **OPTIONS)])
    result = await http(app, headers=HEADERS)
    assert result.header(b"access-control-allow-origin") == APP.encode()


async def test_exception_goes_on() -> None:
    """Around Starlette the exception still reaches the server, for its log [15]."""
    result = await http(starlette_inside(), path="/boom", headers=HEADERS, raise_exceptions=False)
    assert isinstance(result.exception, RuntimeError)


async def test_http_exception() -> None:
    """A framework's own error responses are readable too [14]."""
    result = await http(fastapi(), path="/forbidden", headers=HEADERS)
    assert (result.status, result.header(b"access-control-allow-origin")) == (403, APP.encode())


DJANGO = """
import json
import anyio
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path
from django.utils.cache import patch_vary_headers
from asgi_middleware.cors import CORSMiddleware
from asgi_middleware.testing.driver import http

def view(request):
    response = HttpResponse("hello")
    patch_vary_headers(response, ["Cookie"])
    response["Access-Control-Allow-Origin"] = "*"
    return response

urlpatterns = [path("", view)]
settings.configure(SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, LOGGING_CONFIG=None)
app = CORSMiddleware(get_asgi_application(), allow_origins=["https://app.example.com"])
headers = [(b"host", b"api.example.com"), (b"origin", b"https://app.example.com")]
result = anyio.run(lambda: http(app, headers=headers))
print(json.dumps([[name.decode(), value.decode()] for name, value in result.headers]))
"""


def test_django() -> None:
    """Django writes its header names with capitals; they are replaced and merged, not doubled [16, 17]."""
    # In a process of its own: Django's settings can be configured once.
    run = subprocess.run(
        [sys.executable, "-P", "-c", DJANGO],
        env={**os.environ, "PYTHONPATH": str(Path(asgi_middleware.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    headers = [(name.lower(), value) for name, value in json.loads(run.stdout)]
    assert [value for name, value in headers if name == "vary"] == ["Cookie, Origin"]
    assert [value for name, value in headers if name == "access-control-allow-origin"] == [APP]
