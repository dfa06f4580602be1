"""``python -m benchmarks``: what each class adds to a request, beside its peers, as a table."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Iterator

from benchmarks.measure import Cost, measure
from benchmarks.scenarios import App
from benchmarks.shapes import NOTHING, SEND_ONLY, pass_through, wrap_send
from benchmarks.subjects import Row, rows

OURS = "asgi-middleware"


def main() -> None:
    """Measure every row and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look, not a figure to quote")
    parser.add_argument("--only", default="", metavar="TEXT", help="only the concerns whose name contains TEXT")
    arguments = parser.parse_args()
    rounds, requests = (7, 300) if arguments.quick else (31, 1000)
    print(f"CPython {platform.python_version()}, {platform.machine()}; {rounds} rounds of {requests} requests")
    print("Added to the bare app in microseconds of CPU, and ours as a ratio to each.\n")
    print("| concern | scenario | subject | added us | spread us | ours / it | instructions | ours / it |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows():
        if arguments.only.lower() in row.concern.lower():
            for line in table(row, measure(row.scenario, dict(wrapped(row)), rounds=rounds, requests=requests)):
                print(line, flush=True)


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


def table(row: Row, costs: dict[str, Cost]) -> Iterator[str]:
    """Give the lines of one row."""
    ours = costs[OURS]
    for name, cost in costs.items():
        ratio = "" if name == OURS else f"{ours.added_ns / cost.added_ns:.2f}"
        added, spread = cost.added_ns / 1000, cost.spread_ns / 1000
        counted = fewer = ""
        if cost.instructions and ours.instructions:
            counted = f"{cost.instructions:,.0f}"
            fewer = "" if name == OURS else f"{ours.instructions / cost.instructions:.2f}"
        cells = row.concern, row.scenario.name, name, f"{added:.2f}", f"{spread:.2f}", ratio, counted, fewer
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
