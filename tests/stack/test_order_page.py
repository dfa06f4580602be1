"""docs/order.md says what the tables say, and shows what the command prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asgi_middleware._composition.order import ORDER, PAIRS, RIVALS, TWICE

PAGE = Path(__file__).parents[2] / "docs" / "order.md"


def code(label: str) -> str:
    """Write a class as code, and whose it is beside it."""
    name, _, owner = label.partition(" ")
    return f"`{name}` {owner}".rstrip()


BLOCKS = {
    "order": [f"{place}. `{name}`" for place, name in enumerate(ORDER, start=1)],
    "pairs": [
        "| outside | inside | the other way round |",
        "|---|---|---|",
        *(f"| {code(pair.outer)} | {code(pair.inner)} | {pair.reason} |" for pair in PAIRS),
    ],
    "twice": [
        "| two of | what happens |",
        "|---|---|",
        *(f"| {code(clash.first)} | {clash.reason} |" for clash in TWICE),
    ],
    "rivals": [
        "| ours | theirs | with both |",
        "|---|---|---|",
        *(f"| {code(clash.first)} | {code(clash.second)} | {clash.reason} |" for clash in RIVALS),
    ],
}


@pytest.mark.parametrize("name", BLOCKS)
def test_the_page_says_what_the_table_says(name):
    """Each block between two marks is made from the table; on a difference, what is expected is what to paste."""
    page = PAGE.read_text(encoding="utf-8")
    [found] = re.findall(rf"<!-- begin: {name} -->\n(.*?)<!-- end: {name} -->\n", page, re.DOTALL)
    assert found.splitlines() == BLOCKS[name]


def test_the_page_shows_what_the_command_prints():
    """The tree on the page is the one that the test of the command expects."""
    example = (Path(__file__).parent / "test_cli.py").read_text(encoding="utf-8")
    [printed] = re.findall(r'^SHOP_REPORT = """\\\n(.*?)\n\n\{versions\}', example, re.DOTALL | re.MULTILINE)
    assert f"```text\n{printed}\n```" in PAGE.read_text(encoding="utf-8")
