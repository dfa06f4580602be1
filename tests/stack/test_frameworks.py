"""The check finds the classes wherever a framework keeps them."""

from __future__ import annotations

import functools

import pytest
from django.core.handlers.asgi import ASGIHandler

from asgi_middleware import (
    CompressionMiddleware,
    CORSMiddleware,
    JWTAuthMiddleware,
    LoggingMiddleware,
    ProblemDetailsMiddleware,
    check_order,
    layer,
    stack,
)
from asgi_middleware._composition.walk import walk

CORS = {"allow_origins": ["https://app.example"]}
JWT = {"key": "a development key of at least 32 bytes", "algorithms": ["HS256"], "audience": "tests"}
MESSAGE = "JWTAuthMiddleware is outside CORSMiddleware"


async def bare(scope, receive, send) -> None: ...


def messages(app) -> list[str]:
    return [found.message for found in check_order(app)]


class TestStarlette:
    def test_a_list_of_middleware(self):
        """The first of the list is the outermost."""
        from starlette.applications import Starlette
        from starlette.middleware import Middleware

        cors, jwt = Middleware(CORSMiddleware, **CORS), Middleware(JWTAuthMiddleware, **JWT)
        assert messages(Starlette(middleware=[jwt, cors])) == [MESSAGE]
        assert messages(Starlette(middleware=[cors, jwt])) == []

    def test_a_built_stack(self):
        """After the first connection has built the stack the finding is the same."""
        from starlette.applications import Starlette
        from starlette.middleware import Middleware

        app = Starlette(middleware=[Middleware(JWTAuthMiddleware, **JWT), Middleware(CORSMiddleware, **CORS)])
        app.middleware_stack = app.build_middleware_stack()
        assert messages(app) == [MESSAGE]

    def test_a_built_stack_that_was_wrapped(self):
        """A class put around the built stack by hand is found too."""
        from starlette.applications import Starlette
        from starlette.middleware import Middleware

        app = Starlette(middleware=[Middleware(CORSMiddleware, **CORS)])
        app.middleware_stack = JWTAuthMiddleware(app.build_middleware_stack(), **JWT)
        assert messages(app) == [MESSAGE]

    def test_a_built_stack_with_a_class_that_hides(self):
        """Where the built stack cannot be followed to its end, the list of classes tells."""
        from starlette.applications import Starlette
        from starlette.middleware import Middleware

        class Hides:
            def __init__(self, app) -> None:
                self.__hidden = app

            async def __call__(self, scope, receive, send) -> None: ...

        listed = [Middleware(Hides), Middleware(JWTAuthMiddleware, **JWT), Middleware(CORSMiddleware, **CORS)]
        app = Starlette(middleware=listed)
        app.middleware_stack = app.build_middleware_stack()
        assert messages(app) == [MESSAGE]

    def test_mounts_routes_and_hosts(self):
        """What stands outside is outside of everything that is mounted; the finding says where."""
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.routing import Host, Mount, Route

        cors = [Middleware(CORSMiddleware, **CORS)]
        app = Starlette(
            routes=[
                Mount("/a", app=CORSMiddleware(bare, **CORS)),
                Mount("/b", routes=[Mount("/c", app=Starlette(middleware=cors))]),
                Mount("/d", routes=[Route("/", bare)], middleware=cors),
                Host("e.example", Starlette(middleware=cors)),
                Route("/f", bare, middleware=cors),
                Route("/g", bare),
            ],
            middleware=[Middleware(JWTAuthMiddleware, **JWT)],
        )
        assert [found.where for found in check_order(app)] == ["/a", "/b/c", "/d", "e.example", "/f"]
        assert messages(app)[1] == "JWTAuthMiddleware is outside CORSMiddleware (at /b/c)"

    def test_copies_in_a_mounted_app_are_its_own_matter(self):
        """An app that works alone brings its classes along when it is mounted; only a second CORS policy matters."""
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.routing import Mount

        classes = [Middleware(LoggingMiddleware), Middleware(CORSMiddleware, **CORS), Middleware(CompressionMiddleware)]
        app = Starlette(routes=[Mount("/shop", app=Starlette(middleware=classes))], middleware=classes)
        assert messages(app) == ["CORSMiddleware stands inside another CORSMiddleware (at /shop)"]

    def test_answers_for_exceptions_belong_inside(self):
        """ProblemDetailsMiddleware around Starlette is found, and mended by one inside it."""
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.routing import Mount, Router

        inside = [Middleware(ProblemDetailsMiddleware)]
        outside = ProblemDetailsMiddleware(Starlette())
        [found] = check_order(outside)
        assert found.message == "ProblemDetailsMiddleware is outside ServerErrorMiddleware (starlette)"
        assert found.fix == "add it inside with app.add_middleware(ProblemDetailsMiddleware)"
        assert messages(ProblemDetailsMiddleware(Starlette(middleware=inside))) == []
        assert messages(Starlette(middleware=inside, routes=[Mount("/sub", app=Starlette())])) == []
        assert messages(ProblemDetailsMiddleware(Router([Mount("/sub", app=Starlette())]))) == []

    def test_a_route_is_named_by_its_handler(self):
        """The end of a route with classes of its own is the handler, not the function that Starlette makes of it."""
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.routing import Route

        async def show(request): ...

        app = Starlette(routes=[Route("/show", show, middleware=[Middleware(LoggingMiddleware)])])
        [branch] = walk(app)[-1].branches
        assert [part.title.partition(" ")[0] for part in branch.chain] == ["LoggingMiddleware", "show"]


