"""The service as it is served: ``uvicorn chat.main:app``. The whole stack on one page, outermost first."""

from asgi_middleware import (
    BodyTimeoutMiddleware,
    CompressionMiddleware,
    CORSMiddleware,
    JWTAuthMiddleware,
    LoggingMiddleware,
    MetricsEndpoint,
    PrometheusMiddleware,
    RequestBodyLimitMiddleware,
    WebSocketMessageLimitMiddleware,
    WebSocketOriginMiddleware,
    layer,
    stack,
)
from asgi_middleware.auth import KeySet, Rule, WebSocketAuth
from asgi_middleware.cors import OriginSet
from asgi_middleware.logging import configure_structlog

from .api import api
from .settings import AUDIENCE, ISSUER, METRICS_TOKEN, ORIGINS

configure_structlog()
pages = OriginSet(ORIGINS)

app = stack(
    api,
    layer(LoggingMiddleware, exclude_paths=["/health", "/metrics"]),
    layer(PrometheusMiddleware, exclude_paths=["/health", "/metrics"]),
    layer(MetricsEndpoint, authorize=METRICS_TOKEN),
    layer(
        CORSMiddleware,
        allow_origins=pages,
        allow_methods=["DELETE"],
        allow_headers=["authorization", "content-type"],
        expose_headers=["x-request-id"],
    ),
    layer(WebSocketOriginMiddleware, allow_origins=pages),
    layer(RequestBodyLimitMiddleware, max_body_size=64_000),
    BodyTimeoutMiddleware,
    layer(
        WebSocketMessageLimitMiddleware, max_message_size=16_000, max_messages_per_second=10, max_connections_per_key=50
    ),
    layer(
        JWTAuthMiddleware,
        # The provider's keys, by its own metadata; plain http is for a provider on this machine only.
        keys=KeySet(discover=ISSUER, loopback_http=ISSUER.startswith("http://127.0.0.1:")),
        algorithms=["RS256"],
        audience=AUDIENCE,
        roles_claim="roles",
        exempt=["/health", "/docs", "/openapi.json"],
        rules=[
            Rule("/rooms/**", scopes=["chat:read"]),
            Rule("/rooms/**", scopes=["chat:write"], methods=["POST"]),
            Rule("/rooms/**", roles=["moderator"], methods=["DELETE"]),
        ],
        websocket=WebSocketAuth(reject="accept_close"),  # so that a page can tell "log in" from "try again"
    ),
    CompressionMiddleware,
)
