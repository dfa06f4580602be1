"""Clients that carry ids further, and problem pages, as type checkers see them."""

from collections.abc import MutableMapping
from typing import Any

import aiohttp
import httpx
import httpx2

from asgi_middleware import ProblemDetailsMiddleware
from asgi_middleware.logging import (
    aiohttp_trace_config,
    continue_request,
    httpx_async_event_hooks,
    httpx_event_hooks,
    inject_headers,
)
from asgi_middleware.problems import Refusal

client = httpx.Client(event_hooks=httpx_event_hooks(hosts=["*.internal"]))
async_client = httpx.AsyncClient(event_hooks=httpx_async_event_hooks(header_name=None))
client2 = httpx2.Client(event_hooks=httpx_event_hooks())
async_client2 = httpx2.AsyncClient(event_hooks=httpx_async_event_hooks())
config: aiohttp.TraceConfig = aiohttp_trace_config(header_name="X-Correlation-ID")

made: MutableMapping[str, str] = inject_headers()
given: MutableMapping[str, str] = inject_headers({"accept": "text/plain"}, header_name="X-Correlation-ID")

with continue_request(made) as exchange:
    request_id: str | None = exchange.request_id


def page(answer: Refusal, request_id: str | None) -> str:
    """Make a page."""
    return f"{answer.status} {request_id}"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """An app as most people write it."""


problems = ProblemDetailsMiddleware(app, html=page, handlers={KeyError: Refusal(404, "unknown")}, debug=False)
