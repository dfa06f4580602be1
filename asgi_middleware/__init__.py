"""Pure-ASGI wrapper classes: one class is one concern, for any framework and any server.

Every public name is imported on first use, so that taking one class loads no other class's dependencies:
``from asgi_middleware import CORSMiddleware`` loads neither PyJWT nor structlog nor prometheus-client nor brotli.

Example:
    >>> from asgi_middleware import CORSMiddleware
    >>> async def app(scope, receive, send): ...
    >>> app = CORSMiddleware(app, allow_origins=["https://app.example"])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from asgi_middleware._version import __version__

if TYPE_CHECKING:
    from asgi_middleware._composition.check import Misplacement, OrderWarning, check_order, warn_about_order
    from asgi_middleware._composition.stack import layer, stack
    from asgi_middleware._core.config import ConfigurationError
    from asgi_middleware._core.exchange import Exchange, add_fields, timing
    from asgi_middleware.auth import JWTAuthMiddleware
    from asgi_middleware.compression import CompressionMiddleware, DecompressionMiddleware
    from asgi_middleware.cors import CORSMiddleware, WebSocketOriginMiddleware
    from asgi_middleware.limits import (
        BodyBudget,
        BodyTimeoutMiddleware,
        HeaderLimitMiddleware,
        RequestBodyLimitMiddleware,
        WebSocketMessageLimitMiddleware,
    )
    from asgi_middleware.logging import CorrelationIdMiddleware, LoggingMiddleware
    from asgi_middleware.metrics import MetricsEndpoint, PrometheusMiddleware, ServerTimingMiddleware
    from asgi_middleware.problems import ProblemDetailsMiddleware

__all__ = [
    "BodyBudget",
    "BodyTimeoutMiddleware",
    "CORSMiddleware",
    "CompressionMiddleware",
    "ConfigurationError",
    "CorrelationIdMiddleware",
    "DecompressionMiddleware",
    "Exchange",
    "HeaderLimitMiddleware",
    "JWTAuthMiddleware",
    "LoggingMiddleware",
    "MetricsEndpoint",
    "Misplacement",
    "OrderWarning",
    "ProblemDetailsMiddleware",
    "PrometheusMiddleware",
    "RequestBodyLimitMiddleware",
    "ServerTimingMiddleware",
    "WebSocketMessageLimitMiddleware",
    "WebSocketOriginMiddleware",
    "__version__",
    "add_fields",
    "check_order",
    "layer",
    "stack",
    "timing",
    "warn_about_order",
]

# Public name -> the module it is imported from (PEP 562).
_HOME = {
    "BodyBudget": "asgi_middleware.limits",
    "BodyTimeoutMiddleware": "asgi_middleware.limits",
    "CORSMiddleware": "asgi_middleware.cors",
    "CompressionMiddleware": "asgi_middleware.compression",
    "ConfigurationError": "asgi_middleware._core.config",
    "CorrelationIdMiddleware": "asgi_middleware.logging",
    "DecompressionMiddleware": "asgi_middleware.compression",
    "Exchange": "asgi_middleware._core.exchange",
    "HeaderLimitMiddleware": "asgi_middleware.limits",
    "JWTAuthMiddleware": "asgi_middleware.auth",
    "LoggingMiddleware": "asgi_middleware.logging",
    "MetricsEndpoint": "asgi_middleware.metrics",
    "Misplacement": "asgi_middleware._composition.check",
    "OrderWarning": "asgi_middleware._composition.check",
    "ProblemDetailsMiddleware": "asgi_middleware.problems",
    "PrometheusMiddleware": "asgi_middleware.metrics",
    "RequestBodyLimitMiddleware": "asgi_middleware.limits",
    "ServerTimingMiddleware": "asgi_middleware.metrics",
    "WebSocketMessageLimitMiddleware": "asgi_middleware.limits",
    "WebSocketOriginMiddleware": "asgi_middleware.cors",
    "add_fields": "asgi_middleware._core.exchange",
    "check_order": "asgi_middleware._composition.check",
    "layer": "asgi_middleware._composition.stack",
    "stack": "asgi_middleware._composition.stack",
    "timing": "asgi_middleware._core.exchange",
    "warn_about_order": "asgi_middleware._composition.check",
}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value  # the next look-up is a plain attribute access
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
