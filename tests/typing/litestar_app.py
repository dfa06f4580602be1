"""Every public class in a Litestar app: ``DefineMiddleware``, ``middleware=`` and wrapping, as type checkers see it."""

from litestar import Litestar, asgi, get
from litestar.middleware import DefineMiddleware
from litestar.types import ASGIApp

from asgi_middleware import (
    CompressionMiddleware,
    CorrelationIdMiddleware,
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

KEY = "a development key of at least 32 bytes"


@get("/")
async def hello() -> dict[str, str]:
    """Answer in JSON."""
    return {"hello": "world"}


def limited(app: ASGIApp) -> ASGIApp:
    """Wrap by a factory, Litestar's other way."""
    return RequestBodyLimitMiddleware(app, max_body_size=1024)


listed = Litestar(
    [hello, asgi("/metrics", copy_scope=True)(MetricsEndpoint())],
    middleware=[
        LoggingMiddleware,
        CorrelationIdMiddleware,
        PrometheusMiddleware,
        DefineMiddleware(CORSMiddleware, allow_origins=["https://app.example"]),
        limited,
        DefineMiddleware(JWTAuthMiddleware, key=KEY, algorithms=["HS256"], audience="shop"),
        DefineMiddleware(CompressionMiddleware, minimum_size=1024),
        DefineMiddleware(ProblemDetailsMiddleware),
    ],
)

wrapped = LoggingMiddleware(CORSMiddleware(Litestar([hello]), allow_origins=["https://app.example"]))
stacked = stack(Litestar([hello]), LoggingMiddleware, layer(CORSMiddleware, allow_origins=["https://app.example"]))
