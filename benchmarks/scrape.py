"""``python -m benchmarks.scrape``: what a scrape of 500 label sets costs, and what other requests notice of it.

First the time to render, beside prometheus_client's ``generate_latest`` on its own histogram with the same figures.
Then how long a rendering holds the interpreter's lock at a time: between two of its pauses, on the thread's own clock,
which the neighbours on a shared machine cannot change. No request waits for longer. Then a uvicorn with such a service:
a client asks for a small answer 250 times a second, at fixed times, alone and with a scraper every 100 ms in a process
of its own. What it waits for is the event loop.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import pairwise
from statistics import median, quantiles
from typing import Any, Final

from prometheus_client import CollectorRegistry, Histogram, generate_latest, make_asgi_app
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from asgi_middleware._core.config import Problems
from asgi_middleware.metrics import MetricsEndpoint, PrometheusMiddleware
from asgi_middleware.metrics.definitions import BOUNDS, REQUEST_DURATION
from asgi_middleware.metrics.families import families_of
from asgi_middleware.metrics.pauses import pause
from asgi_middleware.metrics.rendering import Rendering
from asgi_middleware.metrics.scraping import stand_aside

SETS: Final = 500
ROUNDS: Final = 5
RATE: Final = 250
SCRAPE_SECONDS: Final = 0.1
LABELS: Final = [("GET", f"/shop/{number}/{{item}}", "200", "", "https") for number in range(SETS)]
SUBJECTS: Final = ("MetricsEndpoint", "prometheus_client.make_asgi_app")


def ours() -> CollectorRegistry:
    """Give a registry with the figures in this library's family."""
    registry, problems = CollectorRegistry(), Problems("benchmark")
    family = families_of(registry, "", problems).open(registry, REQUEST_DURATION, BOUNDS, problems)
    for number, labels in enumerate(LABELS):
        for step in range(10):
            family.observe(labels, SETS, number * step / 400)
    return registry


def theirs() -> CollectorRegistry:
    """Give a registry with the same figures in prometheus_client's histogram."""
    registry = CollectorRegistry()
    name, text, labels = REQUEST_DURATION.name, REQUEST_DURATION.help, REQUEST_DURATION.labels
    histogram = Histogram(name, text, labels, buckets=BOUNDS["seconds"], registry=registry)
    for number, values in enumerate(LABELS):
        for step in range(10):
            histogram.labels(*values).observe(number * step / 400)
    return registry


def best(func: Callable[[], object], rounds: int = 9) -> float:
    """Give the least processor time of some calls, in milliseconds."""
    times = []
    for _ in range(rounds):
        begun = time.process_time()
        func()
        times.append(time.process_time() - begun)
    return min(times) * 1000


def rendering() -> None:
    """Print the table about rendering."""
    print(f"{SETS} label sets\n\n| format | generate_latest ms | ours ms | ratio |\n|---|---|---|---|")
    mine, other = ours(), theirs()
    for openmetrics, usual in ((False, generate_latest), (True, generate_openmetrics)):
        kept = Rendering(openmetrics=openmetrics, stand_aside=stand_aside)
        kept.render(mine)
        reference, figure = best(partial(usual, other)), best(partial(kept.render, mine))
        name = "OpenMetrics 1.0" if openmetrics else "text 0.0.4"
        print(f"| {name} | {reference:.1f} | {figure:.1f} | {figure / reference:.3f} |", flush=True)


def steps() -> None:
    """Print how long renderings compute between two pauses, with every series changed since the last one."""
    print("\n| label sets | bytes | steps | median ms | p99 ms | longest ms |\n|---|---|---|---|---|---|")
    for sets in (SETS, 10 * SETS):
        for joined in (False, True):
            size, taken = rendered_in_steps(sets, joined=joined)
            cuts = quantiles(taken, n=100)
            figures = f"{cuts[49]:.3f} | {cuts[98]:.3f} | {max(taken):.2f}"
            print(f"| {sets} | {size:,}{' joined' * joined} | {len(taken) // ROUNDS} | {figures} |", flush=True)


