"""The service: whoever posts a list of calls gets them made, each with the continued trace.

The protocol is that of the harness (https://github.com/w3c/trace-context, folder ``test``): the body is a JSON list of
``{"url": ..., "arguments": ...}``; for each of them the service posts ``arguments`` as JSON to ``url``. The
harness looks at the ``traceparent`` and ``tracestate`` of those calls.

It calls any address that it is told: never run it where strangers can reach it.
"""

from __future__ import annotations

import json
from typing import Any

import httpx2

from asgi_middleware import LoggingMiddleware, ProblemDetailsMiddleware, RequestBodyLimitMiddleware, layer, stack
from asgi_middleware.logging import TraceMode, configure_structlog, httpx_async_event_hooks
from asgi_middleware.problems import Refusal

MOST_BYTES = 65_536


class BadOrderError(Exception):
    """The body is no list of calls."""


class Service:
    """Makes the calls that it is asked for, through one client."""

    def __init__(self) -> None:
        """Start without a client; the lifespan opens one."""
        self.client: httpx2.AsyncClient | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self.live(receive, send)
        elif scope["type"] == "http":
            if scope["method"] == "POST":
                for url, arguments in read_order(await read_body(receive)):
                    await self.call(url, arguments)
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})

    async def live(self, receive: Any, send: Any) -> None:
        """Keep the client open from start-up to shutdown."""
        await receive()
        async with httpx2.AsyncClient(event_hooks=httpx_async_event_hooks(), trust_env=False) as self.client:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def call(self, url: str, arguments: object) -> None:
        """Make one call; nothing of tracing stands here, since the client's hooks do it."""
        if self.client is None:
            raise RuntimeError("the server has no lifespan")
        await self.client.post(url, json=arguments)


async def read_body(receive: Any) -> bytes:
    """Read the whole body."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def read_order(body: bytes) -> list[tuple[str, object]]:
    """Read the list of calls.

    Raises:
        BadOrderError: The body is something else.
    """
    try:
        calls = json.loads(body)
        order = [(call["url"], call["arguments"]) for call in calls]
    except (ValueError, TypeError, LookupError):
        raise BadOrderError from None
    if not isinstance(calls, list) or not all(isinstance(url, str) for url, _ in order):
        raise BadOrderError
    return order


def make_app(trace_context: TraceMode = "continue") -> Any:
    """Build the service with its classes around it."""
    configure_structlog()
    return stack(
        Service(),
        layer(LoggingMiddleware, trace_context=trace_context),
        layer(RequestBodyLimitMiddleware, max_body_size=MOST_BYTES),
        layer(ProblemDetailsMiddleware, handlers={BadOrderError: Refusal(400, "bad_order")}),
    )


app = make_app()
restarting = make_app("restart")
