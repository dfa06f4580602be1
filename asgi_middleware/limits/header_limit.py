"""HeaderLimitMiddleware: how much head a request may have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asgi_middleware._core.config import Problems
from asgi_middleware._core.exchange import listed_headers
from asgi_middleware._core.refusals import Refusal

if TYPE_CHECKING:
    from asgi_middleware._core.types import ASGIApp, RawHeaders, Receive, Scope, Send

_TOO_MANY: Final = Refusal(431, "too_many_headers", detail="The request has more header fields than this server takes.")
_FIELD: Final = Refusal(431, "header_field_too_large", detail="A header field is larger than this server takes.")
_TOTAL: Final = Refusal(431, "headers_too_large", detail="The header fields are larger than this server takes.")
_TARGET: Final = Refusal(414, "target_too_long", detail="The request target is longer than this server takes.")
_SEPARATORS: Final = 4  # the colon, the space and the line end around each field (RFC 9112 5)


class HeaderLimitMiddleware:
    """Refuses a request, or a WebSocket handshake, whose head is larger than you allow: 431, or 414 for its target.

    The server has parsed the head by then, so this bounds no memory: the server's own limits do. They differ from
    server to server and are high; this class gives one answer on all of them, and lower limits for one app::

        from asgi_middleware.limits import HeaderLimitMiddleware


        async def app(scope, receive, send): ...


        app = HeaderLimitMiddleware(app)

    Args:
        app: The ASGI app.
        max_header_bytes: The bytes of all header fields together, names, values and four for each field's separators;
            None for any. More is a 431 ``headers_too_large``. 16 KiB by default, which is what most servers take.
        max_header_count: The number of header fields; None for any. More is a 431 ``too_many_headers``.
        max_field_bytes: The bytes of one field, counted alike; None for any. More is a 431 ``header_field_too_large``.
        max_target_bytes: The bytes of the request target, path and query as sent; None for any. More is a 414
            ``target_too_long``. RFC 9112 3 asks for at least 8000 bytes of request line.

    Raises:
        ConfigurationError: Some options are wrong; every one is listed with its fix.

    Source: RFC 6585 5; RFC 9110 5.4, 15.5.15; RFC 9112 3.
    """

    __slots__ = ("_max_count", "_max_field", "_max_target", "_max_total", "_smaller", "app")

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_header_bytes: int | None = 16_384,
        max_header_count: int | None = 100,
        max_field_bytes: int | None = 8_192,
        max_target_bytes: int | None = 8_192,
    ) -> None:
        """Check the options; see the class."""
        problems = Problems("HeaderLimitMiddleware")
        problems.integer("max_header_bytes", max_header_bytes, minimum=1, optional=True)
        problems.integer("max_header_count", max_header_count, minimum=1, optional=True)
        problems.integer("max_field_bytes", max_field_bytes, minimum=1, optional=True)
        problems.integer("max_target_bytes", max_target_bytes, minimum=1, optional=True)
        problems.raise_if_any()
        self.app = app
        no_limit = 1 << 62
        self._max_total = no_limit if max_header_bytes is None else max_header_bytes
        self._max_count = no_limit if max_header_count is None else max_header_count
        self._max_field = no_limit if max_field_bytes is None else max_field_bytes
        self._max_target = no_limit if max_target_bytes is None else max_target_bytes
        # All fields together within this: no single one is larger then.
        self._smaller = min(self._max_total, self._max_field)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Measure the head, and refuse or go on."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        headers = scope.get("headers")
        if type(headers) is not list:
            scope, headers = listed_headers(scope)
        refusal = self._judge(scope, headers)
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            await refusal.send(scope, receive, send, close_connection=True)

    def _judge(self, scope: Scope, headers: RawHeaders) -> Refusal | None:
        path = scope.get("raw_path")
        if path is None:
            path = scope["path"].encode("utf-8", "surrogatepass")
        query = scope.get("query_string") or b""
        if len(path) + len(query) + bool(query) > self._max_target:
            return _TARGET
        count = total = 0
        for name, value in headers:
            count += 1
            total += len(name) + len(value)
        if count > self._max_count:
            return _TOO_MANY
        total += count * _SEPARATORS
        if total <= self._smaller:
            return None
        if any(len(name) + len(value) + _SEPARATORS > self._max_field for name, value in headers):
            return _FIELD
        return _TOTAL if total > self._max_total else None
