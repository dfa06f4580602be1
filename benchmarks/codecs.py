"""``python -m benchmarks.codecs``: what each coding costs by level, and what an open stream of it holds in memory.

The figures of docs/compression.md and of the comments in asgi_middleware/compression come from here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from time import thread_time_ns
from typing import Any, Final

from asgi_middleware.compression.codecs import Codec, Encoder, make_codec
from asgi_middleware.compression.gzip_backends import make_gzip

LEVELS: Final = (
    ("gzip, zlib", (1, 6, 9)),
    ("gzip, zlib-ng", (2, 6, 9)),
    ("gzip, isal", (6,)),
    ("br", (1, 4, 6, 11)),
    ("zstd", (1, 3, 9, 19)),
)
ITEMS: Final = {"1 KB": 7, "20 KB": 135, "1 MB": 6_900}
STREAMS: Final = 200
EVENTS: Final = [
    f'data: {{"id": {n}, "price": {n * 7 % 1000}.{n % 100:02}, "symbol": "ABC{n % 5}", "side": "buy"}}\n\n'.encode()
    for n in range(200)
]
PAGE: Final = 4096


def main() -> None:
    """Print both tables, or measure one open stream where a process of its own is asked for it."""
    if len(sys.argv) == 5:
        print(memory(sys.argv[1], int(sys.argv[2]), live=sys.argv[3] == "live", limit=int(sys.argv[4])))
        return
    print("CPU time and ratio (plain size by encoded size) of whole bodies of JSON\n")
    print("| coding and level |", " | ".join(ITEMS), "|\n|---|" + "---|" * len(ITEMS))
    bodies = [body(items) for items in ITEMS.values()]
    for name, levels in LEVELS:
        for level in levels:
            codec = codec_of(name, level)
            print(f"| {name} {level} |", " | ".join(cost(codec, data) for data in bodies), "|", flush=True)
    print("\nMemory of one open stream of small events, and the ratio that it reaches\n")
    print("| coding and level | ordinary stream | open-ended stream |\n|---|---|---|")
    for name, level in (("gzip, zlib", 6), ("gzip, isal", 6), ("zstd", 3), ("br", 4)):
        print(f"| {name} {level} |", " | ".join(measured(name, level)), "|", flush=True)


def codec_of(name: str, level: int) -> Codec:
    """Make a codec of the library."""
    coding, _, backend = name.partition(", ")
    if coding == "gzip":
        chosen: Any = backend
        return make_gzip(level, chosen, 1_000_000)
    codec = make_codec(coding, gzip_level=6, brotli_quality=level, zstd_level=level)
    if codec is None:
        message = f"{coding} has no library here"
        raise RuntimeError(message)
    return codec


def body(items: int) -> bytes:
    """Give JSON of that many items, some 150 bytes each: names and words repeat, numbers and ids do not."""
    source = Random(1)
    words = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "jetty", "knoll", "larch"]
    listed = [
        {
            "id": f"{source.getrandbits(48):012x}",
            "name": f"{source.choice(words)} {source.choice(words)}",
            "price": round(source.uniform(1, 500), 2),
            "stock": source.randrange(1000),
            "created": f"2026-{source.randrange(1, 13):02}-{source.randrange(1, 29):02}T12:00:00Z",
            "tags": source.sample(words, 2),
        }
        for _ in range(items)
    ]
    return json.dumps(listed).encode()


def cost(codec: Codec, data: bytes) -> str:
    """Give the CPU time of the best of several runs, and the ratio."""
    best, spent, encoded = float("inf"), 0, b""
    while spent < 300_000_000:
        begun = thread_time_ns()
        encoded = codec.whole(data)
        took = thread_time_ns() - begun
        best, spent = min(best, took), spent + took
    time = f"{best / 1e6:,.1f} ms" if best >= 1e6 else f"{best / 1e3:,.0f} us"
    return f"{time}, {len(data) / len(encoded):.1f}"


def measured(name: str, level: int) -> Iterator[str]:
    """Measure in processes of their own, so that no allocator hands out what another stream has left."""
    for kind in ("ordinary", "live"):
        command = [sys.executable, "-m", "benchmarks.codecs", name, str(level), kind, str(STREAMS)]
        yield subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def memory(name: str, level: int, *, live: bool, limit: int) -> str:
    """Give the KB that one open stream adds to the process, and its ratio."""
    codec = codec_of(name, level)
    open_streams: list[Encoder] = []

    def open_more(count: int) -> int:
        sent = 0
        for _ in range(count):
            open_streams.append(codec.open(live=live))
            sent = sum(len(open_streams[-1].feed(event)) for event in EVENTS)
        return sent

    open_more(20)  # the first ones warm the libraries up
    before = resident()
    sent = open_more(limit)
    return f"{(resident() - before) / limit / 1024:.0f} KB, {sum(map(len, EVENTS)) / sent:.1f}"


def resident() -> int:
    """Give the process's resident memory, in bytes (Linux)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE


if __name__ == "__main__":
    main()
