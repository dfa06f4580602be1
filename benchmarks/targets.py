"""What we hold ourselves to: our added cost as a share of a peer's, in one run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from benchmarks.compare import OURS
from benchmarks.result import CostRecord, LoadRecord, Result
from benchmarks.scrape import ALONE, SCRAPED
from benchmarks.shapes import BOTH_WAYS, CODEC_BY_HAND, SEND_ONLY
from benchmarks.sockets import ENCODED, JSON
from benchmarks.stall import FORMS, during


@dataclass(frozen=True)
class Target:
    """One promise.

    Attributes:
        concern: The row's concern.
        scenario: The row's scenario.
        peer: Beside whom.
        at_most: The largest allowed ratio of our added cost to the peer's.
        whole: Whether the ratio is of all that a request takes, the bare app's part included.
    """

    concern: str
    scenario: str
    peer: str
    at_most: float
    whole: bool = False


_STARLETTE = "starlette"
_COMPRESS = "starlette_compress"
_JWT = "starlette + jwt.decode"
TARGETS = (
    Target("CORS", "GET, 2 KB JSON", _STARLETTE, 0.3),
    Target("CORS", "GET, allowed Origin", _STARLETTE, 0.3),
    Target("CORS", "preflight", _STARLETTE, 0.35),
    Target("correlation id", "GET, 2 KB JSON", "asgi_correlation_id", 0.35),
    Target("access log", "GET, 2 KB JSON", "structlog recipe", 0.4),
    Target("access log", "GET, 2 KB JSON", "asgi_logger", 0.15),
    *(
        Target(f"access log, {kind}", "GET, 2 KB JSON", "a send wrapper", 1.5)
        for kind in ("sampled out", "excluded path")
    ),
    Target("metrics", "GET, Starlette route", "prometheus_fastapi_instrumentator", 0.12),
    Target("metrics", "GET, Starlette route", "starlette_exporter", 0.05),
    Target("metrics", "WebSocket, 1000 echoes", BOTH_WAYS, 1.3, whole=True),
    Target("JWT", "GET, 2 KB JSON, HS256", _JWT, 0.35),
    Target("JWT", "GET, 2 KB JSON, RS256", _JWT, 0.6),
    Target("JWT, cached", "GET, 2 KB JSON, HS256", _JWT, 0.08),
    Target("body limit", "GET, 2 KB JSON", _STARLETTE, 0.2),
    Target("body limit", "POST, 2 KB", _STARLETTE, 0.35),
    Target("body clock", "POST, 2 KB", "our body limit", 1.5),
    # An echo is two messages, of which a wrapper of send sees one: this is 0.8 of it a message.
    Target("WebSocket limits", "WebSocket, 1000 echoes", SEND_ONLY, 1.6),
    *(
        Target(concern, scenario, peer, share)
        for concern, peers in (
            ("gzip 6", ((_COMPRESS, 0.6), (_STARLETTE, 0.35))),
            ("brotli 4", ((_COMPRESS, 0.6),)),
            ("zstd 3", ((_COMPRESS, 0.6),)),
        )
        for scenario in ("GET, 100 B", "GET, no Accept-Encoding", "GET, 50 KB PNG")
        for peer, share in peers
    ),
    Target("gzip 6", "GET, 2 KB JSON", _COMPRESS, 0.85),
    Target("gzip 6 by ISA-L", "GET, 2 KB JSON", _COMPRESS, 0.6),
    Target("brotli 4", "GET, 2 KB JSON", _COMPRESS, 0.9),
    Target("zstd 3", "GET, 2 KB JSON", _COMPRESS, 0.6),
    *(Target(concern, "GET, 50 KB JSON", CODEC_BY_HAND, 1.05) for concern in ("gzip 6", "brotli 4", "zstd 3")),
    Target("six idle classes", "WebSocket, 10 echoes", "6 pass-through wrappers", 1.5),
    Target("whole stack", "GET, whole stack, HS256", "best peers", 0.12),
    Target("whole stack", "GET, whole stack, HS256", "a send wrapper", 12),
)


@dataclass(frozen=True)
class LoadTarget:
    """One promise about servers under load.

    Attributes:
        load: What the server is asked.
        peer: Beside which stack.
        figure: Which figure, by its name in the record.
        at_least: The smallest allowed ratio of ours to the peer's; None where there is none.
        at_most: The largest allowed one.
    """

    load: str
    peer: str
    figure: str
    at_least: float | None = None
    at_most: float | None = None

    def held_by(self, ratio: float) -> bool:
        """Whether `ratio` keeps it."""
        return (self.at_least is None or ratio >= self.at_least) and (self.at_most is None or ratio <= self.at_most)


@dataclass(frozen=True)
class WaitTarget:
    """One promise about what small requests wait for, at the 99th percentile, on a server that is busy with more.

    Attributes:
        during: What the server has to do, and who does it.
        beside: The same of the others; the best of them counts.
        at_most: The largest allowed ratio.
    """

    during: tuple[str, str]
    beside: tuple[tuple[str, str], ...]
    at_most: float


WAIT_TARGETS = (
    *(
        WaitTarget((during(form), ours), tuple((during(form), peer) for peer in peers), at_most)
        for form in FORMS
        for ours, peers, at_most in (
            ("ours zstd 3", ("starlette-compress zstd 3", "zstd-asgi 3"), 0.3),
            ("ours br 4", ("starlette-compress br 4", "brotli-asgi 4"), 0.3),
            ("ours gzip 6, zlib", ("starlette gzip 6",), 1),
        )
    ),
    WaitTarget((SCRAPED, "MetricsEndpoint"), ((ALONE, "MetricsEndpoint"),), 1.2),
)
SCRAPE_AT_MOST = 0.15
"""The largest allowed ratio of a rendering to ``generate_latest``."""

_RATE, _SLOWEST = "requests_a_second", "p99_us"
LOAD_TARGETS = (
    LoadTarget(ENCODED, "best peers", _RATE, at_least=4),
    LoadTarget(ENCODED, "popular peers", _RATE, at_least=6.5),
    LoadTarget(JSON, "bare app", _RATE, at_least=0.65),
    *(
        LoadTarget(load, peer, _SLOWEST, at_most=1)
        for load in (JSON, ENCODED)
        for peer in ("best peers", "popular peers")
    ),
)


@dataclass(frozen=True)
class Outcome:
    """A target and what came of it: the ratio in time, and in instructions where they were counted."""

    target: Target
    time: float
    instructions: float | None

    @property
    def held(self) -> bool:
        """Whether it holds, by time: instructions do not show what memory and the kernel cost."""
        return self.time <= self.target.at_most


def outcomes(result: Result) -> Iterator[Outcome]:
    """Give every target that the run has measured."""
    costs = {record.key: record for record in result.costs}
    for target in TARGETS:
        ours = costs.get((target.concern, target.scenario, OURS))
        peer = costs.get((target.concern, target.scenario, target.peer))
        if ours and peer:
            if target.whole:
                ours, peer = _whole(ours), _whole(peer)
            yield Outcome(target, ours.added_ns / peer.added_ns, instruction_ratio(ours, peer))


def load_outcomes(result: Result) -> Iterator[tuple[str, LoadTarget, float]]:
    """Give every target about a server under load that the run has measured: the server, the target, and the ratio."""
    by_name: dict[tuple[str, str, str], LoadRecord] = {(one.server, one.load, one.stack): one for one in result.loads}
    for server in dict.fromkeys(one.server for one in result.loads):
        for target in LOAD_TARGETS:
            ours = by_name.get((server, target.load, OURS))
            peer = by_name.get((server, target.load, target.peer))
            if ours and peer:
                yield server, target, getattr(ours, target.figure) / getattr(peer, target.figure)


def wait_outcomes(result: Result) -> Iterator[tuple[WaitTarget, str, float]]:
    """Give every target about waiting that was measured: the target, who is the best of the others, and the ratio."""
    slowest = {(record.during, record.subject): record.p99_ms for record in result.waits}
    for target in WAIT_TARGETS:
        others = [(slowest[key], key) for key in target.beside if key in slowest]
        if target.during in slowest and others:
            least, (during, subject) = min(others)
            yield target, during if subject == target.during[1] else subject, slowest[target.during] / least


def _whole(record: CostRecord) -> CostRecord:
    bare, added = record.bare_instructions, record.instructions
    instructions = None if bare is None or added is None else bare + added
    return replace(record, added_ns=record.bare_ns + record.added_ns, instructions=instructions)


def instruction_ratio(ours: CostRecord, peer: CostRecord) -> float | None:
    """Give our instructions over the peer's, where both were counted."""
    return ours.instructions / peer.instructions if ours.instructions and peer.instructions else None
