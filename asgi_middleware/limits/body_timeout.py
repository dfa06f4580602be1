"""BodyTimeoutMiddleware: the ASGI shell around the clocks of a request's body and of a stalled response."""

from __future__ import annotations

from functools import partial
from sys import modules
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from asgi_middleware._core.config import Problems
from asgi_middleware._core.exchange import listed_headers
from asgi_middleware._core.messages import HTTP_1, size_of
from asgi_middleware._core.takeover import Takeover, drop
from asgi_middleware.limits.body_clock import Pace, RequestClock, done_within, go_on, may_step
from asgi_middleware.limits.body_limit import FRAMING

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from asgi_middleware._core.types import ASGIApp, Message, Receive, Scope, Send


class BodyTimeoutMiddleware:
    """Ends a request whose body comes too slowly, with a 408 that does not depend on the app.

    Of the common servers none bounds the time that a body may take: one byte a second holds a task, a connection and
    whatever the app holds, for as long as the client likes. A proxy that takes in whole bodies does bound it; behind
    one that passes them on as they come this class is needed.

    The clock runs only while the app waits in ``receive`` for a part of the body, not while it works. When time is up
    before the response has begun, the 408 goes out at once and the connection is closed; from then on the app receives
    ``http.disconnect``, what it sends is dropped, and what it raises is swallowed. After the beginning of the response
    the connection is aborted by :class:`BodyTimeoutError`. A deadline is met a tenth of a second late at most; no
    request has a timer or a task of its own::

        from asgi_middleware.limits import BodyTimeoutMiddleware


        async def app(scope, receive, send): ...


        app = BodyTimeoutMiddleware(app)

    Args:
        app: The ASGI app.
        idle_timeout: Seconds for one wait in which nothing comes; None for any. 15 by default.
        total_timeout: Seconds for all waits of one body together; None (the default) for any, since large honest
            uploads take long.
        min_rate: The least bytes a second, counted from the first wait; 0 for any. 240 by default, which no line that
            works stays below.
        min_rate_grace: Seconds that need no bytes. 5 by default.
        send_timeout: Seconds that one ``send`` may take because the client does not read; None (the default) for any.
            It must be long enough for the largest message that the app sends at once, over the slowest line.

    Raises:
        ConfigurationError: Some options are wrong; every one is listed with its fix.

    Source: RFC 9110 15.5.9; RFC 9112 9.5.
    """

    __slots__ = ("_pace", "_send_timeout", "app")

    def __init__(
        self,
        app: ASGIApp,
        *,
        idle_timeout: float | None = 15.0,
        total_timeout: float | None = None,
        min_rate: float = 240,
        min_rate_grace: float = 5.0,
        send_timeout: float | None = None,
    ) -> None:
        """Check the options; see the class."""
        problems = Problems("BodyTimeoutMiddleware")
        for option, value in (
            ("idle_timeout", idle_timeout),
            ("total_timeout", total_timeout),
            ("send_timeout", send_timeout),
        ):
            if problems.number(option, value, minimum=0, optional=True) and value == 0:
                problems.add(option, value, "is no time at all", fix="pass more than 0, or None", code="out_of_range")
        problems.number("min_rate", min_rate, minimum=0)
        problems.number("min_rate_grace", min_rate_grace, minimum=0)
        if not problems and idle_timeout is total_timeout is send_timeout is None and not min_rate:
            fix = "set one of the timeouts, or leave the class out"
            problems.add("idle_timeout", None, "leaves nothing to do, as the others do", fix=fix)
        problems.raise_if_any()
        self.app = app
        self._pace = Pace(idle_timeout, total_timeout, min_rate, min_rate_grace)
        self._send_timeout = send_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request without a body on; time any other, and take it away from the app when time is up."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = scope.get("headers")
        if type(headers) is not list:
            scope, headers = listed_headers(scope)
        if self._send_timeout is None and scope.get("http_version", "1.1") in HTTP_1:
            others = FRAMING.others
            for name, value in headers:
                if name not in others and (name == b"content-length" or FRAMING.pick([(name, value)])):
                    break
            else:  # no body (RFC 9112 6.3), and nothing to wait for
                await self.app(scope, receive, send)
                return
        request = _TimedRequest(self._pace, scope, receive, send)
        sender: Send = request.send
        if self._send_timeout is not None:
            sender = partial(request.send_within, self._send_timeout)
        try:
            await self.app(scope, request.receive, sender)
        except Exception as error:
            if request.taken is None:
                raise
            request.taken.swallow(error)
        if request.clock is not None and request.taken is not None:
            await request.taken.end(send)


class _TimedRequest:
    """One request on its way. An object: closures over what it knows would take a third more.

    Attributes:
        clock: Its clock, made at the first wait; None before.
    """

    __slots__ = ("_last", "_pace", "_receive", "_received", "_scope", "_send", "_start", "_steps", "clock")

    def __init__(self, pace: Pace, scope: Scope, receive: Receive, send: Send) -> None:
        self._pace = pace
        self._scope = scope
        self._receive = receive
        self._send = send
        self._received: int | None = 0  # None when no more comes
        self.clock: RequestClock | None = None
        self._start: Message | None = None
        self._last: Message | None = None
        self._steps = "trio" not in modules or may_step()

    @property
    def taken(self) -> Takeover | None:
        """The takeover, once time was up."""
        return None if self.clock is None else self.clock.taken

    async def receive(self) -> Message:
        """Stand in for the server's ``receive``."""
        received = self._received
        if received is None:
            return await self._receive() if self.taken is None else {"type": "http.disconnect"}
        awaiting: Any = self._receive()
        try:
            waits_for = awaiting.send(None) if self._steps and type(awaiting) is CoroutineType else awaiting
        except StopIteration as end:
            message = end.value
        else:
            message = await self._wait(partial(go_on, awaiting, waits_for), received)
        if not message.get("more_body"):
            self._received = None
        elif self._received is not None:
            body = message.get("body")
            self._received += len(body) if type(body) is bytes else size_of(body)
        return message

    async def _wait(self, rest: Receive, received: int) -> Message:
        return await self._running_clock().wait_or_take(rest, received, self._start, self._last)

    def _running_clock(self) -> RequestClock:
        clock = self.clock
        if clock is None:
            clock = self.clock = RequestClock(self._pace, self._scope, self._send)
        return clock

    def send(self, message: Message) -> Awaitable[None]:
        """Stand in for the server's ``send``."""
        clock = self.clock
        if clock is None:
            if self._received is None:  # nothing is left to wait for
                return self._send(message)
        elif clock.taken is not None and clock.taken.muted:
            return drop(message)
        if message["type"] == "http.response.start":
            self._start = message
        elif not message.get("more_body"):
            self._last = message
        return self._send(message)

    async def send_within(self, seconds: float, message: Message) -> None:
        """Do as :meth:`send`, and cut the response where that takes longer."""
        if not await done_within(seconds, self.send(message)):
            self._running_clock().cut()
            text = "the client does not read"
            raise ConnectionAbortedError(text)
