"""The floors: what the bare shape of a wrapper costs, before it does anything."""

from __future__ import annotations

from typing import Any, Final

from benchmarks.scenarios import App

NOTHING: Final = "a pass-through wrapper"
SEND_ONLY: Final = "a send wrapper"
RECEIVE_ONLY: Final = "a receive wrapper"
BOTH_WAYS: Final = "a send and a receive wrapper"
CODEC_BY_HAND: Final = "the codec, six send wrappers"
SHAPES: Final = frozenset({NOTHING, SEND_ONLY, RECEIVE_ONLY, BOTH_WAYS})
FLOORS: Final = SHAPES | {CODEC_BY_HAND}


class PassThrough:
    """A class that does nothing, in the shape that every middleware has."""

    __slots__ = ("app",)

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Call the app."""
        await self.app(scope, receive, send)


def pass_through(app: App) -> App:
    """Give a wrapper that does nothing."""
    return PassThrough(app)


def wrap_send(app: App) -> App:
    """Give a wrapper that sees every message and changes none."""

    async def wrapper(scope: Any, receive: Any, send: Any) -> None:
        async def forward(message: Any) -> None:
            await send(message)

        await app(scope, receive, forward)

    return wrapper


def wrap_receive(app: App) -> App:
    """Give a wrapper that sees every message of the client and changes none."""

    async def wrapper(scope: Any, receive: Any, send: Any) -> None:
        async def forward() -> Any:
            return await receive()

        await app(scope, forward, send)

    return wrapper


def wrap_both(app: App) -> App:
    """Give a wrapper that sees every message of both ways and changes none."""
    return wrap_receive(wrap_send(app))
