"""WebSocketOriginMiddleware: which pages may open a WebSocket to the app.

Facts this module rests on:

- A handshake is not subject to CORS, and the browser sends the user's cookies with it. ``Origin`` is all that tells
  whose page opened it (RFC 6455 10.2); Chromium sends no ``Sec-Fetch-*`` there.
- The origin is the page's: http or https, never ws or wss.
- A handshake is refused before it is accepted. A denial response is sent only where the server announces that it can
  (ASGI specification, "WebSocket Denial Response"): sent unannounced it leaves the client of some servers waiting.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from asgi_middleware._core.config import Problems
from asgi_middleware._core.exchange import exchange_of
from asgi_middleware._core.headers import find_all
from asgi_middleware._core.refusals import Refusal
from asgi_middleware._core.types import ASGIApp, Receive, Scope, Send
from asgi_middleware.cors import reasons
from asgi_middleware.cors.origins import OriginSet, split_origin
from asgi_middleware.cors.patterns import DEFAULT_PORTS

_POLICY_VIOLATION: Final = 1008  # RFC 6455 7.4.1
_FIRST_PRIVATE, _LAST_PRIVATE = 4000, 4999  # RFC 6455 7.4.2
_LONGEST_HOST: Final = 260
_DEFAULT_PORTS: Final = {f"{scheme}://".encode(): b":" + port.encode() for scheme, port in DEFAULT_PORTS.items()}
_DETAILS: Final = {
    reasons.ORIGIN_NOT_ALLOWED: "Pages of this origin may not open a WebSocket here.",
    reasons.MALFORMED_ORIGIN: "The handshake has more than one Origin header.",
    reasons.NO_ORIGIN: "The handshake has no Origin header.",
}


class WebSocketOriginMiddleware:
    """Lets only pages of known origins open a WebSocket.

    Any website can open a WebSocket to your app in its visitor's name, cookies included, and read what it says; CORS
    does not cover that. This class refuses the handshake before the app sees it. It is no authentication: a client that
    is no browser sends whatever ``Origin`` it likes. Everything but WebSockets passes untouched::

        from asgi_middleware.cors import WebSocketOriginMiddleware


        async def app(scope, receive, send): ...


        app = WebSocketOriginMiddleware(app, allow_origins=["https://app.example.com", "http://localhost:*"])

    The app's own pages pass without being listed: those whose origin has the host and port of the handshake's ``Host``.
    Where a proxy rewrites ``Host``, list them. That rule takes the client's word for the host; against DNS rebinding
    (local tools without https) turn `same_origin` off, or check ``Host`` too.

    Args:
        app: The ASGI app.
        allow_origins: Which origins besides the app's own: entries in the language of :class:`OriginSet`, or an
            OriginSet, such as the one that CORSMiddleware has. Write ``https://``, not ``wss://``: a page's origin is
            meant. ``null`` only where it is named. None by default.
        same_origin: Whether the app's own pages pass. On by default.
        allow_missing: Whether handshakes without ``Origin`` pass. Browsers always send it, so these come from other
            clients. On by default.
        close_code: The close code where the server takes no denial response: 1008 ("policy violation") or one from 4000
            to 4999. Browsers see 1006 all the same, because the handshake never succeeded.

    Raises:
        ConfigurationError: Some options are wrong; every one is listed with its fix.

    Source: RFC 6455 4.2.2 and 10.2; RFC 6454 7.3.
    """

    __slots__ = ("_allow_missing", "_origins", "_refusals", "_same_origin", "app")

    def __init__(
        self,
        app: ASGIApp,
        *,
        allow_origins: Iterable[str] | OriginSet = (),
        same_origin: bool = True,
        allow_missing: bool = True,
        close_code: int = _POLICY_VIOLATION,
    ) -> None:
        """Check the options and prepare every refusal; see the class."""
        problems = Problems("WebSocketOriginMiddleware")
        self.app = app
        self._origins = (
            allow_origins
            if isinstance(allow_origins, OriginSet)
            else OriginSet(allow_origins, option="allow_origins", problems=problems)
        )
        problems.boolean("same_origin", same_origin)
        problems.boolean("allow_missing", allow_missing)
        if close_code != _POLICY_VIOLATION:
            problems.integer("close_code", close_code, minimum=_FIRST_PRIVATE, maximum=_LAST_PRIVATE)
        if self._origins.allows_any:
            problems.add(
                "allow_origins",
                "*",
                "lets every website open a WebSocket in its visitor's name",
                fix="list the origins that you trust, or leave the class out",
                code="wildcard_with_credentials",
            )
        elif not self._origins and same_origin is False:
            fix = "list origins, or leave same_origin on"
            problems.add("allow_origins", [], "allows no page at all", fix=fix, code="no_origins")
        problems.raise_if_any()
        self._same_origin = same_origin
        self._allow_missing = allow_missing
        self._refusals = {
            reason: Refusal(403, reason, detail=detail, close_code=close_code) for reason, detail in _DETAILS.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a handshake of another origin; pass everything else on as it came."""
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        headers = scope.get("headers") or ()
        if not isinstance(headers, list | tuple):
            headers = list(headers)  # a one-shot iterator is legal
            scope = {**scope, "headers": headers}
        allowed, reason = self._decide(scope, find_all(headers, b"origin"), find_all(headers, b"host"))
        exchange = exchange_of(scope)
        if exchange is not None:
            exchange.cors = reason
        if allowed:
            await self.app(scope, receive, send)
        else:
            await self._refusals[reason].send(scope, receive, send)

    def _decide(self, scope: Scope, origins: list[bytes], hosts: list[bytes]) -> tuple[bool, str]:
        """Give whether a handshake is allowed, and why."""
        if not origins:
            return self._allow_missing, reasons.NO_ORIGIN
        if len(origins) > 1:
            return False, reasons.MALFORMED_ORIGIN
        origin = origins[0]
        if self._origins.allows(origin):
            return True, reasons.ORIGIN_ALLOWED
        if self._same_origin and len(hosts) == 1 and _is_same(origin, hosts[0], secure=scope.get("scheme") == "wss"):
            return True, reasons.SAME_ORIGIN
        return False, reasons.ORIGIN_NOT_ALLOWED


def _is_same(origin: bytes, host: bytes, *, secure: bool) -> bool:
    """Tell whether a page's origin has the host and port of this request's ``Host``.

    Args:
        origin: The value of ``Origin``.
        host: The value of ``Host``, which may name the default port.
        secure: Whether the connection is known to be wss. Behind a proxy that ends TLS it seems not to be one; but the
            page of a known one cannot be http.
    """
    parts = split_origin(origin)
    if parts is None or len(host) > _LONGEST_HOST:
        return False
    scheme, name, port = parts
    if scheme not in _DEFAULT_PORTS or (secure and scheme == b"http://"):
        return False
    authority = name + b":" + port if port else name
    return host.lower().removesuffix(_DEFAULT_PORTS[scheme]) == authority
