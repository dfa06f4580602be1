"""Preflights: which request is one. An OPTIONS request that only looks a little like one is the app's own business."""

from __future__ import annotations

from asgi_middleware._core.headers import HeaderIndex
from asgi_middleware._core.types import Scope


def is_preflight(scope: Scope, headers: HeaderIndex) -> bool:
    """Tell whether a request is a CORS preflight: OPTIONS with both headers of one (Fetch standard 3.3.2, 4.8).

    Args:
        scope: The scope of any connection; a WebSocket's handshake is never one.
        headers: The look-up of its headers.
    """
    return (
        scope.get("method") == "OPTIONS"
        and b"access-control-request-method" in headers
        and b"origin" in headers
        and scope["type"] == "http"
    )