class TestFastAPI:
    def test_the_last_added_is_the_outermost(self):
        """add_middleware is read as FastAPI applies it, and the fix says so."""
        from fastapi import FastAPI

        wrong, right = FastAPI(), FastAPI()
        wrong.add_middleware(CORSMiddleware, **CORS)
        wrong.add_middleware(JWTAuthMiddleware, **JWT)
        right.add_middleware(JWTAuthMiddleware, **JWT)
        right.add_middleware(CORSMiddleware, **CORS)
        [found] = check_order(wrong)
        assert found.message == MESSAGE
        assert found.fix.endswith("the last that add_middleware adds is the outermost, in middleware=[...] the first")
        assert messages(right) == []

    def test_from_outside_and_inside(self):
        """What stands around the app is outside of what was added to it."""
        from fastapi import FastAPI

        api = FastAPI()
        api.add_middleware(CORSMiddleware, **CORS)
        [found] = check_order(JWTAuthMiddleware(api, **JWT))
        assert found.message == MESSAGE
        assert found.fix == "put CORSMiddleware outside JWTAuthMiddleware"

    def test_mounts_of_an_included_router(self):
        """A mount within a router that was included is found, in releases of FastAPI that serve it."""
        from fastapi import APIRouter, FastAPI

        api, router = FastAPI(), APIRouter()
        router.mount("/files", CORSMiddleware(bare, **CORS))
        api.include_router(router, prefix="/shop")
        is_served = any(hasattr(route, "original_router") for route in api.routes)
        assert messages(JWTAuthMiddleware(api, **JWT)) == ([f"{MESSAGE} (at /shop/files)"] if is_served else [])

    def test_a_decorated_function_is_no_obstacle(self):
        """``@app.middleware("http")`` makes a class that keeps its app; it is passed through."""
        from fastapi import FastAPI

        api = FastAPI()
        api.add_middleware(CORSMiddleware, **CORS)

        @api.middleware("http")
        async def between(request, call_next): ...

        api.add_middleware(JWTAuthMiddleware, **JWT)
        assert messages(api) == [MESSAGE]


class TestLitestar:
    def test_definitions_of_every_kind(self):
        """A class, a DefineMiddleware, a tuple and a function that makes one: the first is the outermost."""
        from litestar import Litestar
        from litestar.middleware import DefineMiddleware

        cors = DefineMiddleware(CORSMiddleware, **CORS)
        jwt = DefineMiddleware(JWTAuthMiddleware, **JWT)
        assert messages(Litestar(middleware=[jwt, cors])) == [MESSAGE]
        assert messages(Litestar(middleware=[cors, jwt])) == []
        assert messages(Litestar(middleware=[jwt, LoggingMiddleware])) == [
            "JWTAuthMiddleware is outside LoggingMiddleware"
        ]
        assert messages(Litestar(middleware=[(JWTAuthMiddleware, JWT), (CORSMiddleware, CORS)])) == [MESSAGE]
        [found] = check_order(Litestar(middleware=[jwt, cors]))
        assert found.fix.endswith("in middleware=[...] the first is the outermost")

    def test_routers_and_handlers(self):
        """The classes of routers, controllers and handlers stand inside those of the app."""
        from litestar import Controller, Litestar, Router, get
        from litestar.middleware import DefineMiddleware

        cors = DefineMiddleware(CORSMiddleware, **CORS)

        @get("/one", middleware=[cors])
        async def one() -> str:
            return "one"

        class Two(Controller):
            path = "/two"
            middleware = [cors]  # noqa: RUF012 -- as Litestar has it

            @get()
            async def two(self) -> str:
                return "two"

        @get("/three")
        async def three() -> str:
            return "three"

        routes = [one, Two, Router("/router", route_handlers=[three], middleware=[cors])]
        app = Litestar(routes, middleware=[DefineMiddleware(JWTAuthMiddleware, **JWT)])
        assert {found.where for found in check_order(app)} == {"/one", "/two", "/router/three"}

    def test_its_own_cors_and_compression(self):
        """Litestar's configurations become classes, which stand where Litestar puts them."""
        from litestar import Litestar
        from litestar.config.compression import CompressionConfig
        from litestar.config.cors import CORSConfig

        app = Litestar(
            middleware=[CompressionMiddleware],
            cors_config=CORSConfig(["https://app.example"]),
            compression_config=CompressionConfig(backend="gzip"),
        )
        assert messages(JWTAuthMiddleware(app, **JWT)) == [
            "JWTAuthMiddleware is outside CORSMiddleware (litestar)",
            "CompressionMiddleware (litestar) stands inside CompressionMiddleware",
        ]

    def test_mounted_apps(self):
        """An app mounted with ``asgi`` is a branch."""
        from litestar import Litestar, asgi

        mounted = asgi("/sub", is_mount=True, copy_scope=True)(CORSMiddleware(bare, **CORS))
        assert messages(JWTAuthMiddleware(Litestar([mounted]), **JWT)) == [f"{MESSAGE} (at /sub)"]


