"""The table covers every framework and case, each in some environment; and the stacks stand in the right order."""

import re
from contextlib import nullcontext
from pathlib import Path

import pytest
from expectations import CASES, TABLE, WAYS, Cell, expected
from harness import IN_EVERY_ENVIRONMENT, THIRD_PARTIES, VARIABLE, frameworks, serving

from asgi_middleware import OrderWarning, check_order

TOX = (Path(__file__).parents[2] / "tox.ini").read_text(encoding="utf-8")


def test_every_case_has_a_row() -> None:
    """The table has a row for every case, and a row's columns are frameworks, with one of their ways at most."""
    assert set(TABLE) == set(CASES)
    columns = {"", *WAYS, *(f"{framework} {way}" for framework, ways in WAYS.items() for way in ways)}
    assert [column for row in TABLE.values() for column in row if column not in columns] == []


def test_every_framework_has_most_cases() -> None:
    """At most two cases are missing for a framework, each with its reason."""
    for framework, ways in WAYS.items():
        for way in ways:
            cells = [expected(case, framework, way) for case in CASES]
            assert sum(isinstance(cell, Cell) for cell in cells) >= len(CASES) - 2, framework


def test_every_framework_is_in_some_environment() -> None:
    """What the environments of every test run lack stands in another one of tox: no test is lost unnoticed."""
    named = {name for line in re.findall(rf"{VARIABLE} = (.+)", TOX) for name in line.split(",")}
    assert named | set(IN_EVERY_ENVIRONMENT) == {*WAYS, *THIRD_PARTIES}


@pytest.mark.parametrize("framework", frameworks())
def test_the_order(framework: str) -> None:
    """`check_order` finds nothing in any way of adding the whole stack, save what Starlette has outermost itself."""
    for way in WAYS[framework]:
        misplaced = way == "outside" and framework in {"starlette", "fastapi"}
        with pytest.warns(OrderWarning) if misplaced else nullcontext(), serving(framework, way) as service:
            found = check_order(service.app)
        assert [(item.outer, item.inner) for item in found] == (
            [("ProblemDetailsMiddleware", "ServerErrorMiddleware (starlette)")] if misplaced else []
        )
