"""What people write themselves today, for lack of a class: the recipes that blog posts and documentation repeat."""

from __future__ import annotations

import time
import uuid
from typing import Any

import jwt
import structlog
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection

from benchmarks.scenarios import App


class _Backend(AuthenticationBackend):
    def __init__(self, key: str) -> None:
        self._key = key

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        scheme, _, token = conn.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            claims = jwt.decode(token, self._key, algorithms=["HS256"], audience="bench", issuer="bench")
        except jwt.InvalidTokenError as error:
            raise AuthenticationError from error
        return AuthCredentials(["authenticated"]), SimpleUser(claims["sub"])


class StarletteJWT(AuthenticationMiddleware):
    """Starlette's authentication class with a backend that calls ``jwt.decode``."""

    def __init__(self, app: App, *, key: str) -> None:
        super().__init__(app, backend=_Backend(key))


class StructlogRecipe:
    """A pure-ASGI access log by structlog: bind the id, take the time, write one line."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._logger = structlog.get_logger("access")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Log one request."""
        structlog.contextvars.clear_contextvars()
        headers = dict(scope["headers"])
        request_id = headers.get(b"x-request-id", b"").decode() or uuid.uuid4().hex
        structlog.contextvars.bind_contextvars(request_id=request_id)
        begun = time.perf_counter()
        status = 500

        async def recording(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, recording)
        finally:
            self._logger.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                client=scope["client"][0],
                duration_ms=(time.perf_counter() - begun) * 1000,
                user_agent=headers.get(b"user-agent", b"").decode("latin-1"),
                request_id=request_id,
            )
