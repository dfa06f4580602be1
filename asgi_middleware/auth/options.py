"""The options of ``JWTAuthMiddleware`` that need more than one look: checked at construction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from asgi_middleware._core.config import ConfigurationError, Problems
from asgi_middleware.auth.claims import UNSET
from asgi_middleware.auth.cookies import CookieSource
from asgi_middleware.auth.verifier import DEFAULT_LEEWAY, TokenVerifier
from asgi_middleware.auth.websocket import WebSocketAuth

# The options that are passed on to TokenVerifier, with the values that mean "not given".
VERIFIER_DEFAULTS: Final[Mapping[str, Any]] = {
    "key": None,
    "keys": None,
    "issuers": (),
    "algorithms": None,
    "audience": UNSET,
    "issuer": None,
    "leeway": DEFAULT_LEEWAY,
    "revocation": None,
}


def check_verifier(given: object, own: Mapping[str, Any], problems: Problems) -> TokenVerifier | None:
    """Give the verifier that was passed, or one made from the options that stand for it."""
    if given is None:
        try:
            return TokenVerifier(**own)
        except ConfigurationError as error:
            for problem in error.problems:
                problems.add(problem.option, problem.value, problem.message, fix=problem.fix, code=problem.code)
    elif not isinstance(given, TokenVerifier):
        problems.add("verifier", given, "is not a TokenVerifier", fix="pass TokenVerifier(...)", code="not_a_verifier")
    elif any(own[name] != default for name, default in VERIFIER_DEFAULTS.items()):
        problems.add(
            "verifier",
            given,
            "is given beside key, keys, issuers, algorithms, audience, issuer, leeway or revocation",
            fix="pass those to the verifier, or leave the verifier out",
            code="verifier_and_key",
        )
    else:
        return given
    return None


def check_websocket(given: object, problems: Problems) -> WebSocketAuth:
    """Give the options for WebSockets."""
    if isinstance(given, WebSocketAuth):
        return given
    problems.add("websocket", given, "is not a WebSocketAuth", fix="pass WebSocketAuth(...)", code="not_websocket_auth")
    return WebSocketAuth()


def check_cookie(name: str | None, allowed_origins: Iterable[str], problems: Problems) -> CookieSource | None:
    """Give the cookie to read, or None."""
    if name is not None:
        return CookieSource(name, allowed_origins, problems)
    if problems.strings("allowed_origins", allowed_origins):
        problems.add(
            "allowed_origins",
            allowed_origins,
            "is given without a cookie, the one thing it is about",
            fix="name the cookie, or leave it out; for CORS use CORSMiddleware",
            code="origins_without_cookie",
        )
    return None
