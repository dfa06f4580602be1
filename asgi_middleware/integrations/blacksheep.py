"""BlackSheep: tell the classes outside of it which route pattern matched.

BlackSheep leaves nothing in the ASGI scope, but its request carries the scope it came with, and with it the Exchange.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final

from asgi_middleware._core.exchange import exchange_of
from asgi_middleware._core.routes import mounted

_REST: Final = "/*"  # how BlackSheep ends the pattern of a mount
_MARK: Final = "_asgi_middleware_records_route"


def record_routes(app: Any) -> None:
    """Give the pattern that matched to the metrics and the access line, for requests and WebSockets of this app.

    BlackSheep applications that are mounted below are included, with their prefix. A request that no pattern matches
    has no route. Calling it twice for one app changes nothing::

        from blacksheep import Application
        from asgi_middleware import PrometheusMiddleware
        from asgi_middleware.integrations.blacksheep import record_routes

        api = Application()
        record_routes(api)
        app = PrometheusMiddleware(api)

    Args:
        app: The BlackSheep application, before it starts.
    """

    # Only then are all routes known, and their handlers what will be called.
    async def after_start(started: Any) -> None:
        _record(started, "")

    app.after_start += after_start


def _record(app: Any, prefix: str) -> None:
    for route in app.router:
        if route is not app.router.fallback and not hasattr(route.handler, _MARK):
            route.handler = _noting(route.handler, prefix + route.mustache_pattern)
    for mount in app.mount_registry.mounted_apps:
        if hasattr(mount.handler, "mount_registry"):
            _record(mount.handler, prefix + mount.mustache_pattern.removesuffix(_REST))


def _noting(handler: Callable[..., Awaitable[Any]], template: str) -> Callable[..., Awaitable[Any]]:
    @wraps(handler)
    def noting(connection: Any, *rest: Any) -> Awaitable[Any]:
        exchange = exchange_of(connection.scope)
        if exchange is not None and exchange.route is None:
            exchange.route = mounted(connection.scope, template)
        return handler(connection, *rest)

    setattr(noting, _MARK, True)
    return noting
