"""What we hold ourselves to: our added cost as a share of a peer's, in one run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.compare import OURS
from benchmarks.result import CostRecord, Result


@dataclass(frozen=True)
class Target:
    """One promise.

    Attributes:
        concern: The row's concern.
        scenario: The row's scenario.
        peer: Beside whom.
        at_most: The largest allowed ratio of our added cost to the peer's.
    """

    concern: str
    scenario: str
    peer: str
    at_most: float


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
    Target("metrics", "GET, Starlette route", "prometheus_fastapi_instrumentator", 0.12),
    Target("metrics", "GET, Starlette route", "starlette_exporter", 0.05),
    Target("JWT", "GET, 2 KB JSON, HS256", _JWT, 0.35),
    Target("JWT", "GET, 2 KB JSON, RS256", _JWT, 0.6),
    Target("JWT, cached", "GET, 2 KB JSON, HS256", _JWT, 0.08),
    Target("body limit", "GET, 2 KB JSON", _STARLETTE, 0.2),
    Target("body limit", "POST, 2 KB", _STARLETTE, 0.35),
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
    Target("six idle classes", "WebSocket, 10 echoes", "6 pass-through wrappers", 1.5),
    Target("whole stack", "GET, whole stack, HS256", "best peers", 0.12),
    Target("whole stack", "GET, whole stack, HS256", "a send wrapper", 12),
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
            yield Outcome(target, ours.added_ns / peer.added_ns, instruction_ratio(ours, peer))


def instruction_ratio(ours: CostRecord, peer: CostRecord) -> float | None:
    """Give our instructions over the peer's, where both were counted."""
    return ours.instructions / peer.instructions if ours.instructions and peer.instructions else None
