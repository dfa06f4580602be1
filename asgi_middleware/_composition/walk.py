"""Finding the classes in an app, framework by framework, without importing one of them.

A chain is what a request meets, outermost first; it ends with the app itself. An app that hands on to others (mounts,
routes with classes of their own, a router by protocol) has branches.

Frameworks are known by the attributes in which they keep their classes:

- a wrapper keeps the inner app in ``app``, ``inner`` (Channels), ``application`` or the like; a function keeps it in
  its closure or in ``__wrapped__``;
- Starlette and FastAPI keep ``user_middleware`` (classes and options, outermost first) until the first connection
  builds ``middleware_stack``; mounts are ``routes`` with an ``app``;
- Litestar keeps ``middleware`` for its routes and ``asgi_handler`` around them;
- Quart is wrapped by replacing its method ``asgi_app``;
- Channels' routers keep ``application_mapping``, and ``routes`` with a ``callback``.

Nothing here raises, whatever the object: an attribute that cannot be read is not there.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any, Final, TypeGuard, TypeVar

from asgi_middleware._composition.order import label_of

_INNER: Final = ("app", "inner", "application", "asgi_app", "other_asgi_app", "asgi", "_app")
# Where a definition keeps its class and its options: Starlette's Middleware, Litestar's DefineMiddleware, our Layer.
_DEFINITIONS: Final = (("cls", "kwargs"), ("middleware", "kwargs"), ("factory", "options"), ("func", "keywords"))
# An app that makes its inner app anew whenever it is asked, or that holds itself by two ways, has an end too.
_MOST_PARTS: Final = 20_000
_DEEPEST: Final = 50  # branches within branches; the chain of one app may be as long as it likes
_T = TypeVar("_T")
_SERVER_ERROR: Final = "starlette.middleware.errors:ServerErrorMiddleware"

ADDED_STARLETTE: Final = "starlette"
ADDED_LITESTAR: Final = "litestar"


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One wrapper, or the app at the end."""

    title: str
    """Its class or function, with the package it comes from, unless that is ours."""
    label: str | None
    """What the tables of the order call it; None for what they do not know."""
    added: str = ""
    """The framework whose list of classes it was found in."""
    record: object = None
    """For metrics: what they are recorded to."""
    branches: tuple[Branch, ...] = ()
    thing: object = None
    """The object itself; the class or function where it is still to be made."""
    options: Mapping[Any, Any] | None = None
    """What it is to be made with; None where it is made."""


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """One of the apps that an app hands on to."""

    where: str
    chain: tuple[Part, ...]


def walk(app: object) -> tuple[Part, ...]:
    """Give the chain of an app, outermost first."""
    return tuple(_Walk().chain(app)[0])


