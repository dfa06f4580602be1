"""Write docs/compatibility.md from a complete run: ``python tests/servers/matrix/table.py RESULTS [PAGE]``.

`RESULTS` is the file that ``ASGI_MIDDLEWARE_SERVER_RESULTS`` named while the tests ran. Nothing is written unless it
holds every case of every server, each as expected.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TypeAlias

FOLDER = Path(__file__).parents[1]
for folder in (FOLDER, FOLDER.parent / "support"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from matrix.expected import ROWS, SECTIONS, Row  # noqa: E402 -- found by the lines above
from matrix.variants import VARIANTS, Variant  # noqa: E402 -- the same

PAGE = FOLDER.parents[1] / "docs" / "compatibility.md"
FIRST_SECTION = f"## {next(iter(SECTIONS))}"
INTRODUCTION = """\
# Compatibility

The whole stack around a bare app, on real servers, called by real clients and raw sockets. `tox run -e servers` runs it
all and writes this page.

- **yes**: what came back is what stands under "expected".
- **a number**: something else came back, for the reason in that note. All of these are the server's own ways.
- **-**: there is nothing to run. HTTP/1.0, `Expect` and the raw uploads are of HTTP/1 alone, and no Python client
  starts a WebSocket from HTTP/2 (RFC 8441).

"Logged as" is the `outcome` in `LoggingMiddleware`'s line.
"""

# Number by outcome and reason.
_Notes: TypeAlias = dict[tuple[str, str], int]


class IncompleteError(Exception):
    """A run that says too little, or something else than the table."""


def columns() -> dict[str, list[Variant]]:
    """Group the variants: one column for each server and protocol."""
    found: dict[str, list[Variant]] = {}
    for variant in VARIANTS:
        found.setdefault(f"{variant.server}{' HTTP/2' * variant.http2}", []).append(variant)
    return found


def render_rows() -> str:
    """Give the tables and notes, which depend on the table of expectations alone."""
    heads = columns()
    notes: _Notes = {}
    parts = []
    for title, rows in SECTIONS.items():
        lines = [
            f"## {title}",
            "",
            f"| case | expected | {' | '.join(heads)} |",
            f"|---|---|{'---|' * len(heads)}",
            *(_line(row, list(heads.values()), notes) for row in rows),
            "",
        ]
        parts.append("\n".join(lines))
    told = [f"{number}. {reason} What came back: `{outcome}`." for (outcome, reason), number in notes.items()]
    return "\n".join([*parts, "## Notes", "", *told]) + "\n"


def _line(row: Row, heads: list[list[Variant]], notes: _Notes) -> str:
    cells = [_cell(row, variants, notes) for variants in heads]
    return f"| {row.title} | `{row.outcome}` | {' | '.join(cells)} |"


def _cell(row: Row, variants: list[Variant], notes: _Notes) -> str:
    """Say in one word how the variants of a column do."""
    marks = []
    for variant in variants:
        _, unlike = row.expected(variant)
        if unlike is None:
            mark = "yes"
        elif unlike.outcome is None:
            mark = "-"
        else:
            mark = str(notes.setdefault((unlike.outcome, unlike.reason), len(notes) + 1))
        if mark not in marks:
            marks.append(mark)
    return ", ".join(marks)


def rows_of(page: str) -> str:
    """Give the part of a page that `render_rows` makes."""
    return page[page.index(FIRST_SECTION) :]


def render_versions(results: list[dict]) -> str:
    """Give the table of what ran."""
    versions = {entry["variant"]: entry["versions"] for entry in results}
    lines = ["## What ran", "", "| server | run with | versions |", "|---|---|---|"]
    for variant in VARIANTS:
        told = ", ".join(f"{name} {version}" for name, version in versions[variant.name].items())
        lines.append(f"| {variant.server} | {variant.title} | {told} |")
    return "\n".join([*lines, ""])


def check(results: list[dict]) -> None:
    """Make sure that every case of every server has run and given what is expected.

    Raises:
        IncompleteError: It is not so.
    """
    observed = {(entry["variant"], entry["row"]): entry["observed"] for entry in results}
    for variant in VARIANTS:
        for row in ROWS:
            expected, _ = row.expected(variant)
            if expected is not None and observed.get((variant.name, row.name)) != expected:
                raise IncompleteError(f"{variant.name}, {row.name}: {observed.get((variant.name, row.name))}")


def main() -> int:
    """Write the page, or say what is missing."""
    source, *rest = sys.argv[1:]
    results = [json.loads(line) for line in Path(source).read_text(encoding="utf-8").splitlines()]
    try:
        check(results)
    except IncompleteError as error:
        print(f"not a complete run, the page stays as it is: {error}")
        return 0
    page = "\n".join([INTRODUCTION, render_versions(results), render_rows()])
    (Path(rest[0]) if rest else PAGE).write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
