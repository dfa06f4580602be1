"""The benchmarks run and give tables; what they measure is nobody's business here."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.__main__ import with_shared_floors
from benchmarks.compare import agreement, pairs
from benchmarks.growth import Curve, misses
from benchmarks.measure import Cost
from benchmarks.report import BEGIN, END, costs_lines, plots, wait_targets_table, write_into
from benchmarks.result import CostRecord, CurveRecord, LoadRecord, Result, ScrapeRecord, WaitRecord
from benchmarks.shapes import NOTHING, SEND_ONLY
from benchmarks.targets import TARGETS, WAIT_TARGETS, outcomes

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)


def record(subject: str, added_ns: float, instructions: float | None = None) -> CostRecord:
    target = TARGETS[0]
    return CostRecord(target.concern, target.scenario, subject, added_ns, 1.0, instructions)


OURS = record("asgi-middleware", 500, 4000)
PEER = record("starlette", 2000, 20_000)
RESULT = Result(
    "2026-01-01",
    "3.13.0",
    "Linux",
    costs=[OURS, PEER],
    curves=[CurveRecord("CORS", "origins", "flat", [(1, 10.0, 100.0), (9, 11.0, None)], "")],
    loads=[LoadRecord("uvicorn", "2 KB JSON", "bare app", 30_000, 25, 400, 900, 30)],
    waits=[WaitRecord("5 MB of JSON, whole", "ours zstd 3", 1.0, 3.0)],
    scrapes=[ScrapeRecord("text 0.0.4", 500, 2.0, 60.0)],
)


def test_one_concern() -> None:
    """Ours, its peers and the floors stand in one table, with ratios."""
    done = run("benchmarks", "--quick", "--only", "body limit")
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("| body limit | POST, 2 KB")]
    by_name = {row[2].strip().strip("*"): row for row in rows}
    assert {"asgi-middleware", "starlette", "a pass-through wrapper", "a send wrapper"} <= set(by_name)
    assert all(float(row[3]) for row in by_name.values())


def test_the_small_choices() -> None:
    """The rows that comments rest on are measured, and stand in the documentation's table."""
    done = run("benchmarks.blocks")
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines()[2:]]
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert rows
    for what, one, _, other, *_ in rows:
        assert f"|{what}|{one}|" in page
        assert f"|{other}|" in page


class TestResults:
    """A run is kept, shown and compared."""

    def test_kept(self, tmp_path: Path) -> None:
        """What was written is what is read."""
        RESULT.write(tmp_path / "run.json")
        assert Result.read(tmp_path / "run.json") == RESULT

    def test_shown(self, tmp_path: Path) -> None:
        """The page gets the tables between its marks, and keeps the rest; the plots stand beside it."""
        page = tmp_path / "page.md"
        page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
        write_into(page, RESULT)
        text = page.read_text(encoding="utf-8")
        assert text.startswith("before\n")
        assert text.endswith("\nafter\n")
        assert "\nold\n" not in text
        assert "| uvicorn | 2 KB JSON | bare app | 30,000 | 1.00 |" in text

    @pytest.mark.may_skip
    def test_drawn(self, tmp_path: Path) -> None:
        """The plots are SVG files, the same for the same run."""
        pytest.importorskip("matplotlib", reason="only the environment `bench` draws")
        for folder in ("one", "two"):
            plots(RESULT, tmp_path / folder)
        for name in ("costs.svg", "growth.svg"):
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()

    def test_a_faster_peer_is_marked(self) -> None:
        """A peer that is ahead of us stands out."""
        ahead, behind = (list(costs_lines([OURS, replace(PEER, instructions=n)]))[1] for n in (3000, 20_000))
        assert "| **starlette** |" in ahead
        assert "| starlette |" in behind

    @pytest.mark.parametrize(("added_ns", "held"), [(500, True), (700, False)])
    def test_targets(self, added_ns: float, *, held: bool) -> None:
        """A target is judged by time."""
        (outcome,) = outcomes(replace(RESULT, costs=[replace(OURS, added_ns=added_ns), PEER]))
        assert outcome.held is held

    @pytest.mark.parametrize(("instructions", "status"), [(4000, 0), (4500, 0), (4700, 1)])
    def test_compared(self, tmp_path: Path, instructions: float, status: int) -> None:
        """A row of ours that got over 15 % dearer fails the comparison."""
        after = replace(RESULT, costs=[replace(OURS, instructions=instructions), PEER])
        RESULT.write(tmp_path / "before.json")
        after.write(tmp_path / "after.json")
        done = run("benchmarks.compare", str(tmp_path / "before.json"), str(tmp_path / "after.json"))
        assert done.returncode == status, done.stderr
        assert len(list(pairs(RESULT, after))) == 1

    def test_repeated(self) -> None:
        """Two runs of the same say which ratios they do not agree on."""
        again = replace(RESULT, costs=[replace(OURS, added_ns=600), PEER])
        told = list(agreement(RESULT, again))
        assert "Ratios of added time: 0 of 1 agree within 15 %." in told
        assert any(line.endswith("starlette: 0.25, then 0.30") for line in told)
        assert "Ratios of added instructions: 1 of 1 agree within 15 %." in told

    @pytest.mark.parametrize(("p99_ms", "ratio", "held"), [(2.0, "0.20", "yes"), (4.0, "0.40", "**no**")])
    def test_waiting(self, p99_ms: float, ratio: str, held: str) -> None:
        """What small requests wait for is held against the best of the others."""
        target = WAIT_TARGETS[1]
        others = [WaitRecord(*key, 1.0, 10.0 + place) for place, key in enumerate(target.beside)]
        told = list(wait_targets_table(replace(RESULT, waits=[WaitRecord(*target.during, 1.0, p99_ms), *others])))
        assert told[2:] == [f"| {' | '.join(target.during)} | {target.beside[0][1]} | 0.3 | {ratio} | {held} |"]

    def test_floors_are_shared(self) -> None:
        """A bare shape has one time, found in all rows where it does the same; a peer has that of its own row."""
        rows = [
            *(record(NOTHING, added_ns) for added_ns in (140, 160, 900)),
            *(replace(record(SEND_ONLY, added_ns), sent=sent) for added_ns, sent in ((300, 2), (340, 2), (1400, 21))),
            PEER,
        ]
        assert [row.added_ns for row in with_shared_floors(rows)] == [160, 160, 160, 320, 320, 1400, 2000]


@pytest.mark.parametrize(
    ("shape", "amounts", "kept"),
    [
        ("flat", [100, 120, 140], True),
        ("flat", [100, 120, 160], False),
        ("linear", [100, 200, 300], True),
        ("linear", [100, 280, 300], False),
    ],
)
def test_growth(shape: str, amounts: list[int], *, kept: bool) -> None:
    """A curve that is not as flat or as straight as it promises says so."""
    curve = Curve("a cost", "a size", (1, 2, 3), shape, lambda size: (size, size))  # type: ignore[arg-type,return-value]
    points = [(size, Cost(1.0, 0.1, amount)) for size, amount in zip((1, 2, 3), amounts, strict=True)]
    assert (misses(curve, points) == "") is kept