class _Walk:
    """One walk, with what is left of its budget."""

    def __init__(self) -> None:
        self._left = _MOST_PARTS
        self._depth = 0
        # What is being walked, by id; it is kept alive here, so that no other object takes over its id meanwhile.
        self._path: dict[int, object] = {}

    def chain(self, thing: object, *within: object) -> tuple[list[Part], object]:
        """Follow the inner apps; `within` are objects that end the chain, like those on the path.

        Returns:
            The parts, and the thing on the path that ended the chain, or None.
        """
        parts: list[Part] = []
        if self._depth == _DEEPEST:
            self._left -= 1
            return parts, None
        self._depth += 1
        before = len(self._path)
        for held in within:
            self._path.setdefault(id(held), held)
        while thing is not None and id(thing) not in self._path:
            self._left -= 1
            if self._left < 0:
                thing = None
                break
            self._path[id(thing)] = thing
            found, thing = self._step(thing)
            parts += found
        self._leave(before)
        self._depth -= 1
        return parts, thing

    def _leave(self, length: int) -> None:
        while len(self._path) > length:
            self._path.popitem()  # the last that was put in

    def _step(self, thing: object) -> tuple[list[Part], object]:
        """Give the parts that `thing` stands for, and what is inside it."""
        if _is(thing, MethodType):
            owner = thing.__self__
            is_quarts_own = thing.__func__.__name__ == "asgi_app"  # inside what replaced it
            is_end = is_quarts_own or id(owner) in self._path
            return ([_part(owner)], None) if is_end else ([], owner)
        if _is(thing, functools.partial):
            return [], thing.func
        if _is(thing, FunctionType):
            return [_part(thing)], _inside_function(thing)
        definitions = _list(_look(thing, "user_middleware"))
        if definitions is not None:
            return self._starlette(thing, definitions), None
        if _look(thing, "asgi_router") is not None:
            return self._litestar(thing), None
        replaced = _instance_attribute(thing, "asgi_app")
        if replaced is not None and not _is_own_method(replaced, thing):
            return [], replaced
        return self._wrapper(thing)

    def _wrapper(self, thing: object) -> tuple[list[Part], object]:
        mapping = _look(thing, "application_mapping")
        if _is(mapping, dict):
            named = [(str(key) if _is(key, str) else "?", app) for key, app in list(dict.items(mapping))]
            branches = tuple(Branch(key, tuple(self.chain(app)[0])) for key, app in named)
            return [_part(thing, branches=branches)], None
        for name in _INNER:
            inner = _look(thing, name)
            if _is_app(inner) and not _is_own_method(inner, thing):
                return [_part(thing)], inner
        return [_part(thing, branches=self._routes(_look(thing, "routes")))], None

    def _starlette(self, app: object, definitions: Iterable[object]) -> list[Part]:
        built, end = self.chain(_look(app, "middleware_stack"), _look(app, "router"))
        if end is None:  # not built yet, or a class that hides what is inside
            built = []
            if "starlette.applications:Starlette" in _mro(type(app)):  # it puts one around the classes
                built.append(Part(_title(_SERVER_ERROR), label_of([_SERVER_ERROR])))
            built += [_definition(entry, ADDED_STARLETTE) for entry in definitions]
        return [*built, _part(app, branches=self._routes(_look(app, "routes")))]

    def _routes(self, routes: object) -> tuple[Branch, ...]:
        """Give the mounts, and those routes that have classes of their own."""
        branches: list[Branch] = []
        for route in _list(routes) or ():
            if self._left < 0:
                break
            included = _look(route, "original_router")  # FastAPI's include_router
            if included is not None and id(included) not in self._path:
                named = _look(_look(route, "include_context"), "prefix")
                prefix = named if _is(named, str) else ""
                before = len(self._path)
                self._path[id(included)] = included
                inside = self._routes(_look(included, "routes"))
                self._leave(before)
                branches += [Branch(f"{prefix}{branch.where}", branch.chain) for branch in inside]
                continue
            endpoint, inner = _look(route, "endpoint"), _look(route, "app")
            is_mount = endpoint is None and _look(route, "callback") is None
            chain = self.chain(_look(route, "callback") if inner is None else inner)[0]
            if len(chain) > 1 or (chain and (is_mount or chain[0].branches)):
                if endpoint is not None:  # Starlette wraps it in a function of its own
                    chain[-1] = _part(endpoint)
                branches.append(Branch(_address(route), tuple(chain)))
        return tuple(branches)

    def _litestar(self, app: object) -> list[Part]:
        parts, _ = self.chain(_look(app, "asgi_handler"), _look(app, "asgi_router"))
        parts += _definitions(_look(app, "middleware"))
        compression = _look(_look(app, "compression_config"), "middleware_class")
        if _is(compression, type):
            parts.append(_definition(compression, ""))
        return [*parts, _part(app, branches=self._litestar_routes(_look(app, "routes")))]

    def _litestar_routes(self, routes: object) -> tuple[Branch, ...]:
        branches: list[Branch] = []
        for route in _list(routes) or ():
            for handler in _list(_look(route, "route_handlers")) or [_look(route, "route_handler")]:
                layers = (
                    _list(_look(handler, "ownership_layers")) or []
                )  # the app, routers, the controller, the handler
                chain: list[Part] = []
                for layer in layers[1:]:
                    chain += _definitions(_look(layer, "middleware"))
                is_mount = _look(handler, "is_mount") is True
                function = _look(handler, "fn")
                if chain or is_mount:
                    chain += self.chain(function)[0] if is_mount else [_part(function)]
                    branches.append(Branch(_address(route), tuple(chain)))
        return tuple(branches)


