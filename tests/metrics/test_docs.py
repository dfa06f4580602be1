"""The page about the metrics names each of them, with the labels and the words of its definition."""

from pathlib import Path

import pytest

from asgi_middleware.metrics.definitions import DEFINITIONS, Definition
from asgi_middleware.metrics.multiprocess import UNREADABLE_FILES

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.name)
def test_each_family_has_its_row(definition: Definition) -> None:
    """A row of the table is a definition, word for word."""
    labels = ", ".join(f"`{label}`" for label in definition.labels)
    assert f"\n| `{definition.full_name}` | {definition.kind} | {labels} | {definition.help} |\n" in PAGE


def test_there_are_no_other_rows() -> None:
    """The table holds no family that is gone."""
    table = PAGE[PAGE.index("| metric | type |") :].partition("\n\n")[0]
    rows = table.splitlines()[2:]
    assert len(rows) == len(DEFINITIONS)


def test_the_gauge_of_bad_files_is_named() -> None:
    """The one metric that is not a family of a registry is explained."""
    assert f"`{UNREADABLE_FILES}`" in PAGE
