"""Routes: which route template answered, learned after the app ran.

A path is unbounded and belongs to whoever sends it; a template (``/items/{id}``) belongs to the app. Time series and
access lines need the template, and must never fall back to the path. Facts this module rests on:

- Starlette's router writes ``router`` (the outermost), ``endpoint`` (the innermost) and, since 1.7, ``route`` (the
  innermost that a Starlette router matched) into the scope that reached it.
- ``route.path_format`` lacks the prefixes of the Mounts around it. ``root_path`` holds them *filled in*
  (``/t/acme``), so that joining the two is as unbounded as the path.
- FastAPI since 0.137 wraps included routers: ``scope["fastapi"]["effective_route_context"]`` knows the full template,
  while ``scope["route"]`` lacks the router's prefix. For a Mount or a plain Route it leaves ``route`` as it was: only
  the endpoint tells which of the objects in the scope is the innermost.
- Litestar writes ``path_template``. Django and Quart write nothing; their integrations set ``exchange.route``.
- A redirect to the path with a slash, and a 404, leave no route: they are unmatched.
- Starlette's routes define ``__eq__`` without ``__hash__``, so they are told apart by identity.

The whole tree below a router is therefore walked once, into a map from each route object to its full template.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from asgi_middleware._core.exchange import Exchange
    from asgi_middleware._core.types import Scope

_REST: Final = "/{path}"  # how Starlette ends the template of a Mount
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_DEEPEST: Final = 32  # levels of mounts; a bound against trees that contain themselves
_MOST_ROUTERS: Final = 64  # maps kept; a process has a few routers, tests make many
_REBUILDS: Final = 32  # per router: routes may be added after the first request


def route_of(exchange: Exchange) -> str | None:
    """Give the template of the route that answered, or None where none matched.

    Call it after the app has sent its answer, while the Exchange still follows the scope. It never raises and never
    gives the path that was requested.

    Args:
        exchange: The connection's record. A route set there (by an integration or a handler) comes first.
    """
    if exchange.route is not None:
        return exchange.route
    scope = exchange.scope
    if scope is None:
        return None
    try:
        route = scope.get("route")
        settled = _settled.get(id(route))
        if settled is not None:
            # Most requests end here: a route that stands in one place, by its own endpoint.
            endpoint, router, place = settled
            if endpoint is scope.get("endpoint") and router is scope["router"] and "path_template" not in scope:
                return place
        template = scope.get("path_template")
        if type(template) is str and template:
            return _mount_prefix(scope) + template
        router = scope.get("router")
        # Of a framework that names a route but no router, the route's own template is all there is.
        return _template(route) if router is None else _starlette_route(scope, router)
    except Exception:  # noqa: BLE001 -- a framework's internals may change; an unnamed route is then the right answer
        return None


def mounted(scope: Scope, template: str) -> str:
    """Put the prefix of the Starlette Mount, if any, in front of a template that an inner framework gave.

    Args:
        scope: The scope that reached the inner framework.
        template: The inner framework's template, with its leading slash.
    """
    try:
        return _mount_prefix(scope) + template
    except Exception:  # noqa: BLE001 -- as in route_of
        return template


class _Place(NamedTuple):
    """One position of a route in the tree: its full template, and the same as a regular expression."""

    template: str
    pattern: str


class _Node:
    """A route object with every place where the tree holds it (a router may be mounted twice)."""

    __slots__ = ("_compiled", "endpoint", "is_mount", "places", "source")

    def __init__(self, source: object, endpoint: object, *, is_mount: bool) -> None:
        self.source = source  # held, so that its id stays its own while the map lives
        self.endpoint = endpoint
        self.is_mount = is_mount
        self.places: list[_Place] = []
        self._compiled: list[re.Pattern[str]] | None = None

    def template(self, scope: Scope) -> str | None:
        """Give the template of the place that this request came through."""
        places = self.places
        if len(places) == 1:
            return places[0].template
        if self._compiled is None:
            self._compiled = [re.compile(place.pattern, re.DOTALL) for place in places]
        paths = _full_paths(scope)
        for place, pattern in zip(places, self._compiled, strict=True):
            if any(pattern.fullmatch(path) for path in paths):
                return place.template
        return None


class _RouteMap:
    """The full template of every route below one router."""

    __slots__ = ("_endpoints", "_lock", "_rebuilds", "_routes", "router")

    def __init__(self, router: object) -> None:
        self.router = router
        self._lock = threading.Lock()
        self._rebuilds = _REBUILDS
        self._routes: dict[int, _Node] = {}
        self._build()

    def find(self, route: object, context: object, endpoint: object) -> _Node | None:
        """Give the innermost of what the scope names, walking the tree again if it holds none of them."""
        node = self._find(route, context, endpoint)
        if node is None and self._rebuilds > 0 and not (route is context is endpoint is None):
            with self._lock:
                self._rebuilds -= 1
                self._build()
            node = self._find(route, context, endpoint)
        return node

    def _find(self, route: object, context: object, endpoint: object) -> _Node | None:
        for named in (context, route):
            node = self._routes.get(id(named))
            if node is not None and (endpoint is None or node.endpoint is endpoint):
                return node
        return self._endpoints.get(id(endpoint))

    def _build(self) -> None:
        routes: dict[int, _Node] = {}
        endpoints: dict[int, _Node] = {}
        for source, endpoint, place, is_mount in _walk(getattr(self.router, "routes", ()), _Place("", ""), 0):
            for known, key in ((routes, source), (endpoints, endpoint)):
                if key is None:
                    continue
                node = known.setdefault(id(key), _Node(key, endpoint, is_mount=is_mount))
                if place is not None and place not in node.places:
                    node.places.append(place)
        self.forget()
        self._routes, self._endpoints = routes, endpoints
        for key, node in routes.items():
            if len(node.places) == 1:
                _settled[key] = node.endpoint, self.router, node.places[0].template

    def forget(self) -> None:
        """Take what this map has settled out of the common one."""
        for key in self._routes:
            _settled.pop(key, None)


# By what most requests are named, of all maps: from a route's id (the map holds the route) to its endpoint, the router
# above it, and the template. Where two routers share a route, the last that was walked stands.
_settled: dict[int, tuple[object, object, str]] = {}
_maps: dict[int, _RouteMap] = {}
_maps_lock = threading.Lock()


def _map_of(router: object) -> _RouteMap:
    known = _maps.get(id(router))
    if known is not None:
        return known  # it holds the router, so the id is still the same object's
    with _maps_lock:
        while len(_maps) >= _MOST_ROUTERS:
            _maps.pop(next(iter(_maps))).forget()
        return _maps.setdefault(id(router), _RouteMap(router))


def _template(route: Any) -> str | None:
    template = getattr(route, "path_format", None)
    return template if type(template) is str else None


def _starlette_route(scope: Scope, router: object) -> str | None:
    own = scope.get("fastapi")
    context = own.get("effective_route_context") if type(own) is dict else None
    node = _map_of(router).find(scope.get("route"), context, scope.get("endpoint"))
    return None if node is None else node.template(scope)


def _mount_prefix(scope: Scope) -> str:
    """Give the template of the Starlette Mount that another framework stands in; empty outside any."""
    router = scope.get("router")
    if router is None:
        return ""
    node = _map_of(router).find(scope.get("route"), None, scope.get("endpoint"))
    if node is None or not node.is_mount:
        return ""
    return (node.template(scope) or "").removesuffix(_REST)


def _walk(routes: Iterable[Any], prefix: _Place, depth: int) -> Iterator[tuple[object, object, _Place | None, bool]]:
    """Give every route below: the object, its endpoint, its place (None without a path), whether it is a mount."""
    if depth > _DEEPEST:
        return
    for route in tuple(routes):
        contexts = getattr(route, "effective_route_contexts", None)
        if contexts is None:
            yield from _walk_route(route, route, prefix, depth)
            continue
        # A FastAPI router that was included; its contexts carry the full templates.
        for context in (*contexts(), *getattr(route, "effective_low_priority_routes", tuple)()):
            yield from _walk_route(context, getattr(context, "starlette_route", None) or context, prefix, depth)


def _walk_route(
    named: object, route: Any, prefix: _Place, depth: int
) -> Iterator[tuple[object, object, _Place | None, bool]]:
    """Give one route under each object that may stand for it in the scope, then what is below it."""
    below = _routes_below(route)
    endpoint = getattr(route, "endpoint", None) or getattr(route, "app", None)
    template = getattr(route, "path_format", None)
    is_mount = below is not None and type(template) is str
    if type(template) is not str or not template:
        place, inner = None, prefix  # a Host has no path; nor has FastAPI's context for a folder of files
    else:
        convertors = getattr(route, "param_convertors", None) or {}
        place = _join(prefix, template, convertors)
        inner = _join(prefix, template.removesuffix(_REST), convertors)
    yield named, endpoint, place, is_mount
    if route is not named:
        yield route, endpoint, place, is_mount
    if below is not None:
        yield from _walk(below, inner, depth + 1)


def _routes_below(route: Any) -> Sequence[Any] | None:
    """Give the routes of a Mount or a Host, also when a middleware stands between; None for a plain route."""
    if getattr(route, "endpoint", None) is not None or not hasattr(route, "app"):
        return None
    below: Sequence[Any] = getattr(route, "routes", ())
    inner = route.app
    for _ in range(_DEEPEST):
        if below or inner is None:
            break
        below = getattr(inner, "routes", ())
        inner = getattr(inner, "app", None)
    return below


def _join(prefix: _Place, template: str, convertors: Mapping[str, Any]) -> _Place:
    parts = _PARAMETER.split(template)  # text, name, text, name, ..., text
    pattern = "".join(
        f"(?:{getattr(convertors.get(part), 'regex', '[^/]+')})" if position % 2 else re.escape(part)
        for position, part in enumerate(parts)
    )
    return _Place(prefix.template + template, prefix.pattern + pattern)


def _full_paths(scope: Scope) -> list[str]:
    """Give the readings of the path from the outermost router's root: before Starlette 0.33 a Mount shortened it."""
    path: str = scope.get("path", "")
    root: str = scope.get("root_path") or ""
    outer: str = scope.get("app_root_path", root)  # what the server or the caller had set, before any Mount
    return [reading for full in (path, root + path) for reading in (full, full.removeprefix(outer))]
