"""Limits on what a client may send, and on how slowly."""

from asgi_middleware.limits.body_timeout import BodyTimeoutMiddleware
from asgi_middleware.limits.budget import BodyBudget
from asgi_middleware.limits.errors import (
    BodyTimeoutError,
    BodyTooLargeError,
    RequestAbortedError,
    SendTimeoutError,
)
from asgi_middleware.limits.header_limit import HeaderLimitMiddleware
from asgi_middleware.limits.message_limit import WebSocketMessageLimitMiddleware
from asgi_middleware.limits.messages import client_key
from asgi_middleware.limits.middleware import RequestBodyLimitMiddleware

__all__ = [
    "BodyBudget",
    "BodyTimeoutError",
    "BodyTimeoutMiddleware",
    "BodyTooLargeError",
    "HeaderLimitMiddleware",
    "RequestAbortedError",
    "RequestBodyLimitMiddleware",
    "SendTimeoutError",
    "WebSocketMessageLimitMiddleware",
    "client_key",
]