def rendered_in_steps(sets: int, *, joined: bool) -> tuple[int, list[float]]:
    """Render some times; give the bytes, and how many milliseconds of processor time each step took."""
    registry = CollectorRegistry()
    wrapped = PrometheusMiddleware(named_by_path, registry=registry, max_series=sets)
    rendering = Rendering(openmetrics=True, stand_aside=stand_aside_as_told)
    moments: list[float] = []
    pause.set(lambda: moments.append(time.thread_time()))
    size = 0
    for _ in range(ROUNDS):
        for number in range(sets):
            with suppress(StopIteration):
                wrapped(named_scope(number), no_message, no_message).send(None)
        stand_aside_as_told()
        pieces = rendering.pieces(registry)
        # Scrapes in gzip are compressed piece by piece; others are joined.
        size = len(b"".join(pieces)) if joined else sum(map(len, pieces))
        stand_aside_as_told()
        moments.append(math.nan)
    return size, [(after - before) * 1000 for before, after in pairwise(moments) if not math.isnan(after - before)]


def stand_aside_as_told() -> None:
    """Pause as collecting does."""
    pause.get()()


async def named_by_path(scope: Any, receive: Any, send: Any) -> None:
    """Answer, under a route of its own for each path."""
    scope["asgi_middleware"].set_route(scope["path"])
    await small(scope, receive, send)


def named_scope(number: int) -> dict[str, Any]:
    """Give a request to one of many routes."""
    return {"type": "http", "method": "GET", "scheme": "http", "path": f"/shop/{number}/{{item}}", "headers": []}


async def no_message(*_message: Any) -> None:
    """Stand in for a server."""


async def small(scope: Any, receive: Any, send: Any) -> None:
    """Answer with two bytes."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def serve(subject: str, descriptor: int) -> None:
    """Run the server of one subject."""
    import uvicorn  # noqa: PLC0415 -- only the server's process needs it

    app: Any
    if subject == "MetricsEndpoint":
        registry = ours()
        app = MetricsEndpoint(PrometheusMiddleware(small, registry=registry), registry=registry)
    else:
        registry, recorder = theirs(), PrometheusMiddleware(small, registry=CollectorRegistry())
        scraped = make_asgi_app(registry)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await (scraped if scope["path"] == "/metrics" else recorder)(scope, receive, send)

    config = uvicorn.Config(app, log_level="error", lifespan="off")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


async def ask(port: int, path: str) -> None:
    """Make one request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\nconnection: close\r\n\r\n".encode())
    while await reader.read(1 << 18):
        pass
    writer.close()


async def scrape(port: int) -> None:
    """Scrape until this process is ended."""
    while True:
        await asyncio.gather(ask(port, "/metrics"), asyncio.sleep(SCRAPE_SECONDS))


async def waits(port: int, seconds: float) -> list[float]:
    """Ask for small answers at fixed times; give how many milliseconds each took from its time."""
    found: list[float] = []

    async def tiny(due: float) -> None:
        await ask(port, "/")
        found.append((time.perf_counter() - due) * 1000)

    async with asyncio.TaskGroup() as tasks:
        due = time.perf_counter()
        for _ in range(int(seconds * RATE)):
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.create_task(tiny(due))
            due += 1 / RATE
    return found


def command(*arguments: object) -> list[str]:
    """Give the command line of another process of this file."""
    return [sys.executable, "-m", "benchmarks.scrape", *map(str, arguments)]


def run(subject: str, rounds: int, seconds: float) -> None:
    """Print the line about one subject: alone and scraped in turn."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        port, descriptor = listener.getsockname()[1], listener.fileno()
        server = subprocess.Popen(command("--serve", subject, "--fd", descriptor), pass_fds=(descriptor,))
        cuts: dict[bool, list[list[float]]] = {False: [], True: []}
        try:
            asyncio.run(ask(port, "/metrics"))
            for _ in range(rounds):
                for scraped, kept in cuts.items():
                    scraper = subprocess.Popen(command("--scrape", port)) if scraped else None
                    time.sleep(0.7 if scraped else 0)  # until it has started
                    try:
                        kept.append(quantiles(asyncio.run(waits(port, seconds)), n=100))
                    finally:
                        if scraper is not None:
                            scraper.terminate()
                            scraper.wait(10)
        finally:
            server.terminate()
            server.wait(20)
    figures = [median(cut[place] for cut in cuts[which]) for which in (False, True) for place in (49, 98)]
    line = " | ".join(f"{figure:.2f}" for figure in (*figures, figures[3] / figures[1]))
    print(f"| {subject} | {line} |", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scrape", description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--scrape", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--fd", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.fd)
    elif arguments.scrape:
        asyncio.run(scrape(arguments.scrape))
    else:
        rendering()
        steps()
        print("\n| scraped every 100 ms | p50 alone | p99 alone | p50 scraped | p99 scraped | ratio of p99 |")
        print("|---|---|---|---|---|---|")
        for subject in SUBJECTS:
            run(subject, arguments.rounds, arguments.seconds)


if __name__ == "__main__":
    main()
