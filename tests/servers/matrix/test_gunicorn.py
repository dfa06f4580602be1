"""Every case on gunicorn."""

import pytest
from matrix.grid import cases_of, observe


@pytest.mark.parametrize(("variant", "row", "outcome"), cases_of("gunicorn"))
def test_case(probe, variant, row, outcome):
    """The server gives what the table says."""
    assert observe(probe(variant), row) == outcome
