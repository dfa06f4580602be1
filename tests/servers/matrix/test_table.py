"""The table is complete and says nothing twice."""

import inspect

from matrix.cases import bodies, concerns, connections, names, sockets
from matrix.expected import ROWS
from matrix.variants import VARIANTS


def test_no_case_is_forgotten():
    """Every case that is written stands in the table, once."""
    written = [
        name
        for module in (bodies, concerns, connections, names, sockets)
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
    ]
    assert sorted(written) == sorted(row.name for row in ROWS)


def test_every_exception_says_something():
    """No entry is about nobody, none is hidden by one before it, and none says what the row says anyway."""
    known = {variant.name for variant in VARIANTS}
    for row in ROWS:
        seen: set[str] = set()
        for unlike in row.unlike:
            assert unlike.variants, row.name
            assert unlike.variants <= known
            assert not unlike.variants & seen, row.name
            assert unlike.outcome != row.outcome
            seen |= unlike.variants
