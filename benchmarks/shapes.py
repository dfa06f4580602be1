"""The floors: what the bare shape of a wrapper costs, before it does anything."""

from __future__ import annotations

from typing import Any, Final

from benchmarks.scenarios import App

NOTHING: Final = "a pass-through wrapper"
SEND_ONLY: Final = "a send wrapper"


def pass_through(app: App) -> App:
    """Give a wrapper that does nothing."""

    async def wrapper(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return wrapper


def wrap_send(app: App) -> App:
    """Give a wrapper that sees every message and changes none."""

    async def wrapper(scope: Any, receive: Any, send: Any) -> None:
        async def forward(message: Any) -> None:
            await send(message)

        await app(scope, receive, forward)

    return wrapper
