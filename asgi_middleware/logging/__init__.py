"""Structured access logging with correlation ids and W3C trace context, through structlog."""

from __future__ import annotations

from asgi_middleware._core.exchange import add_fields, timing
from asgi_middleware.logging.access_event import FIELDS
from asgi_middleware.logging.context import RequestContextFilter, add_request_context, correlation_id
from asgi_middleware.logging.correlation import CorrelationIdMiddleware
from asgi_middleware.logging.endings import Ending, Outcome, default_level
from asgi_middleware.logging.middleware import LoggingMiddleware
from asgi_middleware.logging.redaction import DEFAULT_HEADERS, DEFAULT_PARAMETERS, Redaction
from asgi_middleware.logging.request_ids import Correlation, generate_request_id, is_safe_request_id
from asgi_middleware.logging.setup import configure_structlog
from asgi_middleware.logging.trace_context import TraceContext, TraceMode

__all__ = [
    "DEFAULT_HEADERS",
    "DEFAULT_PARAMETERS",
    "FIELDS",
    "Correlation",
    "CorrelationIdMiddleware",
    "Ending",
    "LoggingMiddleware",
    "Outcome",
    "Redaction",
    "RequestContextFilter",
    "TraceContext",
    "TraceMode",
    "add_fields",
    "add_request_context",
    "configure_structlog",
    "correlation_id",
    "default_level",
    "generate_request_id",
    "is_safe_request_id",
    "timing",
]
