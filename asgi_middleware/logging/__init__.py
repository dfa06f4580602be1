"""Structured access logging with correlation ids and W3C trace context, through structlog."""

from __future__ import annotations

from asgi_middleware._core.exchange import add_fields, timing
from asgi_middleware.logging.access_event import FIELDS
from asgi_middleware.logging.context import RequestContextFilter, add_request_context, correlation_id
from asgi_middleware.logging.correlation import CorrelationIdMiddleware
from asgi_middleware.logging.endings import Ending, Outcome, default_level
from asgi_middleware.logging.middleware import LoggingMiddleware
from asgi_middleware.logging.propagation import (
    aiohttp_trace_config,
    continue_request,
    httpx_async_event_hooks,
    httpx_event_hooks,
    inject_headers,
)
from asgi_middleware.logging.redaction import DEFAULT_HEADERS, DEFAULT_PARAMETERS, Redaction
from asgi_middleware.logging.request_ids import Correlation, generate_request_id, is_safe_request_id
from asgi_middleware.logging.sampling import Sampling
from asgi_middleware.logging.schemas import SCHEMAS
from asgi_middleware.logging.setup import configure_structlog
from asgi_middleware.logging.trace_context import TraceContext, TraceMode
from asgi_middleware.logging.writing import flush_log

__all__ = [
    "DEFAULT_HEADERS",
    "DEFAULT_PARAMETERS",
    "FIELDS",
    "SCHEMAS",
    "Correlation",
    "CorrelationIdMiddleware",
    "Ending",
    "LoggingMiddleware",
    "Outcome",
    "Redaction",
    "RequestContextFilter",
    "Sampling",
    "TraceContext",
    "TraceMode",
    "add_fields",
    "add_request_context",
    "aiohttp_trace_config",
    "configure_structlog",
    "continue_request",
    "correlation_id",
    "default_level",
    "flush_log",
    "generate_request_id",
    "httpx_async_event_hooks",
    "httpx_event_hooks",
    "inject_headers",
    "is_safe_request_id",
    "timed",
    "timing",
]

timed = timing
"""The same as `timing`, by the name that asgi loggers and Rails have for it."""
