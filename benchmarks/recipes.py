"""What people write themselves today, for lack of a class: the recipes that blog posts and documentation repeat."""

from __future__ import annotations

import gzip
import io
import time
import uuid
import zlib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jwt
import orjson
import structlog
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from benchmarks.scenarios import App
from benchmarks.shapes import wrap_send


class _Backend(AuthenticationBackend):
    def __init__(self, key: Any, algorithm: str) -> None:
        self._key = key
        self._algorithms = [algorithm]

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        scheme, _, token = conn.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            claims = jwt.decode(token, self._key, algorithms=self._algorithms, audience="bench", issuer="bench")
        except jwt.InvalidTokenError as error:
            raise AuthenticationError from error
        return AuthCredentials(["authenticated"]), SimpleUser(claims["sub"])


class StarletteJWT(AuthenticationMiddleware):
    """Starlette's authentication class with a backend that calls ``jwt.decode``."""

    def __init__(self, app: App, *, key: Any, algorithm: str = "HS256") -> None:
        super().__init__(app, backend=_Backend(key, algorithm))


def json_logger(log: str) -> Any:
    """Give a structlog logger as its documentation sets it up for speed: JSON by orjson, one flushed line a call.

    An empty path keeps no line.
    """
    output = Path(log).open("ab") if log else Sink()  # noqa: SIM115 -- stays open as long as the process
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper("iso"),
        structlog.processors.JSONRenderer(serializer=orjson.dumps),
    ]
    logger = structlog.BytesLogger(output)
    return structlog.wrap_logger(logger, processors, structlog.make_filtering_bound_logger(20)).bind()


class Sink(io.BytesIO):
    """Takes every line and keeps none."""

    def write(self, data: Any) -> int:
        """Count, and forget."""
        return len(data)


class StructlogRecipe:
    """A pure-ASGI access log by structlog: bind the id, take the time, write one line."""

    def __init__(self, app: App, *, log: str = "") -> None:
        self.app = app
        self._logger = json_logger(log)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Log one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
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
            )


class BaseHTTPStructlogRecipe(BaseHTTPMiddleware):
    """The same on Starlette's BaseHTTPMiddleware, as most articles have it."""

    def __init__(self, app: App, *, log: str = "") -> None:
        super().__init__(app)
        self._logger = json_logger(log)

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Log one request."""
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request.headers.get("x-request-id") or uuid.uuid4().hex)
        begun = time.perf_counter()
        response = await call_next(request)
        self._logger.info(
            "request",
            method=request.method,
            path=request.url.path,
            status=response.status_code,
            client=request.client.host if request.client else None,
            duration_ms=(time.perf_counter() - begun) * 1000,
            user_agent=request.headers.get("user-agent"),
        )
        return response


class GunzipRecipe:
    """The usual recipe for encoded request bodies: read all, call ``gzip.decompress``, give it to the app at once."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Decode one request, without any bound."""
        if scope["type"] != "http" or (b"content-encoding", b"gzip") not in scope["headers"]:
            await self.app(scope, receive, send)
            return
        pieces = []
        while True:
            message = await receive()
            pieces.append(message.get("body", b""))
            if not message.get("more_body"):
                break
        body = gzip.decompress(b"".join(pieces))
        headers = [pair for pair in scope["headers"] if pair[0] not in {b"content-encoding", b"content-length"}]
        headers.append((b"content-length", b"%d" % len(body)))
        given = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive_decoded() -> Any:
            return next(given, None) or await receive()

        await self.app({**scope, "headers": headers}, receive_decoded, send)


def codec_by_hand(app: App, *, coding: str) -> App:
    """Give the app in six bare send wrappers, of which one encodes any body by a call of the library."""
    encode = _ENCODERS[coding]()

    async def wrapper(scope: Any, receive: Any, send: Any) -> None:
        async def encoding(message: Any) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": encode(message["body"])}
            await send(message)

        await app(scope, receive, encoding)

    wrapped: App = wrapper
    for _ in range(5):
        wrapped = wrap_send(wrapped)
    return wrapped


def _gzip() -> Any:
    def encode(body: bytes) -> bytes:
        compressor = zlib.compressobj(6, zlib.DEFLATED, 31)
        return compressor.compress(body) + compressor.flush()

    return encode


def _brotli() -> Any:
    library: Any = import_module("brotli")
    return lambda body: library.compress(body, quality=4)


def _zstd() -> Any:
    library: Any = import_module("compression.zstd" if find_spec("compression") else "backports.zstd")
    compressor = library.ZstdCompressor(level=3)
    return lambda body: compressor.compress(body, compressor.FLUSH_FRAME)


_ENCODERS = {"gzip": _gzip, "br": _brotli, "zstd": _zstd}
