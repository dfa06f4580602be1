"""The app that the socket benchmarks serve: the stack that the environment names, around 2 KB of JSON and an echo."""

from __future__ import annotations

import os
from typing import Any

from benchmarks.scenarios import Echo, Scenario, starlette_of
from benchmarks.stacks import OVER_SOCKETS

_json = Scenario("site").app()
_echo = Echo("site", messages=0).app()
_application = starlette_of(_json)


async def _bare(scope: Any, receive: Any, send: Any) -> None:
    await (_json if scope["type"] == "http" else _echo)(scope, receive, send)


_wrap = OVER_SOCKETS[os.environ["BENCHMARK_STACK"]]
_options = {"log": os.environ["BENCHMARK_LOG"], "codec": os.environ["BENCHMARK_CODEC"] == "1"}
_inner = _wrap(_bare, **_options) if _wrap else _bare


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve one connection; Starlette's metrics classes look for the application's routes in the scope."""
    if scope["type"] == "lifespan":
        return
    scope["app"] = _application
    await _inner(scope, receive, send)
