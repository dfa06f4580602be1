"""Deadlines: one coarse timer for each event loop, however many things wait on it; on asyncio and on trio.

A timer of the event loop for every request costs more than most requests need (``call_later`` and ``cancel`` take some
1.5 microseconds), and a task for each costs more still. Hardly any deadline is ever reached. So deadlines lie in
buckets, one for each tick, and only the tick is a timer of the loop. Starting and stopping one is a set operation.

Facts this module rests on:

- A deadline is never early; it is late by up to one tick, and by as much as the loop is late itself.
- While nothing is started nothing runs: the tick stops, and the loop is forgotten.
- A wait of a task is broken by cancelling it, and the cancellation is taken back where it was ours alone: another one
  may have come at the same moment and must get through. asyncio counts them (``Task.cancelling``); trio has scopes.
- What a callback of the loop runs in is the context of whoever scheduled it. The tick outlives requests, so it runs in
  an empty context and keeps none of theirs alive.

All of it belongs to the thread of its event loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
from abc import ABC, abstractmethod
from asyncio import CancelledError, current_task, get_running_loop
from contextvars import Context
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from asgi_middleware._core.types import Message, Receive

_log: Final = logging.getLogger("asgi_middleware")

TICK: Final = 0.1
"""Seconds between two looks at the deadlines, and by how much one may be late."""

# Seconds that a bucket lies ahead at most. What is due later is put off, so that there are never many buckets.
_HORIZON: Final = 60.0


class Timer(ABC):
    """Something that is due later: started, perhaps stopped, else fired once by the event loop that it was started on.

    To be subclassed with a :meth:`fire`; for a plain function there is :func:`call_after`. It can be started again
    after it was stopped or has fired, also from within :meth:`fire`.

    Attributes:
        when: The moment it is due, by ``time.monotonic``.
    """

    __slots__ = ("_bucket", "when")

    _bucket: set[Timer] | None
    when: float

    def __init__(self) -> None:
        """Make one that is not started."""
        self._bucket = None

    def start(self, seconds: float) -> None:
        """Be due in `seconds` on the running event loop; one that is started already is stopped first."""
        bucket = self._bucket
        if bucket is not None:
            bucket.discard(self)
        now = monotonic()
        self.when = now + seconds
        try:
            wheel = _wheels[get_running_loop()]
        except (KeyError, RuntimeError):
            wheel = _new_wheel()
        # Not min(): a call costs more than the comparison.
        ahead = seconds if seconds < _HORIZON else _HORIZON  # noqa: FURB136 -- see above
        self._bucket = bucket = wheel[int((now + ahead) * wheel.rate) + 1]
        bucket.add(self)

    def stop(self) -> None:
        """Do not fire; nothing happens where it is not started."""
        bucket = self._bucket
        if bucket is not None:
            self._bucket = None
            bucket.discard(self)

    @property
    def started(self) -> bool:
        """Whether it is going to fire."""
        return self._bucket is not None

    @abstractmethod
    def fire(self) -> None:
        """Do what is due. Called by the event loop, in no task and in an empty context; it must not wait."""


class _Call(Timer):
    __slots__ = ("_args", "_function")

    def __init__(self, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        super().__init__()
        self._function = function
        self._args = args

    def fire(self) -> None:
        self._function(*self._args)


def call_after(seconds: float, function: Callable[..., object], *args: Any) -> Timer:
    """Call ``function(*args)`` once in `seconds`, from the running event loop, unless the timer is stopped before.

    The function runs in no task and in an empty context; it must not wait. What it raises is logged.
    """
    call = _Call(function, args)
    call.start(seconds)
    return call


class Alarm(Timer):
    """A timer that breaks a wait: whoever is in :meth:`wait` when it fires is woken.

    It wakes one waiter, the last that came. Who comes later does not wait at all.

    Attributes:
        rang: Whether it has fired, or :meth:`ring` was called.
    """

    __slots__ = ("_waiter", "_woken", "rang")

    _waiter: Any  # what is cancelled: an asyncio task, or a cancel scope on trio
    _woken: Any  # what was cancelled
    rang: bool

    def __init__(self) -> None:
        """Make one that is not started."""
        self._bucket = None
        self._waiter = None
        self._woken = None
        self.rang = False

    def fire(self) -> None:
        """Wake whoever waits; the same as :meth:`ring`."""
        self.ring()

    def ring(self) -> None:
        """Wake whoever waits, and let nobody wait from here on."""
        self.rang = True
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            self._woken = waiter
            waiter.cancel()

    async def wait(self, receive: Receive) -> Message | None:
        """Give what `receive` gives, or None when the alarm rings before.

        A message that `receive` had at that very moment is lost: to be used where none is wanted after the alarm.
        A cancellation from elsewhere gets through.
        """
        if self.rang:
            return None
        try:
            task = current_task()
        except RuntimeError:
            task = None
        if task is None:  # trio, alone or as a guest of asyncio
            return await self._wait_in_scope(receive)
        cancelling = task.cancelling()
        self._waiter = task
        try:
            message = await receive()
        except CancelledError:
            if self._woken is task and task.uncancel() <= cancelling:
                return None
            raise
        finally:
            self._waiter = None
        if self._woken is task:  # this receive gave a message in spite of the cancellation
            task.uncancel()
            return None
        return message

    async def _wait_in_scope(self, receive: Receive) -> Message | None:
        from trio import CancelScope  # noqa: PLC0415 -- who runs on it has imported it

        message = None
        with CancelScope() as scope:
            self._waiter = scope  # to cancel it when it is left does nothing
            message = await receive()
        return None if self.rang else message


class _Wheel(dict[int, "set[Timer]"]):
    """The buckets of one event loop: number of the tick to what is due by then."""

    __slots__ = ("forget", "rate", "tick_again")

    def __init__(self) -> None:
        super().__init__()
        self.rate = 1 / TICK

    def __missing__(self, number: int) -> set[Timer]:
        bucket = self[number] = set()
        return bucket

    def tick(self) -> bool:
        """Fire what is due, and tell whether anything is left."""
        current = int(monotonic() * self.rate)
        for number in sorted(number for number in self if number <= current):
            bucket = self.pop(number)
            while bucket:  # one fired may stop another
                timer = bucket.pop()
                timer._bucket = None  # noqa: SLF001 -- same module
                left = timer.when - monotonic()
                if left > 0:
                    timer.start(left)
                    continue
                try:
                    timer.fire()
                except Exception:  # noqa: BLE001 -- one that fails must not keep the others from firing
                    _log.exception("a deadline's function failed")
        return any(self.values())


# The wheel of each event loop in which something is started: asyncio loops, and tokens of trio runs.
_wheels: dict[Any, _Wheel] = {}


def _new_wheel() -> _Wheel:
    """Give the wheel of the running event loop, and set it going."""
    try:
        loop = get_running_loop()
    except RuntimeError:
        return _wheel_on_trio()
    for other in tuple(_wheels):
        # A loop that ended while something was started never ticks again.
        if isinstance(other, asyncio.AbstractEventLoop) and other.is_closed():
            _wheels.pop(other, None)
    wheel = _wheels[loop] = _Wheel()
    context = Context()

    def tick() -> None:
        if wheel.tick():
            loop.call_later(TICK, tick, context=context)
        else:
            _wheels.pop(loop, None)

    loop.call_later(TICK, tick, context=context)
    return wheel


def _wheel_on_trio() -> _Wheel:
    import trio  # noqa: PLC0415 -- it runs: the very loop that called is its

    token = trio.lowlevel.current_trio_token()
    known = _wheels.get(token)
    if known is not None:
        return known
    wheel = _wheels[token] = _Wheel()

    async def ticks() -> None:
        try:
            while True:
                await trio.sleep(TICK)
                if not wheel.tick():
                    return
        finally:
            _wheels.pop(token, None)

    trio.lowlevel.spawn_system_task(ticks, context=Context())
    return wheel


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_wheels.clear)
