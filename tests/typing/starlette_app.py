"""Every public class in a Starlette app: ``add_middleware``, ``Middleware`` and wrapping, as type checkers see it."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

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


async def hello(request: Request) -> PlainTextResponse:
    """Answer in plain text."""
    return PlainTextResponse("hello")


listed = Starlette(
    routes=[Route("/", hello), Mount("/metrics", MetricsEndpoint())],
    middleware=[
        Middleware(LoggingMiddleware),
        Middleware(CorrelationIdMiddleware),
        Middleware(PrometheusMiddleware),
        Middleware(CORSMiddleware, allow_origins=["https://app.example"]),
        Middleware(RequestBodyLimitMiddleware, max_body_size=1024),
        Middleware(JWTAuthMiddleware, key=KEY, algorithms=["HS256"], audience="shop"),
        Middleware(CompressionMiddleware, minimum_size=1024),
        Middleware(ProblemDetailsMiddleware),
    ],
)

added = Starlette(routes=[Route("/", hello, middleware=[Middleware(RequestBodyLimitMiddleware, max_body_size=1024)])])
added.add_middleware(ProblemDetailsMiddleware)
added.add_middleware(CompressionMiddleware, minimum_size=1024)
added.add_middleware(JWTAuthMiddleware, key=KEY, algorithms=["HS256"], audience="shop")
added.add_middleware(RequestBodyLimitMiddleware, max_body_size=1024)
added.add_middleware(CORSMiddleware, allow_origins=["https://app.example"])
added.add_middleware(PrometheusMiddleware)
added.add_middleware(CorrelationIdMiddleware)
added.add_middleware(LoggingMiddleware)

wrapped = LoggingMiddleware(
    CORSMiddleware(CompressionMiddleware(Starlette(), minimum_size=1024), allow_origins=["https://app.example"])
)
stacked = stack(Starlette(), LoggingMiddleware, layer(CORSMiddleware, allow_origins=["https://app.example"]))
mounted = Starlette(routes=[Mount("/inner", wrapped), Mount("/other", stacked)])
