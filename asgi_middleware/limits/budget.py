"""BodyBudget: how many body bytes all requests together may hold."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import Final

from asgi_middleware._core.config import Problems
from asgi_middleware._core.refusals import Refusal
from asgi_middleware._core.waiting import Event, new_event, time_limit

# Bytes by which an undeclared body's share grows: few steps for a large one, little held too much for a small one.
_STEP: Final = 65_536


class BodyBudget:
    """How many body bytes all requests together may hold, shared by the limits that are given it.

    A limit for each request bounds no memory: a thousand requests of 9 MB each are 9 GB. A request holds what it has
    declared, or else what has come, from before its first byte until the app has returned, or has begun an error before
    it read anything. One whose declared body does not fit waits for its turn, first come, first served, so that small
    ones do not starve a large one; after `max_wait` seconds it is refused with 503 and Retry-After. An undeclared body
    that grows does not wait: it holds bytes already, and all of them might wait for each other.

    It belongs to one event loop::

        from asgi_middleware.limits import BodyBudget, RequestBodyLimitMiddleware


        async def app(scope, receive, send): ...


        app = RequestBodyLimitMiddleware(app, max_body_size=10_000_000, budget=BodyBudget(256_000_000))

    Args:
        max_bytes: The bytes that all requests together may hold, at least 1.
        max_wait: Seconds that a request waits for its turn at most; 0 to refuse at once. 1 by default.
        retry_after: Whole seconds for Retry-After; 5 by default.

    Raises:
        ConfigurationError: Some options are wrong; every one is listed with its fix.

    Source: RFC 9110 15.6.4, 10.2.3.
    """

    __slots__ = ("_in_flight", "_max_wait", "_waiting", "max_bytes", "refusal")

    def __init__(self, max_bytes: int, *, max_wait: float = 1.0, retry_after: int = 5) -> None:
        """Check the options; see the class."""
        problems = Problems("BodyBudget")
        problems.integer("max_bytes", max_bytes, minimum=1)
        problems.number("max_wait", max_wait, minimum=0)
        problems.integer("retry_after", retry_after, minimum=0)
        problems.raise_if_any()
        self.max_bytes = max_bytes
        self.refusal = Refusal(
            503,
            "body_budget_exhausted",
            detail="The server is taking in as many request bodies as it can. Try again later.",
            headers=[(b"retry-after", b"%d" % retry_after)],
            close_code=1013,
        )
        self._max_wait = max_wait
        self._in_flight = 0
        self._waiting: deque[_Waiter] = deque()

    @property
    def in_flight(self) -> int:
        """The bytes that are held now."""
        return self._in_flight

    @property
    def waiting(self) -> int:
        """The number of requests that wait for their turn."""
        return len(self._waiting)

    async def reserve(self, size: int) -> bool:
        """Take `size` bytes when it is this caller's turn; False when that took too long, or they never fit."""
        if size > self.max_bytes:
            return False
        if not self._waiting and self.grow(size):
            return True
        if not self._max_wait:
            return False
        return await self._wait(size)

    async def _wait(self, size: int) -> bool:
        waiter = _Waiter(size, new_event())
        self._waiting.append(waiter)
        try:
            with suppress(TimeoutError):
                async with time_limit(self._max_wait):
                    await waiter.event.wait()
        except BaseException:
            self._leave(waiter)
            if waiter.granted:
                self.release(size)
            raise
        self._leave(waiter)
        return waiter.granted

    def _leave(self, waiter: _Waiter) -> None:
        if not waiter.granted:
            self._waiting.remove(waiter)
            self._admit()  # those behind it may fit

    def grow(self, size: int) -> bool:
        """Take `size` bytes more without waiting; False where they do not fit."""
        total = self._in_flight + size
        if total > self.max_bytes:
            return False
        self._in_flight = total
        return True

    def release(self, size: int) -> None:
        """Give `size` bytes back."""
        self._in_flight -= size
        self._admit()

    def _admit(self) -> None:
        waiting = self._waiting
        while waiting and self.grow(waiting[0].size):
            waiter = waiting.popleft()
            waiter.granted = True
            waiter.event.set()


class _Waiter:
    """One request that waits for its turn; told apart by identity."""

    __slots__ = ("event", "granted", "size")

    def __init__(self, size: int, event: Event) -> None:
        self.size = size
        self.event = event
        self.granted = False


class Share:
    """What one request holds of a budget."""

    __slots__ = ("_budget", "_returned", "held")

    def __init__(self, budget: BodyBudget, held: int) -> None:
        self._budget = budget
        self._returned = False
        self.held = held

    def cover(self, received: int, limit: int) -> bool:
        """Hold at least `received` bytes, and some more up to `limit`; False where the budget is used up."""
        budget = self._budget
        if self._returned:  # a task that the app left behind reads on; nobody would give these bytes back
            return True
        ahead = min(received + _STEP, limit) - self.held
        for size in (ahead, received - self.held):
            if budget.grow(size):
                self.held += size
                return True
        return False

    def give_back(self) -> None:
        """Release all of it, once."""
        if not self._returned:
            self._returned = True
            self._budget.release(self.held)


class Bound:
    """How many bytes may come, and what is said when more do."""

    __slots__ = ("_beyond", "size")

    def __init__(self, size: int, beyond: Refusal) -> None:
        self.size = size
        self._beyond = beyond

    def extend(self, received: int) -> Refusal | None:  # noqa: ARG002 -- what a shared bound goes by
        """Make room for `received` bytes, or say why not."""
        return self._beyond

    def give_back(self) -> None:
        """Hold no bytes any more: nothing was read, and what is read from here on is dropped."""


class SharedBound(Bound):
    """A bound that grows with the request's share of a budget."""

    __slots__ = ("_exhausted", "_limit", "_share")

    def __init__(self, limit: int, beyond: Refusal, share: Share, exhausted: Refusal) -> None:
        super().__init__(share.held, beyond)
        self._limit = limit
        self._share = share
        self._exhausted = exhausted

    def extend(self, received: int) -> Refusal | None:
        """Make room for `received` bytes, or say why not."""
        if received > self._limit:
            return self._beyond
        if not self._share.cover(received, self._limit):
            return self._exhausted
        self.size = self._share.held
        return None

    def give_back(self) -> None:
        """Give the request's share back to those that wait."""
        self._share.give_back()