def _definitions(entries: object) -> list[Part]:
    return [_definition(entry, ADDED_LITESTAR) for entry in _list(entries) or ()]


def _definition(entry: object, added: str) -> Part:
    """Give the part that a definition (a class and its options) will become."""
    factory: Any = entry
    options: object = {}
    for _ in range(len(_DEFINITIONS)):  # a definition may hold another, such as a partial
        if _is(factory, type) or _is(factory, FunctionType):
            break
        if _is(factory, tuple) and factory:  # Litestar: (class, {option: value})
            factory, options = factory[0], factory[-1]
            continue
        for where, named in _DEFINITIONS:
            held = _look(factory, where)
            if callable(held):
                factory, options = held, _look(factory, named)
                break
        else:
            break
    return _part(factory, added=added, options=dict.copy(options) if _is(options, dict) else {})


def _part(
    thing: object,
    *,
    added: str = "",
    options: Mapping[Any, Any] | None = None,
    branches: tuple[Branch, ...] = (),
) -> Part:
    """Describe an object, or the class in a definition when there are `options`."""
    named: Any = thing if _is(thing, type) or _is(thing, FunctionType) else type(thing)
    identities = _mro(named) if _is(named, type) else (f"{named.__module__}:{named.__qualname__}",)
    record: object = ("made", _look(thing, "_claim"))
    if options is not None:
        record = ("to be made", id(options.get("registry")), options.get("namespace", ""))
    return Part(_title(identities[0]), label_of(identities), added, record, branches, thing, options)


def _title(identity: str) -> str:
    module, _, name = identity.partition(":")
    name = name.rpartition(".")[2]
    package = module.partition(".")[0]
    return name if package in {"asgi_middleware", name.lower()} else f"{name} ({package})"


def _mro(cls: type) -> tuple[str, ...]:
    return tuple(f"{base.__module__}:{base.__qualname__}" for base in cls.__mro__)


def _inside_function(function: FunctionType) -> object:
    """Give the app that a function wraps: what it says it wraps, else the variable of its closure."""
    wrapped = _look(function, "__wrapped__")
    if _is_app(wrapped):
        return wrapped
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if name in _INNER:
            try:
                held = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
            if _is_app(held):
                return held
    return None


def _is_app(thing: object) -> bool:
    return thing is not None and not _is(thing, type) and callable(thing)


def _is_own_method(thing: object, owner: object) -> bool:
    return _is(thing, MethodType) and thing.__self__ is owner


def _address(route: object) -> str:
    for name in ("path", "host", "pattern"):
        value = _look(route, name)
        if value is not None:
            try:
                return str(value)
            except Exception:  # noqa: BLE001 -- any object may be here
                break
    return "?"


def _instance_attribute(thing: object, name: str) -> object:
    attributes = _look(thing, "__dict__")
    return attributes.get(name) if _is(attributes, dict) else None


def _is(thing: object, kind: type[_T]) -> TypeGuard[_T]:
    """Ask the type alone: ``isinstance`` would ask the object too, through ``__class__``."""
    return issubclass(type(thing), kind)


def _list(thing: object) -> list[Any] | None:
    """Give a copy of a list or tuple, None for all else: an iterator would be used up."""
    if _is(thing, list):
        return list.copy(thing)  # a class of its own may iterate as it likes
    return list(tuple.__iter__(thing)) if _is(thing, tuple) else None


def _look(thing: object, name: str) -> Any:
    """Read an attribute that is really there: one that ``__getattr__`` makes up is not asked for."""
    try:
        inspect.getattr_static(thing, name)
        return getattr(thing, name)
    except Exception:  # noqa: BLE001 -- a property may raise anything
        return None
