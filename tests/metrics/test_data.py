"""The rules and the dashboard: every series and label that they name is one that is recorded."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from asgi_middleware.metrics.data import NAMES, read_text
from asgi_middleware.metrics.definitions import DEFINITIONS
from asgi_middleware.metrics.multiprocess import UNREADABLE_FILES

ENDINGS = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum")}
SERIES = {
    definition.full_name + ending: {*definition.labels, "job"} | ({"le"} if ending == "_bucket" else set())
    for definition in DEFINITIONS
    for ending in ENDINGS.get(definition.kind, ("",))
} | {UNREADABLE_FILES: {"job"}}
RECORDED = set(re.findall(r"- record: (\S+)", read_text("rules.yml")))
NAME = re.compile(r"(?<![\w:$])[a-z][a-z0-9_]*(?::[\w:]+)?(?=[{\[)\s]|$)")
SELECTION = re.compile(r"([a-z_]+)\{([^}]*)\}")


def rule_expressions() -> list[str]:
    """Give the expression of every rule."""
    found = re.findall(r"expr: \|\n((?: {10}.*\n)+)", read_text("rules.yml"))
    assert len(found) == read_text("rules.yml").count("expr:")
    return found


def panel_expressions() -> list[str]:
    """Give the expression of every panel, and of the variables."""
    board = json.loads(read_text("dashboard.json"))
    queries = [each["query"] for each in board["templating"]["list"] if each["type"] == "query"]
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])] + queries


@pytest.mark.parametrize("expression", [*rule_expressions(), *panel_expressions()])
def test_every_series_exists(expression: str) -> None:
    """What looks like a series of ours is recorded, or comes from a recording rule; its labels are there."""
    named = set(
        re.findall(r"\b(?:http_server|websocket_server|asgi_middleware)_\w+|\bjob(?:_route)?:[\w:]+", expression)
    )
    plain = {name for name in named if ":" not in name and not any(name in other for other in named - {name})}
    assert plain | {name for name in named if ":" in name}
    assert plain <= SERIES.keys()
    assert {name for name in named if ":" in name} <= RECORDED
    for name, selection in SELECTION.findall(expression):
        if name in SERIES:
            assert set(re.findall(r"(\w+)\s*(?:=|!)", selection)) <= SERIES[name]


def test_every_family_is_shown() -> None:
    """No family is missing from the dashboard."""
    text = "\n".join(panel_expressions())
    assert [definition.name for definition in DEFINITIONS if definition.name not in text] == []


def test_panels_do_not_overlap() -> None:
    """Every panel has a place of its own and a number of its own."""
    taken: set[tuple[int, int]] = set()
    panels: list[dict[str, Any]] = json.loads(read_text("dashboard.json"))["panels"]
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.parametrize("name", NAMES)
def test_the_command(name: str) -> None:
    """The command writes a file as it is, or with a namespace before each series and before nothing else."""
    command = [sys.executable, "-m", "asgi_middleware.metrics.data", name]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == read_text(name)
    shown = subprocess.run([*command, "--namespace", "shop"], capture_output=True, text=True, check=True).stdout
    assert shown.replace("shop_", "") == read_text(name)
    assert "job:http_server" in shown
    assert "shop_http_server_request_duration_seconds_count" in shown
