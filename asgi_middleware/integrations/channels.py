"""Channels: tell the classes outside of it which URL pattern a WebSocket matched.

Channels' ``URLRouter`` leaves the values in the ASGI scope and not the pattern; the scope has the Exchange.
"""

from __future__ import annotations

from typing import Any, TypeVar

from asgi_middleware._core.exchange import exchange_of
from asgi_middleware._core.routes import mounted

_Router = TypeVar("_Router")


def record_routes(router: _Router) -> _Router:
    """Give the pattern that matched to the metrics and the access line, for everything that this router routes.

    Routers within it are included, with their prefix, also behind a middleware of Channels. Views of Django are not:
    those need ``asgi_middleware.integrations.django.RouteMiddleware``. Calling it twice changes nothing::

        from channels.routing import ProtocolTypeRouter, URLRouter
        from django.core.asgi import get_asgi_application
        from asgi_middleware import PrometheusMiddleware
        from asgi_middleware.integrations.channels import record_routes

        django = get_asgi_application()
        websockets = record_routes(URLRouter([...]))
        app = PrometheusMiddleware(ProtocolTypeRouter({"http": django, "websocket": websockets}))

    Args:
        router: A ``channels.routing.URLRouter``.

    Returns:
        The same router.
    """
    _record(router, "/")
    return router


def _record(router: Any, prefix: str) -> None:
    for route in router.routes:
        # A pattern of re_path() begins with the anchor.
        template = prefix + str(route.pattern).removeprefix("^")
        inner = _router_below(route.callback)
        if inner is not None:
            _record(inner, template)
        elif not isinstance(route.callback, _Noting):
            route.callback = _Noting(route.callback, template)


def _router_below(app: Any) -> Any:
    """Give the URLRouter at the bottom of a chain of Channels' middleware, or None."""
    for _ in range(32):
        if app is None or hasattr(app, "routes"):
            return app
        app = getattr(app, "inner", None) or getattr(app, "application", None)
    return None


class _Noting:
    """The application behind one pattern."""

    __slots__ = ("app", "template")

    def __init__(self, app: Any, template: str) -> None:
        self.app = app
        self.template = template

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Note the pattern and go on."""
        exchange = exchange_of(scope)
        if exchange is not None and exchange.route is None:
            exchange.route = mounted(scope, self.template)
        await self.app(scope, receive, send)
