"""Scraping: one thread renders for all scrapers, each waits for so long at most, and only so many wait.

Facts this module rests on:

- Rendering computes; on the event loop it would hold up every request. In a thread it stands aside again and again.
- A scrape that waited while another for the same began and ended takes over its result: that is younger than its own
  arrival. So however many scrapers there are, at most one rendering is under way and one to come for each variant.
- A collector that hangs holds the thread. Nobody can end it; those who wait are told in time, and others at once.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from functools import partial
from time import perf_counter, sleep
from typing import Any, Final, NamedTuple

from prometheus_client import CollectorRegistry

from asgi_middleware._core.waiting import time_limit
from asgi_middleware._core.workers import WorkerPool
from asgi_middleware.metrics.exposition import OPENMETRICS, TEXT, Format
from asgi_middleware.metrics.pauses import pause
from asgi_middleware.metrics.rendering import Rendering

_GZIP_LEVEL: Final = 1  # text of this kind: a sixth larger than at 6, in half the time
_GZIP_MEMBER: Final = 16 + zlib.MAX_WBITS
_KEPT: Final = 4
"""Results that are kept for those who wait: both formats, with gzip and without."""
# Long enough for a thread that waits for the interpreter's lock to get it, which a sleep of zero is not.
_PAUSE_SECONDS: Final = 0.00005

stand_aside: Final[Callable[[], None]] = partial(sleep, _PAUSE_SECONDS)
"""Let the event loop have the interpreter's lock, from a thread that computes."""


class Wanted(NamedTuple):
    """What one scraper is to get.

    Attributes:
        format: The exposition format.
        names: The names of series or families; empty for all.
        compress: Whether the result is a gzip member (RFC 1952).
    """

    format: Format
    names: frozenset[str]
    compress: bool


class Scraping:
    """Gives scrapers the registry's bytes.

    Args:
        registry: What is rendered.
        max_scrapes: How many may wait at a time.
        timeout: Seconds that each waits at most.
    """

    __slots__ = ("_kept", "_max_scrapes", "_pool", "_registry", "_renderings", "_timeout", "_waiting")

    def __init__(self, registry: CollectorRegistry, max_scrapes: int, timeout: float) -> None:
        self._registry = registry
        self._max_scrapes = max_scrapes
        self._timeout = timeout
        self._waiting = 0
        self._pool = WorkerPool(1, name="asgi-middleware-metrics")
        self._kept: dict[Wanted, tuple[float, bytes]] = {}
        self._renderings = {
            TEXT: Rendering(openmetrics=False, stand_aside=stand_aside),
            OPENMETRICS: Rendering(openmetrics=True, stand_aside=stand_aside),
        }

    async def scrape(self, wanted: Wanted) -> bytes | None:
        """Give the bytes, collected after this call; None if too many wait already.

        Raises:
            TimeoutError: It took too long.
        """
        if self._waiting >= self._max_scrapes:
            return None
        self._waiting += 1
        try:
            async with time_limit(self._timeout):
                return await self._pool.run(self._render, wanted, perf_counter())
        finally:
            self._waiting -= 1

    def _render(self, wanted: Wanted, arrived: float) -> bytes:
        begun, body = self._kept.get(wanted, (0.0, b""))
        if begun > arrived:
            return body
        begun = perf_counter()
        registry: Any = self._registry
        if wanted.names:
            registry = registry.restricted_registry(wanted.names)
        rendering = self._renderings[wanted.format]
        pause.set(stand_aside)  # in the context of this rendering alone
        body = _gzipped(rendering.pieces(registry)) if wanted.compress else rendering.render(registry)
        self._kept.pop(wanted, None)
        self._kept[wanted] = begun, body
        if len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]
        return body


def _gzipped(pieces: Iterable[bytes]) -> bytes:
    """Give a gzip member (RFC 1952) without a time; the interpreter's lock is free while a piece is compressed."""
    compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_MEMBER)
    return b"".join([*map(compressor.compress, pieces), compressor.flush()])
