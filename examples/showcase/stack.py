"""The whole stack around the dispatcher, outermost first."""

from asgi_middleware import (
    CompressionMiddleware,
    CORSMiddleware,
    JWTAuthMiddleware,
    LoggingMiddleware,
    MetricsEndpoint,
    ProblemDetailsMiddleware,
    PrometheusMiddleware,
    RequestBodyLimitMiddleware,
    layer,
    stack,
)
from asgi_middleware.auth import Rule
from examples.showcase import tokens
from examples.showcase.apps import bare_app, django_app, fastapi_app, front_app, starlette_app
from examples.showcase.dispatch import Dispatcher

MAX_BODY_SIZE = 1024 * 1024
"""Bytes."""

# Every other path needs a token, also one that does not exist.
PUBLIC = [
    "/",
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
]

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

app = stack(
    dispatcher,
    LoggingMiddleware,
    PrometheusMiddleware,
    layer(
        CORSMiddleware,
        allow_origins=["http://localhost:*", "http://127.0.0.1:*"],
        allow_methods=["PUT", "DELETE"],
        allow_headers=["authorization", "content-type"],
        expose_headers=["x-request-id"],
    ),
    layer(RequestBodyLimitMiddleware, max_body_size=MAX_BODY_SIZE),
    layer(
        JWTAuthMiddleware,
        key=tokens.KEY,
        algorithms=[tokens.ALGORITHM],
        audience=tokens.AUDIENCE,
        exempt=PUBLIC,
        rules=[Rule("/fastapi/admin", scopes=["admin"])],
    ),
    CompressionMiddleware,
    ProblemDetailsMiddleware,
)
