"""Cross-origin requests: which other origins may call the app, read its answers, and open its WebSockets."""

from asgi_middleware.cors.explain import Explanation, Step
from asgi_middleware.cors.lookup import OriginLookup
from asgi_middleware.cors.middleware import CORSMiddleware
from asgi_middleware.cors.origins import OriginSet
from asgi_middleware.cors.policy import CORSPolicy
from asgi_middleware.cors.safety import CarelessRegexWarning
from asgi_middleware.cors.websocket import WebSocketOriginMiddleware

__all__ = [
    "CORSMiddleware",
    "CORSPolicy",
    "CarelessRegexWarning",
    "Explanation",
    "OriginLookup",
    "OriginSet",
    "Step",
    "WebSocketOriginMiddleware",
]
