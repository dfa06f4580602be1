"""Authentication by JSON Web Token, for HTTP and WebSocket.

- :class:`JWTAuthMiddleware` guards an app; :class:`Rule`, :class:`WebSocketAuth` and :class:`TicketStore` are its
  larger options, :class:`AuthEvent` is what its hook gets, :class:`Explanation` what ``explain`` gives.
- :class:`TokenVerifier` verifies tokens without ASGI and gives a :class:`VerifiedToken` or raises :class:`TokenError`,
  or :class:`Unavailable` where nothing can be said. Its keys may come from a :class:`KeySet` or several
  :class:`Issuer`.
- :class:`MemoryRevocationStore` and :class:`RedisRevocationStore` take tokens back; :class:`Revocation` says how.
- :class:`JWTUser`, :class:`AnonymousUser` and :class:`JWTAuth` are what the app finds in its scope.
"""

from __future__ import annotations

from asgi_middleware.auth.claims import VerifiedToken
from asgi_middleware.auth.errors import Reason, TokenError, Unavailable
from asgi_middleware.auth.events import AuthEvent
from asgi_middleware.auth.issuers import Issuer
from asgi_middleware.auth.key_set import KeySet
from asgi_middleware.auth.middleware import JWTAuthMiddleware
from asgi_middleware.auth.policy import Explanation
from asgi_middleware.auth.redis_store import RedisRevocationStore
from asgi_middleware.auth.revocation import MemoryRevocationStore, Revocation, RevocationStore
from asgi_middleware.auth.rules import Rule
from asgi_middleware.auth.subject import AnonymousUser, JWTAuth, JWTUser
from asgi_middleware.auth.tickets import Tickets, TicketsExhaustedError, TicketStore
from asgi_middleware.auth.verifier import TokenVerifier
from asgi_middleware.auth.websocket import WebSocketAuth

__all__ = [
    "AnonymousUser",
    "AuthEvent",
    "Explanation",
    "Issuer",
    "JWTAuth",
    "JWTAuthMiddleware",
    "JWTUser",
    "KeySet",
    "MemoryRevocationStore",
    "Reason",
    "RedisRevocationStore",
    "Revocation",
    "RevocationStore",
    "Rule",
    "TicketStore",
    "Tickets",
    "TicketsExhaustedError",
    "TokenError",
    "TokenVerifier",
    "Unavailable",
    "VerifiedToken",
    "WebSocketAuth",
]
