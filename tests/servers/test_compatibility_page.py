"""The documentation's page of what each server gives."""

from matrix.table import PAGE, render_rows, rows_of
from matrix.variants import VARIANTS


def test_the_page_has_the_rows_of_the_table():
    """The page is the one that a run of today's table would write (``tox run -e servers``), but for the versions."""
    assert rows_of(PAGE.read_text(encoding="utf-8")) == render_rows()


def test_the_page_names_every_server_with_its_version():
    """Each variant has its row, with what it ran with."""
    page = PAGE.read_text(encoding="utf-8")
    for variant in VARIANTS:
        assert f"| {variant.server} | {variant.title} | {variant.server} " in page
