"""The path property: where a handler ran without a token, its path was declared exempt [3.4].

Routers read one path in different ways: some merge slashes, some serve ``/admin/`` for ``/admin``, some decode twice.
So the same corpus of spellings goes to each framework, as each kind of server would hand it over.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import pytest
from harness import installed
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from asgi_middleware.auth import JWTAuthMiddleware, Rule
from asgi_middleware.testing import http
from asgi_middleware.testing.tokens import TokenIssuer

pytestmark = pytest.mark.anyio
ISSUER = TokenIssuer()
EXEMPT = ("/health", "/static/**", "GET /docs/*")
ADMIN = (b"authorization", b"Bearer " + ISSUER.token(scope="admin").encode())
PLAIN = (b"authorization", b"Bearer " + ISSUER.token().encode())

TARGETS = (
    "/health",
    "/healthz",
    "/health/",
    "/health/x",
    "//health",
    "/./health",
    "/x/../health",
    "/HEALTH",
    "/health%2F",
    "/health%2Fx",
    "/health%3F",
    "/health%3F/../admin",
    "/health%23/admin",
    "/health;x=1",
    "/health%00",
    "/health%0a",
    "/health%20",
    "/he%61lth",
    "/he%2561lth",
    "/static/a",
    "/static/a/b",
    "/static",
    "/static/../admin",
    "/static/..%2fadmin",
    "/static/%2e%2e/admin",
    "/static/%252e%252e/admin",
    "/static/..;/admin",
    "/static/%5c..%5cadmin",
    "/static\\..\\admin",
    "/static//admin",
    "/static/.%2e/admin",
    "/docs/a",
    "/docs/..",
    "/docs/a/../../admin",
    "/admin",
    "/admin/",
    "//admin",
    "///admin///",
    "/./admin",
    "/admin/.",
    "/ADMIN",
    "/Admin",
    "/admin%2F",
    "/%61dmin",
    "/%2561dmin",
    "/admin%20",
    "/admin%0a",
    "/admin/%0a",
    "/admin%0d%0a",
    "/ad%09min",
    "/admin%00",
    "//x/admin",
    "http://x/ad%0amin",
    "/adm%C4%B1n",
    "/admin;x=1",
    "/admin?/health",
    "/admin%3F/health",
    "/admin#/health",
    "/x/../admin",
    "/v1/admin",
    "/v1/health",
    "/v1x/health",
    "/v1//health",
    "/v1/../admin",
    "/v1/v1/health",
    "http://x/health",
    "http://x/admin",
    "http://health/admin",
    "admin",
    "*",
    "",
    "/%",
    "/%zz",
    "/caf%C3%A9",
    "/\u212admin",
)
HOST = (b"host", b"x/health?")
LIES = (
    (b"x-forwarded-uri", b"/health"),
    (b"x-original-url", b"/health"),
    (b"x-rewrite-url", b"/health"),
    (b"x-forwarded-prefix", b"/static"),
)


def scopes() -> Iterator[dict[str, Any]]:
    """Give the ways in which servers hand a target over: decoded, with and without its bytes, below a root path."""
    for target in TARGETS:
        path, _, query = target.partition("?")
        keys = {"path": unquote(path), "query_string": query.encode()}
        raw = path.encode()
        for root in ("", "/v1", "/v"):
            yield {**keys, "raw_path": raw, "root_path": root}
            yield {**keys, "raw_path": None, "root_path": root}
            # uvicorn puts the root path in front of path and raw_path.
            yield {**keys, "path": root + keys["path"], "raw_path": root.encode() + raw, "root_path": root}


def is_declared(scope: Any) -> bool:
    """Tell whether the path is one of EXEMPT as it is written, below the root path or without it."""
    forms = {scope["path"]}
    root = scope["root_path"]
    if root and scope["path"].startswith(f"{root}/"):
        forms.add(scope["path"].removeprefix(root))
    return any(form in {"/health", "/static"} or form.startswith(("/static/", "/docs/")) for form in forms) and not any(
        text in scope["path"] for text in ("//", "/..", "/./", ";", "\\", "%", "?", "#", "\x00", "\n")
    )


def starlette_app(note: Any) -> Any:
    async def handler(request: Any) -> PlainTextResponse:
        note()
        return PlainTextResponse("ok")

    return Starlette(routes=[Route("/{path:path}", handler), Route("/admin", handler)])


def fastapi_app(note: Any) -> Any:
    from fastapi import FastAPI

    app = FastAPI(docs_url=None, openapi_url=None)

    @app.get("/admin")
    @app.get("/{path:path}")
    async def handler() -> str:
        note()
        return "ok"

    return app


def litestar_app(note: Any) -> Any:
    from litestar import Litestar, get

    @get(["/admin", "/health", "/static/{rest:path}", "/"])
    async def handler() -> str:
        note()
        return "ok"

    return Litestar([handler], openapi_config=None)


def quart_app(note: Any) -> Any:
    from quart import Quart

    app = Quart(__name__)

    @app.get("/", defaults={"path": ""})
    @app.get("/<path:path>")
    async def handler(path: str) -> str:
        note()
        return "ok"

    return app


URLS = ModuleType("auth_paths_urls")


def django_app(note: Any, pattern: str = "") -> Any:
    from django.core.asgi import get_asgi_application
    from django.http import HttpResponse
    from django.urls import re_path

    def view(request: Any) -> HttpResponse:
        note()
        return HttpResponse("ok")

    URLS.urlpatterns = [re_path(pattern, view)]  # type: ignore[attr-defined]
    return get_asgi_application()


APPS = {
    "starlette": starlette_app,
    "fastapi": fastapi_app,
    "litestar": litestar_app,
    "quart": quart_app,
    "django": django_app,
}


@pytest.fixture
def anyio_backend() -> str:
    """Not every framework runs on trio, and the paths are the same there."""
    return "asyncio"


@pytest.fixture
def _django() -> Iterator[None]:
    import django
    from django.conf import settings
    from django.test import override_settings

    if not settings.configured:
        settings.configure(SECRET_KEY="for tests", LOGGING_CONFIG=None, USE_TZ=True)
    django.setup()
    with override_settings(ROOT_URLCONF=URLS, MIDDLEWARE=[], ALLOWED_HOSTS=["*"], DEBUG=False):
        yield


@pytest.mark.usefixtures("_django")
@pytest.mark.parametrize("router", [name for name in APPS if name in installed()])
async def test_a_handler_that_ran_without_a_token_was_exempt(router: str) -> None:
    """Over the corpus: the handler ran without a token only where the path is declared exempt; there it does run."""
    ran: list[bool] = []
    app = APPS[router](lambda: ran.append(True))
    guarded = JWTAuthMiddleware(app, **ISSUER.options, exempt=EXEMPT)
    free = 0
    for number, keys in enumerate(scopes()):
        ran.clear()
        lies = [HOST, *LIES] if number % 2 else LIES  # Litestar answers a lie about the host by itself
        result = await http(guarded, headers=lies, raise_exceptions=False, **keys)
        assert not ran or is_declared(keys), keys
        assert result.status == 401 or is_declared(keys), keys
        free += bool(ran)
    assert free >= 5


@pytest.mark.usefixtures("_django")
@pytest.mark.parametrize("router", [name for name in APPS if name in installed()])
async def test_no_spelling_gets_round_a_rule(router: str) -> None:
    """Over the corpus: whatever serves /admin for a token without its scope is not the handler of /admin."""
    served: list[str] = []
    app = admin_app(router, served.append)
    guarded = JWTAuthMiddleware(app, **ISSUER.options, rules=(Rule("/admin/**", scopes=("admin",)),))
    with_scope = 0
    for keys in scopes():
        served.clear()
        await http(guarded, headers=[*LIES, PLAIN], raise_exceptions=False, **keys)
        assert "admin" not in served, keys
        await http(guarded, headers=[*LIES, ADMIN], raise_exceptions=False, **keys)
        with_scope += "admin" in served
    assert with_scope >= 3


def admin_app(framework: str, note: Any) -> Any:
    """Give an app in which only /admin has a handler that notes."""
    if framework == "litestar":
        from litestar import Litestar, get

        @get("/admin")
        async def admin() -> str:
            note("admin")
            return "ok"

        return Litestar([admin], openapi_config=None)
    if framework == "quart":
        from quart import Quart

        quart = Quart(__name__)

        @quart.get("/admin", strict_slashes=False)
        async def of_quart() -> str:
            note("admin")
            return "ok"

        return quart
    if framework == "django":
        return django_app(lambda: note("admin"), r"^/*admin/*$")
    if framework == "fastapi":
        from fastapi import FastAPI

        fastapi = FastAPI(docs_url=None, openapi_url=None)

        @fastapi.get("/admin")
        async def of_fastapi() -> str:
            note("admin")
            return "ok"

        return fastapi

    async def of_starlette(request: Any) -> PlainTextResponse:
        note("admin")
        return PlainTextResponse("ok")

    return Starlette(routes=[Route("/admin", of_starlette)])
