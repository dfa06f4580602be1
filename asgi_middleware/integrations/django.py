"""Django: tell the classes outside of it which URL pattern matched, and take the user from them.

Django leaves nothing in the ASGI scope, but a request carries the scope it came with, and with it the Exchange.

``TokenUserMiddleware``, ``TokenAuthentication`` and ``TokenUser`` are imported on first use: only they need PyJWT.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from asgi_middleware._core.exchange import exchange_of
from asgi_middleware._core.routes import mounted

if TYPE_CHECKING:
    from asgi_middleware.integrations.django_auth import TokenAuthentication, TokenUser, TokenUserMiddleware

__all__ = ["RouteMiddleware", "TokenAuthentication", "TokenUser", "TokenUserMiddleware"]


class RouteMiddleware:
    """A Django middleware that gives the matched URL pattern to the metrics and the access line.

    A request that no pattern matches, and the redirect of ``APPEND_SLASH``, have no route. Outside ASGI, or without one
    of our classes around the application, it does nothing.

    Add it anywhere to the settings; last is cheapest::

        MIDDLEWARE = [
            "django.middleware.security.SecurityMiddleware",
            "asgi_middleware.integrations.django.RouteMiddleware",
        ]

    The route ``api/<slug:tenant>/items/<int:pk>/`` becomes ``/api/<slug:tenant>/items/<int:pk>/``.

    Args:
        get_response: The next middleware or the view, as Django passes it.
    """

    sync_capable: ClassVar[bool] = True
    async_capable: ClassVar[bool] = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)
            # Django would run a plain process_view in a thread, one hop for each request.
            self.process_view = self._process_view_async  # type: ignore[method-assign]

    def __call__(self, request: Any) -> Any | Awaitable[Any]:
        """Pass the request on."""
        return self.get_response(request)

    def process_view(self, request: Any, view: object, args: object, kwargs: object) -> Any:  # noqa: ARG002 -- Django calls it so
        """Note the pattern that was matched, once Django has resolved it."""
        _note(request)

    async def _process_view_async(self, request: Any, view: object, args: object, kwargs: object) -> None:  # noqa: ARG002 -- as above
        _note(request)


def _note(request: Any) -> None:
    scope = getattr(request, "scope", None)
    match = getattr(request, "resolver_match", None)
    if scope is None or match is None:
        return
    exchange = exchange_of(scope)
    if exchange is not None and exchange.route is None:
        # A pattern of re_path() begins with the anchor.
        exchange.route = mounted(scope, f"/{match.route.removeprefix('^')}")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module("asgi_middleware.integrations.django_auth"), name)
