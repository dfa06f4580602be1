"""``python -m benchmarks.stall``: how long small requests wait while one client downloads 5 MB of JSON without pause.

Each class wraps the same app in a uvicorn of its own. The client downloads, whole or streamed in 64 KiB chunks, while
another asks for small answers (see `benchmarks.waiting`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from importlib import import_module
from statistics import median
from typing import Any, Final

from benchmarks.result import WAITS_HEAD, WaitRecord
from benchmarks.waiting import ask, busy, percentiles, serve, serving

OURS: Final = "asgi_middleware.compression:CompressionMiddleware"
PEER: Final = "starlette_compress:CompressMiddleware"
STARLETTE: Final = "starlette.middleware.gzip:GZipMiddleware"
SUBJECTS: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    "none": ("identity", "", {}),
    "ours zstd 3": ("zstd", OURS, {"encodings": ["zstd"]}),
    "starlette-compress zstd 3": ("zstd", PEER, {"zstd_level": 3}),
    "zstd-asgi 3": ("zstd", "zstd_asgi:ZstdMiddleware", {"level": 3}),
    "ours br 4": ("br", OURS, {"encodings": ["br"]}),
    "starlette-compress br 4": ("br", PEER, {}),
    "brotli-asgi 4": ("br", "brotli_asgi:BrotliMiddleware", {}),
    "ours gzip 6, zlib": ("gzip", OURS, {"encodings": ["gzip"], "gzip_backend": "zlib"}),
    "ours gzip 6": ("gzip", OURS, {"encodings": ["gzip"]}),
    "starlette gzip 6": ("gzip", STARLETTE, {"compresslevel": 6}),
    "starlette-compress gzip 6": ("gzip", PEER, {"gzip_level": 6}),
}
FORMS: Final = ("whole", "streamed")
CHUNK: Final = 64 * 1024
SMALL: Final = b'{"small":true}'


def large_body() -> bytes:
    """Give 5 MB of JSON."""
    listed = [{"id": n, "name": f"item {n * 7919 % 1000}", "price": n * 1.37, "tags": ["red"]} for n in range(70_000)]
    return json.dumps(listed).encode()[:5_000_000]


def downloads(body: bytes) -> Any:
    """Give an app that answers with `body` at /whole and /streamed, with 14 bytes elsewhere."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        headers = [(b"content-type", b"application/json")]
        if path == "/small":
            headers.append((b"content-length", b"%d" % len(SMALL)))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if path == "/streamed":
            for start in range(0, len(body), CHUNK):
                await send({"type": "http.response.body", "body": body[start : start + CHUNK], "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        else:
            await send({"type": "http.response.body", "body": body if path == "/whole" else SMALL})

    return app


def serve_subject(name: str, descriptor: int) -> None:
    """Run the server of one subject."""
    _, path, options = SUBJECTS[name]
    app = downloads(large_body())
    if path:
        module, _, attribute = path.partition(":")
        app = getattr(import_module(module), attribute)(app, **options)
    serve(app, descriptor)


def run(name: str, path: str, seconds: float) -> list[float]:
    """Measure one subject in one form; give the percentiles of what small requests waited for."""
    coding = SUBJECTS[name][0]

    def command(descriptor: int) -> list[str]:
        return [sys.executable, "-m", "benchmarks.stall", "--serve", name, "--fd", str(descriptor)]

    with serving(command) as port:
        ask(port, path, coding)
        with busy(port, path, coding):
            return percentiles(port, "/small", seconds)


def stalls(*, rounds: int, seconds: float, only: str = "") -> Iterator[WaitRecord]:
    """Measure every subject in both forms, in turn and back again; each figure is the median of all rounds."""
    for form in FORMS:
        found: dict[str, list[list[float]]] = {name: [] for name in SUBJECTS if only in name}
        order = list(found)
        for _ in range(rounds):
            for name in order:
                found[name].append(run(name, f"/{form}", seconds))
            order.reverse()
        for name, cuts in found.items():
            yield WaitRecord(during(form), name, median(cut[49] for cut in cuts), median(cut[98] for cut in cuts))


def during(form: str) -> str:
    """Name what the server has to do."""
    return f"5 MB of JSON, {form}"


def main() -> None:
    """Print one line for each subject and form."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stall", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--only", default="", metavar="TEXT", help="only the subjects whose name contains TEXT")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--fd", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve_subject(arguments.serve, arguments.fd)
        return
    print(WAITS_HEAD)
    for record in stalls(rounds=arguments.rounds, seconds=arguments.seconds, only=arguments.only):
        print(record.line, flush=True)


if __name__ == "__main__":
    main()
