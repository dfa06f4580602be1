"""Waiting, on asyncio by its own means and on trio by trio's.

Fact this module rests on: what stands between the two, anyio, takes some 50 ms of processor time when it is first used.
On an event loop that serves requests, all of them would wait for that.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import TracebackType

    from trio import CancelScope


class Event(Protocol):
    """Something that happens once, which tasks of one event loop wait for."""

    def set(self) -> object:
        """Let it have happened."""

    def is_set(self) -> bool:
        """Tell whether it has."""
        ...

    async def wait(self) -> object:
        """Wait until it has."""


def on_asyncio() -> bool:
    """Tell whether the caller is an asyncio task; a trio run that is asyncio's guest is none."""
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False


def new_event() -> Event:
    """Make an event of the event loop that runs."""
    if on_asyncio():
        return asyncio.Event()
    import trio  # noqa: PLC0415 -- who runs on it has imported it

    return trio.Event()


def time_limit(seconds: float) -> AbstractAsyncContextManager[object]:
    """Give a context that raises TimeoutError in a task that waits in it for longer than `seconds`.

    On asyncio the task is cancelled once: what swallows that (``asyncio.wait_for`` of Python 3.11 may) goes on.
    """
    if on_asyncio():
        return asyncio.timeout(seconds)
    import trio  # noqa: PLC0415 -- as above

    return _TrioLimit(trio.move_on_after(seconds))


async def let_others_run() -> None:
    """Give the event loop one turn, in which what is due by its clock happens."""
    if on_asyncio():
        await asyncio.sleep(0)
    else:
        import trio.lowlevel  # noqa: PLC0415 -- as above

        await trio.lowlevel.checkpoint()


class _TrioLimit(AbstractAsyncContextManager[object]):
    __slots__ = ("_scope",)

    def __init__(self, scope: CancelScope) -> None:
        self._scope = scope

    async def __aenter__(self) -> None:
        self._scope.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._scope.__exit__(kind, error, traceback)
        if self._scope.cancelled_caught:
            raise TimeoutError
