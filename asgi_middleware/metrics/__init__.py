"""Timing metrics for Prometheus: what is measured, and where it is scraped."""

from asgi_middleware.metrics.endpoint import MetricsEndpoint
from asgi_middleware.metrics.middleware import PrometheusMiddleware
from asgi_middleware.metrics.server_timing import ServerTimingMiddleware

__all__ = ["MetricsEndpoint", "PrometheusMiddleware", "ServerTimingMiddleware"]
