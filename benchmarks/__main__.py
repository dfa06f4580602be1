"""``python -m benchmarks``: what each class adds to a request, beside its peers, as tables, plots and a result file."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

from benchmarks import stacks
from benchmarks.compare import OURS
from benchmarks.growth import curves, misses
from benchmarks.measure import measure
from benchmarks.report import (
    COSTS_HEAD,
    costs_lines,
    curves_table,
    load_targets_table,
    loads_table,
    plots,
    scrapes_table,
    targets_table,
    wait_targets_table,
    write_into,
)
from benchmarks.result import WAITS_HEAD, CostRecord, CurveRecord, LoadRecord, Result, WaitRecord
from benchmarks.scenarios import App, Echo
from benchmarks.scrape import scraped, scrapes
from benchmarks.shapes import NOTHING, SEND_ONLY, SHAPES, pass_through, wrap_send
from benchmarks.sockets import LOADS, SERVERS, over_sockets
from benchmarks.stall import stalls
from benchmarks.subjects import Row, rows

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Measure, print the tables, and write what was asked for."""
    arguments = _arguments()
    quick: bool = arguments.quick
    wanted: str = arguments.only.lower()
    result = Result.begin(quick=quick)
    print(f"CPython {result.python}, {result.machine}. Added to the bare app, and ours as a ratio to each.\n")
    print(COSTS_HEAD)
    for row in [*rows(), *stacks.rows()]:
        if wanted in row.concern.lower():
            measured = costs(row, quick=quick)
            result.costs += measured
            print(*costs_lines(measured), sep="\n", flush=True)
    result.costs = with_shared_floors(result.costs)
    print("", *targets_table(result), sep="\n", flush=True)
    if not wanted:
        result.curves += growth(quick=quick)
        print("", *curves_table(result.curves), sep="\n", flush=True)
    if not wanted and not arguments.no_sockets:
        result.loads += loads(quick=quick)
        print("", *loads_table(result.loads), "", *load_targets_table(result), sep="\n", flush=True)
        result.waits += waits(quick=quick)
        result.scrapes += scrapes()
        print("", WAITS_HEAD, *(record.line for record in result.waits), sep="\n")
        print("", *wait_targets_table(result), "", *scrapes_table(result), sep="\n", flush=True)
    if arguments.result:
        result.write(arguments.result)
    if arguments.document:
        write_into(arguments.document, result)
        plots(result, arguments.document.parent / "benchmarks")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look, not a figure to quote")
    parser.add_argument("--only", default="", metavar="TEXT", help="only the concerns whose name contains TEXT")
    parser.add_argument("--no-sockets", action="store_true", help="leave out all that needs servers")
    parser.add_argument("--result", type=Path, metavar="FILE", help="write the result file (JSON)")
    parser.add_argument("--document", type=Path, metavar="FILE", help="renew the results in this page, plots beside it")
    return parser.parse_args()


def costs(row: Row, *, quick: bool) -> list[CostRecord]:
    """Measure one row."""
    rounds, requests = (7, 300) if quick else (31, 1000)
    if isinstance(row.scenario, Echo):
        requests = max(2, requests * 10 // row.scenario.messages)
    measured = measure(row.scenario, dict(wrapped(row)), rounds=rounds, requests=requests)
    return [
        CostRecord(row.concern, row.scenario.name, name, **asdict(cost), sent=row.scenario.sent)
        for name, cost in measured.items()
    ]


def with_shared_floors(records: list[CostRecord]) -> list[CostRecord]:
    """Give each bare shape the same time in all rows where it does the same: the median of theirs.

    A few tenths of a microsecond, found as a difference, are uncertain by half in one row, and quite in one of thousand
    messages; not so in sixty rows. A wrapper that does nothing does the same everywhere; others do what the app sends.
    """

    def kind(record: CostRecord) -> tuple[str, int]:
        return record.subject, 0 if record.subject == NOTHING else record.sent

    times: dict[tuple[str, int], list[float]] = {}
    for record in records:
        times.setdefault(kind(record), []).append(record.added_ns)
    return [
        replace(record, added_ns=median(times[kind(record)])) if record.subject in SHAPES else record
        for record in records
    ]


def wrapped(row: Row) -> Iterator[tuple[str, App]]:
    """Give each subject of a row around the row's app; a peer that is not installed is named on standard error."""
    app = row.scenario.app()
    yield OURS, row.ours.wrap(app)
    for peer in row.peers:
        try:
            yield peer.name, peer.wrap(app)
        except ImportError as error:
            print(f"left out: {peer.name} ({error})", file=sys.stderr)
    yield NOTHING, pass_through(app)
    yield SEND_ONLY, wrap_send(app)


def growth(*, quick: bool) -> Iterator[CurveRecord]:
    """Measure every curve."""
    for curve in curves():
        points = curve.measure(rounds=3 if quick else 7, requests=100 if quick else 300)
        flat = [(size, cost.added_ns, cost.instructions) for size, cost in points]
        yield CurveRecord(curve.name, curve.size, curve.shape, flat, misses(curve, points))


def loads(*, quick: bool) -> Iterator[LoadRecord]:
    """Put every stack under load on every server."""
    if shutil.which("wrk") is None:
        print("\nleft out: servers under load (wrk is not installed; see .ci/install-tools)", file=sys.stderr)
        return
    for server in SERVERS:
        for load in LOADS:
            found = over_sockets(server, load, rounds=1 if quick else 3, seconds=1 if quick else 2)
            for stack, seen in found.items():
                yield LoadRecord(server, load, stack, **asdict(seen))


def waits(*, quick: bool) -> Iterator[WaitRecord]:
    """Measure what small requests wait for on a server that has something large to do."""
    yield from stalls(rounds=1 if quick else 7, seconds=0.5 if quick else 2)
    yield from scraped(rounds=2 if quick else 10, seconds=0.5 if quick else 1)


if __name__ == "__main__":
    main()
