"""How a cost grows: with headers, classes, connections, label sets, origins, rules, bytes.

A curve is flat or linear, and says which; what a curve claims is checked by `misses`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal

from asgi_middleware.auth import JWTAuthMiddleware
from asgi_middleware.compression import CompressionMiddleware
from asgi_middleware.cors import CORSMiddleware
from asgi_middleware.limits import RequestBodyLimitMiddleware, WebSocketMessageLimitMiddleware
from asgi_middleware.logging import CorrelationIdMiddleware, LoggingMiddleware
from asgi_middleware.metrics import PrometheusMiddleware
from benchmarks import scenarios
from benchmarks.measure import Beside, Cost, measure
from benchmarks.scenarios import App, Echo, Exchanged, Scenario
from benchmarks.shapes import wrap_send
from benchmarks.stacks import full, ours
from benchmarks.subjects import TOKEN, with_token

Point = tuple[int, Cost]
# How far a flat curve may rise from its first point to its last, and a linear one above the line through its ends.
_FLAT: Final = 1.5
_ABOVE_THE_LINE: Final = 1.25


@dataclass(frozen=True)
class Curve:
    """One cost against one size.

    Attributes:
        name: What is measured.
        size: What grows.
        sizes: The sizes, smallest first.
        shape: What is promised.
        make: Gives the request and the wrapped app of one size.
        beside: Gives what goes on beside the requests, for one size; see :func:`benchmarks.measure.measure`.
    """

    name: str
    size: str
    sizes: Sequence[int]
    shape: Literal["flat", "linear"]
    make: Callable[[int], tuple[Exchanged, App]]
    beside: Callable[[int], Beside] | None = None

    def measure(self, *, rounds: int, requests: int) -> list[Point]:
        """Measure every size."""
        points = []
        for size in self.sizes:
            scenario, app = self.make(size)
            beside = self.beside(size) if self.beside else None
            costs = measure(scenario, {"": app}, rounds=rounds, requests=requests, beside=beside)
            points.append((size, costs[""]))
        return points


def misses(curve: Curve, points: Sequence[Point]) -> str:
    """Say how the points break the curve's promise; empty where they keep it."""
    (first, least), *between, (last, most) = [(size, _amount(cost)) for size, cost in points]
    if curve.shape == "flat":
        return "" if most <= _FLAT * least else f"grows {most / least:.1f} times from {first} to {last}"
    for size, amount in between:
        line = least + (most - least) * (size - first) / (last - first)
        if amount > _ABOVE_THE_LINE * line:
            return f"{amount / line:.1f} times the straight line at {size}"
    return ""


def _amount(cost: Cost) -> float:
    return cost.instructions or cost.added_ns


def curves() -> Iterator[Curve]:
    """Give every curve."""
    for name, wrap in (
        ("correlation id", CorrelationIdMiddleware),
        ("CORS", partial(CORSMiddleware, allow_origins=["https://app.example.com"])),
        ("metrics", PrometheusMiddleware),
        ("body limit", partial(RequestBodyLimitMiddleware, max_body_size=1_000_000)),
    ):
        yield Curve(name, "request headers", (5, 10, 20, 40, 80), "linear", partial(_headers, wrap))
    yield Curve("send wrappers", "classes stacked", tuple(range(1, 13)), "linear", partial(_stacked, wrap_send))
    yield Curve("body limits", "classes stacked", tuple(range(1, 13)), "linear", partial(_stacked, _limit))
    yield Curve("metrics", "label sets in use", (1, 10, 100, 1000), "flat", _label_sets)
    yield Curve("CORS", "exact origins", (1, 10, 100, 1000, 10_000), "flat", _origins)
    yield Curve("CORS", "subdomain patterns", (1, 10, 100, 500), "flat", _patterns)
    yield Curve("CORS, hostile", "bytes of an Origin", (20, 100, 1000, 10_000, 60_000), "flat", _hostile_origin)
    yield Curve("JWT", "exempt paths", (1, 10, 100, 1000), "flat", _exempt)
    yield Curve("access log", "excluded paths", (1, 10, 100, 1000), "flat", _excluded)
    yield Curve("body limit", "chunks of a body", (1, 10, 50, 100), "linear", _chunks)
    yield Curve("zstd 3", "bytes of a body", (2_000, 20_000, 50_000, 200_000), "linear", _body)
    yield Curve("whole stack", "open WebSockets", (1, 100, 1000, 10_000), "flat", _stack_on_a_loop, _open)


