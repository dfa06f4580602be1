"""What stands outside what, and why: the knowledge of the order, as data. No class is imported to read it.

Facts that the tables rest on; tests/stack shows each of them on the classes themselves:

- An observing class sees what is inside it only. What a class further out answers has no line and is not counted.
- A response without CORS headers is a network error for the script that asked (Fetch standard 4.8, "CORS check").
- Of two copies of a class that acts once for a request, the outer one acts.
- Starlette's outermost layer, ``ServerErrorMiddleware``, answers an unhandled exception and then raises it again.

A pair that is not listed may stand either way round: where that makes a difference, both make sense.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

ORDER: Final = (
    "CorrelationIdMiddleware",
    "LoggingMiddleware",
    "PrometheusMiddleware",
    "MetricsEndpoint",
    "ServerTimingMiddleware",
    "CORSMiddleware",
    "WebSocketOriginMiddleware",
    "HeaderLimitMiddleware",
    "RequestBodyLimitMiddleware",
    "BodyTimeoutMiddleware",
    "WebSocketMessageLimitMiddleware",
    "JWTAuthMiddleware",
    "DecompressionMiddleware",
    "CompressionMiddleware",
    "ProblemDetailsMiddleware",
)
"""The recommended order, outermost first; one of those that all pairs allow."""

# A class by name: "room:class" for ours, "module:class" for others. A label is what the findings call it.
_IDENTITIES: Final = {
    "BodyTimeoutMiddleware": "asgi_middleware.limits:BodyTimeoutMiddleware",
    "CORSMiddleware": "asgi_middleware.cors:CORSMiddleware",
    "CompressionMiddleware": "asgi_middleware.compression:CompressionMiddleware",
    "CorrelationIdMiddleware": "asgi_middleware.logging:CorrelationIdMiddleware",
    "DecompressionMiddleware": "asgi_middleware.compression:DecompressionMiddleware",
    "HeaderLimitMiddleware": "asgi_middleware.limits:HeaderLimitMiddleware",
    "JWTAuthMiddleware": "asgi_middleware.auth:JWTAuthMiddleware",
    "LoggingMiddleware": "asgi_middleware.logging:LoggingMiddleware",
    "MetricsEndpoint": "asgi_middleware.metrics:MetricsEndpoint",
    "ProblemDetailsMiddleware": "asgi_middleware.problems:ProblemDetailsMiddleware",
    "PrometheusMiddleware": "asgi_middleware.metrics:PrometheusMiddleware",
    "RequestBodyLimitMiddleware": "asgi_middleware.limits:RequestBodyLimitMiddleware",
    "ServerTimingMiddleware": "asgi_middleware.metrics:ServerTimingMiddleware",
    "WebSocketMessageLimitMiddleware": "asgi_middleware.limits:WebSocketMessageLimitMiddleware",
    "WebSocketOriginMiddleware": "asgi_middleware.cors:WebSocketOriginMiddleware",
    "BrotliMiddleware (brotli_asgi)": "brotli_asgi:BrotliMiddleware",
    "CORSMiddleware (litestar)": "litestar.middleware._internal.cors:CORSMiddleware",
    "CORSMiddleware (starlette)": "starlette.middleware.cors:CORSMiddleware",
    "CompressMiddleware (starlette_compress)": "starlette_compress:CompressMiddleware",
    "CompressionMiddleware (litestar)": "litestar.middleware.compression.middleware:CompressionMiddleware",
    "CorrelationIdMiddleware (asgi_correlation_id)": "asgi_correlation_id.middleware:CorrelationIdMiddleware",
    "GZipMiddleware (starlette)": "starlette.middleware.gzip:GZipMiddleware",
    "ProxyFixMiddleware (hypercorn)": "hypercorn.middleware.proxy_fix:ProxyFixMiddleware",
    "ProxyHeadersMiddleware (uvicorn)": "uvicorn.middleware.proxy_headers:ProxyHeadersMiddleware",
    "ServerErrorMiddleware (starlette)": "starlette.middleware.errors:ServerErrorMiddleware",
}
_LABELS: Final = {identity: label for label, identity in _IDENTITIES.items()}


class Pair(NamedTuple):
    """Two classes of which one belongs outside the other."""

    outer: str
    """What belongs outside."""
    inner: str
    """What belongs inside."""
    reason: str
    """What happens the other way round; a clause."""
    fix: str = ""
    """What to do, where that is not just to swap the two."""
    about_exceptions: bool = False
    """Whether only exceptions are affected: then it matters within one app, not for its mounts, and a second copy of
    `inner` in its right place mends it."""


_NO_LINE: Final = "what it refuses has no access line and no request id"
_NO_ID: Final = "what it refuses has no request id"
_NOT_COUNTED: Final = "what it refuses is not counted"
_NETWORK_ERROR: Final = "browsers will report refusals as network errors"
_PROXY: Final = "the access line names the proxy as the client"
_UNBOUNDED: Final = "what comes in is not bounded, only what it inflates to"
_UNHEARD: Final = "a client that uploads without a token may miss the 401"
_PROXY_KEY: Final = "where it counts connections, every client has the proxy's address"
_PROBLEMS: Final = "ProblemDetailsMiddleware"
_PROXIES: Final = ("ProxyHeadersMiddleware (uvicorn)", "ProxyFixMiddleware (hypercorn)")
_OTHER_CORS: Final = ("CORSMiddleware (starlette)", "CORSMiddleware (litestar)")

# What answers a request instead of the app: on HTTP, and on WebSockets alone.
_GUARDS: Final = (
    "HeaderLimitMiddleware",
    "RequestBodyLimitMiddleware",
    "BodyTimeoutMiddleware",
    "JWTAuthMiddleware",
    "DecompressionMiddleware",
)
_WEBSOCKET_GUARDS: Final = ("WebSocketOriginMiddleware", "WebSocketMessageLimitMiddleware")

PAIRS: Final = (
    Pair(
        "CorrelationIdMiddleware",
        "LoggingMiddleware",
        "the request has its id by then, so that CorrelationIdMiddleware does nothing",
        fix="leave CorrelationIdMiddleware out, since LoggingMiddleware gives ids too, or put it outside",
    ),
    *(Pair("CorrelationIdMiddleware", guard, _NO_ID) for guard in (*_WEBSOCKET_GUARDS, *_GUARDS)),
    Pair("CorrelationIdMiddleware", _PROBLEMS, "its answers have no request id in their head", about_exceptions=True),
    Pair("LoggingMiddleware", "CORSMiddleware", "the preflights it answers have no access line"),
    *(Pair("LoggingMiddleware", guard, _NO_LINE) for guard in (*_WEBSOCKET_GUARDS, *_GUARDS)),
    Pair("LoggingMiddleware", "CompressionMiddleware", "the access line counts bytes before compression"),
    Pair(
        "LoggingMiddleware",
        _PROBLEMS,
        "its answers have no request id in their head, and the line has no status",
        about_exceptions=True,
    ),
    Pair("PrometheusMiddleware", "CORSMiddleware", "the preflights it answers are not counted"),
    *(Pair("PrometheusMiddleware", guard, _NOT_COUNTED) for guard in (*_WEBSOCKET_GUARDS, *_GUARDS)),
    Pair(
        "PrometheusMiddleware",
        _PROBLEMS,
        "an exception counts as a 500, whatever its handlers answer",
        about_exceptions=True,
    ),
    *(Pair("CORSMiddleware", guard, _NETWORK_ERROR) for guard in _GUARDS),
    Pair(
        "CORSMiddleware",
        _PROBLEMS,
        "CORSMiddleware answers an exception first, with a 500 of its own: handlers and debug have no effect",
        about_exceptions=True,
    ),
    Pair("RequestBodyLimitMiddleware", "DecompressionMiddleware", _UNBOUNDED),
    Pair("JWTAuthMiddleware", "DecompressionMiddleware", _UNHEARD),
    *(Pair(cors, guard, _NETWORK_ERROR) for cors in _OTHER_CORS for guard in _GUARDS),
    Pair(
        "CORSMiddleware (starlette)",
        _PROBLEMS,
        "browsers will report its answers as network errors",
        about_exceptions=True,
    ),
    Pair(
        "ServerErrorMiddleware (starlette)",
        _PROBLEMS,
        "Starlette and FastAPI answer an exception first, with a 500 of their own: handlers and debug have no effect",
        fix="add it inside with app.add_middleware(ProblemDetailsMiddleware)",
        about_exceptions=True,
    ),
    *(Pair(proxy, "LoggingMiddleware", _PROXY) for proxy in _PROXIES),
    *(Pair(proxy, "WebSocketMessageLimitMiddleware", _PROXY_KEY) for proxy in _PROXIES),
)


class Clash(NamedTuple):
    """Two classes, or two copies of one, of which one chain should have one only."""

    first: str
    second: str
    reason: str
    """What happens with both, whichever is the outer one; a clause."""
    across_mounts: bool = False
    """Whether it matters too when only the inner one is in a mounted app."""


_STEPS_ASIDE: Final = "the outer one does the work, so that the options of the inner one have no effect"
_ENCODES: Final = "the inner one encodes and leaves nothing to the outer one"
_TWO_IDS: Final = "the response tells the id twice, or the two log different ids for one request"
_TWO_POLICIES: Final = "the outer one alone answers preflights, whatever the inner one allows"

TWICE: Final = (
    Clash("CorrelationIdMiddleware", "CorrelationIdMiddleware", _STEPS_ASIDE),
    Clash("LoggingMiddleware", "LoggingMiddleware", _STEPS_ASIDE),
    Clash("PrometheusMiddleware", "PrometheusMiddleware", _STEPS_ASIDE),
    Clash("ServerTimingMiddleware", "ServerTimingMiddleware", _STEPS_ASIDE),
    Clash(
        "CORSMiddleware",
        "CORSMiddleware",
        "the outer one decides alone, on preflights and responses alike",
        across_mounts=True,
    ),
    Clash(
        "CompressionMiddleware",
        "CompressionMiddleware",
        "a body is encoded once, so that the options of one of them have no effect",
    ),
)
"""Copies that get in each other's way.

