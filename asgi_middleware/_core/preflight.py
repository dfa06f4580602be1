"""Preflights: which request is one. An OPTIONS request that only looks a little like one is the app's own business."""

from __future__ import annotations

from asgi_middleware._core.headers import find
from asgi_middleware._core.types import RawHeaders, Scope


def is_preflight(scope: Scope, headers: RawHeaders) -> bool:
    """Tell whether a request is a CORS preflight: OPTIONS with both headers of one (Fetch standard 3.3.2, 4.8).

    Args:
        scope: The scope of any connection; a WebSocket's handshake is never one.
        headers: Its raw headers.
    """
    return (
        scope.get("method") == "OPTIONS"
        and find(headers, b"access-control-request-method") is not None
        and find(headers, b"origin") is not None
        and scope["type"] == "http"
    )
