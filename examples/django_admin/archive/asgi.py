"""The service as it is served: ``uvicorn archive.asgi:application``. The whole stack on one page, outermost first."""

import os

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

from asgi_middleware import (
    BodyTimeoutMiddleware,
    CompressionMiddleware,
    DecompressionMiddleware,
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
from asgi_middleware.logging import configure_structlog

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "archive.settings")
configure_structlog()
django = get_asgi_application()  # from here on settings and models can be imported

from django.conf import settings  # noqa: E402

from .problems import PROBLEMS  # noqa: E402

application = stack(
    # The admin's styles. Behind nginx or the like, let that serve STATIC_ROOT, and put `django` here.
    ASGIStaticFilesHandler(django),
    layer(LoggingMiddleware, exclude_paths=["/health/", "/metrics", "/static/**"]),
    layer(PrometheusMiddleware, exclude_paths=["/health/", "/metrics"]),
    layer(MetricsEndpoint, authorize=settings.METRICS_TOKEN),
    layer(
        RequestBodyLimitMiddleware,  # as sent
        max_body_size=1_000_000,
        overrides={"POST /upload/": 20_000_000, "POST /admin/**": 20_000_000},
    ),
    BodyTimeoutMiddleware,
    layer(
        JWTAuthMiddleware,
        key=settings.TOKEN_KEY,
        algorithms=["RS256"],
        audience="archive",
        # People have sessions there; all else needs a token.
        exempt=["/health/", "/static/**", "/upload/", "/admin/**"],
        rules=[Rule("/api/**", scopes=["archive:write"], methods=["POST"])],
    ),
    layer(DecompressionMiddleware, max_size=20_000_000, buffer=True),  # as inflated; Django wants to know the length
    CompressionMiddleware,
    layer(ProblemDetailsMiddleware, handlers=PROBLEMS),
)
