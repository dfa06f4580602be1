"""Every public class through the whole battery, on every server's profile: it changes what it says, no more."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_middleware.testing import Scenario, check_middleware

pytestmark = pytest.mark.anyio


def test_every_class_has_its_contracts(classes: dict[str, type], contracts: list[Any]) -> None:
    """No class comes into the house without a contract in which it acts, and one in which it has nothing to do."""
    kinds: dict[str, set[str]] = {name: set() for name in classes}
    for each in contracts:
        kinds[each.name].add(each.kind)
    assert [name for name, found in kinds.items() if "idle" not in found] == []
    assert [name for name, found in kinds.items() if not found & {"active", "refusing"}] == []


async def test_a_class_changes_what_it_says_and_nothing_else(contract: Any, classes: dict[str, type]) -> None:
    """Through the battery the class breaks no rule, save those it says it breaks, and makes the changes it says."""
    report = await check_middleware(classes[contract.name], scenario=contract.scenario, **contract.options())
    report.raise_if_any()
    assert report.changes == contract.changes


async def test_two_copies_act_once(contract: Any, classes: dict[str, type]) -> None:
    """A class inside itself, as in a mounted app, changes what one alone changes [law 40]."""
    options = contract.options()
    cls = classes[contract.name]
    report = await check_middleware(lambda app: cls(cls(app, **options), **options), scenario=contract.scenario)
    report.raise_if_any()
    assert report.changes == contract.changes


async def test_the_whole_stack(classes: dict[str, type], recommended: Any, token: tuple[bytes, bytes]) -> None:
    """All classes in the recommended order break no rule but those of the answers they give for exceptions."""

    def stacked(app: Any) -> Any:
        for name, options in reversed(recommended):
            app = classes[name](app, **options())
        return app

    scenario = Scenario(
        headers=[token], skip={"exception-answered", "exception-swallowed", "header-changed:x-request-id"}
    )
    report = await check_middleware(stacked, scenario=scenario)
    report.raise_if_any()
    assert report.changes == {
        "scope +asgi_middleware",
        "scope +auth",
        "scope +user",
        "scope headers+",
        "scope state+",
        "response +vary",
        "response +x-request-id",
    }


async def test_a_class_breaks_the_rules_it_says(contract: Any, classes: dict[str, type]) -> None:
    """A `skip` that is not needed is taken out of the contract."""
    strict = contract.scenario.__class__(**{**vars(contract.scenario), "skip": ()})
    report = await check_middleware(classes[contract.name], scenario=strict, **contract.options())
    assert set(contract.scenario.skip) - set(report.rules) - set(report.keys) == set()
