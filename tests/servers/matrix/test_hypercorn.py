"""Every case on hypercorn."""

import pytest
from matrix.grid import cases_of, observe


@pytest.mark.parametrize(("variant", "row", "outcome"), cases_of("hypercorn"))
def test_case(probe, variant, row, outcome):
    """The server gives what the table says."""
    assert observe(probe(variant), row) == outcome
