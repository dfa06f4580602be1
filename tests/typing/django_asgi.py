"""A Django project's ``asgi.py`` with every public class around it, as type checkers see it."""

from django.conf import settings
from django.core.asgi import get_asgi_application

from asgi_middleware import (
    CompressionMiddleware,
    CorrelationIdMiddleware,
    CORSMiddleware,
    JWTAuthMiddleware,
    LoggingMiddleware,
    ProblemDetailsMiddleware,
    PrometheusMiddleware,
    RequestBodyLimitMiddleware,
    layer,
    stack,
)

KEY = "a development key of at least 32 bytes"

settings.configure(SECRET_KEY="for this file only", ALLOWED_HOSTS=["*"])

django_app = get_asgi_application()

application = LoggingMiddleware(
    CorrelationIdMiddleware(
        PrometheusMiddleware(
            CORSMiddleware(
                RequestBodyLimitMiddleware(
                    JWTAuthMiddleware(
                        CompressionMiddleware(ProblemDetailsMiddleware(django_app), minimum_size=1024),
                        key=KEY,
                        algorithms=["HS256"],
                        audience="shop",
                    ),
                    max_body_size=1024,
                ),
                allow_origins=["https://app.example"],
            )
        )
    )
)

stacked = stack(get_asgi_application(), LoggingMiddleware, layer(CORSMiddleware, allow_origins=["https://app.example"]))
