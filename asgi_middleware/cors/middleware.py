"""CORSMiddleware: the ASGI shell around one policy."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from typing import Final

from asgi_middleware._core.config import Problems
from asgi_middleware._core.exchange import Exchange, enter
from asgi_middleware._core.preflight import is_preflight
from asgi_middleware._core.refusals import INTERNAL_ERROR, Refusal
from asgi_middleware._core.types import ASGIApp, Message, Receive, Scope, Send
from asgi_middleware.cors.origins import OriginSet
from asgi_middleware.cors.policy import (
    HEADER_NOT_ALLOWED,
    MALFORMED_HEADERS,
    MALFORMED_METHOD,
    MALFORMED_ORIGIN,
    METHOD_NOT_ALLOWED,
    ORIGIN_NOT_ALLOWED,
    CORSPolicy,
)
from asgi_middleware.cors.preflight import REQUEST_HEADERS, REQUEST_METHOD

_DETAILS: Final = {
    ORIGIN_NOT_ALLOWED.reason: "This origin is not allowed to make cross-origin requests here.",
    MALFORMED_ORIGIN.reason: "The request has more than one Origin header.",
    METHOD_NOT_ALLOWED.reason: "The method asked for is not allowed from another origin.",
    MALFORMED_METHOD.reason: "Access-Control-Request-Method is not one method.",
    HEADER_NOT_ALLOWED.reason: "A header asked for is not allowed from another origin.",
    MALFORMED_HEADERS.reason: "Access-Control-Request-Headers is not a short list of header names.",
}
_PREFLIGHT_VARY: Final = (b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
_NO_CONTENT: Final = 204


class CORSMiddleware:
    """Tells browsers which other origins may call the app and read its answers.

    CORS loosens the browser's same-origin policy; it protects nothing by itself. A request from an origin that is not
    allowed still reaches the app, and clients that are no browsers do not ask. It covers no WebSockets: their
    handshakes are not subject to CORS. Put it outside every class that can answer by itself (authentication, limits),
    or a refusal of theirs looks like a network error in the browser, and preflights, which never carry credentials,
    are refused.

    A preflight is answered here and never reaches the app: 204 when it is allowed, 403 without any CORS header when
    not. Any other response gets the CORS headers that its origin is due, error responses included; when the app
    raises before it responds, the answer is a 500 with CORS headers, and the exception goes on outwards::

        from asgi_middleware.cors import CORSMiddleware


        async def app(scope, receive, send): ...


        app = CORSMiddleware(
            app,
            allow_origins=["https://app.example.com", "https://*.preview.example.com", "http://localhost:*"],
            allow_methods=["PUT", "DELETE"],
            allow_headers=["content-type", "authorization"],
        )

    Args:
        app: The ASGI app.
        allow_origins: Who may read responses: origins and patterns in the language of :class:`OriginSet`, an
            OriginSet, or ``"*"`` for everybody, which excludes credentials. Required: there is no good guess.
        allow_methods: Methods beyond GET, HEAD and POST, which need no permission; or ``"*"``. None by default.
        allow_headers: Request headers that scripts may set; or ``"*"``. By default ``content-type``, which every
            request with a JSON body needs. ``authorization`` must be named, except where ``"*"`` goes with
            credentials.
        expose_headers: Response headers that scripts may read beyond the safelisted ones; or ``"*"``. With credentials,
            ``"*"`` lists what each response really carries.
        allow_credentials: Whether cookies and other credentials may come along. Off by default.
        max_age: Seconds for which a browser may remember a preflight's answer, 0 to 86400; None leaves it to the
            browser (5 seconds). Browsers cap it: Firefox at 86400, Chromium at 7200, WebKit at 600. Hence 600.
        allow_origin_regex: A further way to allow origins: an expression that must match the whole origin. Only
            complete origins of at most 326 bytes are held against it. Prefer patterns: an expression with nested
            repetition can stall the process, and a dot that is not escaped matches any letter.
        preflight_status: The status of an allowed preflight's answer: 204, or 200 for clients that insist on it.
        vary_preflight: Whether answers to preflights carry ``Vary`` too. OPTIONS responses are not cacheable (RFC 9110
            9.3.7); turn it on for an intermediary that caches them all the same. Off by default.

    Raises:
        ConfigurationError: Some options are wrong or unsafe together; every one is listed with its fix.

    Source: Fetch standard (https://fetch.spec.whatwg.org/) 3.3, 4.8; RFC 6454; RFC 9110 12.5.5.
    """

    __slots__ = ("_no_origin", "_policy", "_preflight_pairs", "_preflight_status", "_refusals", "app")

    def __init__(
        self,
        app: ASGIApp,
        *,
        allow_origins: Iterable[str] | OriginSet,
        allow_methods: Iterable[str] = (),
        allow_headers: Iterable[str] = ("content-type",),
        expose_headers: Iterable[str] = (),
        allow_credentials: bool = False,
        max_age: int | None = 600,
        allow_origin_regex: str | re.Pattern[str] | None = None,
        preflight_status: int = 204,
        vary_preflight: bool = False,
    ) -> None:
        """Check the options and prepare every answer; see the class."""
        problems = Problems("CORSMiddleware")
        self.app = app
        self._policy = CORSPolicy(
            allow_origins=allow_origins,
            allow_methods=allow_methods,
            allow_headers=allow_headers,
            expose_headers=expose_headers,
            allow_credentials=allow_credentials,
            max_age=max_age,
            allow_origin_regex=allow_origin_regex,
            problems=problems,
        )
        problems.one_of("preflight_status", preflight_status, (200, 204))
        problems.boolean("vary_preflight", vary_preflight)
        problems.raise_if_any()
        self._no_origin = self._policy.decide(None)
        vary = (_PREFLIGHT_VARY,) if vary_preflight else ()
        self._preflight_status = preflight_status
        # A 204 has no Content-Length (RFC 9110 8.6).
        self._preflight_pairs = vary if preflight_status == _NO_CONTENT else ((b"content-length", b"0"), *vary)
        self._refusals = {
            reason: Refusal(403, reason, detail=detail, headers=vary) for reason, detail in _DETAILS.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, or give the app's response the headers it is due."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope, exchange = enter(scope)
        policy = self._policy
        headers = exchange.headers(scope)
        origin = headers.get(b"origin")
        if origin is None:
            decision = self._no_origin
        elif is_preflight(scope, headers):
            await self._answer_preflight(scope, exchange, receive, send)
            return
        else:
            decision = policy.decide_repeated() if b"origin" in headers.repeated else policy.decide(origin)
            if exchange.cors is None:
                exchange.cors = decision.reason
        started = False

        def send_with_cors(message: Message) -> Awaitable[None]:
            nonlocal started
            if message["type"] == "http.response.start":
                message = {**message, "headers": policy.respond(message.get("headers"), decision)}
                started = True
            return send(message)

        try:
            await self.app(scope, receive, send_with_cors)
        except Exception as error:
            if not started:
                exchange.error = error
                # The app's exception is what counts; a client that is gone meanwhile must not replace it.
                with suppress(Exception):
                    await INTERNAL_ERROR.send(scope, receive, send_with_cors)
                if not exchange.claimed("logging"):
                    exchange.error = None  # nobody further out reads it, and its traceback holds the Exchange: a circle
            raise

    async def _answer_preflight(self, scope: Scope, exchange: Exchange, receive: Receive, send: Send) -> None:
        headers = exchange.headers(scope)
        decision = self._policy.decide_preflight(
            headers.get_all(b"origin"), headers.get_all(REQUEST_METHOD), headers.get_all(REQUEST_HEADERS)
        )
        exchange.cors = decision.reason
        if not decision.allowed:
            await self._refusals[decision.reason].send(scope, receive, send)
            return
        pairs = [*decision.headers, *self._preflight_pairs]
        await send({"type": "http.response.start", "status": self._preflight_status, "headers": pairs})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
