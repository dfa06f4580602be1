"""Response compression: gzip, brotli and zstd, negotiated, streamed chunk by chunk, with heads that stay true."""

from asgi_middleware.compression.content_types import DEFAULT_CONTENT_TYPES
from asgi_middleware.compression.figures import CompressionFigures
from asgi_middleware.compression.middleware import CompressionMiddleware

__all__ = ["DEFAULT_CONTENT_TYPES", "CompressionFigures", "CompressionMiddleware"]
