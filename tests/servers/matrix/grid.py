"""From the table to tests: the cases of one server, and what is written down about each run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from matrix.expected import ROWS, Row
from matrix.probing import Probe
from matrix.variants import SELECTED

RESULTS = os.environ.get("ASGI_MIDDLEWARE_SERVER_RESULTS")


def cases_of(server: str) -> list:
    """Give the parameters `variant`, `row` and `outcome` of all that is run on one server."""
    return [
        pytest.param(variant, row, outcome, id=f"{variant.name}-{row.name}")
        for variant in SELECTED
        for row in ROWS
        if variant.server == server and (outcome := row.expected(variant)[0]) is not None
    ]


def observe(probe: Probe, row: Row) -> str:
    """Run one case, note what it gave, and give it."""
    observed = row.case(probe)
    if RESULTS:
        variant = probe.variant
        entry = {"variant": variant.name, "row": row.name, "observed": observed, "versions": variant.versions()}
        # One write per line, so that several workers may share the file.
        with Path(RESULTS).open("a", encoding="utf-8") as results:
            results.write(json.dumps(entry) + "\n")
    return observed
