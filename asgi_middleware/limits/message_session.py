"""One WebSocket under limits: its clocks, the pace of its messages, and how it is closed."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from asgi_middleware._core.deadlines import Alarm
from asgi_middleware._core.messages import size_of
from asgi_middleware.limits.messages import IDLE, LIFETIME, TOO_LARGE, TOO_MANY, close, disconnect_for, drop, exceeds

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from asgi_middleware._core.refusals import Refusal
    from asgi_middleware._core.types import Message, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a connection is held to.

    Attributes:
        max_size: The largest message, in bytes.
        small: A length that is within it, whatever is counted.
        interval: Seconds between two messages at an even pace; 0 for any number of messages.
        window: Seconds by which a message may come earlier than that.
        idle: Seconds without a message, or None.
        lifetime: Seconds after the accept, or None.
        clocked: Whether one of these two is set.
    """

    max_size: int
    small: int
    interval: float
    window: float
    idle: float | None
    lifetime: float | None
    clocked: bool


class Session(Alarm):
    """One connection: its clocks, and how far it has got. The alarm rings when it is over.

    An object with methods, since an idle connection would hold half as much again in closures and what they share.
    """

    __slots__ = ("_bounds", "_closed", "_due", "_ends", "_receive", "_scope", "_seen", "_send", "_why")

    def __init__(self, bounds: Bounds, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__()
        self._bounds = bounds
        self._scope = scope
        self._receive = receive
        self._send = send
        self._ends: float | None = None
        self._why = IDLE  # or another reason, by when it rings
        self._closed = False
        self._seen = 0.0  # when the last message came
        self._due = 0.0  # when the next message may come, at an even pace

    async def receive(self) -> Message:
        """Stand in for the server's ``receive``."""
        bounds = self._bounds
        if bounds.clocked:
            message = await self.wait(self._receive)
            if message is None:
                return await self.end()
            self._seen = monotonic()
        elif self.rang:
            return await self.end()
        else:
            message = await self._receive()
        text = message.get("text")
        if text is None:
            data = message.get("bytes")
            if data is None:
                if message["type"] == "websocket.disconnect":
                    self.leave()
                return message
            if size_of(data) > bounds.max_size:
                return await self.end(TOO_LARGE)
        elif len(text) > bounds.small and exceeds(text, bounds.max_size):
            return await self.end(TOO_LARGE)
        if bounds.interval:
            now = monotonic()
            if self._due - now > bounds.window:
                return await self.end(TOO_MANY)
            self._due = max(self._due, now) + bounds.interval
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Stand in for the server's ``send``."""
        if self.rang:
            return self.drop(message)
        if message["type"] != "websocket.send":
            self.note(message["type"])
        return self._send(message)

    def note(self, kind: str) -> None:
        """Note how far the connection has got; the clocks run from the accept to the close."""
        if kind == "websocket.accept":
            now = self._seen = monotonic()
            if self._bounds.lifetime is not None:
                self._ends = now + self._bounds.lifetime
            if self._bounds.clocked:
                self._start_for(now)
        elif kind == "websocket.close":
            self.leave()

    def leave(self) -> None:
        """Note that nothing is left to close: the client, the app or this class has ended the connection."""
        self._closed = True
        self.stop()

    def fire(self) -> None:
        """Ring if time is up, else wait for what is left: a message notes its time only."""
        now = monotonic()
        if self._ends is not None and now >= self._ends:
            self._why = LIFETIME
            self.ring()
        elif self._bounds.idle is not None and now - self._seen >= self._bounds.idle:
            self.ring()
        else:
            self._start_for(now)

    def _start_for(self, now: float) -> None:
        ends = [] if self._ends is None else [self._ends]
        if self._bounds.idle is not None:
            ends.append(self._seen + self._bounds.idle)
        self.start(min(ends) - now)

    async def end(self, why: Refusal | None = None) -> Message:
        """Close the connection, once, and give what the app receives from here on."""
        if why is not None and not self.rang:
            self._why = why
            self.ring()
        if not self._closed:
            self.leave()
            await close(self._why, self._scope, self._send)
        return disconnect_for(self._why)

    async def drop(self, message: Message) -> None:
        """Close, if that is not done yet, and take a message that must not go out."""
        await self.end()
        await drop(message)
