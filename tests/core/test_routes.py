"""The route template that answered, for every framework that leaves it in the scope, and for those that do not."""

import weakref
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from litestar import Litestar, Router, asgi, get
from starlette.applications import Starlette
from starlette.convertors import CONVERTOR_TYPES
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Match, Mount, Route, WebSocketRoute
from starlette.routing import Router as StarletteRouter
from starlette.websockets import WebSocket

from asgi_middleware._core import routes
from asgi_middleware._core.exchange import Exchange, enter
from asgi_middleware._core.routes import mounted, route_of
from asgi_middleware.testing.driver import http, websocket

pytestmark = pytest.mark.anyio


class Watch:
    """The least class that follows the scope: it reads the route once the app has ended."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.route: str | None = "never run"
        self.scope: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Follow the scope to its end."""
        scope, exchange = enter(scope)
        exchange.follow(scope)
        try:
            await self.app(scope, receive, send)
        finally:
            self.route = route_of(exchange)
            self.scope = exchange.scope
            exchange.scope = None


async def page(request: Request) -> Response:
    """Answer."""
    return PlainTextResponse("page")


async def other(request: Request) -> Response:
    """Answer otherwise."""
    return PlainTextResponse("other")


async def chat(websocket: WebSocket) -> None:
    """Accept and leave."""
    await websocket.accept()
    await websocket.close()


async def opaque(scope: Any, receive: Any, send: Any) -> None:
    """Answer as an app without routes."""
    await Response(status_code=204)(scope, receive, send)


class PassThrough:
    """A middleware that does nothing, as people mount them."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass on."""
        await self.app(scope, receive, send)


def starlette_app() -> Starlette:
    """Give one of each kind of Starlette route."""
    tenants = [Route("/a/{x:int}", page), WebSocketRoute("/chat/{room}", chat), Mount("/deep", app=opaque)]
    return Starlette(
        routes=[
            Route("/", page),
            Route("/items/{id}/", page, methods=["GET"]),
            Route("/files/{rest:path}", page),
            Mount("/t/{tenant}", routes=tenants),
            Mount("/wrapped", app=PassThrough(Starlette(routes=[Route("/in", page)]))),
            Mount("/stack", routes=[Route("/in", page)], middleware=[Middleware(PassThrough)]),
            Mount("/opaque", app=opaque),
            Host("api.test", app=Starlette(routes=[Route("/v/{n}", page)])),
            Host("raw.test", app=opaque),
        ]
    )


