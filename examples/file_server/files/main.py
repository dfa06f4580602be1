"""The service as it is served: ``uvicorn files.main:app``, or with granian. The whole stack, outermost first."""

from typing import Any

from asgi_middleware import (
    BodyTimeoutMiddleware,
    CompressionMiddleware,
    DecompressionMiddleware,
    JWTAuthMiddleware,
    LoggingMiddleware,
    ProblemDetailsMiddleware,
    RequestBodyLimitMiddleware,
    layer,
    stack,
)
from asgi_middleware.auth import Rule
from asgi_middleware.logging import configure_structlog

from .problems import METHOD_NOT_ALLOWED, PROBLEMS, RefusedError
from .reading import give
from .settings import KEY, MAX_UPLOAD, UPLOAD_IDLE
from .writing import take

configure_structlog()


async def serve(scope: Any, receive: Any, send: Any) -> None:
    """Give a file, or take one."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    if scope["type"] != "http":
        raise ValueError(f"files are served over HTTP alone, not over {scope['type']}")
    asked = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    match scope["method"]:
        case "GET" | "HEAD":
            await give(scope, send, asked)
        case "PUT":
            await take(scope, receive, send, asked)
        case _:
            raise RefusedError(METHOD_NOT_ALLOWED)


async def lifespan(receive: Any, send: Any) -> None:
    """Nothing has to be started or stopped here; the server wants to hear that."""
    for _ in range(2):
        message = await receive()
        await send({"type": f"{message['type']}.complete"})


app = stack(
    serve,
    LoggingMiddleware,
    layer(RequestBodyLimitMiddleware, max_body_size=MAX_UPLOAD),  # as sent
    layer(BodyTimeoutMiddleware, idle_timeout=UPLOAD_IDLE, send_timeout=60),
    layer(
        JWTAuthMiddleware,
        key=KEY,
        algorithms=["HS256"],
        audience="files",
        exempt=["GET /**"],  # everybody may read; GET includes HEAD
        rules=[Rule("/**", scopes=["files:write"])],
    ),
    layer(DecompressionMiddleware, max_size=MAX_UPLOAD),  # as stored
    # Tags with a suffix can be sent back in If-Match. Whoever may put `page.html.br` here may put `page.html`, too: so
    # the one may be sent in the place of the other.
    layer(CompressionMiddleware, etag="suffix", pathsend="encode"),
    layer(ProblemDetailsMiddleware, handlers=PROBLEMS),
)
