"""``python -m benchmarks.stall``: how long small requests wait while one client downloads 5 MB of JSON without pause.

Each class wraps the same app in a uvicorn of its own. One client downloads, whole or streamed in 64 KiB chunks; another
asks for a small answer 200 times a second, at fixed times, whether or not the last one has come: what it waits for is
the event loop.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib import import_module
from statistics import quantiles
from typing import Any, Final

OURS: Final = "asgi_middleware.compression:CompressionMiddleware"
PEER: Final = "starlette_compress:CompressMiddleware"
STARLETTE: Final = "starlette.middleware.gzip:GZipMiddleware"
SUBJECTS: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    "none": ("identity", "", {}),
    "ours zstd 3": ("zstd", OURS, {"encodings": ["zstd"]}),
    "starlette-compress zstd 3": ("zstd", PEER, {"zstd_level": 3}),
    "ours br 4": ("br", OURS, {"encodings": ["br"]}),
    "starlette-compress br 4": ("br", PEER, {}),
    "brotli-asgi 4": ("br", "brotli_asgi:BrotliMiddleware", {}),
    "ours gzip 6, zlib": ("gzip", OURS, {"encodings": ["gzip"], "gzip_backend": "zlib"}),
    "ours gzip 6": ("gzip", OURS, {"encodings": ["gzip"]}),
    "starlette gzip 6": ("gzip", STARLETTE, {"compresslevel": 6}),
    "starlette-compress gzip 6": ("gzip", PEER, {"gzip_level": 6}),
}
RATE: Final = 200
CHUNK: Final = 64 * 1024


def large_body() -> bytes:
    """Give 5 MB of JSON."""
    listed = [{"id": n, "name": f"item {n * 7919 % 1000}", "price": n * 1.37, "tags": ["red"]} for n in range(70_000)]
    return json.dumps(listed).encode()[:5_000_000]


BODY: Final = large_body()


async def downloads(scope: Any, receive: Any, send: Any) -> None:
    """Answer with 5 MB at /whole and /streamed, with 13 bytes elsewhere."""
    if scope["type"] != "http":
        return
    path = scope["path"]
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if path == "/streamed":
        for start in range(0, len(BODY), CHUNK):
            await send({"type": "http.response.body", "body": BODY[start : start + CHUNK], "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    else:
        await send({"type": "http.response.body", "body": BODY if path == "/whole" else b'{"tiny":true}'})


def serve(name: str, descriptor: int) -> None:
    """Run the server of one subject."""
    import uvicorn  # noqa: PLC0415 -- only the server's process needs it

    _, path, options = SUBJECTS[name]
    app: Any = downloads
    if path:
        module, _, attribute = path.partition(":")
        app = getattr(import_module(module), attribute)(downloads, **options)
    config = uvicorn.Config(app, log_level="error", lifespan="off")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


@dataclass
class Measured:
    """What one run saw."""

    waits: list[float] = field(default_factory=list)
    downloads: int = 0
    size: int = 0


async def ask(port: int, path: str, coding: str) -> int:
    """Make one request on a connection of its own; give the size of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\naccept-encoding: {coding}\r\nconnection: close\r\n\r\n".encode())
    size = 0
    while data := await reader.read(1 << 18):
        size += len(data)
    writer.close()
    return size


async def load(port: int, path: str, coding: str, seconds: float) -> Measured:
    """Download without pause, and ask for small answers at fixed times."""
    found, end = Measured(), time.perf_counter() + seconds

    async def download() -> None:
        while time.perf_counter() < end:
            found.size = await ask(port, path, coding)
            found.downloads += 1

    async def tiny(due: float) -> None:
        await ask(port, "/tiny", "identity")
        found.waits.append(time.perf_counter() - due)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(download())
        due = time.perf_counter()
        while due < end:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.create_task(tiny(due))
            due += 1 / RATE
    return found


def run(name: str, path: str, seconds: float) -> Measured:
    """Measure one subject in one form."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        command = [sys.executable, "-m", "benchmarks.stall", "--serve", name, "--fd", str(listener.fileno())]
        process = subprocess.Popen(command, pass_fds=(listener.fileno(),))
        try:
            port, coding = listener.getsockname()[1], SUBJECTS[name][0]
            asyncio.run(ask(port, path, coding))
            return asyncio.run(load(port, path, coding, seconds))
        finally:
            process.terminate()
            process.wait(20)


def main() -> None:
    """Print one line for each subject and form, the rounds interleaved."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stall", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--only", default="", metavar="TEXT", help="only the subjects whose name contains TEXT")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--fd", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.fd)
        return
    print("| class | form | p50 ms | p99 ms | max ms | downloads a second | bytes |\n|---|---|---|---|---|---|---|")
    for path in ("/whole", "/streamed"):
        runs: dict[str, list[Measured]] = {name: [] for name in SUBJECTS if arguments.only in name}
        for _ in range(arguments.rounds):
            for name, results in runs.items():
                results.append(run(name, path, arguments.seconds))
        for name, results in runs.items():
            waits = [wait * 1000 for result in results for wait in result.waits]
            cuts = quantiles(waits, n=100)
            rate = sum(result.downloads for result in results) / arguments.rounds / arguments.seconds
            line = f"{cuts[49]:.1f} | {cuts[98]:.1f} | {max(waits):.0f} | {rate:.1f} | {results[-1].size:,}"
            print(f"| {name} | {path[1:]} | {line} |", flush=True)


if __name__ == "__main__":
    main()
