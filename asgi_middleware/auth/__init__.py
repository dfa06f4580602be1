"""Authentication by JSON Web Token, for HTTP and WebSocket.

- :class:`JWTAuthMiddleware` guards an app; :class:`Rule` and :class:`WebSocketAuth` are its larger options.
- :class:`TokenVerifier` verifies tokens without ASGI and gives a :class:`VerifiedToken` or raises :class:`TokenError`.
- :class:`JWTUser`, :class:`AnonymousUser` and :class:`JWTAuth` are what the app finds in its scope.
"""

from __future__ import annotations

from asgi_middleware.auth.claims import VerifiedToken
from asgi_middleware.auth.errors import Reason, TokenError
from asgi_middleware.auth.middleware import JWTAuthMiddleware
from asgi_middleware.auth.policy import Rule
from asgi_middleware.auth.subject import AnonymousUser, JWTAuth, JWTUser
from asgi_middleware.auth.verifier import TokenVerifier
from asgi_middleware.auth.websocket import WebSocketAuth

__all__ = [
    "AnonymousUser",
    "JWTAuth",
    "JWTAuthMiddleware",
    "JWTUser",
    "Reason",
    "Rule",
    "TokenError",
    "TokenVerifier",
    "VerifiedToken",
    "WebSocketAuth",
]