@pytest.mark.parametrize(
    ("method", "path", "host", "status", "template"),
    [
        ("GET", "/", b"x", 200, "/"),
        ("GET", "/items/7/", b"x", 200, "/items/{id}/"),
        ("HEAD", "/items/7/", b"x", 200, "/items/{id}/"),
        ("POST", "/items/7/", b"x", 405, "/items/{id}/"),
        ("GET", "/items/7", b"x", 307, None),
        ("GET", "/nothing/here", b"x", 404, None),
        ("GET", "/files/a/b/c", b"x", 200, "/files/{rest}"),
        ("GET", "/t/acme/a/1", b"x", 200, "/t/{tenant}/a/{x}"),
        ("POST", "/t/acme/a/1", b"x", 405, "/t/{tenant}/a/{x}"),
        ("GET", "/t/acme/unknown", b"x", 404, "/t/{tenant}/{path}"),
        ("GET", "/t/acme/deep/er", b"x", 204, "/t/{tenant}/deep/{path}"),
        ("GET", "/wrapped/in", b"x", 200, "/wrapped/in"),
        ("GET", "/stack/in", b"x", 200, "/stack/in"),
        ("GET", "/opaque/7", b"x", 204, "/opaque/{path}"),
        ("GET", "/v/3", b"api.test", 200, "/v/{n}"),
        ("GET", "/v/3", b"raw.test", 204, None),
    ],
)
@pytest.mark.parametrize("old", [False, True], ids=["route", "endpoint only"])
async def test_starlette(*, method: str, path: str, host: bytes, status: int, template: str | None, old: bool) -> None:
    """Starlette's innermost route is given with the prefixes of its Mounts, filled in by nothing [T3, T4].

    Before Starlette 1.7 there was no ``scope["route"]``; the endpoint alone leads to the same template.
    """

    class WithoutRoute(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            if not (old and key == "route"):
                super().__setitem__(key, value)

    app = starlette_app()

    async def entry(scope: Any, receive: Any, send: Any) -> None:
        scope = WithoutRoute(scope)
        scope["asgi_middleware"].scope = scope
        await app(scope, receive, send)

    watch = Watch(entry)
    result = await http(watch, method, path, headers=[(b"host", host)])
    assert result.status == status
    assert ("route" in watch.scope) is not (old or (template is None and host == b"x"))
    assert watch.route == template


async def test_starlette_websocket() -> None:
    """A WebSocket route below a Mount has its full template too."""
    watch = Watch(starlette_app())
    await websocket(watch, "/t/acme/chat/7")
    assert watch.route == "/t/{tenant}/chat/{room}"


@pytest.mark.parametrize("path", ["/one/acme/x", "/two/x"])
async def test_a_router_that_is_mounted_twice_is_told_apart_by_the_path(path: str) -> None:
    """Of two places in the tree the one is given whose pattern the path fits."""
    shared = StarletteRouter(routes=[Route("/x", page)])
    watch = Watch(Starlette(routes=[Mount("/one/{tenant}", app=shared), Mount("/two", app=shared)]))
    for root in ("", "/root"):
        await http(watch, "GET", root + path, root_path=root)
        assert watch.route == path.replace("acme", "{tenant}")


async def test_a_mount_that_shortens_the_path() -> None:
    """Before Starlette 0.33 a Mount moved its part of the path into root_path; the two together fit the pattern."""
    shared = StarletteRouter(routes=[Route("/x", page)])
    app = Starlette(routes=[Mount("/one/{tenant}", app=shared), Mount("/two", app=shared)])

    async def old(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)
        scope["path"] = "/x"
        del scope["app_root_path"]

    watch = Watch(old)
    await http(watch, "GET", "/two/x")
    assert watch.route == "/two/x"


async def test_the_root_path_of_a_deployment_is_no_part_of_the_template() -> None:
    """A server's ``root_path`` does not enter the template."""
    watch = Watch(starlette_app())
    await http(watch, "GET", "/base/t/acme/a/1", root_path="/base")
    assert watch.route == "/t/{tenant}/a/{x}"


async def test_routes_added_after_the_first_request_are_found() -> None:
    """The map is walked again when it does not know a route; a 404 alone never causes that."""
    app = starlette_app()
    watch = Watch(app)
    for _ in range(100):
        await http(watch, "GET", "/nothing")
    app.router.routes.insert(0, Mount("/late", routes=[Route("/{x}", other)]))
    await http(watch, "GET", "/late/1")
    assert watch.route == "/late/{x}"


async def test_routes_made_per_request_stop_the_walks() -> None:
    """An app that makes routes while it serves costs a bounded number of walks, and gives no route."""
    watch = Watch(starlette_app())

    async def restless(scope: Any, receive: Any, send: Any) -> None:
        await watch.app.app(scope, receive, send)
        scope["route"], scope["endpoint"] = Route("/made", other), opaque.__get__(object())

    walks = 0

    class Counting(list[Any]):
        def __iter__(self) -> Any:
            nonlocal walks
            walks += 1
            return super().__iter__()

    restless.app = watch.app  # type: ignore[attr-defined]
    watch.app = restless
    restless.app.router.routes = Counting(restless.app.router.routes)  # type: ignore[attr-defined]
    for _ in range(100):
        await http(watch, "GET", "/")
        assert watch.route is None
    assert 100 < walks < 150  # one for each request is the router's own


def fastapi_app() -> FastAPI:
    """Give direct and included routes, a router included twice, and mounts at both levels."""
    inner = APIRouter(prefix="/inner")
    inner.get("/{y}")(lambda y: y)
    outer = APIRouter(prefix="/outer/{o}")
    outer.get("/items/{id}")(lambda id: id)  # noqa: A006 -- the parameter's name
    outer.get("")(lambda: "bare")
    outer.add_api_websocket_route("/ws/{room}", chat)
    outer.add_route("/plain/{p}", page)
    outer.mount("/mounted", Starlette(routes=[Route("/{m}", page)]))
    outer.mount("/opaque", opaque)
    outer.include_router(inner)
    sub = FastAPI()
    sub.get("/{s}")(lambda s: s)
    sub.include_router(inner)
    app = FastAPI()
    app.get("/direct/{d}/")(lambda d: d)
    app.add_api_websocket_route("/ws/{room}", chat)
    app.include_router(outer, prefix="/v1")
    app.include_router(outer, prefix="/v2")
    app.mount("/sub/{t}", sub)
    app.mount("/opaque", opaque)
    return app


@pytest.mark.parametrize(
    ("method", "path", "status", "template"),
    [
        ("GET", "/direct/1/", 200, "/direct/{d}/"),
        ("POST", "/direct/1/", 405, "/direct/{d}/"),
        ("GET", "/direct/1", 307, None),
        ("GET", "/nothing", 404, None),
        ("GET", "/docs", 200, "/docs"),
        ("GET", "/v1/outer/x/items/1", 200, "/v1/outer/{o}/items/{id}"),
        ("GET", "/v2/outer/x/items/1", 200, "/v2/outer/{o}/items/{id}"),
        ("DELETE", "/v2/outer/x/items/1", 405, "/v2/outer/{o}/items/{id}"),
        ("GET", "/v1/outer/x", 200, "/v1/outer/{o}"),
        ("GET", "/v1/outer/x/inner/1", 200, "/v1/outer/{o}/inner/{y}"),
        ("GET", "/v2/outer/x/inner/1", 200, "/v2/outer/{o}/inner/{y}"),
        ("GET", "/v1/plain/1", 200, "/v1/plain/{p}"),
        ("GET", "/v1/mounted/1", 200, "/v1/mounted/{m}"),
        ("GET", "/v2/mounted/a/b", 404, "/v2/mounted/{path}"),
        ("GET", "/v2/opaque/1", 204, "/v2/opaque/{path}"),
        ("GET", "/sub/t/1", 200, "/sub/{t}/{s}"),
        ("GET", "/sub/t/docs", 200, "/sub/{t}/docs"),
        ("GET", "/sub/t/inner/1", 200, "/sub/{t}/inner/{y}"),
        ("GET", "/opaque/1", 204, "/opaque/{path}"),
    ],
)
async def test_fastapi(method: str, path: str, status: int, template: str | None) -> None:
    """FastAPI's included routers, mounts and plain routes give the template with every prefix [T5]."""
    for app in (fastapi_app(), Starlette(routes=[Mount("/m/{n}", app=fastapi_app())])):
        prefix = "" if isinstance(app, FastAPI) else "/m/{n}"
        watch = Watch(app)
        result = await http(watch, method, prefix.format(n="x") + path)
        assert result.status == status
        unmatched = "/m/{n}/{path}" if prefix else None
        assert watch.route == (unmatched if template is None else prefix + template)


@pytest.mark.parametrize(("path", "template"), [("/inc/1", "/inc/{x}"), ("/mnt/1", "/mnt/{x}")])
async def test_fastapi_router_included_and_mounted(path: str, template: str) -> None:
    """A router that is both included and mounted has the template of the way that was taken."""
    router = APIRouter()
    router.get("/{x}")(lambda x: x)
    app = FastAPI()
    app.mount("/mnt", router)
    app.include_router(router, prefix="/inc")
    watch = Watch(app)
    assert (await http(watch, "GET", path)).status == 200
    assert watch.route == template


@pytest.mark.parametrize(
    ("path", "template"), [("/ws/7", "/ws/{room}"), ("/v2/outer/x/ws/7", "/v2/outer/{o}/ws/{room}")]
)
async def test_fastapi_websocket(path: str, template: str) -> None:
    """WebSocket routes of FastAPI, direct and included, give their full template [T5]."""
    watch = Watch(fastapi_app())
    await websocket(watch, path)
    assert watch.route == template


async def test_fastapi_folder_of_files(tmp_path: Any) -> None:
    """A folder served by FastAPI has no template; what was asked for is not given in its stead."""
    (tmp_path / "a.txt").write_text("text")
    included = APIRouter()
    included.frontend("/files", directory=str(tmp_path))
    app = FastAPI()
    app.include_router(included, prefix="/p")
    watch = Watch(app)
    result = await http(watch, "GET", "/p/files/a.txt")
    assert result.status == 200
    assert watch.route is None
    assert routes._map_of(app.router)._rebuilds == routes._REBUILDS  # it is known: nothing is walked for it again


def litestar_app() -> Litestar:
    """Give a route below a router, and an app mounted below."""

    @get("/u/{user_id:int}", sync_to_thread=False)
    def user() -> str:
        return "user"

    @asgi("/mnt", is_mount=True, copy_scope=False)
    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await opaque(scope, receive, send)

    return Litestar([Router("/api/{tenant:str}", route_handlers=[user]), inner], openapi_config=None)


@pytest.mark.parametrize(
    ("method", "path", "status", "template"),
    [
        ("GET", "/api/acme/u/1", 200, "/api/{tenant}/u/{user_id}"),
        ("POST", "/api/acme/u/1", 405, None),
        ("GET", "/api/acme/u/no", 404, None),
        ("GET", "/nothing", 404, None),
        ("GET", "/mnt/any/path", 204, None),
    ],
)
async def test_litestar(method: str, path: str, status: int, template: str | None) -> None:
    """Litestar's path template is given; a Starlette Mount around it adds its prefix [T3, T23]."""
    watch = Watch(litestar_app())
    assert (await http(watch, method, path)).status == status
    assert watch.route == template

    watch = Watch(Starlette(routes=[Mount("/l/{x}", app=litestar_app())]))
    assert (await http(watch, method, f"/l/1{path}")).status == status
    assert watch.route == (f"/l/{{x}}{template}" if template else "/l/{x}/{path}")


class TestWithoutAFramework:
    async def test_an_explicit_route_comes_first(self) -> None:
        """A route that an integration or a handler has set is taken as it is."""
        exchange = Exchange()
        exchange.route = "/set/{here}"
        exchange.follow({"path_template": "/other"})
        assert route_of(exchange) == "/set/{here}"

    @pytest.mark.parametrize(
        "scope",
        [
            None,
            {},
            {"path": "/raw"},
            {"path": "/raw", "path_template": ""},
            {"path": "/raw", "path_template": None},
            {"path": "/raw", "route": "/raw"},
            {"path": "/raw", "route": object()},
            {"path": "/raw", "route": SimpleNamespace(path_format=b"/raw")},
            {"path": "/raw", "router": object(), "route": object(), "endpoint": object(), "fastapi": object()},
            {"path": "/raw", "router": 7, "route": 8},
        ],
    )
    async def test_anything_else_is_unmatched(self, scope: Any) -> None:
        """Whatever the scope holds, nothing raises and the path is never given [T7]."""
        exchange = Exchange()
        exchange.scope = scope
        assert route_of(exchange) is None
        assert mounted(exchange.scope, "/x") == "/x"

    async def test_a_framework_that_breaks_is_unmatched(self) -> None:
        """An exception in a framework's internals gives no route instead of a failure."""

        class Broken:
            @property
            def routes(self) -> list[Any]:
                raise RuntimeError("changed in this version")

        exchange = Exchange()
        exchange.scope = {"router": Broken(), "route": object(), "endpoint": page}
        assert route_of(exchange) is None
        assert mounted(exchange.scope, "/x") == "/x"

    async def test_a_route_without_a_router_gives_its_own_template(self) -> None:
        """A framework that names a route but no router gives that route's template."""
        exchange = Exchange()
        exchange.scope = {"path": "/raw/1", "route": Route("/raw/{id}", page)}
        assert route_of(exchange) == "/raw/{id}"


async def test_a_tree_that_contains_itself_ends() -> None:
    """A router below itself is walked to a bounded depth."""
    router = StarletteRouter(routes=[Route("/x", page)])
    router.routes.append(Mount("/again", app=router))
    watch = Watch(router)
    await http(watch, "GET", "/again/again/x")
    assert watch.route == "/again/again/x"


async def test_maps_are_bounded() -> None:
    """However many routers a process makes, a bounded number of maps is kept."""
    for _ in range(2 * routes._MOST_ROUTERS):
        watch = Watch(starlette_app())
        await http(watch, "GET", "/t/acme/a/1")
        assert watch.route == "/t/{tenant}/a/{x}"
    assert len(routes._maps) <= routes._MOST_ROUTERS
    kept = {id(found.router) for found in routes._maps.values()}
    assert {id(router) for _, router, _ in routes._settled.values()} <= kept


async def test_a_route_that_two_routers_share() -> None:
    """Each router has its own template for it, whichever was asked last."""

    async def endpoint(request: Any) -> Response:
        return Response("ok")

    shared = Route("/items/{id}", endpoint)
    apps = [Starlette(routes=[Mount(prefix, routes=[shared])]) for prefix in ("/a", "/b", "/a")]
    for _ in range(2):
        for app, prefix in zip(apps, ("/a", "/b", "/a"), strict=True):
            watch = Watch(app)
            await http(watch, "GET", f"{prefix}/items/1")
            assert watch.route == f"{prefix}/items/{{id}}"


async def test_an_inner_template_gets_the_prefix_of_its_mount() -> None:
    """``mounted`` puts a Mount's template before the inner framework's, and nothing before it outside a Mount."""
    found = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        found.append(mounted(scope, "/in/<int:id>"))
        await opaque(scope, receive, send)

    for app in (Starlette(routes=[Mount("/d/{t}", app=inner)]), FastAPI(), inner):
        if isinstance(app, FastAPI):
            app.mount("/d/{t}", inner)
        await http(Watch(app), "GET", "/d/1/in/2")
    assert found == ["/d/{t}/in/<int:id>", "/d/{t}/in/<int:id>", "/in/<int:id>"]


def test_a_known_route_is_asked_for_what_else_the_scope_names() -> None:
    """That a route answered before says nothing of another endpoint, or of the template of a framework further in."""

    async def endpoint(request: Any) -> None:
        return None

    async def other(request: Any) -> None:
        return None

    route = Route("/items/{id}", endpoint)
    named = {"route": route, "router": StarletteRouter([route]), "endpoint": endpoint, "path": "/items/1"}
    expected = [
        ({}, "/items/{id}"),
        ({"endpoint": other}, None),
        ({"endpoint": ...}, "/items/{id}"),
        ({"path_template": "/inner"}, "/inner"),
        ({"path_template": ""}, "/items/{id}"),
        ({"path_template": b"/inner"}, "/items/{id}"),
    ]
    for further, template in [*expected, *expected]:
        exchange = Exchange()
        exchange.scope = {key: value for key, value in {**named, **further}.items() if value is not ...}
        assert route_of(exchange) == template


def found_in(router: Any, **keys: Any) -> str | None:
    """Give the route of a request that a router has served."""
    exchange = Exchange()
    exchange.scope = {"router": router, **keys}
    return route_of(exchange)


def test_a_route_that_stands_alone_is_given_whatever_became_of_the_path() -> None:
    """Where there is one place only, a path that was changed on the way makes no difference."""
    both = [Route("/items/{id}", page, methods=[method]) for method in ("GET", "PUT")]
    assert found_in(StarletteRouter(both), endpoint=page, path="/rewritten") == "/items/{id}"


class OddRoute(BaseRoute):
    """A route of a user's own kind: it names no endpoint, and has no convertors."""

    path_format = "/odd/{x}/end"

    def matches(self, scope: Any) -> Any:
        """Take everything."""
        return Match.FULL, {}

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer."""
        await opaque(scope, receive, send)


async def test_a_route_without_an_endpoint() -> None:
    """A route of one's own kind, which names no endpoint, is known by itself each time; no other is taken for it."""
    odd = OddRoute()
    app = Starlette(routes=[odd])
    for _ in range(2):
        assert (await http(app, "GET", "/odd/1/end")).status == 204
        assert found_in(app.router, route=odd, path="/odd/1/end") == "/odd/{x}/end"
        assert found_in(app.router, route=object()) is None


@pytest.mark.parametrize(
    ("first", "second", "path"),
    [
        ("/a.b", "/a-b", "/a-b/f/x"),
        ("/a", "/a/odd/b", "/a/odd/b/odd/1/end"),
        ("/{x:kind}", "/{x:kind}-b", "/two-b/f/x"),
        ("/a", "/b", "/b/f/x\n"),
    ],
    ids=["a dot", "a parameter is one segment", "an expression with a bar", "a line break at the end"],
)
def test_places_are_told_apart_exactly(first: str, second: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two places the one is given whose template the whole path fits, whatever stands in either."""
    monkeypatch.setitem(CONVERTOR_TYPES, "kind", SimpleNamespace(regex="one|two"))
    inner: list[Any] = [Route("/f/{rest:path}", page), OddRoute()]
    router = StarletteRouter([Mount(first, routes=inner), Mount(second, routes=inner)])
    route = inner[path.endswith("end")]
    expected = f"{second.replace(':kind', '')}{route.path_format}"
    assert found_in(router, route=route, path=path) == expected


def test_an_inner_template_where_no_prefix_is_known() -> None:
    """An inner framework's template is given as it is where its Mount cannot be told, or is a plain route."""
    shared = Mount("/m", app=opaque)
    twice = StarletteRouter([Mount(prefix, routes=[shared]) for prefix in ("/one", "/two")])
    keys = {"endpoint": opaque, "path": "/rewritten", "path_template": "/inner"}
    assert found_in(twice, route=shared, **keys) == "/inner"
    router = StarletteRouter([Route("/all/{path:path}", PassThrough(opaque))])
    assert found_in(router, **{**keys, "endpoint": router.routes[0].endpoint}) == "/inner"  # type: ignore[attr-defined]


def test_a_route_that_was_taken_out_is_held_until_the_next_walk() -> None:
    """What is known by its id stays alive as long, and no other object can be taken for it; then it is forgotten."""
    router = StarletteRouter([OddRoute()])
    router.routes[0].endpoint = page  # type: ignore[attr-defined]
    assert found_in(router, route=router.routes[0], endpoint=page) == OddRoute.path_format
    gone, key = weakref.ref(router.routes[0]), id(router.routes[0])
    assert key in routes._settled
    router.routes[:] = [Route("/new", other)]
    assert gone() is not None
    assert found_in(router, route=router.routes[0], endpoint=other) == "/new"
    assert key not in routes._settled
    assert gone() is None
