"""WebSocketMessageLimitMiddleware: the ASGI shell around the limits of a WebSocket."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Final

from asgi_middleware._core.config import Problems
from asgi_middleware._core.deadlines import Alarm
from asgi_middleware._core.messages import size_of
from asgi_middleware.limits.messages import (
    IDLE,
    LIFETIME,
    TOO_LARGE,
    TOO_MANY,
    TOO_MANY_CONNECTIONS,
    Connections,
    client_key,
    close,
    disconnect_for,
    drop,
    exceeds,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    from asgi_middleware._core.refusals import Refusal
    from asgi_middleware._core.types import ASGIApp, Message, Receive, Scope, Send

_log: Final = logging.getLogger("asgi_middleware.limits")
_NO_LIMIT: Final = 1 << 62


class WebSocketMessageLimitMiddleware:
    """Bounds what a WebSocket client may do: large messages, many of them, silence, and connections.

    It runs after the server has taken in a whole message: what bounds memory is the server's own limit (``ws_max_size``
    of uvicorn); this one is exact, and per app.

    A connection that goes over a limit is closed with a code that says why (1009 for a message that is too large, 1008
    for too many, 1001 for silence and age). The app then receives ``websocket.disconnect`` with that code, also when
    it was waiting; what it still sends is an OSError, as on a connection that its client has left. Connections over the
    limit of their key are refused before the accept. No connection has a timer or a task of its own; a deadline is met
    a tenth of a second late at most::

        from asgi_middleware.limits import WebSocketMessageLimitMiddleware


        async def app(scope, receive, send): ...


        app = WebSocketMessageLimitMiddleware(app, max_message_size=65_536, max_messages_per_second=10)

    Args:
        app: The ASGI app.
        max_message_size: The largest message, in bytes, text as UTF-8; None for any. 1 MiB by default.
        max_messages_per_second: The messages that may come each second on average; None (the default) for any number.
        burst: The messages that may come at once; None for those of one second, at least 1.
        idle_timeout: Seconds without a message of the client; None (the default) for any. Pings are the server's
            business and do not count; for feeds to which clients only listen, leave it off.
        max_lifetime: Seconds after the accept; None (the default) for any.
        max_connections_per_key: Connections that one key may have open at a time, in this process; None (the default)
            for any number.
        key: Gives the key of a connection's scope; None as a key is not counted. By default the client's address, of
            IPv6 its /64 network.

    Raises:
        ConfigurationError: Some options are wrong; every one is listed with its fix.

    Source: RFC 6455 7.4.1, 10.4; ASGI WebSocket specification, "Disconnect".
    """

    __slots__ = (
        "_clocked",
        "_connections",
        "_idle",
        "_interval",
        "_key",
        "_lifetime",
        "_max_size",
        "_size_alone",
        "_small",
        "_window",
        "app",
    )

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_message_size: int | None = 1 << 20,
        max_messages_per_second: float | None = None,
        burst: int | None = None,
        idle_timeout: float | None = None,
        max_lifetime: float | None = None,
        max_connections_per_key: int | None = None,
        key: Callable[[Scope], Hashable] = client_key,
    ) -> None:
        """Check the options; see the class."""
        problems = Problems("WebSocketMessageLimitMiddleware")
        problems.integer("max_message_size", max_message_size, minimum=0, optional=True)
        for option, value in (
            ("max_messages_per_second", max_messages_per_second),
            ("idle_timeout", idle_timeout),
            ("max_lifetime", max_lifetime),
        ):
            if problems.number(option, value, minimum=0, optional=True) and value == 0:
                problems.add(option, value, "lets nothing pass", fix="pass more than 0, or None", code="out_of_range")
        problems.integer("burst", burst, minimum=1, optional=True)
        if burst is not None and max_messages_per_second is None:
            fix = "set max_messages_per_second too"
            problems.add("burst", burst, "has no effect without max_messages_per_second", fix=fix, code="no_effect")
        problems.integer("max_connections_per_key", max_connections_per_key, minimum=1, optional=True)
        problems.callable("key", key)
        problems.raise_if_any()
        self.app = app
        self._max_size = _NO_LIMIT if max_message_size is None else max_message_size
        self._small = self._max_size // 4  # characters that are within the limit, whatever they are
        # A message may come when the one before is `interval` old, and `window` seconds earlier than that.
        self._interval = 0.0
        self._window = 0.0
        if max_messages_per_second is not None:
            self._interval = 1 / max_messages_per_second
            self._window = self._interval * ((burst or max(1, int(max_messages_per_second))) - 1)
        self._idle = idle_timeout
        self._lifetime = max_lifetime
        self._clocked = idle_timeout is not None or max_lifetime is not None
        self._connections = None if max_connections_per_key is None else Connections(max_connections_per_key)
        self._key = key
        self._size_alone = not (self._clocked or self._interval) and self._connections is None

    async def __call__(  # noqa: C901 -- the size alone is bounded here, to spare the most common case a call
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Close the connection at a message that is too large; see to further limits where there are any."""
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        if not self._size_alone:
            await self._admit(scope, receive, send)
            return
        small, limit = self._small, self._max_size
        ended = False  # by this class
        closed = False  # by the app

        async def receive_within_size() -> Message:
            nonlocal ended
            if ended:
                return disconnect_for(TOO_LARGE)
            message = await receive()
            text = message.get("text")
            if text is None:
                if size_of(message.get("bytes")) <= limit:
                    return message
            elif len(text) <= small or not exceeds(text, limit):
                return message
            ended = True
            if not closed:
                await close(TOO_LARGE, scope, send)
            return disconnect_for(TOO_LARGE)

        def send_unless_ended(message: Message) -> Awaitable[None]:
            nonlocal closed
            if ended:
                return drop(message)
            if message["type"] == "websocket.close":
                closed = True
            return send(message)

        try:
            await self.app(scope, receive_within_size, send_unless_ended)
        except Exception:
            if not ended:
                raise
            _log.debug("the app raised after its connection was closed", exc_info=True)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a connection too many; bound any other."""
        connections = self._connections
        key = None if connections is None else self._key(scope)
        if connections is None or key is None:
            await self._bound(scope, receive, send)
        elif connections.enter(key):
            try:
                await self._bound(scope, receive, send)
            finally:
                connections.leave(key)
        else:
            await TOO_MANY_CONNECTIONS.send(scope, receive, send)

    async def _bound(  # noqa: C901 -- closures over local names: an object for each message would cost more
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Run the app, and close the connection when it goes over a limit."""
        session = _Session(self._idle, self._lifetime, scope, send)

        # The options are read through `self`: a cell for each would make up a third of what an idle connection holds.
        async def receive_within_limits() -> Message:
            if self._clocked:
                message = await session.wait(receive)
                if message is None:
                    return await session.end()
                session.seen = monotonic()
            elif session.rang:
                return await session.end()
            else:
                message = await receive()
            text = message.get("text")
            if text is None:
                data = message.get("bytes")
                if data is None:
                    if message["type"] == "websocket.disconnect":
                        session.leave()
                    return message
                if size_of(data) > self._max_size:
                    return await session.end(TOO_LARGE)
            elif len(text) > self._small and exceeds(text, self._max_size):
                return await session.end(TOO_LARGE)
            if self._interval:
                now = monotonic()
                if session.due - now > self._window:
                    return await session.end(TOO_MANY)
                session.due = max(session.due, now) + self._interval
            return message

        def send_unless_ended(message: Message) -> Awaitable[None]:
            if session.rang:
                return session.drop(message)
            if message["type"] != "websocket.send":
                session.note(message["type"])
            return send(message)

        try:
            await self.app(scope, receive_within_limits, send_unless_ended)
        except Exception:
            if not session.rang:
                raise
            _log.debug("the app raised after its connection was closed", exc_info=True)
        finally:
            session.stop()
        if session.rang:
            await session.end()