class TestQuart:
    def test_the_replaced_method(self):
        """Classes put around ``asgi_app`` are found from the app, from outside of it, and from themselves."""
        from quart import Quart

        app = Quart(__name__)
        assert messages(app) == []
        app.asgi_app = CORSMiddleware(app.asgi_app, **CORS)
        assert messages(app) == []
        assert messages(JWTAuthMiddleware(app, **JWT)) == [MESSAGE]
        app.asgi_app = JWTAuthMiddleware(app.asgi_app, **JWT)
        assert messages(app) == messages(app.asgi_app) == [MESSAGE]
        for thing in (app, app.asgi_app):
            assert [part.title for part in walk(thing)] == ["JWTAuthMiddleware", "CORSMiddleware", "Quart"]


class TestDjango:
    def test_an_asgi_module(self):
        """Django's handler is the end; what asgi.py puts around it is checked."""
        django_app = ASGIHandler.__new__(
            ASGIHandler
        )  # its constructor wants settings, which belong to the whole process
        assert messages(JWTAuthMiddleware(CORSMiddleware(django_app, **CORS), **JWT)) == [MESSAGE]
        assert messages(ProblemDetailsMiddleware(django_app)) == []

    @pytest.mark.may_skip("channels is in an environment of its own")
    def test_channels(self):
        """Each protocol is a branch, and each URL pattern that has classes."""
        pytest.importorskip("channels")
        from channels.routing import ProtocolTypeRouter, URLRouter
        from channels.security.websocket import OriginValidator
        from channels.sessions import CookieMiddleware
        from django.urls import path

        logged = URLRouter([path("room/", LoggingMiddleware(bare)), path("plain/", bare)])
        router = ProtocolTypeRouter(
            {
                "http": CORSMiddleware(bare, **CORS),
                "websocket": OriginValidator(CookieMiddleware(logged), ["*"]),
            }
        )
        assert messages(JWTAuthMiddleware(router, **JWT)) == [
            f"{MESSAGE} (at http)",
            "JWTAuthMiddleware is outside LoggingMiddleware (at websocket room/)",
        ]


class TestFunctions:
    def test_a_closure(self):
        """A function that keeps its app in its closure is passed through."""

        def wrapper(app):
            async def wrapped(scope, receive, send) -> None:
                await app(scope, receive, send)

            return wrapped

        assert messages(JWTAuthMiddleware(wrapper(CORSMiddleware(bare, **CORS)), **JWT)) == [MESSAGE]

    def test_a_function_that_says_what_it_wraps(self):
        """``functools.wraps`` names the inner app, whatever the variable is called."""

        def wrapper(inside):
            @functools.wraps(inside, updated=())
            async def wrapped(scope, receive, send) -> None:
                await inside(scope, receive, send)

            return wrapped

        inner = wrapper(bare)
        inner.__wrapped__ = CORSMiddleware(bare, **CORS)
        assert messages(JWTAuthMiddleware(inner, **JWT)) == [MESSAGE]

    def test_a_partial_and_a_layer(self):
        """A partial app, and a definition that holds a partial or one of our layers, are taken apart."""
        from starlette.applications import Starlette
        from starlette.middleware import Middleware

        partial = functools.partial(CORSMiddleware(bare, **CORS))
        assert messages(JWTAuthMiddleware(partial, **JWT)) == [MESSAGE]
        made = [functools.partial(JWTAuthMiddleware, **JWT), layer(CORSMiddleware, **CORS)]
        assert messages(Starlette(middleware=[Middleware(cls) for cls in made])) == [MESSAGE]

    def test_a_stack(self):
        """What ``stack`` makes is a chain like any other."""
        with pytest.warns(UserWarning, match=MESSAGE):
            app = stack(bare, layer(JWTAuthMiddleware, **JWT), layer(CORSMiddleware, **CORS))
        assert messages(app) == [MESSAGE]
