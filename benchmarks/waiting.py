"""What small requests wait for on a server that has something large to do.

One client asks for a small answer at fixed times, whether or not the last one has come, on connections that it keeps:
what it waits for is the event loop, not the making of connections. Another, in a process of its own, keeps the server
busy: ``python -m benchmarks.waiting PORT PATH CODING SECONDS`` asks for one large answer after the other, or one every
so many seconds, and throws them away, until it is ended.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import quantiles
from typing import Any, Final

RATE: Final = 250
# Opened before the first request; each gets its turn four times a second, so that no server closes one as idle.
_CONNECTIONS: Final = 64
_READ: Final = 1 << 20


def serve(app: Any, descriptor: int) -> None:
    """Run a server on a socket that listens already."""
    import uvicorn  # noqa: PLC0415 -- only the server's process needs it

    config = uvicorn.Config(app, log_level="error", lifespan="off")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


@contextmanager
def serving(command: Callable[[int], list[str]]) -> Iterator[int]:
    """Start a server's process by the command for a socket's descriptor; give the port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        with _running(command(listener.fileno()), pass_fds=(listener.fileno(),)):
            yield listener.getsockname()[1]


@contextmanager
def busy(port: int, path: str, coding: str, every: float = 0) -> Iterator[None]:
    """Have another process ask for `path` all the while, every so many seconds at most."""
    with _running([sys.executable, "-m", "benchmarks.waiting", str(port), path, coding, str(every)]):
        time.sleep(0.3)  # until it has started
        yield


@contextmanager
def _running(command: list[str], pass_fds: tuple[int, ...] = ()) -> Iterator[None]:
    process = subprocess.Popen(command, pass_fds=pass_fds)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def ask(port: int, path: str, coding: str) -> None:
    """Make one request on a connection of its own, and throw the answer away."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(_request(path, coding, "close"))
        while connection.recv(_READ):
            pass


def percentiles(port: int, path: str, seconds: float) -> list[float]:
    """Ask for a small answer at fixed times; give the percentiles of the milliseconds from then to its end."""
    return quantiles(asyncio.run(_waits(port, path, seconds)), n=100)


async def _waits(port: int, path: str, seconds: float) -> list[float]:
    found: list[float] = []
    request = _request(path, "identity", "keep-alive")
    free = deque([await asyncio.open_connection("127.0.0.1", port) for _ in range(_CONNECTIONS)])

    async def small(due: float) -> None:
        reader, writer = free.popleft() if free else await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]))
        found.append((time.perf_counter() - due) * 1000)
        free.append((reader, writer))

    async with asyncio.TaskGroup() as tasks:
        due = time.perf_counter()
        for _ in range(int(seconds * RATE)):
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.create_task(small(due))
            due += 1 / RATE
    for _, writer in free:
        writer.close()
    return found


def _request(path: str, coding: str, connection: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: x\r\naccept-encoding: {coding}\r\nconnection: {connection}\r\n\r\n".encode()


def main() -> None:
    """Ask until this process is ended."""
    port, path, coding, every = int(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])
    while True:
        begun = time.perf_counter()
        ask(port, path, coding)
        time.sleep(max(0.0, begun + every - time.perf_counter()))


if __name__ == "__main__":
    main()
