"""FastAPI: the token's subject as a typed dependency, and bearer security in the OpenAPI document.

``JWTAuthMiddleware`` has decided before FastAPI runs. The dependencies here hand its result to handlers, ask for
scopes, and say in the OpenAPI document that a bearer token is needed.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import HTTPException, Security, WebSocketException
from fastapi.openapi.models import HTTPBearer as BearerModel
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from asgi_middleware.auth import JWTAuth, JWTUser
from asgi_middleware.auth.challenge import challenge

_POLICY_VIOLATION: Final = 1008


class BearerAuth(SecurityBase):
    """A dependency that gives ``scope["auth"]``, for HTTP and WebSocket, and documents bearer security.

    It verifies nothing: ``JWTAuthMiddleware`` around the app has done so. Without that class it raises RuntimeError,
    so that a forgotten middleware is no open door. One instance for all is :data:`bearer_auth`.

    Args:
        required: Refuse a request without a token, on paths that are exempt or optional in the middleware. Off, such a
            request gets a :class:`JWTAuth` without a token, unless ``Security(...)`` names scopes: those need one.
        realm: The realm of the challenge, as in the middleware.
        scheme_name: The name in the OpenAPI document.
        description: What the document says about where tokens come from.
    """

    def __init__(
        self,
        *,
        required: bool = True,
        realm: str = "api",
        scheme_name: str = "BearerAuth",
        description: str | None = None,
    ) -> None:
        self.model = BearerModel(bearerFormat="JWT", description=description)
        self.scheme_name = scheme_name
        self._required = required
        self._realm = realm

    async def __call__(self, connection: HTTPConnection, security_scopes: SecurityScopes) -> JWTAuth:
        """Give what the token grants.

        Raises:
            HTTPException: 401 without a token, 403 where it lacks one of the scopes that ``Security(...)`` names.
            WebSocketException: The same for a WebSocket.
        """
        auth = connection.scope.get("auth")
        if not isinstance(auth, JWTAuth):
            message = "put JWTAuthMiddleware around the app: it is what looks at tokens"
            raise RuntimeError(message)  # noqa: TRY004 -- a fault of the app, not of an argument
        needed = tuple(security_scopes.scopes)
        if auth.token is None:
            if self._required or needed:
                raise self._refusal(connection, 401, "credentials_missing", challenge(self._realm, scopes=needed))
        elif not set(needed).issubset(auth.scopes):
            value = challenge(self._realm, error="insufficient_scope", scopes=needed)
            raise self._refusal(connection, 403, "insufficient_scope", value)
        return auth

    def _refusal(self, connection: HTTPConnection, status: int, reason: str, value: bytes) -> Exception:
        if connection.scope["type"] == "websocket":
            return WebSocketException(_POLICY_VIOLATION, reason)
        headers = {"www-authenticate": value.decode("ascii"), "cache-control": "no-store"}
        return HTTPException(status, reason, headers)


bearer_auth: Final = BearerAuth()
optional_bearer_auth: Final = BearerAuth(required=False)


async def current_user(connection: HTTPConnection, _auth: Annotated[JWTAuth, Security(bearer_auth)]) -> JWTUser:
    """Give the authenticated user; a dependency."""
    user: JWTUser = connection.scope["user"]
    return user


async def optional_user(
    connection: HTTPConnection, _auth: Annotated[JWTAuth, Security(optional_bearer_auth)]
) -> JWTUser | None:
    """Give the authenticated user, or None; a dependency."""
    user: Any = connection.scope["user"]
    return user if isinstance(user, JWTUser) else None


CurrentAuth = Annotated[JWTAuth, Security(bearer_auth)]
"""``auth: CurrentAuth`` as a handler's parameter: what the token grants."""

CurrentUser = Annotated[JWTUser, Security(current_user)]
"""``user: CurrentUser`` as a handler's parameter: who it is."""

OptionalUser = Annotated[JWTUser | None, Security(optional_user)]
"""``user: OptionalUser`` as a handler's parameter: who it is, or None."""