The others may stand twice: each limit and each token check is a condition of its own, and exceptions have been answered
when they come to a second ProblemDetailsMiddleware.
"""

RIVALS: Final = (
    Clash("CORSMiddleware", "CORSMiddleware (starlette)", _TWO_POLICIES, across_mounts=True),
    Clash("CORSMiddleware", "CORSMiddleware (litestar)", _TWO_POLICIES, across_mounts=True),
    Clash("CompressionMiddleware", "GZipMiddleware (starlette)", _ENCODES),
    Clash("CompressionMiddleware", "CompressionMiddleware (litestar)", _ENCODES),
    Clash("CompressionMiddleware", "BrotliMiddleware (brotli_asgi)", _ENCODES),
    Clash("CompressionMiddleware", "CompressMiddleware (starlette_compress)", _ENCODES),
    Clash("CorrelationIdMiddleware", "CorrelationIdMiddleware (asgi_correlation_id)", _TWO_IDS),
    Clash("LoggingMiddleware", "CorrelationIdMiddleware (asgi_correlation_id)", _TWO_IDS),
)
"""Classes of others that do what one of ours does."""


def label_of(identities: Iterable[str]) -> str | None:
    """Give the label of the first class that the tables know; `identities` are "module:class", as in an ``__mro__``."""
    for identity in identities:
        module, _, name = identity.partition(":")
        if module.startswith("asgi_middleware."):
            identity = f"{'.'.join(module.split('.')[:2])}:{name}"  # noqa: PLW2901 -- a room's inner files may move
        label = _LABELS.get(identity)
        if label is not None:
            return label
    return None
