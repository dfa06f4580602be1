"""``python -m benchmarks.echoes PORT SECONDS``: the WebSocket load of ``benchmarks.sockets``, as a process of its own.

Each connection sends a window of small messages in one write and waits until all have come back, so that the client
costs next to nothing a message: what limits the rate is the server. Prints the count, the seconds, and the median and
99th percentile of a window's round trip in microseconds, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from statistics import quantiles
from typing import Final

from benchmarks.scenarios import BROWSER_HEADERS, ORIGIN
from benchmarks.stacks import full

CONNECTIONS: Final = 16
WINDOW: Final = 8
_TEXT: Final = b"sixteen bytes..."
_HANDSHAKE: Final = (
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"sec-websocket-version", b"13"),
)
_KEPT: Final = frozenset({b"user-agent", b"accept-encoding", b"accept-language", b"host"})


def frame() -> bytes:
    """Give one masked text frame (RFC 6455 5.2)."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(_TEXT))
    return bytes((0x81, 0x80 | len(_TEXT))) + mask + masked


async def connection(port: int, end: float, windows: list[float]) -> None:
    """Open one session, and send window after window until `end`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    browser = [line for line in BROWSER_HEADERS if line[0] in _KEPT]
    headers = [*browser, *_HANDSHAKE, ORIGIN, full(codec=False).headers[-1]]
    writer.write(b"GET /ws HTTP/1.1\r\n" + b"".join(b"%s: %s\r\n" % line for line in headers) + b"\r\n")
    answer = await reader.readuntil(b"\r\n\r\n")
    if not answer.startswith(b"HTTP/1.1 101"):
        raise RuntimeError(answer.decode("latin-1"))
    window = b"".join(frame() for _ in range(WINDOW))
    expected = (bytes((0x81, len(_TEXT))) + _TEXT) * WINDOW
    while (begun := time.perf_counter()) < end:
        writer.write(window)
        if await reader.readexactly(len(expected)) != expected:
            message = "not what was sent"
            raise RuntimeError(message)
        windows.append(time.perf_counter() - begun)
    writer.transport.abort()


async def run(port: int, seconds: float) -> dict[str, float]:
    """Hold all connections for `seconds`."""
    windows: list[float] = []
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(CONNECTIONS):
            tasks.create_task(connection(port, begun + seconds, windows))
    cuts = quantiles(windows, n=100)
    return {
        "requests": len(windows) * WINDOW,
        "seconds": time.perf_counter() - begun,
        "p50_us": cuts[49] * 1e6,
        "p99_us": cuts[98] * 1e6,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(int(sys.argv[1]), float(sys.argv[2])))))
