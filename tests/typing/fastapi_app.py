"""Every public class in a FastAPI app: ``add_middleware``, ``middleware=`` and wrapping, as type checkers see it."""

from fastapi import FastAPI
from starlette.middleware import Middleware

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

added = FastAPI()
added.mount("/metrics", MetricsEndpoint())
added.add_middleware(ProblemDetailsMiddleware)
added.add_middleware(CompressionMiddleware, minimum_size=1024)
added.add_middleware(JWTAuthMiddleware, key=KEY, algorithms=["HS256"], audience="shop")
added.add_middleware(RequestBodyLimitMiddleware, max_body_size=1024)
added.add_middleware(CORSMiddleware, allow_origins=["https://app.example"])
added.add_middleware(PrometheusMiddleware)
added.add_middleware(CorrelationIdMiddleware)
added.add_middleware(LoggingMiddleware)


@added.get("/")
async def hello() -> dict[str, str]:
    """Answer in JSON."""
    return {"hello": "world"}


listed = FastAPI(middleware=[Middleware(CORSMiddleware, allow_origins=["https://app.example"])])
wrapped = LoggingMiddleware(
    PrometheusMiddleware(CORSMiddleware(FastAPI(), allow_origins=["https://app.example"])),
)
stacked = stack(FastAPI(), LoggingMiddleware, layer(CORSMiddleware, allow_origins=["https://app.example"]))
