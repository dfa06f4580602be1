"""What a report of a fault needs to name: versions, and the extras that are not there."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from typing import Final

from asgi_middleware._version import __version__

EXTRAS: Final = {
    "psl": ("publicsuffixlist",),
    "redis": ("redis",),
    "zstd": ("backports-zstd",),
    "speed": ("isal", "orjson"),
    "otel": ("opentelemetry-api",),
}
"""The extras that change what the classes do, with the distributions they install."""

DEPENDENCIES: Final = ("anyio", "brotli", "prometheus-client", "pyjwt", "structlog")
FRAMEWORKS: Final = (
    "blacksheep",
    "channels",
    "django",
    "djangorestframework",
    "falcon",
    "fastapi",
    "litestar",
    "quart",
    "starlette",
)
SERVERS: Final = ("daphne", "granian", "gunicorn", "hypercorn", "uvicorn")


def versions() -> str:
    """Name Python, this package, and its extras: those that are installed, and those that are not."""
    present = [f"Python {platform.python_version()}", f"asgi-middleware {__version__}"]
    missing = []
    for extra, distributions in EXTRAS.items():
        installed = list(_installed(distributions))
        present += installed
        # Python 3.14 has zstd in its standard library.
        if len(installed) < len(distributions) and not (extra == "zstd" and sys.version_info >= (3, 14)):
            missing.append(extra)
    return ", ".join(present) + (f"; extras not installed: {', '.join(missing)}" if missing else "")


def surroundings() -> str:
    """Name what else is installed that has a part in a request: our dependencies, frameworks and servers."""
    return f"with {', '.join(_installed((*DEPENDENCIES, *FRAMEWORKS, *SERVERS)))}"


def _installed(distributions: Iterable[str]) -> Iterator[str]:
    for distribution in distributions:
        try:
            yield f"{distribution} {metadata.version(distribution)}"
        except metadata.PackageNotFoundError:
            continue
