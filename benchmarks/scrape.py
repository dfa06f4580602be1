"""``python -m benchmarks.scrape``: what a scrape of 500 label sets costs, and what other requests notice of it.

First the time to render, beside prometheus_client's ``generate_latest`` on its own histogram with the same figures.
Then how long a rendering holds the interpreter's lock at a time: between two of its pauses, on the thread's own clock,
which the neighbours on a shared machine cannot change. No request waits for longer. Then a uvicorn with such a service:
small requests wait for it (see `benchmarks.waiting`), alone and with a scraper every 100 ms.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import pairwise
from statistics import quantiles
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
from benchmarks.result import SCRAPES_HEAD, WAITS_HEAD, ScrapeRecord, WaitRecord
from benchmarks.waiting import ask, busy, percentiles, serve, serving

SETS: Final = 500
ROUNDS: Final = 5
LABELS: Final = [("GET", f"/shop/{number}/{{item}}", "200", "", "https") for number in range(SETS)]
SUBJECTS: Final = ("MetricsEndpoint", "prometheus_client.make_asgi_app")
ALONE: Final = "nothing else"
SCRAPED: Final = f"a scrape of {SETS} label sets every 100 ms"


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


def scrapes() -> Iterator[ScrapeRecord]:
    """Measure rendering."""
    mine, other = ours(), theirs()
    for openmetrics, usual in ((False, generate_latest), (True, generate_openmetrics)):
        kept = Rendering(openmetrics=openmetrics, stand_aside=stand_aside)
        kept.render(mine)
        name = "OpenMetrics 1.0" if openmetrics else "text 0.0.4"
        yield ScrapeRecord(name, SETS, best(partial(kept.render, mine)), best(partial(usual, other)))


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


def serve_subject(subject: str, descriptor: int) -> None:
    """Run the server of one subject."""
    app: Any
    if subject == "MetricsEndpoint":
        registry = ours()
        app = MetricsEndpoint(PrometheusMiddleware(small, registry=registry), registry=registry)
    else:
        registry, recorder = theirs(), PrometheusMiddleware(small, registry=CollectorRegistry())
        scraped = make_asgi_app(registry)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await (scraped if scope["path"] == "/metrics" else recorder)(scope, receive, send)

    serve(app, descriptor)


def scraped(*, rounds: int, seconds: float) -> Iterator[WaitRecord]:
    """Measure every subject, alone and scraped in turn; each figure is the best of all rounds."""
    for subject in SUBJECTS:
        cuts = run(subject, rounds, seconds)
        for during, found in zip((ALONE, SCRAPED), cuts, strict=True):
            yield WaitRecord(during, subject, min(cut[49] for cut in found), min(cut[98] for cut in found))


def run(subject: str, rounds: int, seconds: float) -> tuple[list[list[float]], list[list[float]]]:
    """Serve one subject; give the percentiles of what small requests waited for, alone and scraped."""
    alone: list[list[float]] = []
    beside: list[list[float]] = []

    def command(descriptor: int) -> list[str]:
        return [sys.executable, "-m", "benchmarks.scrape", "--serve", subject, "--fd", str(descriptor)]

    with serving(command) as port:
        ask(port, "/metrics", "gzip")
        for _ in range(rounds):
            alone.append(percentiles(port, "/", seconds))
            with busy(port, "/metrics", "gzip", every=0.1):
                beside.append(percentiles(port, "/", seconds))
    return alone, beside


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scrape", description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--fd", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve_subject(arguments.serve, arguments.fd)
    else:
        print(SCRAPES_HEAD, *(record.line for record in scrapes()), sep="\n", flush=True)
        steps()
        print(f"\n{WAITS_HEAD}")
        for record in scraped(rounds=arguments.rounds, seconds=arguments.seconds):
            print(record.line, flush=True)


if __name__ == "__main__":
    main()
