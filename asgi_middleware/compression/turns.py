"""Turns: callers that may come at once go one after the other, in the order in which they came."""

from __future__ import annotations

from collections import deque

from asgi_middleware._core.waiting import Event, new_event


class Turns:
    """A lock that costs two assignments where nobody competes for it, on asyncio and on trio.

    Attributes:
        taken: Whether somebody has the turn; who finds it free takes it by setting this.
    """

    __slots__ = ("_waiting", "taken")

    def __init__(self) -> None:
        self.taken = False
        self._waiting: deque[Event] | None = None

    async def wait(self) -> None:
        """Wait for the turn, and have it then."""
        turn = new_event()
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self.give_up()
            else:
                self._waiting.remove(turn)
            raise

    def give_up(self) -> None:
        """Let the next one go on; the turn stays taken where there is one."""
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self.taken = False
