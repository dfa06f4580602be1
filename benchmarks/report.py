"""Tables and plots of one run."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from benchmarks.compare import OURS
from benchmarks.result import SCRAPES_HEAD, WAITS_HEAD, CostRecord, CurveRecord, LoadRecord, Result
from benchmarks.shapes import FLOORS
from benchmarks.targets import SCRAPE_AT_MOST, instruction_ratio, load_outcomes, outcomes, wait_outcomes

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
# Ahead of every peer is the aim: a ratio above this is marked.
_LEVEL: Final = 1.0
COSTS_HEAD: Final = (
    "| concern | scenario | subject | added us | spread us | ours / it | instructions | ours / it |\n"
    "|---|---|---|---|---|---|---|---|"
)


def page(result: Result) -> str:
    """Give the part of the documentation's page that a run writes."""
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    parts = [
        f"{result.date}; CPython {result.python}; {result.machine}. Versions: {versions}.",
        "## Targets\n\n" + "\n".join(targets_table(result)),
        "## Costs\n\n" + "\n".join([COSTS_HEAD, *costs_lines(result.costs)]),
        "## Growth\n\n" + "\n".join(curves_table(result.curves)),
    ]
    if result.loads:
        parts.append("## Over sockets\n\n" + "\n".join(loads_table(result.loads)))
        parts.append("\n".join(load_targets_table(result)))
    if result.waits:
        parts.append(
            "## What small requests wait for\n\n" + "\n".join([WAITS_HEAD, *(one.line for one in result.waits)])
        )
        parts.append("\n".join(wait_targets_table(result)))
    if result.scrapes:
        parts.append("## Scrapes\n\n" + "\n".join(scrapes_table(result)))
    return "\n\n".join(parts)


def write_into(document: Path, result: Result) -> None:
    """Replace the results between the two marks of `document`; write a page of its own where there is none."""
    text = document.read_text(encoding="utf-8") if document.exists() else f"# Benchmarks\n\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    document.write_text(f"{before}{BEGIN}\n\n{page(result)}\n\n{END}{after}", encoding="utf-8")


def targets_table(result: Result) -> Iterator[str]:
    """Give the targets, each with what was measured."""
    yield "| concern | scenario | beside | at most | time | instructions | holds |"
    yield "|---|---|---|---|---|---|---|"
    for outcome in outcomes(result):
        target = outcome.target
        counted = f"{outcome.instructions:.2f}" if outcome.instructions else ""
        holds = "yes" if outcome.held else "**no**"
        cells = target.concern, target.scenario, target.peer, target.at_most, f"{outcome.time:.2f}", counted, holds
        yield f"| {' | '.join(map(str, cells))} |"


def load_targets_table(result: Result) -> Iterator[str]:
    """Give the targets of the servers under load, each with what was measured."""
    yield "| server | load | ours to | figure | at least | at most | ratio | holds |"
    yield "|---|---|---|---|---|---|---|---|"
    for server, target, ratio in load_outcomes(result):
        figure = {"requests_a_second": "a second", "p99_us": "p99"}[target.figure]
        bounds = ("" if bound is None else f"{bound:g}" for bound in (target.at_least, target.at_most))
        cells = server, target.load, target.peer, figure, *bounds, f"{ratio:.2f}"
        yield f"| {' | '.join(cells)} | {'yes' if target.held_by(ratio) else '**no**'} |"


def wait_targets_table(result: Result) -> Iterator[str]:
    """Give the targets of waiting, each with what was measured."""
    yield "| while the server does | ours | beside | p99 at most | ratio | holds |"
    yield "|---|---|---|---|---|---|"
    for target, beside, ratio in wait_outcomes(result):
        held = "yes" if round(ratio, 2) <= target.at_most else "**no**"
        yield f"| {' | '.join(target.during)} | {beside} | {target.at_most:g} | {ratio:.2f} | {held} |"


def scrapes_table(result: Result) -> Iterator[str]:
    """Give what renderings took, and whether the target is kept."""
    yield SCRAPES_HEAD
    for record in result.scrapes:
        yield record.line
    holds = "It holds." if all(one.ratio <= SCRAPE_AT_MOST for one in result.scrapes) else "**It does not hold.**"
    yield f"\nThe target is a ratio of {SCRAPE_AT_MOST} at most. {holds}"


def costs_lines(costs: list[CostRecord]) -> Iterator[str]:
    """Give the lines of every row; a peer that is ahead of us is in bold."""
    for _, records in groupby(costs, key=lambda record: record.key[:2]):
        subjects = list(records)
        ours = next(record for record in subjects if record.subject == OURS)
        for record in subjects:
            yield _line(record, ours)


