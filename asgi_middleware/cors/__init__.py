"""Cross-origin resource sharing: which other origins may call the app and read its answers."""

from asgi_middleware.cors.middleware import CORSMiddleware
from asgi_middleware.cors.origins import OriginSet

__all__ = ["CORSMiddleware", "OriginSet"]