def _headers(wrap: Callable[[App], App], size: int) -> tuple[Exchanged, App]:
    more = tuple((b"x-made-up-%d" % number, b"value") for number in range(size - 1))
    names = frozenset(name for name, _ in scenarios.BROWSER_HEADERS if name != b"host")
    scenario = replace(scenarios.SIMPLE, headers=more, without=names)
    return scenario, wrap(scenario.app())


def _stacked(wrap: Callable[[App], App], size: int) -> tuple[Exchanged, App]:
    app = scenarios.SIMPLE.app()
    for _ in range(size):
        app = wrap(app)
    return scenarios.SIMPLE, app


def _limit(app: App) -> App:
    return RequestBodyLimitMiddleware(app, max_body_size=1_000_000)


def _label_sets(size: int) -> tuple[Exchanged, App]:
    from prometheus_client import CollectorRegistry  # noqa: PLC0415 -- this curve alone needs it

    bare = scenarios.SIMPLE.app()
    count = 0

    async def routed(scope: Any, receive: Any, send: Any) -> None:
        nonlocal count
        count += 1
        scope["route"] = routes[count % size]
        await bare(scope, receive, send)

    routes = [_Route(f"/route/{number}/{{id}}") for number in range(size)]
    app = PrometheusMiddleware(routed, registry=CollectorRegistry(), max_series=10 * size)
    request = scenarios.SIMPLE.request()
    for _ in range(size):
        _finish(request(app))
    return scenarios.SIMPLE, app


@dataclass(frozen=True)
class _Route:
    path: str


def _finish(request: Coroutine[Any, Any, None]) -> None:
    try:
        request.send(None)
    except StopIteration:
        return
    message = "the request waited"
    raise RuntimeError(message)


def _cors(origins: list[str], origin: bytes = scenarios.ORIGIN[1]) -> tuple[Exchanged, App]:
    scenario = Scenario("GET, Origin", headers=((b"origin", origin),))
    return scenario, CORSMiddleware(scenario.app(), allow_origins=origins)


def _origins(size: int) -> tuple[Exchanged, App]:
    return _cors(["https://app.example.com", *(f"https://a{number}.example.com" for number in range(size - 1))])


def _patterns(size: int) -> tuple[Exchanged, App]:
    return _cors([*(f"https://*.a{number}.example" for number in range(size - 1)), "https://*.example.com"])


def _hostile_origin(size: int) -> tuple[Exchanged, App]:
    origin = (b"https://" + b"a." * size)[: size - 4] + b".com"
    return _cors(["https://*.example.com", "https://app.example.com"], origin)


def _exempt(size: int) -> tuple[Exchanged, App]:
    scenario = with_token(scenarios.SIMPLE)
    exempt = [f"/public/{number}/*" for number in range(size)]
    return scenario, JWTAuthMiddleware(scenario.app(), exempt=exempt, **TOKEN)


def _excluded(size: int) -> tuple[Exchanged, App]:
    scenario = scenarios.SIMPLE
    excluded = [f"/health/{number}" for number in range(size)]
    return scenario, LoggingMiddleware(scenario.app(), exclude_paths=excluded)


def _chunks(size: int) -> tuple[Exchanged, App]:
    length = (b"content-length", b"%d" % (1024 * size))
    scenario = replace(scenarios.UPLOAD, headers=(length,), request_body=(b"x" * 1024,) * size)
    return scenario, _limit(scenario.app())


def _body(size: int) -> tuple[Exchanged, App]:
    scenario = replace(
        scenarios.SIMPLE, response_body=(scenarios.JSON_2K * (size // len(scenarios.JSON_2K) + 1))[:size]
    )
    return scenario, CompressionMiddleware(scenario.app(), encodings=["zstd"])


def _stack_on_a_loop(_: int) -> tuple[Exchanged, App]:
    scenario = full(codec=False)
    http, websocket = scenario.app(), scenarios.ECHO.app()

    async def both(scope: Any, receive: Any, send: Any) -> None:
        await (http if scope["type"] == "http" else websocket)(scope, receive, send)

    return scenario, ours(WebSocketMessageLimitMiddleware(both, idle_timeout=60), codec=False, log=os.devnull)


def _open(size: int) -> Beside:
    """Hold `size` WebSockets open, each with an idle time-out, while other requests come and go."""
    request = Echo("open", messages=0, headers=full(codec=False).headers, stays=True).request()

    def beside(app: App) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(request(app)) for _ in range(size)]

    return beside
