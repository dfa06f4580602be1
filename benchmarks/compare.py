"""``python -m benchmarks.compare BEFORE.json AFTER.json``: two runs side by side.

First our own rows by their instructions, which do not depend on what else the machine does: exits with status 1 where
one takes over 15 % more than before. Then how far the two runs agree on our ratios to the others.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.result import CostRecord, Result

OURS: Final = "asgi-middleware"
WORSE: Final = 1.15


def main() -> int:
    """Print the tables; 1 where a row of ours is worse."""
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    before, after = (Result.read(Path(name)) for name in sys.argv[1:])
    print("| concern | scenario | instructions before | after | after / before |")
    print("|---|---|---|---|---|")
    worse = 0
    for old, new in pairs(before, after):
        ratio = new / old.instructions if old.instructions else 1.0
        worse += ratio > WORSE
        mark = " (worse)" if ratio > WORSE else ""
        print(f"| {old.concern} | {old.scenario} | {old.instructions:,.0f} | {new:,.0f} | {ratio:.2f}{mark} |")
    print("", *agreement(before, after), sep="\n")
    return int(worse > 0)


def pairs(before: Result, after: Result) -> Iterator[tuple[CostRecord, float]]:
    """Give our rows that both runs have, each with its instructions afterwards."""
    now = {record.key: record.instructions for record in after.costs}
    for record in before.costs:
        counted = now.get(record.key)
        if record.subject == OURS and record.instructions and counted:
            yield record, counted


def agreement(before: Result, after: Result) -> Iterator[str]:
    """Give, for each figure, how many of our ratios to the others two runs agree on, and each one that they do not."""
    now = dict(ratios(after))
    for figure, then in ratios(before):
        shared = [(what, ratio, now[figure][what]) for what, ratio in then.items() if what in now.get(figure, {})]
        apart = [(what, old, new) for what, old, new in shared if not 1 / WORSE <= new / old <= WORSE]
        yield f"Ratios of {figure}: {len(shared) - len(apart)} of {len(shared)} agree within 15 %."
        for what, old, new in apart:
            yield f"- {what}: {old:.2f}, then {new:.2f}"


def ratios(result: Result) -> Iterator[tuple[str, dict[str, float]]]:
    """Give our ratio to each other subject, by figure."""
    costs = {record.key: record for record in result.costs}
    beside = [
        (" / ".join(key), costs[*key[:2], OURS], record)
        for key, record in costs.items()
        if record.subject != OURS and (*key[:2], OURS) in costs
    ]
    yield "added time", {what: ours.added_ns / other.added_ns for what, ours, other in beside}
    yield (
        "added instructions",
        {
            what: ours.instructions / other.instructions
            for what, ours, other in beside
            if ours.instructions and other.instructions
        },
    )
    loads = {(load.server, load.load, load.stack): load for load in result.loads}
    against = [
        (" / ".join(key), loads[*key[:2], OURS], load)
        for key, load in loads.items()
        if load.stack != OURS and (*key[:2], OURS) in loads
    ]
    yield (
        "requests a second",
        {what: ours.requests_a_second / other.requests_a_second for what, ours, other in against},
    )
    yield "median latency", {what: ours.p50_us / other.p50_us for what, ours, other in against}
    yield "99th percentile", {what: ours.p99_us / other.p99_us for what, ours, other in against}


if __name__ == "__main__":
    sys.exit(main())
