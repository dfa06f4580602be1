"""Limits on what a client may send."""

from asgi_middleware.limits.middleware import BodyTooLargeError, RequestBodyLimitMiddleware

__all__ = ["BodyTooLargeError", "RequestBodyLimitMiddleware"]
