"""The whole stack around the dispatcher, outermost first."""

from collections.abc import Iterator
from typing import Any

from asgi_middleware import (
    BodyTimeoutMiddleware,
    CompressionMiddleware,
    CORSMiddleware,
    DecompressionMiddleware,
    HeaderLimitMiddleware,
    JWTAuthMiddleware,
    LoggingMiddleware,
    MetricsEndpoint,
    ProblemDetailsMiddleware,
    PrometheusMiddleware,
    RequestBodyLimitMiddleware,
    ServerTimingMiddleware,
    WebSocketMessageLimitMiddleware,
    WebSocketOriginMiddleware,
    layer,
    stack,
)
from asgi_middleware.auth import Rule
from asgi_middleware.cors import CORSPolicy
from examples.showcase import tokens
from examples.showcase.apps import bare_app, django_app, fastapi_app, front_app, starlette_app
from examples.showcase.coding import CodingByQuery
from examples.showcase.dispatch import Dispatcher

MAX_BODY_SIZE = 1024 * 1024
"""Bytes."""

MAX_MESSAGE_SIZE = 16 * 1024
"""Bytes of one WebSocket message."""

# Every other path needs a token, also one that does not exist.
PUBLIC = [
    "/",
    "/console/**",
    "/curl",
    "/health",
    "/metrics",
    "/token",
    "/bare/events",
    "/bare/fail",
    "/bare/room",
    "/django/async",
    "/django/fail",
    "/django/sync",
    "/fastapi/fail",
    "/fastapi/thread",
    "/fastapi/upload",
    "/starlette/catalog",
    "/starlette/fail",
    "/starlette/partners",
]

# The page asks these all the time: they are neither news in the log nor traffic to be measured.
PLUMBING = ["/console/**", "/metrics"]

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Seconds; the default starts at 5 ms, which is a long time on a loopback address."""

dispatcher = Dispatcher(
    {
        "bare": bare_app.app,
        "django": django_app.app,
        "fastapi": fastapi_app.app,
        "metrics": MetricsEndpoint(),
        "starlette": starlette_app.app,
    },
    front=front_app.app,
)

guarded = stack(
    dispatcher,
    # Pages of other origins may open no WebSocket; our own may.
    WebSocketOriginMiddleware,
    HeaderLimitMiddleware,
    layer(RequestBodyLimitMiddleware, max_body_size=MAX_BODY_SIZE),
    # Shorter than the defaults, so that nobody has to wait for a 408.
    layer(BodyTimeoutMiddleware, idle_timeout=2, min_rate=240, min_rate_grace=3),
    layer(WebSocketMessageLimitMiddleware, max_message_size=MAX_MESSAGE_SIZE),
    layer(
        JWTAuthMiddleware,
        key=tokens.KEY,
        algorithms=[tokens.ALGORITHM],
        audience=tokens.AUDIENCE,
        leeway=0,  # we sign and verify by one clock
        exempt=PUBLIC,
        rules=[Rule("/fastapi/admin", scopes=["admin"])],
    ),
    # The limit above counts what comes over the wire, this one what it inflates to.
    layer(DecompressionMiddleware, max_size=MAX_BODY_SIZE),
    CompressionMiddleware,
    ProblemDetailsMiddleware,
)

cors = CORSMiddleware(
    guarded,
    allow_origins=["http://localhost:*", "http://127.0.0.1:*"],
    allow_methods=["PUT", "DELETE"],
    allow_headers=["authorization", "content-type"],
    expose_headers=["x-request-id"],
    max_age=2,  # seconds; a browser that remembers the answer for longer shows no second preflight
    paths={"/starlette/partners": CORSPolicy(allow_origins=["https://partner.example"])},
)
app = stack(
    cors,
    CodingByQuery,
    layer(LoggingMiddleware, exclude_paths=PLUMBING, request_headers=["origin"]),
    layer(PrometheusMiddleware, exclude_paths=PLUMBING, buckets=BUCKETS),
    layer(ServerTimingMiddleware, enabled=True),
)


def classes(outermost: Any) -> Iterator[str]:
    """Name the library's classes on the way to the dispatcher."""
    while outermost is not dispatcher:
        if not isinstance(outermost, CodingByQuery):
            yield type(outermost).__name__
        outermost = outermost.app


# The console shows the way through the classes, and asks one of them to explain its decisions.
front_app.app.state.classes = list(classes(app))
front_app.app.state.cors = cors
