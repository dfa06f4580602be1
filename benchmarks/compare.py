"""``python -m benchmarks.compare BEFORE.json AFTER.json``: two runs side by side.

Exits with status 1 where one of our own rows takes over 15 % more instructions than before. Instructions alone decide:
they do not depend on what else the machine does.
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
    """Print the table; 1 where a row of ours is worse."""
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
    return int(worse > 0)


def pairs(before: Result, after: Result) -> Iterator[tuple[CostRecord, float]]:
    """Give our rows that both runs have, each with its instructions afterwards."""
    now = {record.key: record.instructions for record in after.costs}
    for record in before.costs:
        counted = now.get(record.key)
        if record.subject == OURS and record.instructions and counted:
            yield record, counted


if __name__ == "__main__":
    sys.exit(main())
