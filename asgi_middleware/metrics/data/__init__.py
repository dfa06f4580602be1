"""Data files: Prometheus rules and a Grafana dashboard.

``python -m asgi_middleware.metrics.data rules.yml`` writes one of them to standard output.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Final

NAMES: Final = ("dashboard.json", "rules.yml")
# The series of a process; those that rules record have a colon in front.
_SERIES: Final = re.compile(r"(?<![:\w])(?=(?:http_server|websocket_server|asgi_middleware)_[a-z])")


def read_text(name: str, *, namespace: str = "") -> str:
    """Give a data file's text.

    Args:
        name: One of ``NAMES``.
        namespace: What PrometheusMiddleware puts before every name, if anything.
    """
    text = files(__name__).joinpath(name).read_text(encoding="utf-8")
    return _SERIES.sub(f"{namespace}_", text) if namespace else text
