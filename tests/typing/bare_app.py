"""Every public class around a bare ASGI app, around each other, and through ``stack``, as type checkers see it."""

from typing import Any

import uvicorn
from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable
from asgiref.typing import Scope as AsgirefScope

from asgi_middleware import (
    BodyBudget,
    BodyTimeoutMiddleware,
    CompressionMiddleware,
    ConfigurationError,
    CorrelationIdMiddleware,
    CORSMiddleware,
    DecompressionMiddleware,
    Exchange,
    HeaderLimitMiddleware,
    JWTAuthMiddleware,
    LoggingMiddleware,
    MetricsEndpoint,
    Misplacement,
    OrderWarning,
    ProblemDetailsMiddleware,
    PrometheusMiddleware,
    RequestBodyLimitMiddleware,
    ServerTimingMiddleware,
    WebSocketMessageLimitMiddleware,
    WebSocketOriginMiddleware,
    __version__,
    add_fields,
    check_order,
    layer,
    stack,
    timing,
    warn_about_order,
)

KEY = "a development key of at least 32 bytes"


async def untyped_mappings(scope: Any, receive: Any, send: Any) -> None:
    """An app as most people write it."""
    add_fields(tenant="acme", items=3)
    with timing("db"):
        exchange: Exchange = scope["asgi_middleware"]
        route: str | None = exchange.route
    await send({"type": "http.response.start", "status": 200 if route is None else 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def asgiref_mappings(scope: AsgirefScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """An app typed with asgiref's own declarations."""


class ClassApp:
    """An app that is an instance with ``__call__``."""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer nothing."""


logging = LoggingMiddleware(untyped_mappings)
correlation = CorrelationIdMiddleware(asgiref_mappings, header_name="x-request-id")
auth = JWTAuthMiddleware(ClassApp(), key=KEY, algorithms=["HS256"], audience="shop")
cors = CORSMiddleware(auth, allow_origins=["https://app.example"], allow_methods=["PUT"], max_age=600)
compression = CompressionMiddleware(cors, minimum_size=1024)
metrics = PrometheusMiddleware(compression)
limit = RequestBodyLimitMiddleware(metrics, max_body_size=1024 * 1024)
problems = ProblemDetailsMiddleware(limit)
endpoint = MetricsEndpoint()
inflated = DecompressionMiddleware(untyped_mappings, max_size=1024 * 1024, encodings=["gzip", "br"])
budgeted = RequestBodyLimitMiddleware(inflated, max_body_size=1024, overrides={"/big": None}, budget=BodyBudget(10_000))
in_time = BodyTimeoutMiddleware(budgeted, idle_timeout=5, total_timeout=None)
short_heads = HeaderLimitMiddleware(in_time, max_header_count=50)
messages = WebSocketMessageLimitMiddleware(short_heads, max_messages_per_second=2.5, key=lambda scope: scope["path"])
origins = WebSocketOriginMiddleware(messages, allow_origins=["https://app.example"])
timed = ServerTimingMiddleware(origins, enabled=lambda scope: scope["path"] == "/")

composed = stack(
    untyped_mappings,
    LoggingMiddleware,
    layer(CORSMiddleware, allow_origins=["https://app.example"]),
    layer(JWTAuthMiddleware, key=KEY, algorithms=["HS256"], audience="shop"),
    layer(CompressionMiddleware, minimum_size=1024),
)

misplaced: tuple[Misplacement, ...] = check_order(composed)
category: type[UserWarning] = OrderWarning
warn_about_order(composed)

as_asgiref: ASGI3Application = problems
as_asgiref_too: ASGI3Application = timed
config = uvicorn.Config(composed)

try:
    CORSMiddleware(untyped_mappings, allow_origins="https://app.example")
except ConfigurationError as error:
    fixes: list[str] = [problem.fix for problem in error.problems]

version: str = __version__
