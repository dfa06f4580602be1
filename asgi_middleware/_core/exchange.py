"""The Exchange: the one record that a connection carries past all our classes.

A scope flows inwards only: whoever adds a key writes into a copy, so that an outer class never sees it. What has to
flow outwards or sideways (the request id, who was authenticated, why a request was refused, fields that a handler adds
to the access line) therefore lives in one mutable object that all copies of the scope share, at
``scope["asgi_middleware"]``.

Two rules:

1. Whichever of our classes comes first makes it, by :func:`enter`. Each concern writes its own slots and treats every
   other one as optional: any class works alone.
2. An Exchange belongs to one connection and ends with it. It must not keep the scope alive in a circle, which only the
   garbage collector could free, once per request: so the innermost scope is kept only while someone follows it.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asgi_middleware._core.refusals import Refusal
    from asgi_middleware._core.types import RawHeaders, Scope

SCOPE_KEY: Final = "asgi_middleware"

# Held while a connection gets its first field, timing or label, which may come from several threads at once.
_first_use: Final = threading.Lock()


class Exchange:
    """What one connection's classes tell each other, and what a handler may tell them.

    Slotted, and every slot set when it is made: reading a default from the class costs ten times as much as a slot.

    Attributes:
        scope: The innermost scope seen so far, while a class follows it (see :meth:`follow`); else None. Frameworks
            write the matched route into the scope that reached them.
        request_id: The correlation id, checked and safe to send.
        route: The route template, where an integration or a handler set it. Read it through ``routes.route_of``.
        subject: Who was authenticated: the token's subject.
        refusal: The refusal that answered this connection instead of the app.
        error: An unhandled exception of the app that one of our classes has answered in its stead.
        cors: The reason code of the CORS decision.
        compression: The figures of the compression class.
    """

    __slots__ = (
        "__weakref__", "_claims", "_descriptions", "_fields", "_labels", "_timings", "_trace", "_unmeasured",
        "compression", "cors", "error", "refusal", "request_id", "route", "scope", "subject",
    )  # fmt: skip

    def __init__(self) -> None:
        """Begin with nothing known."""
        self.scope: Scope | None = None
        self.request_id: str | None = None
        self._trace: Any = None
        self.route: str | None = None
        self.subject: str | None = None
        self.refusal: Refusal | None = None
        self.error: BaseException | None = None
        self.cors: str | None = None
        self.compression: Any = None
        self._claims: tuple[str, ...] = ()
        self._fields: dict[str, Any] | None = None
        self._timings: list[tuple[str, float]] | None = None
        self._descriptions: dict[str, str] | None = None
        self._labels: dict[str, Any] | None = None
        self._unmeasured = False

    @property
    def trace(self) -> Any:
        """The W3C trace context of this request, if one is kept."""
        trace = self._trace
        if type(trace) is tuple:  # what it is made by, and of: few requests are asked for it
            make, *parts = trace
            trace = self._trace = make(*parts)
        return trace

    @trace.setter
    def trace(self, trace: Any) -> None:
        self._trace = trace

    def claim(self, concern: str) -> bool:
        """Take a concern for this connection: True for the first class that asks, False for a nested copy of it.

        A stack may hold the same class twice (once around the app, once around a mounted app). The inner one then steps
        aside, so that a request is counted and logged once.
        """
        if concern in self._claims:
            return False
        self._claims += (concern,)
        return True

    def claimed(self, concern: str) -> bool:
        """Tell whether a class of this concern stands further out."""
        return concern in self._claims

    def follow(self, scope: Scope) -> bool:
        """Keep the innermost scope from here on; True for the first follower, who ends it by ``exchange.scope = None``.

        To be ended in a ``finally``, after the route was read: a scope kept for longer forms a circle with this object.
        """
        first = self.scope is None
        self.scope = scope
        return first

    @property
    def fields(self) -> dict[str, Any]:
        """The fields that handlers added for the access line."""
        fields = self._fields
        if fields is None:
            with _first_use:  # two threads may come at once, and one's dict would be lost
                fields = self._fields
                if fields is None:
                    fields = self._fields = {}
        return fields

    def copy_fields(self) -> dict[str, Any]:
        """Give a copy of the fields, in one step: a thread that outlives the request may still be adding."""
        fields = self._fields
        return {} if fields is None else fields.copy()

    def add_fields(self, **fields: Any) -> None:
        """Add fields to the access line; a later value of the same name wins."""
        self.fields.update(fields)

    def add_timing(self, name: str, seconds: float, description: str | None = None) -> None:
        """Add `seconds` to the time spent in `name`; `description` is what the Server-Timing header says about it."""
        with _first_use:
            if self._timings is None:
                self._timings = []
            if description is not None:
                if self._descriptions is None:
                    self._descriptions = {}
                self._descriptions[name] = description
        # One append is safe from every thread; adding up in place is not.
        self._timings.append((name, seconds))

    def describe_timings(self) -> dict[str, str]:
        """Give a copy of the descriptions by the timings' names."""
        descriptions = self._descriptions
        return {} if descriptions is None else descriptions.copy()

    def set_route(self, template: str) -> None:
        """Name the route that answers, for metrics and access lines: a template, never the path itself."""
        self.route = template

    def skip_metrics(self) -> None:
        """Leave this request out of the metrics; to be called before its response is complete."""
        self._unmeasured = True

    @property
    def measured(self) -> bool:
        """Whether nobody has called :meth:`skip_metrics`."""
        return not self._unmeasured

    def add_label(self, name: str, value: Any) -> None:
        """Give this request's value of a label that ``PrometheusMiddleware(labels=...)`` has; others are ignored."""
        with _first_use:
            if self._labels is None:
                self._labels = {}
            self._labels[name] = value

    def copy_labels(self) -> dict[str, Any]:
        """Give a copy of the labels' values."""
        labels = self._labels
        return {} if labels is None else labels.copy()

    @property
    def timings(self) -> dict[str, float]:
        """The seconds spent by name, each name's times added up, in the order of first use."""
        totals: dict[str, float] = {}
        for name, seconds in self._timings or ():
            totals[name] = totals.get(name, 0.0) + seconds
        return totals


