"""``python -m benchmarks.blocks``: the small choices that comments and documents speak of, each beside the other way.

A row is two ways to do the same, in turn, round after round; the time is the best round, and the ratio is what counts.
"""

from __future__ import annotations

import asyncio
import json
import sys
import zlib
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from time import perf_counter_ns
from typing import Any, Final, TypeAlias

import brotli  # type: ignore[import-untyped]
import structlog
from anyio import to_thread

from asgi_middleware._core.exchange import Exchange, current_exchange
from asgi_middleware._core.workers import WorkerPool
from asgi_middleware.logging import add_request_context
from benchmarks.scenarios import BROWSER_HEADERS

# In the standard library since Python 3.14; before that its backport, of the same interface.
zstd: Any = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
ROUNDS = 15
Way: TypeAlias = Callable[[], Any]
Row: TypeAlias = tuple[str, str, float, str, float]


def main() -> None:
    """Print the table."""
    print("| what | one way | us | the other way | us | one / other |")
    print("|---|---|---|---|---|---|")
    for what, one, first, other, second in [*rows(), *asyncio.run(hop())]:
        print(f"| {what} | {one} | {first:.2f} | {other} | {second:.2f} | {first / second:.2f} |")


def rows() -> list[Row]:
    """Measure what needs no event loop."""
    small, large = body(17), body(330)
    names = dict(BROWSER_HEADERS)
    kept = zstd.ZstdCompressor(level=3)
    end: Final = zstd.ZstdCompressor.FLUSH_FRAME
    current_exchange.set(Exchange())
    structlog.contextvars.bind_contextvars(request_id="0" * 32, trace_id="0" * 32, span_id="0" * 16)
    ways: list[tuple[str, int, str, Way, str, Way]] = [
        (
            "12 names",
            20_000,
            "join a list",
            lambda: b"".join([*names]),
            "join the dict",
            lambda: b"".join(names),
        ),
        (
            "1 KB, zstd 3",
            2_000,
            "kept context",
            lambda: kept.compress(small, end),
            "new context",
            lambda: zstd.ZstdCompressor(level=3).compress(small, end),
        ),
        ("1 KB of JSON", 1_000, "brotli 4", partial(brotli.compress, small, quality=4), "gzip 6", partial(gzip, small)),
        ("27 KB of JSON", 100, "brotli 4", partial(brotli.compress, large, quality=4), "gzip 6", partial(gzip, large)),
        (
            "ids on a log call",
            20_000,
            "add_request_context",
            lambda: add_request_context(None, "info", {}),
            "merge_contextvars",
            lambda: structlog.contextvars.merge_contextvars(None, "info", {}),
        ),
    ]
    found = []
    for what, times, one, first, other, second in ways:
        pairs = [(once(first, times), once(second, times)) for _ in range(ROUNDS)]
        found.append((what, one, min(pair[0] for pair in pairs), other, min(pair[1] for pair in pairs)))
    return found


def gzip(data: bytes) -> bytes:
    """Encode at level 6."""
    return zlib.compress(data, 6, 31)


async def hop() -> list[Row]:
    """Measure a round trip to a thread, on asyncio."""
    pool = WorkerPool(2, name="bench")
    pairs = [(await trips(lambda: pool.run(int)), await trips(lambda: to_thread.run_sync(int))) for _ in range(ROUNDS)]
    first, second = (min(pair[side] for pair in pairs) for side in (0, 1))
    return [("a round trip to a thread", "WorkerPool on asyncio", first, "anyio.to_thread", second)]


def body(items: int) -> bytes:
    """Give JSON of that many items, some 80 bytes each."""
    listed = [{"id": n, "name": f"item {n * 7919 % 1000}", "price": n * 1.37, "tags": ["red"]} for n in range(items)]
    return json.dumps(listed).encode()


def once(way: Way, times: int) -> float:
    """Give the microseconds of one call, over many."""
    begun = perf_counter_ns()
    for _ in range(times):
        way()
    return (perf_counter_ns() - begun) / times / 1000


async def trips(way: Callable[[], Awaitable[Any]]) -> float:
    """Give the microseconds of one round trip, over many."""
    begun = perf_counter_ns()
    for _ in range(300):
        await way()
    return (perf_counter_ns() - begun) / 300 / 1000


if __name__ == "__main__":
    main()
