"""Every class that the tables of the order name, by its label, ready to be put around an app."""

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

import asgi_middleware

ORIGIN = "https://app.example"
OPTIONS: dict[str, dict[str, Any]] = {
    "BodyTimeoutMiddleware": {"idle_timeout": 0.01, "min_rate": 0},
    "CORSMiddleware": {"allow_origins": [ORIGIN]},
    "JWTAuthMiddleware": {
        "key": "a development key of at least 32 bytes",
        "algorithms": ["HS256"],
        "audience": "tests",
        "exempt": ["/open/**"],
    },
    "HeaderLimitMiddleware": {"max_target_bytes": 1_000},
    "RequestBodyLimitMiddleware": {"max_body_size": 10},
    "ServerTimingMiddleware": {"enabled": True},
    "WebSocketMessageLimitMiddleware": {"max_connections_per_key": 1},
}


@pytest.fixture
def wrap() -> Callable[..., Any]:
    """Put a class around an app, by its label, with options that will do; metrics go to one registry per test."""
    registry = CollectorRegistry()

    def wrap(label: str, app: Any, **options: Any) -> Any:
        given = {**OPTIONS.get(label, {}), **options}
        match label:
            case "PrometheusMiddleware" | "MetricsEndpoint":
                return getattr(asgi_middleware, label)(app, **{"registry": registry, **given})
            case "BrotliMiddleware (brotli_asgi)":
                from brotli_asgi import BrotliMiddleware

                return BrotliMiddleware(app, **given)
            case "CompressMiddleware (starlette_compress)":
                from starlette_compress import CompressMiddleware

                return CompressMiddleware(app, **given)
            case "CompressionMiddleware (litestar)":
                from litestar.config.compression import CompressionConfig
                from litestar.middleware.compression import CompressionMiddleware

                return CompressionMiddleware(app, CompressionConfig(backend="gzip"))
            case "CORSMiddleware (litestar)":
                from litestar.config.cors import CORSConfig
                from litestar.middleware._internal.cors import CORSMiddleware

                return CORSMiddleware(app, CORSConfig(**{"allow_origins": [ORIGIN], **given}))
            case "CORSMiddleware (starlette)":
                from starlette.middleware.cors import CORSMiddleware

                return CORSMiddleware(app, **{"allow_origins": [ORIGIN], **given})
            case "CorrelationIdMiddleware (asgi_correlation_id)":
                from asgi_correlation_id import CorrelationIdMiddleware

                return CorrelationIdMiddleware(app, **given)
            case "GZipMiddleware (starlette)":
                from starlette.middleware.gzip import GZipMiddleware

                return GZipMiddleware(app, **given)
            case "ProxyFixMiddleware (hypercorn)":
                from hypercorn.middleware import ProxyFixMiddleware

                return ProxyFixMiddleware(app, **given)
            case "ProxyHeadersMiddleware (uvicorn)":
                from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

                return ProxyHeadersMiddleware(app, **{"trusted_hosts": "*", **given})
            case "ServerErrorMiddleware (starlette)":
                from starlette.middleware.errors import ServerErrorMiddleware

                return ServerErrorMiddleware(app)
            case _:
                return getattr(asgi_middleware, label)(app, **given)

    wrap.registry = registry  # type: ignore[attr-defined]
    return wrap
