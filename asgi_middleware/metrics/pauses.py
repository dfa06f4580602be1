"""Pauses in work that computes for long: whoever runs it says how it is to let others run in between.

Collecting is called by prometheus_client, through which nothing of our own can be passed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

AT_ONCE: Final = 16
"""How many series are worked on between two pauses: some 0.1 ms."""

pause: Final[ContextVar[Callable[[], object]]] = ContextVar("asgi_middleware_metrics_pause", default=int)
"""Called after each small piece of work; by default nothing happens."""