def exchange_of(scope: Scope) -> Exchange | None:
    """Give the connection's Exchange, or None where none of our classes has made one."""
    exchange = scope.get(SCOPE_KEY)
    return exchange if isinstance(exchange, Exchange) else None


def enter(scope: Scope) -> tuple[Scope, Exchange]:
    """Give the scope to pass on and the Exchange of this connection.

    The outermost of our classes gets a shallow copy that holds a new Exchange; the caller's scope stays as it was.
    Every further class gets the very scope it came with. A class that adds keys of its own copies that scope and calls
    :func:`enter` on the copy, or sets ``exchange.scope`` itself when it is followed.
    """
    if SCOPE_KEY in scope:
        exchange = scope[SCOPE_KEY]
        if type(exchange) is Exchange:
            if exchange.scope is not None:
                exchange.scope = scope
            return scope, exchange
    exchange = Exchange()
    inner = scope.copy() if type(scope) is dict else dict(scope)
    inner[SCOPE_KEY] = exchange
    if "headers" not in inner or type(inner["headers"]) is not list:
        _list_headers(inner)
    return inner, exchange


def listed_headers(scope: Scope) -> tuple[Scope, RawHeaders]:
    """Give headers that can be read twice, and the scope that holds them.

    For a class that looks at the headers before it knows whether it has anything to do. Servers give a list, so that
    the usual road is one comparison::

        headers = scope.get("headers")
        if type(headers) is not list:
            scope, headers = listed_headers(scope)
    """
    headers = scope.get("headers")
    if headers is None:
        return scope, []
    if isinstance(headers, list | tuple):
        return scope, headers
    inner = dict(scope)
    _list_headers(inner)
    return inner, inner["headers"]


def _list_headers(inner: dict[str, Any]) -> None:
    headers = inner.get("headers")
    # A one-shot iterator is legal and could be read only once, by whoever comes first.
    if headers is not None and not isinstance(headers, list | tuple):
        inner["headers"] = list(headers)


current_exchange: ContextVar[Exchange | None] = ContextVar("asgi_middleware_exchange", default=None)
"""The Exchange of the request being served, for code that has no scope at hand.

Set at the start of every request by the classes that give handlers a context, and reset by token in ``finally``. The
scope is the authority; this is a convenience.
"""


def add_fields(**fields: Any) -> None:
    """Add fields to the access line of the request being served, from any handler, thread or child task.

    Outside a request, or without a class that sets the context, nothing happens::

        from asgi_middleware import add_fields


        async def handler(request):
            add_fields(user_id=42, plan="pro")
    """
    exchange = current_exchange.get()
    if exchange is not None:
        exchange.fields.update(fields)


@contextmanager
def timing(name: str, description: str | None = None) -> Iterator[None]:
    """Measure a block and add its seconds to the request being served, under `name`.

    Times of the same name are added up. The block's time counts also when it raises::

        from asgi_middleware import timing

        with timing("db"):
            ...

    Args:
        name: What the time was spent on; a short word such as "db" or "render".
        description: A few words for the Server-Timing header; nothing of the request's own, since the client reads it.
    """
    exchange = current_exchange.get()
    begun = perf_counter()
    try:
        yield
    finally:
        if exchange is not None:
            exchange.add_timing(name, perf_counter() - begun, description)
