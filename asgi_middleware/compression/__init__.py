"""Compression of responses, and decompression of requests: gzip, brotli and zstd, chunk by chunk, with true heads."""

from asgi_middleware.compression.content_types import DEFAULT_CONTENT_TYPES
from asgi_middleware.compression.decompression import DecompressionMiddleware
from asgi_middleware.compression.errors import DecompressionError
from asgi_middleware.compression.figures import CompressionFigures
from asgi_middleware.compression.middleware import CompressionMiddleware

__all__ = [
    "DEFAULT_CONTENT_TYPES",
    "CompressionFigures",
    "CompressionMiddleware",
    "DecompressionError",
    "DecompressionMiddleware",
]
