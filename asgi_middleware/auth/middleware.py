"""JWTAuthMiddleware: a bearer token on every request and every WebSocket, or a refusal that says what is wanted."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, cast

from asgi_middleware._core.config import Problems
from asgi_middleware._core.refusals import Refusal
from asgi_middleware._core.types import ASGIApp, Receive, Scope, Send
from asgi_middleware.auth.challenge import Answers, check_realm, check_resource_metadata
from asgi_middleware.auth.claims import UNSET, Unset
from asgi_middleware.auth.events import AuthEvent
from asgi_middleware.auth.guard import Guard, Later
from asgi_middleware.auth.issuers import Issuer
from asgi_middleware.auth.lifespan import closing, warming
from asgi_middleware.auth.options import check_cookie, check_verifier, check_websocket
from asgi_middleware.auth.policy import Explanation, Policy
from asgi_middleware.auth.revocation import Revocation, RevocationStore
from asgi_middleware.auth.rules import Rule, check_roles_claim
from asgi_middleware.auth.sockets import SocketGuard
from asgi_middleware.auth.sources import Sources, keep_private
from asgi_middleware.auth.verifier import DEFAULT_LEEWAY, TokenVerifier
from asgi_middleware.auth.websocket import WebSocketAuth, check_parameter


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
        key: What tokens are verified with: an HMAC secret (bytes or text), a public key as PEM or OpenSSH text, a
            public key object of `cryptography`, a JWK as a dict, or a ``jwt.PyJWK``. Needed where neither `keys`,
            `issuers` nor `verifier` is given. More about this and the next seven: :class:`TokenVerifier`.
        keys: Several keys in place of one, or a :class:`KeySet` that fetches them.
        issuers: Several issuers in place of one, each with keys of its own.
        algorithms: What the issuer signs with, needed, of one family: HS256 to HS512, RS256 to RS512, PS256 to PS512,
            ES256, ES384, ES512, EdDSA, Ed25519.
        audience: This service's name or names; needed. None says that its tokens carry no ``aud``: one that does is
            refused (RFC 7519 4.1.3).
        issuer: The expected ``iss``, or several; None for any.
        leeway: Seconds of clock difference, 0 to 300, for ``exp``, ``nbf`` and ``iat``.
        revocation: Where revoked tokens are looked up; None for nowhere.
        verifier: A ready verifier in place of the options above, for its rarer options.
        cookie: Also read the token from this cookie, where the request brings none otherwise; needs `allowed_origins`.
        allowed_origins: The origins whose pages may act with the cookie ("https://app.example"): asked on every
            WebSocket and on every method but GET, HEAD, OPTIONS and TRACE. Your own origin is one of them.
        query_parameter: Also read a request's token from this query parameter; None (the default) for not at all,
            because URLs end up in logs (RFC 9700 4.3.2). For WebSockets see :class:`WebSocketAuth`.
        exempt: Paths where no token is looked at: ``"/health"``, ``"GET /docs"``, ``"/static/**"`` or a compiled
            pattern that must match the whole path. The user is anonymous there. A path on which two readers could
            disagree (``//``, ``/../``, ``%2F``) is never exempt.
        optional: Paths where a token may be left out, in the same form.
        on_invalid_optional: What a bad token does on an optional path: ``"refuse"`` (the default), or ``"anonymous"``
            to go on as if none had come.
        rules: What a token must grant on some paths; see :class:`Rule`.
        required_scopes: What every token must grant, on all paths that look at tokens.
        roles_claim: The claim that holds the roles, or the names that lead to them: ``("realm_access", "roles")``.
        allow_preflight: Let genuine CORS preflights pass to the app (``OPTIONS`` with ``Origin`` and
            ``Access-Control-Request-Method``). Off by default, because an app that ignores the method would answer them
            with its content; needed only if the app does its CORS itself.
        websocket: How a WebSocket brings its token, is refused and ends.
        realm: The realm of the challenge; printable ASCII.
        resource_metadata: The URL where this service describes itself, for the challenge (RFC 9728 5.1).
        on_event: Is called with an :class:`AuthEvent` for every decision, and must not wait. What it raises is logged.

    Raises:
        ConfigurationError: Options are wrong; all of them are listed, and the key is never shown.

    Sources: RFC 6750 (bearer tokens), RFC 9110 11 (challenges), RFC 7519 and RFC 8725 (tokens).
    """

    __slots__ = ("_admit", "_guard", "_policy", "_sockets", "app")

    def __init__(
        self,
        app: ASGIApp,
        *,
        key: Any = None,
        keys: Any = None,
        issuers: Iterable[Issuer] = (),
        algorithms: Iterable[str] | None = None,
        audience: str | Iterable[str] | Unset | None = UNSET,
        issuer: str | Iterable[str] | None = None,
        leeway: float = DEFAULT_LEEWAY,
        revocation: RevocationStore | Revocation | None = None,
        verifier: TokenVerifier | None = None,
        cookie: str | None = None,
        allowed_origins: Iterable[str] = (),
        query_parameter: str | None = None,
        exempt: Iterable[str | re.Pattern[str]] = (),
        optional: Iterable[str | re.Pattern[str]] = (),
        on_invalid_optional: Literal["refuse", "anonymous"] = "refuse",
        rules: Iterable[Rule] = (),
        required_scopes: Iterable[str] = (),
        roles_claim: str | Iterable[str] | None = None,
        allow_preflight: bool = False,
        websocket: WebSocketAuth = WebSocketAuth(),  # noqa: B008 -- frozen
        realm: str = "api",
        resource_metadata: str | None = None,
        on_event: Callable[[AuthEvent], object] | None = None,
    ) -> None:
        problems = Problems("JWTAuthMiddleware")
        own = {
            "key": key,
            "keys": keys,
            "issuers": issuers,
            "algorithms": algorithms,
            "audience": audience,
            "issuer": issuer,
            "leeway": leeway,
            "revocation": revocation,
        }
        made = check_verifier(verifier, own, problems)
        cookies = check_cookie(cookie, allowed_origins, problems)
        check_parameter("query_parameter", query_parameter, problems)
        roles = check_roles_claim(roles_claim, problems)
        policy = Policy(
            exempt=exempt,
            optional=optional,
            rules=rules,
            required_scopes=required_scopes,
            roles_claim=roles,
            problems=problems,
        )
        problems.one_of("on_invalid_optional", on_invalid_optional, ("refuse", "anonymous"))
        problems.boolean("allow_preflight", allow_preflight)
        websocket = check_websocket(websocket, problems)
        realm = check_realm(realm, problems)
        resource_metadata = check_resource_metadata(resource_metadata, problems)
        problems.callable("on_event", on_event, optional=True)
        problems.raise_if_any()
        checked = cast("TokenVerifier", made)  # None came with a problem, raised just now
        sources = Sources(
            max_size=checked.max_token_size, cookie=cookies, query_parameter=query_parameter, websocket=websocket
        )
        answers = Answers(
            realm=realm,
            close_code=websocket.close_code,
            forbidden_code=websocket.forbidden_code,
            timeout_code=websocket.timeout_code,
            resource_metadata=resource_metadata,
        )
        self.app = app
        self._policy = policy
        self._guard = guard = Guard(
            verifier=checked,
            policy=policy,
            sources=sources,
            answers=answers,
            roles_claim=roles,
            allow_preflight=allow_preflight,
            is_lenient=on_invalid_optional == "anonymous",
            on_event=on_event,
        )
        self._admit = guard.admit
        self._sockets = SocketGuard(guard, websocket, roles)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard one connection; any scope but ``http`` and ``websocket`` passes, at start-up with keys warmed up."""
        kind = scope["type"]
        if kind == "http":
            inner, private = scope, False
            try:
                inner, refusal, private = self._admit(scope)
                if refusal is not None and type(refusal) is Later:
                    inner, refusal, _ = await self._guard.admit_later(inner, refusal)
            # Not being able to decide must not open the door, nor look like a fault of the app.
            except Exception as error:  # noqa: BLE001
                refusal = self._guard.for_failure(error)
            if private:
                send = keep_private(send)
            if refusal is None:
                await self.app(inner, receive, send)
            else:
                await self._refuse(cast("Refusal", refusal), inner, receive, send)
        elif kind == "websocket":
            await self._sockets(self.app, scope, receive, send)
        elif kind == "lifespan" and self._guard.verifier.remote:
            await self.app(scope, warming(receive, self._guard.verifier), closing(send, self._guard.verifier))
        else:
            await self.app(scope, receive, send)

    def _refuse(self, refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        self._guard.tell("refused", scope, refusal=refusal)
        return refusal.send(scope, receive, send)

    def explain(self, method: str, path: str, *, root_path: str = "") -> Explanation:
        """Say what a request needs, and why: for tests of your own options.

        ::

            from asgi_middleware.auth import JWTAuthMiddleware, Rule


            async def app(scope, receive, send): ...


            guarded = JWTAuthMiddleware(
                app,
                key="k" * 32,
                algorithms=["HS256"],
                audience="api",
                exempt=["/health"],
                rules=[Rule("/admin/**", scopes=["admin"])],
            )
            assert guarded.explain("GET", "/health").need == "exempt"
            assert guarded.explain("GET", "/health%2F").need == "required"
            assert guarded.explain("GET", "/admin/users").scopes == ("admin",)

        Args:
            method: The method; "GET" for a WebSocket.
            path: The path as it stands in a URL, percent-escapes included.
            root_path: The server's root path.
        """
        return self._policy.explain(method, path, root_path)
