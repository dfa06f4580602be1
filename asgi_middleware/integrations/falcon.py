"""Falcon: tell the classes outside of it which URI template matched.

Falcon leaves nothing in the ASGI scope, but its request carries the scope it came with, and with it the Exchange.
"""

from __future__ import annotations

from typing import Any

from asgi_middleware._core.exchange import exchange_of
from asgi_middleware._core.routes import mounted


class RouteMiddleware:
    """A Falcon middleware component that gives the matched URI template to the metrics and the access line.

    A request that no template matches has no route; a method that the resource lacks (405) has the resource's. Sinks
    have none.

    Add it to the application, anywhere among its components::

        import falcon.asgi
        from asgi_middleware import PrometheusMiddleware
        from asgi_middleware.integrations.falcon import RouteMiddleware

        api = falcon.asgi.App(middleware=[RouteMiddleware()])
        app = PrometheusMiddleware(api)
    """

    async def process_resource(self, req: Any, resp: object, resource: object, params: object) -> None:  # noqa: ARG002 -- Falcon calls it so
        """Note the template once Falcon has routed the request."""
        _note(req)

    async def process_resource_ws(self, req: Any, ws: object, resource: object, params: object) -> None:  # noqa: ARG002 -- as above
        """Note the template once Falcon has routed the WebSocket."""
        _note(req)


def _note(req: Any) -> None:
    exchange = exchange_of(req.scope)
    template = req.uri_template
    if exchange is not None and exchange.route is None and template is not None:
        exchange.route = mounted(req.scope, template)
