"""The result of one run: plain records, written as JSON, so that two runs can be laid side by side."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Self

PACKAGES = (
    "asgi-middleware",
    "asgi-correlation-id",
    "asgi-cors",
    "asgi-logger",
    "asgi-request-id",
    "brotli",
    "brotli-asgi",
    "content-size-limit-asgi",
    "granian",
    "isal",
    "orjson",
    "prometheus-client",
    "prometheus-fastapi-instrumentator",
    "PyJWT",
    "starlette",
    "starlette-compress",
    "starlette-context",
    "starlette-exporter",
    "structlog",
    "uvicorn",
    "uvloop",
    "zstd-asgi",
)


@dataclass(frozen=True)
class CostRecord:
    """What one subject adds to a request of one scenario, and what the bare app takes by itself.

    Attributes:
        sent: How many messages the app sends.
    """

    concern: str
    scenario: str
    subject: str
    added_ns: float
    spread_ns: float
    instructions: float | None
    bare_ns: float = 0.0
    bare_instructions: float | None = None
    sent: int = 2

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same row in another run."""
        return self.concern, self.scenario, self.subject


@dataclass(frozen=True)
class CurveRecord:
    """One cost against one size: points of (size, nanoseconds, instructions)."""

    name: str
    size: str
    shape: str
    points: list[tuple[int, float, float | None]]
    miss: str


@dataclass(frozen=True)
class LoadRecord:
    """What one server did with one stack."""

    server: str
    load: str
    stack: str
    requests_a_second: float
    cpu_us: float
    p50_us: float
    p99_us: float
    memory_mib: float


@dataclass(frozen=True)
class WaitRecord:
    """How long small requests waited on a server that had something large to do, in milliseconds.

    Attributes:
        during: What it had to do.
        subject: Who did it.
    """

    during: str
    subject: str
    p50_ms: float
    p99_ms: float

    @property
    def line(self) -> str:
        """Its line in a table under `WAITS_HEAD`."""
        return f"| {self.during} | {self.subject} | {self.p50_ms:.1f} | {self.p99_ms:.1f} |"


WAITS_HEAD = "| while the server does | by | p50 ms | p99 ms |\n|---|---|---|---|"


@dataclass(frozen=True)
class ScrapeRecord:
    """What rendering all series took of the processor, in milliseconds, beside ``generate_latest``."""

    format: str
    label_sets: int
    ours_ms: float
    generate_latest_ms: float

    @property
    def ratio(self) -> float:
        """Ours to the other's."""
        return self.ours_ms / self.generate_latest_ms

    @property
    def line(self) -> str:
        """Its line in a table under `SCRAPES_HEAD`."""
        figures = f"{self.generate_latest_ms:.1f} | {self.ours_ms:.2f} | {self.ratio:.3f}"
        return f"| {self.format} | {self.label_sets} | {figures} |"


SCRAPES_HEAD = "| format | label sets | generate_latest ms | ours ms | ratio |\n|---|---|---|---|---|"


@dataclass
class Result:
    """One run."""

    date: str = ""
    python: str = ""
    machine: str = ""
    quick: bool = False
    versions: dict[str, str] = field(default_factory=dict)
    costs: list[CostRecord] = field(default_factory=list)
    curves: list[CurveRecord] = field(default_factory=list)
    loads: list[LoadRecord] = field(default_factory=list)
    waits: list[WaitRecord] = field(default_factory=list)
    scrapes: list[ScrapeRecord] = field(default_factory=list)

    @classmethod
    def begin(cls, *, quick: bool) -> Self:
        """Start the record of a run on this machine, now."""
        installed = {found.name.lower(): found.version for found in distributions()}
        versions = {name: installed[name.lower()] for name in PACKAGES if name.lower() in installed}
        return cls(
            datetime.now(UTC).date().isoformat(),
            platform.python_version(),
            f"{platform.system()}, {platform.machine()}",
            quick,
            versions,
        )

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote."""
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found["costs"] = [CostRecord(**record) for record in found["costs"]]
        for record in found["curves"]:
            record["points"] = [tuple(point) for point in record["points"]]
        found["curves"] = [CurveRecord(**record) for record in found["curves"]]
        found["loads"] = [LoadRecord(**record) for record in found["loads"]]
        found["waits"] = [WaitRecord(**record) for record in found.get("waits", ())]
        found["scrapes"] = [ScrapeRecord(**record) for record in found.get("scrapes", ())]
        return cls(**found)
