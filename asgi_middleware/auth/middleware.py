"""JWTAuthMiddleware: a bearer token on every request and every WebSocket, or a refusal that says what is wanted."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Iterable
from typing import Any, Final, NamedTuple, cast

from asgi_middleware._core.config import ConfigurationError, Problems
from asgi_middleware._core.exchange import Exchange, enter, exchange_of
from asgi_middleware._core.preflight import is_preflight
from asgi_middleware._core.refusals import Refusal
from asgi_middleware._core.types import ASGIApp, Message, Receive, Scope, Send
from asgi_middleware.auth.challenge import Answers, check_realm
from asgi_middleware.auth.claims import UNSET, Unset
from asgi_middleware.auth.errors import TokenError
from asgi_middleware.auth.extraction import ABSENT, Found, NoToken, from_header, from_query, only
from asgi_middleware.auth.policy import NOTHING, Demand, Need, Policy, Rule
from asgi_middleware.auth.subject import AnonymousUser, JWTAuth, JWTUser
from asgi_middleware.auth.subprotocols import choose, for_closing, hide, read_offer
from asgi_middleware.auth.verifier import DEFAULT_LEEWAY, TokenVerifier
from asgi_middleware.auth.websocket import WebSocketAuth, close

_ANONYMOUS: Final = AnonymousUser()
_DEFAULTS: Final = {"key": None, "algorithms": None, "audience": UNSET, "issuer": None, "leeway": DEFAULT_LEEWAY}
_logger: Final = logging.getLogger(__name__)


class _Carried(NamedTuple):
    """What one connection brought.

    Attributes:
        found: The token, or why there is none.
        scope: A copy of the scope for the app, without the token in the query string or among the subprotocols.
        marker: The subprotocol to accept with where the app picks none.
        closing: The subprotocol to accept with when the connection is accepted only to be closed.
    """

    found: Found
    scope: Scope
    marker: str | None = None
    closing: str | None = None


class JWTAuthMiddleware:
    """Lets a request or a WebSocket through to the app only with a valid JSON Web Token.

    Whatever no option names needs a token: forgetting a path in the options closes it. Browsers send no token with a
    CORS preflight, so put ``CORSMiddleware`` outside of this class, where it answers preflights and gives refusals
    their headers.

    The app finds the subject in ``scope["user"]`` and the grants in ``scope["auth"]``, which Starlette, FastAPI and
    Litestar give as ``request.user`` and ``request.auth``::

        from asgi_middleware.auth import JWTAuthMiddleware, Rule


        async def app(scope, receive, send): ...


        app = JWTAuthMiddleware(
            app,
            key=b"a secret of at least 32 bytes, kept outside of the code",
            algorithms=["HS256"],
            audience="https://api.example",
            exempt=("/health",),
            rules=(Rule("/admin/**", scopes=("admin",)),),
        )

    An error of this class itself never lets a request pass: it answers 503.

    Args:
        app: The application to guard.
        key: What tokens are verified with; see :class:`TokenVerifier`, as for `algorithms`, `audience`, `issuer` and
            `leeway`.
        algorithms: The names that the issuer signs with; no default.
        audience: This service's name or names; None only if its tokens carry no ``aud``.
        issuer: The expected ``iss``, or several; None for any.
        leeway: Seconds of clock difference allowed, 0 to 300.
        verifier: A ready verifier instead of the five options above, for its rarer options.
        exempt: Paths where no token is looked at: ``"/health"``, ``"GET /docs"``, ``"/static/**"`` or a compiled
            pattern that must match the whole path. The user is anonymous there. A path on which two readers could
            disagree (``//``, ``/../``, ``%2F``) is never exempt.
        optional: Paths where a token may be left out, in the same form. A token that is given must still be valid.
        rules: What a token must grant on some paths; see :class:`Rule`.
        required_scopes: What every token must grant, on all paths that look at tokens.
        allow_preflight: Let genuine CORS preflights pass to the app (``OPTIONS`` with ``Origin`` and
            ``Access-Control-Request-Method``). Off by default, because an app that ignores the method would answer them
            with its content; needed only if the app does its CORS itself.
        websocket: How a WebSocket brings its token and is refused.
        realm: The realm of the challenge; printable ASCII.

    Raises:
        ConfigurationError: Options are wrong; all of them are listed, and the key is never shown.

    Sources: RFC 6750 (bearer tokens), RFC 9110 11 (challenges), RFC 7519 and RFC 8725 (tokens).
    """

    __slots__ = ("_allow_preflight", "_answers", "_policy", "_query_parameter", "_verifier", "_websocket", "app")

    def __init__(
        self,
        app: ASGIApp,
        *,
        key: Any = None,
        algorithms: Iterable[str] | None = None,
        audience: str | Iterable[str] | Unset | None = UNSET,
        issuer: str | Iterable[str] | None = None,
        leeway: float = DEFAULT_LEEWAY,
        verifier: TokenVerifier | None = None,
        exempt: Iterable[str | re.Pattern[str]] = (),
        optional: Iterable[str | re.Pattern[str]] = (),
        rules: Iterable[Rule] = (),
        required_scopes: Iterable[str] = (),
        allow_preflight: bool = False,
        websocket: WebSocketAuth = WebSocketAuth(),  # noqa: B008 -- frozen
        realm: str = "api",
    ) -> None:
        problems = Problems("JWTAuthMiddleware")
        own = {"key": key, "algorithms": algorithms, "audience": audience, "issuer": issuer, "leeway": leeway}
        verifier = _verifier(verifier, own, problems)
        self._policy = Policy(
            exempt=exempt, optional=optional, rules=rules, required_scopes=required_scopes, problems=problems
        )
        problems.boolean("allow_preflight", allow_preflight)
        websocket = _websocket(websocket, problems)
        realm = check_realm(realm, problems)
        problems.raise_if_any()
        self.app = app
        self._verifier = cast("TokenVerifier", verifier)  # None came with a problem, raised just now
        self._allow_preflight = allow_preflight
        self._websocket = websocket
        self._query_parameter = (websocket.query_parameter or "").encode()
        self._answers = Answers(realm=realm, close_code=websocket.close_code, forbidden_code=websocket.forbidden_code)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard one connection; any scope but ``http`` and ``websocket`` passes untouched."""
        kind = scope["type"]
        if kind not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        carried, refusal = self._decide(scope)
        if refusal is None:
            if carried.marker is not None:
                send = _choosing(send, carried.marker)
            await self.app(carried.scope, receive, send)
        elif kind == "http" or self._websocket.reject == "deny":
            await refusal.send(carried.scope, receive, send)
        else:
            exchange = exchange_of(carried.scope)
            if exchange is not None:
                exchange.refusal = refusal
            accept = self._websocket.reject == "accept_close"
            await close(refusal, receive, send, accept=accept, subprotocol=carried.closing)

    def _decide(self, scope: Scope) -> tuple[_Carried, Refusal | None]:
        """Give what the connection brought, and the refusal or None. Raises nothing."""
        carried = _Carried(NoToken.MISSING, scope)
        try:
            scope, exchange = enter(scope)
            carried = self._read(scope, exchange)
            refusal = self._judge(scope, exchange, carried)
            if refusal is None:
                enter(carried.scope)
        except TokenError as error:
            refusal = self._answers.for_reason(error.reason)
        # Not being able to decide must not open the door, nor look like a fault of the app.
        except Exception as error:  # noqa: BLE001
            _report(error)
            refusal = self._answers.unavailable
        return carried, refusal

    def _read(self, scope: Scope, exchange: Exchange) -> _Carried:
        """Take the token out of a connection; the scope that comes back is a copy, ready for the app."""
        headers = exchange.headers(scope)
        max_size = self._verifier.max_token_size
        found = from_header(headers, max_size)
        inner = dict(scope)
        if scope["type"] == "http":
            return _Carried(found, inner)
        marker = None
        offer = read_offer(scope, max_size)
        if self._websocket.subprotocol and offer.carried:
            hide(inner, offer)
            marker = offer.marker
            found = only(found, offer.found)
        if self._query_parameter:
            from_url, rest = from_query(scope.get("query_string") or b"", self._query_parameter, max_size)
            if from_url is not NoToken.MISSING:
                inner["query_string"] = rest
                found = only(found, from_url)
        return _Carried(found, inner, marker, for_closing(offer))

    def _judge(self, scope: Scope, exchange: Exchange, carried: _Carried) -> Refusal | None:
        """Give the refusal, or None after the subject was put into the inner scope."""
        demand = self._demand(scope, exchange)
        inner = carried.scope
        found = carried.found
        if demand.need is Need.NOTHING or (demand.need is Need.OPTIONAL and found in ABSENT):
            inner["user"] = _ANONYMOUS
            inner["auth"] = JWTAuth()
            return None
        if isinstance(found, NoToken):
            return self._answers.for_reason(found)
        token = self._verifier.verify(found)
        if demand.scopes and not set(demand.scopes).issubset(token.scopes):
            return self._answers.insufficient(demand.scopes)
        inner["user"] = JWTUser(token)
        inner["auth"] = JWTAuth(token)
        exchange.subject = token.subject
        return None

    def _demand(self, scope: Scope, exchange: Exchange) -> Demand:
        if self._allow_preflight and is_preflight(scope, exchange.headers(scope)):
            return NOTHING
        return self._policy.demand(scope)


def _verifier(given: object, own: dict[str, Any], problems: Problems) -> TokenVerifier | None:
    """Give the verifier that was passed, or make one from the middleware's own options."""
    if given is None:
        try:
            return TokenVerifier(**own)
        except ConfigurationError as error:
            for problem in error.problems:
                problems.add(problem.option, problem.value, problem.message, fix=problem.fix, code=problem.code)
    elif not isinstance(given, TokenVerifier):
        problems.add("verifier", given, "is not a TokenVerifier", fix="pass TokenVerifier(...)", code="not_a_verifier")
    elif any(own[name] != default for name, default in _DEFAULTS.items()):
        problems.add(
            "verifier",
            given,
            "is given beside key, algorithms, audience, issuer or leeway",
            fix="pass those to the verifier, or leave the verifier out",
            code="verifier_and_key",
        )
    else:
        return given
    return None


def _websocket(given: object, problems: Problems) -> WebSocketAuth:
    if isinstance(given, WebSocketAuth):
        return given
    problems.add("websocket", given, "is not a WebSocketAuth", fix="pass WebSocketAuth(...)", code="not_websocket_auth")
    return WebSocketAuth()


def _choosing(send: Send, marker: str) -> Send:
    def send_wrapper(message: Message) -> Awaitable[None]:
        return send(choose(message, marker))

    return send_wrapper


def _report(error: Exception) -> None:
    """Log where a step failed, without the error's text: that may quote a token or a key."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    where = "unknown" if last is None else f"{last.tb_frame.f_globals.get('__name__')}:{last.tb_lineno}"
    _logger.error("A token could not be checked: %s in %s", type(error).__name__, where)
