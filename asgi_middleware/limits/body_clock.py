"""How long a body may take, and how to wait with a clock only where there is a wait.

Facts this module rests on:

- A clock that is set back by every byte never ends a client that sends one byte a second. A clock for the whole body
  ends large honest uploads. A least rate does neither: a body may take a while to begin with, and then as long as the
  bytes that have come are worth.
- Only waiting counts. An app that is busy between two reads makes a body no slower than it is.
- Of an ordinary request the body is there when the app asks for it: the server's ``receive`` gives it without waiting.
  A coroutine that does not wait ends at its first step, so that step is made by hand, and a clock is started only where
  it did wait.
- On trio no step may be made by hand: a cancel scope that the coroutine opens in it would begin outside of the clock's
  and end inside.
"""

from __future__ import annotations

from functools import partial
from sys import modules
from time import monotonic
from types import CoroutineType, coroutine
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from asgi_middleware._core.deadlines import Alarm
from asgi_middleware._core.messages import body_size
from asgi_middleware._core.refusals import Refusal
from asgi_middleware._core.takeover import Takeover
from asgi_middleware.limits.errors import BodyTimeoutError, SendTimeoutError
from asgi_middleware.limits.takeover import messages_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator

    from asgi_middleware._core.types import Message, Receive, Scope, Send

IDLE: Final = Refusal(408, "body_idle_timeout", detail="Nothing of the request body came for too long.")
TOTAL: Final = Refusal(408, "body_total_timeout", detail="The request body took too long.")
RATE: Final = Refusal(408, "body_too_slow", detail="The request body came too slowly.")
STALLED: Final = Refusal(408, "send_timeout", detail="The client did not take the response in time.")


class Pace(NamedTuple):
    """How long a body may take; None and 0 for no bound.

    Attributes:
        idle: Seconds for one wait.
        total: Seconds for all waits together.
        rate: The least bytes a second, after `grace`.
        grace: Seconds that need no bytes.
    """

    idle: float | None
    total: float | None
    rate: float
    grace: float

    def allow(self, waited: float, received: int) -> tuple[float, Refusal]:
        """Give the seconds that the next wait may take, and what is said when it takes longer.

        Args:
            waited: The seconds of all waits before.
            received: The bytes that have come.
        """
        allowed, refusal = float("inf"), IDLE
        if self.idle is not None:
            allowed = self.idle
        if self.total is not None and self.total - waited < allowed:
            allowed, refusal = self.total - waited, TOTAL
        if self.rate:
            left = self.grace + received / self.rate - waited
            if left < allowed:
                allowed, refusal = left, RATE
        return max(allowed, 0.0), refusal


class RequestClock(Alarm):
    """The clock of one request, made when it first waits; it runs only while it waits.

    Attributes:
        taken: The takeover, once time was up.
    """

    __slots__ = ("_pace", "_scope", "_send", "_waited", "taken")

    def __init__(self, pace: Pace, scope: Scope, send: Send) -> None:
        super().__init__()
        self._pace = pace
        self._scope = scope
        self._send = send
        self._waited = 0.0
        self.taken: Takeover | None = None

    async def wait_or_take(
        self, receive: Receive, received: int, start: Message | None, last: Message | None
    ) -> Message:
        """Give what `receive` gives; where it takes too long, answer, and tell the app that its client left.

        Args:
            receive: What to wait for.
            received: The bytes that have come.
            start: The start of the app's response, or None.
            last: The message that may have ended it, or None.
        """
        allowed, refusal = self._pace.allow(self._waited, received)
        begun = monotonic()
        self.start(allowed)
        try:
            message = await self.wait(receive)
        finally:
            self.stop()
            self._waited += monotonic() - begun
        if message is not None:
            if not message.get("more_body"):
                return message
            # Who sends a byte more often than the timer ticks would never be caught by the timer.
            allowed, refusal = self._pace.allow(self._waited, received + body_size(message))
            if allowed:
                return message
        if self.taken is None:
            taken = self.taken = Takeover(refusal, self._scope, start=start, last=last, error=BodyTimeoutError)
            if taken.answers:
                await taken.answer(messages_of(refusal, self._scope), self._send, before_last=None)
        return {"type": "http.disconnect"}

    def cut(self) -> None:
        """Note that the client does not take the response: it cannot be completed."""
        if self.taken is None or not self.taken.muted:
            self.taken = Takeover(STALLED, self._scope, start=None, last=None, error=SendTimeoutError)
        self.taken.cut()


def may_step() -> bool:
    """Tell, where trio is imported, whether the first step of a coroutine may be made by hand: not on trio."""
    trio = modules["trio"]  # who runs on it has imported it
    return not trio.lowlevel.in_trio_task()


async def go_on(awaiting: Any, waits_for: Any) -> Any:
    """Await the rest of a coroutine whose first step was made by hand.

    Args:
        awaiting: The coroutine; or anything else that can be awaited, of which no step was made.
        waits_for: What its first step yielded; `awaiting` itself where none was made.
    """
    return await (awaiting if waits_for is awaiting else _rest_of(awaiting, waits_for))


@coroutine
def _rest_of(awaiting: Any, yielded: Any) -> Generator[Any, Any, Any]:
    try:
        while True:
            try:
                sent = yield yielded
            except BaseException as error:  # noqa: BLE001 -- it belongs to the coroutine, cancellation too
                yielded = awaiting.throw(error)
            else:
                yielded = awaiting.send(sent)
    except StopIteration as end:
        return end.value


async def done_within(seconds: float, awaiting: Awaitable[None]) -> bool:
    """Await something for `seconds` at most, and tell whether it came to its end."""
    try:
        waits_for = (
            awaiting.send(None)
            if type(awaiting) is CoroutineType and ("trio" not in modules or may_step())
            else awaiting
        )
    except StopIteration:
        return True
    alarm = Alarm()
    alarm.start(seconds)
    try:
        await alarm.wait(partial(go_on, awaiting, waits_for))
    finally:
        alarm.stop()
    return not alarm.rang
