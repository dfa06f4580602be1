"""Timing metrics for Prometheus: what is measured, and where it is scraped."""

from asgi_middleware.metrics.endpoint import MetricsEndpoint
from asgi_middleware.metrics.middleware import PrometheusMiddleware

__all__ = ["MetricsEndpoint", "PrometheusMiddleware"]
