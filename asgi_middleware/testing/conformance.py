"""Hold a middleware class, yours or ours, to the ASGI specification and to the laws of transparency.

:func:`check_middleware` runs a battery of some two hundred connections against a class and reports what it breaks.
:func:`sandwich` puts the same pair of observers around the class in your own tests, with your own app and client.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import anyio.lowlevel

from asgi_middleware._core.types import ASGIApp
from asgi_middleware.testing.battery import Battery
from asgi_middleware.testing.battery_apps import plain
from asgi_middleware.testing.battery_together import run_together
from asgi_middleware.testing.observers import Sandwich
from asgi_middleware.testing.report import ConformanceError, Report, Violation
from asgi_middleware.testing.scenario import Scenario

__all__ = ["ConformanceError", "Report", "Sandwich", "Scenario", "Violation", "check_middleware", "sandwich"]

_TIMEOUT = 5.0
_LAST_STEPS = 10
_OWN_TASKS = 1  # a class may have one for all its connections


def sandwich(cls: Callable[..., Any], app: ASGIApp, /, *, scenario: Scenario | None = None, **options: Any) -> Sandwich:
    """Put a middleware class between two observers, around your app.

    The result is an ASGI app: give it to any test client or server, then look at its report::

        checked = sandwich(MyMiddleware, app, limit=10)
        await http(checked, "POST", "/items", body=b"data")
        checked.report.raise_if_any()

    Args:
        cls: The middleware class; anything that makes an ASGI app from an app.
        app: The app inside. What it does wrong itself is reported with the party ``"app"``.
        scenario: What is expected of the class; only `refuses`, `untouched` and `skip` matter here.
        **options: The class's own options.
    """
    return Sandwich(cls, app, scenario=scenario or Scenario(), options=options)


async def check_middleware(
    cls: Callable[..., Any], /, *, scenario: Scenario | None = None, timeout: float = _TIMEOUT, **options: Any
) -> Report:
    """Run the whole battery against a middleware class, on the event loop that is running (asyncio or trio).

    One instance serves all connections, as in production. Nothing is assumed about the class but that it makes an app
    from an app: it may add response headers, scope keys and members of ``Vary``; whatever else it changes is reported.
    A class that changes more on purpose says so by its scenario's `skip`::

        report = await check_middleware(MyMiddleware, limit=10)
        report.raise_if_any()

    Args:
        cls: The middleware class; anything that makes an ASGI app from an app.
        scenario: What the requests look like, and what is expected of the class there; None for ordinary requests.
        timeout: Seconds after which one connection counts as hanging.
        **options: The class's own options.

    Raises:
        Exception: What the class's constructor raises.
    """
    chosen = scenario or Scenario()
    checked = Sandwich(cls, plain, scenario=chosen, options=options)
    _check_signatures(cls, checked)
    battery = Battery(checked, chosen, timeout)
    before = {task.id for task in anyio.get_running_tasks()}
    await battery.run()
    await run_together(battery)
    await _check_tasks(checked, before)
    return checked.report


async def _check_tasks(checked: Sandwich, before: set[int]) -> None:
    for _ in range(_LAST_STEPS):  # what is about to end may end
        await anyio.lowlevel.checkpoint()
    left = [task for task in anyio.get_running_tasks() if task.id not in before]
    if len(left) > _OWN_TASKS:
        text = f"{len(left)} tasks are still running when all connections are over, such as {left[-1].name}"
        checked.report.add(Violation("task-left", "", text))


def _check_signatures(cls: Callable[..., Any], checked: Sandwich) -> None:
    names = _parameters(cls)
    if inspect.isclass(cls) and [*names][:1] != ["app"]:
        text = f"the first parameter of {cls.__name__} is {[*names][:1]}"
        checked.report.add(Violation("constructor", "app", text))
    middleware = checked.middleware
    call = middleware if inspect.isroutine(middleware) else type(middleware).__call__
    parameters = _parameters(middleware)
    required = all(parameter.default is parameter.empty for parameter in parameters.values())
    if [*parameters] != ["scope", "receive", "send"] or not required or not inspect.iscoroutinefunction(call):
        kind = "async def" if inspect.iscoroutinefunction(call) else "def"
        text = f"the call is `{kind} ({', '.join(map(str, parameters.values()))})`"
        checked.report.add(Violation("call-signature", "", text))


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # written in C, without a signature
        return {}
