"""Quart: tell the classes outside of it which URL rule matched.

Quart leaves nothing in the ASGI scope, but its request carries the scope it came with, and with it the Exchange.
"""

from __future__ import annotations

from typing import Any

from quart import Quart, request, request_started, websocket, websocket_started

from asgi_middleware._core.exchange import exchange_of
from asgi_middleware._core.routes import mounted


def record_routes(app: Quart) -> None:
    """Give the URL rule that matched to the metrics and the access line, for requests and WebSockets of this app.

    A request that no rule matches (404, 405) has no route. Calling it twice for one app changes nothing::

        from quart import Quart
        from asgi_middleware import PrometheusMiddleware
        from asgi_middleware.integrations.quart import record_routes

        app = Quart(__name__)
        record_routes(app)
        app.asgi_app = PrometheusMiddleware(app.asgi_app)

    Args:
        app: The Quart application.
    """
    request_started.connect(_on_request, sender=app)
    websocket_started.connect(_on_websocket, sender=app)


async def _on_request(_sender: Quart, **_extra: object) -> None:
    _note(request)


async def _on_websocket(_sender: Quart, **_extra: object) -> None:
    _note(websocket)


def _note(connection: Any) -> None:
    rule = connection.url_rule
    exchange = exchange_of(connection.scope)
    if rule is not None and exchange is not None and exchange.route is None:
        exchange.route = mounted(connection.scope, str(rule.rule))
