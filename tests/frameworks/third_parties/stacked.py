"""The whole stack for applications that know nothing of it, as their operator would set it up."""

from __future__ import annotations

import os
from typing import Any

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
from asgi_middleware.logging import configure_structlog

KEY_VARIABLE = "TEST_TOKEN_KEY"
AUDIENCE = "https://api.example"
ISSUER = "https://issuer.example"
ORIGIN = "https://app.example"
LIMIT = 20_000


def stacked(app: Any, *, exempt: list[str]) -> Any:
    """Put the whole stack around `app`, in the recommended order."""
    configure_structlog(json=True)
    return stack(
        app,
        LoggingMiddleware,
        PrometheusMiddleware,
        MetricsEndpoint,
        layer(CORSMiddleware, allow_origins=[ORIGIN], allow_headers=["authorization", "content-type"]),
        layer(RequestBodyLimitMiddleware, max_body_size=LIMIT),
        layer(
            JWTAuthMiddleware,
            key=bytes.fromhex(os.environ[KEY_VARIABLE]),
            algorithms=["HS256"],
            audience=AUDIENCE,
            issuer=ISSUER,
            exempt=exempt,
        ),
        CompressionMiddleware,
        ProblemDetailsMiddleware,
    )
