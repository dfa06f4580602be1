"""WebSocketMessageLimitMiddleware: the ASGI shell around the limits of a WebSocket."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from asgi_middleware._core.config import Problems
from asgi_middleware._core.messages import size_of
from asgi_middleware.limits.message_session import Bounds, Session
from asgi_middleware.limits.messages import (
    TOO_LARGE,
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
        max_message_size: The largest message, in bytes, text as UTF-8; None for any. A larger one closes with 1009.
        max_messages_per_second: The messages that may come each second on average; None (the default) for any number.
            More close with 1008.
        burst: The messages that may come at once; None for those of one second, at least 1.
        idle_timeout: Seconds without a message of the client, then 1001; None (the default) for any. Pings are the
            server's business and do not count; for feeds to which clients only listen, leave it off.
        max_lifetime: Seconds after the accept, then 1001; None (the default) for any.
        max_connections_per_key: Connections that one key may have open at a time, in this process; None (the default)
            for any number. One more is refused before the accept: 429, or a close where the server knows no denial
            response.
        key: Gives the key of a connection's scope; None as a key is not counted. By default the client's address, of
            IPv6 its /64 network.

    Raises:
        ConfigurationError: Some options are wrong; every one is listed with its fix.

    Source: RFC 6455 7.4.1, 10.4; ASGI WebSocket specification, "Disconnect".
    """

    __slots__ = (
        "_bounds",
        "_connections",
        "_key",
        "_max_size",
        "_size_alone",
        "_small",
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
        # A length that is within the limit, whatever is counted: characters are four bytes at most, items of a buffer
        # eight.
        self._small = self._max_size // 8
        # A message may come when the one before is `interval` old, and `window` seconds earlier than that.
        interval = window = 0.0
        if max_messages_per_second is not None:
            interval = 1 / max_messages_per_second
            window = interval * ((burst or max(1, int(max_messages_per_second))) - 1)
        clocked = idle_timeout is not None or max_lifetime is not None
        self._bounds = Bounds(self._max_size, self._small, interval, window, idle_timeout, max_lifetime, clocked)
        self._connections = None if max_connections_per_key is None else Connections(max_connections_per_key)
        self._key = key
        self._size_alone = not (clocked or interval) and self._connections is None

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
        key = "text"  # where the last message had its data: hardly any connection mixes text and bytes
        closed = False  # by the app
        # Other functions take their place when the connection is ended here, so that no message need ask.
        take, give = receive, send

        async def receive_within_size() -> Message:
            nonlocal key
            message = await take()
            try:
                if len(message[key]) <= small:
                    return message
            except (KeyError, TypeError):  # the other kind of data, or none
                key = "text" if message.get("bytes") is None else "bytes"
            text = message.get("text")
            if not exceeds(text, limit) if text is not None else size_of(message.get("bytes")) <= limit:
                return message
            return await end()

        def send_unless_ended(message: Message) -> Awaitable[None]:
            nonlocal closed
            if message["type"] == "websocket.close":
                closed = True
            return give(message)

        async def end() -> Message:
            nonlocal take, give
            if give is not drop:
                take, give = gone, drop
                if not closed:
                    await close(TOO_LARGE, scope, send)
            return disconnect_for(TOO_LARGE)

        async def gone() -> Message:
            return disconnect_for(TOO_LARGE)

        try:
            await self.app(scope, receive_within_size, send_unless_ended)
        except Exception:
            if give is not drop:
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

    async def _bound(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app, and close the connection when it goes over a limit."""
        session = Session(self._bounds, scope, receive, send)
        try:
            await self.app(scope, session.receive, session.send)
        except Exception:
            if not session.rang:
                raise
            _log.debug("the app raised after its connection was closed", exc_info=True)
        finally:
            session.stop()
        if session.rang:
            await session.end()