def _line(record: CostRecord, ours: CostRecord) -> str:
    in_time = ours.added_ns / record.added_ns if record is not ours else None
    counted = instruction_ratio(ours, record) if record is not ours else None
    behind = record.subject not in FLOORS and (counted or in_time or 0) > _LEVEL
    cells = (
        record.concern,
        record.scenario,
        f"**{record.subject}**" if behind else record.subject,
        f"{record.added_ns / 1000:.2f}",
        f"{record.spread_ns / 1000:.2f}",
        _ratio(in_time),
        f"{record.instructions:,.0f}" if record.instructions else "",
        _ratio(counted),
    )
    return f"| {' | '.join(cells)} |"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def curves_table(curves: list[CurveRecord]) -> Iterator[str]:
    """Give the curves: their ends, what they promise, and whether they keep it."""
    yield "| cost | against | from | to | instructions from | to | promised | kept |"
    yield "|---|---|---|---|---|---|---|---|"
    for curve in curves:
        (first, least_ns, least), *_, (last, most_ns, most) = curve.points
        low, high = (least or least_ns), (most or most_ns)
        kept = f"**no**: {curve.miss}" if curve.miss else "yes"
        cells = curve.name, curve.size, f"{first:,}", f"{last:,}", f"{low:,.0f}", f"{high:,.0f}", curve.shape, kept
        yield f"| {' | '.join(cells)} |"


def loads_table(loads: list[LoadRecord]) -> Iterator[str]:
    """Give what the servers did under load."""
    yield "| server | load | stack | a second | of the bare app | server CPU us | p50 us | p99 us | MiB |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for _, records in groupby(loads, key=lambda load: (load.server, load.load)):
        stacks = list(records)
        for load in stacks:
            share = load.requests_a_second / stacks[0].requests_a_second
            cells = (
                load.server,
                load.load,
                load.stack,
                f"{load.requests_a_second:,.0f}",
                f"{share:.2f}",
                f"{load.cpu_us:.1f}",
                f"{load.p50_us:,.0f}",
                f"{load.p99_us:,.0f}",
                f"{load.memory_mib:.0f}",
            )
            yield f"| {' | '.join(cells)} |"


def plots(result: Result, folder: Path) -> None:
    """Draw the costs and the curves as SVG files in `folder`."""
    import matplotlib as mpl  # noqa: PLC0415 -- drawing alone needs it

    mpl.use("svg")
    # The same run gives the same file.
    mpl.rcParams["svg.hashsalt"] = "asgi-middleware"
    folder.mkdir(parents=True, exist_ok=True)
    _draw_costs(result.costs, folder / "costs.svg")
    _draw_curves(result.curves, folder / "growth.svg")


def _draw_costs(costs: list[CostRecord], path: Path) -> None:
    from matplotlib import pyplot as plt  # noqa: PLC0415

    labels, shares, colours = [], [], []
    for (concern, scenario), records in groupby(costs, key=lambda record: record.key[:2]):
        subjects = {record.subject: record for record in records}
        ours = subjects.pop(OURS)
        for name, record in subjects.items():
            if name not in FLOORS:
                share = instruction_ratio(ours, record) or ours.added_ns / record.added_ns
                labels.append(f"{concern}: {scenario} / {name}")
                shares.append(share)
                colours.append("#2a7f62" if share <= _LEVEL else "#b23a48")
    figure, axes = plt.subplots(figsize=(10, 0.24 * len(labels) + 1))
    axes.barh(labels, shares, color=colours)
    axes.axvline(_LEVEL, color="black", linewidth=0.8)
    axes.invert_yaxis()
    axes.set_xlabel("our added cost / the peer's")
    axes.tick_params(labelsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _draw_curves(curves: list[CurveRecord], path: Path) -> None:
    from matplotlib import pyplot as plt  # noqa: PLC0415

    columns = 3
    rows = -(-len(curves) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(12, 2.6 * rows), squeeze=False)
    for axes in grid.flat[len(curves) :]:
        axes.set_visible(False)
    for axes, curve in zip(grid.flat, curves, strict=False):
        sizes = [point[0] for point in curve.points]
        axes.plot(sizes, [point[2] or point[1] for point in curve.points], marker="o", color="#2a7f62")
        axes.set_ylim(bottom=0)
        if sizes[-1] > 50 * sizes[0]:
            axes.set_xscale("log")
        axes.set_title(f"{curve.name}: {curve.size} ({curve.shape})", fontsize=9)
        axes.tick_params(labelsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