class _Session(Alarm):
    """One connection: its clocks, and how far it has got. The alarm rings when it is over."""

    __slots__ = ("_closed", "_ends", "_idle", "_lifetime", "_scope", "_send", "_why", "due", "seen")

    def __init__(self, idle: float | None, lifetime: float | None, scope: Scope, send: Send) -> None:
        super().__init__()
        self._idle = idle
        self._lifetime = lifetime
        self._ends: float | None = None
        self._scope = scope
        self._send = send
        self._why: Refusal | None = None
        self._closed = False
        self.seen = 0.0  # when the last message came
        self.due = 0.0  # when the next message may come, at an even pace

    def note(self, kind: str) -> None:
        """Note how far the connection has got; the clocks run from the accept to the close."""
        if kind == "websocket.accept":
            now = self.seen = monotonic()
            if self._lifetime is not None:
                self._ends = now + self._lifetime
            if self._idle is not None or self._lifetime is not None:
                self._start_for(now)
        elif kind in {"websocket.close", "websocket.http.response.start"}:
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
        elif self._idle is not None and now - self.seen >= self._idle:
            self._why = IDLE
            self.ring()
        else:
            self._start_for(now)

    def _start_for(self, now: float) -> None:
        ends = [] if self._ends is None else [self._ends]
        if self._idle is not None:
            ends.append(self.seen + self._idle)
        self.start(min(ends) - now)

    async def end(self, why: Refusal | None = None) -> Message:
        """Close the connection, once, and give what the app receives from here on."""
        if why is not None and self._why is None:
            self._why = why
            self.ring()
        refusal = self._why or IDLE
        if not self._closed:
            self.leave()
            await close(refusal, self._scope, self._send)
        return disconnect_for(refusal)

    async def drop(self, message: Message) -> None:
        """Close, if that is not done yet, and take a message that must not go out."""
        await self.end()
        await drop(message)
