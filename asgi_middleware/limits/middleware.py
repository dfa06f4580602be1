"""RequestBodyLimitMiddleware: the ASGI shell around the count of a request's bytes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from types import MethodType
from typing import TYPE_CHECKING, Final

from asgi_middleware._core.config import Problems
from asgi_middleware._core.exchange import exchange_of, listed_headers
from asgi_middleware._core.lingering import body_follows, drain, holding_back
from asgi_middleware._core.messages import FIRST_ERROR, HTTP_1, size_of
from asgi_middleware._core.takeover import Takeover, drop
from asgi_middleware.limits.body_limit import (
    FRAMING,
    LENGTH_REQUIRED,
    MALFORMED_LENGTH,
    TOO_LARGE,
    KnownLengths,
    SizesByPath,
    declared_length,
)
from asgi_middleware.limits.budget import BodyBudget, Bound, Share, SharedBound
from asgi_middleware.limits.countdown import receive_declared
from asgi_middleware.limits.errors import BodyTooLargeError
from asgi_middleware.limits.takeover import collect, messages_of

if TYPE_CHECKING:
    import re
    from collections.abc import Awaitable

    from asgi_middleware._core.refusals import Refusal
    from asgi_middleware._core.types import ASGIApp, HeaderList, Message, Receive, Scope, Send

_log: Final = logging.getLogger("asgi_middleware.limits")

# Methods of which hardly any request has a body.
_BODILESS: Final = frozenset({"GET", "HEAD"})


class RequestBodyLimitMiddleware:
    """Refuses a request whose body is larger than `max_body_size`, with a 413 that does not depend on the app.

    It bounds what the app gets, not what the server reads ahead: a server that takes in the whole body before it
    calls the app (daphne does) has it on disk by then, and none stops at exactly this limit. It counts bytes as they
    arrive: put it outside a class that decompresses request bodies, and another one inside, with a limit for the
    decompressed size.

    A declared length over the limit is refused before the app is called and before anything is read, so a client that
    asks with ``Expect: 100-continue`` sends nothing. Whatever has a body by its head is counted besides. When the bytes
    pass the limit, the 413 goes out at once; from then on the app receives ``http.disconnect``, what it sends is
    dropped, and what it raises is swallowed. When the app had begun its own response by then, the connection is aborted
    by :class:`BodyTooLargeError`. A Content-Length that is malformed or contradicts itself is a 400.

    After a 413 the rest of the upload is read and thrown away for a while, because a client that is still sending when
    the connection closes loses the answer::

        from asgi_middleware.limits import RequestBodyLimitMiddleware


        async def app(scope, receive, send): ...


        app = RequestBodyLimitMiddleware(app, max_body_size=1_000_000, overrides={"/upload": 100_000_000})

    Args:
        app: The ASGI app.
        max_body_size: The largest body that passes, in bytes, 0 or more; 0 lets only empty bodies pass. Required:
            there is no value that is right for every app.
        overrides: Other sizes for some paths: a path rule (``"/upload"``, ``"/files/**"``, ``"PUT /blobs/*"``, or a
            compiled pattern) to bytes, or to None for no limit. A larger size holds for a path as it is written, a
            smaller one for every reading of it.
        require_content_length: Whether a body needs a Content-Length: 411 for one in chunks. Off by default.
        enforce_content_length: Whether the head is believed: a body that is longer than its Content-Length counts as
            too large, even within the limit, and a GET over HTTP/1 that announces no body has none and is not counted
            (RFC 9112 6.3). On by default. Turn it off where a class outside this one changes bodies and leaves the
            head; then every request is counted, and only the limit.
        on_exceeded: Gives the answer in place of the 413: called with the scope, gives an ASGI app such as a Starlette
            response. Its messages are collected, so it cannot stream. None for a problem document.
        budget: A :class:`BodyBudget` that bounds the bytes of all requests together, or None.
        drain_timeout: Seconds for which the rest of a refused body is read, so that the client sees the answer; 0
            closes at once. 5 by default: long enough for most uploads to notice. Two in which nothing comes end it.
        drain_bytes: Bytes of a refused body that are read at most; 0 closes at once. 32 MiB by default.

    Raises:
        ConfigurationError: Some options are wrong; every one is listed with its fix.

    Source: RFC 9110 8.6, 10.1.1, 15.5.12, 15.5.14; RFC 9112 6.3, 9.6, 11.2.
    """

    __slots__ = (
        "_bodiless",
        "_budget",
        "_drain_bytes",
        "_drain_timeout",
        "_enforce_content_length",
        "_lengths",
        "_max_body_size",
        "_on_exceeded",
        "_require_content_length",
        "_sizes",
        "app",
    )

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body_size: int,
        overrides: Mapping[str | re.Pattern[str], int | None] | None = None,
        require_content_length: bool = False,
        enforce_content_length: bool = True,
        on_exceeded: Callable[[Scope], ASGIApp] | None = None,
        budget: BodyBudget | None = None,
        drain_timeout: float = 5.0,
        drain_bytes: int = 32 * 1024 * 1024,
    ) -> None:
        """Check the options; see the class."""
        problems = Problems("RequestBodyLimitMiddleware")
        sized = problems.integer("max_body_size", max_body_size, minimum=0)
        self._sizes = SizesByPath(max_body_size if sized else 0, {} if overrides is None else overrides, problems)
        problems.boolean("require_content_length", require_content_length)
        problems.boolean("enforce_content_length", enforce_content_length)
        problems.callable("on_exceeded", on_exceeded, optional=True)
        given: object = budget
        if given is not None and not isinstance(given, BodyBudget):
            problems.add("budget", budget, "is no BodyBudget", fix="pass BodyBudget(256_000_000)", code="not_a_budget")
        problems.number("drain_timeout", drain_timeout, minimum=0)
        problems.integer("drain_bytes", drain_bytes, minimum=0)
        problems.raise_if_any()
        self.app = app
        self._max_body_size = max_body_size
        self._require_content_length = require_content_length
        self._enforce_content_length = enforce_content_length
        self._on_exceeded = on_exceeded
        self._budget = budget
        self._drain_timeout = drain_timeout
        self._drain_bytes = drain_bytes if drain_timeout else 0
        # The short ways are for what the head settles, where neither path nor budget has a say in it.
        plain = enforce_content_length and not self._sizes and budget is None
        self._lengths = KnownLengths(max_body_size if plain else -1)
        self._bodiless = _BODILESS if plain and not require_content_length else frozenset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse by the declared length, or count what the app reads."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = scope["headers"]
        if type(headers) is not list:
            scope, headers = listed_headers(scope)
        left: int | None = None
        others = FRAMING.others  # a local name is faster, and this is asked for each header
        for name, value in headers:
            if name not in others:
                if left is not None or name != b"content-length":
                    left = -1  # a second one, Transfer-Encoding, another spelling, or a name that is not known yet
                    break
                left = self._lengths[value]
        if left is None:
            if scope["method"] in self._bodiless and scope["http_version"] in HTTP_1:
                # The head says that there is no body (RFC 9112 6.3), and the server holds the client to that.
                await self.app(scope, receive, send)
            else:
                await self._admit(None, scope, receive, send)
            return
        if left < 0:
            await self._judge(FRAMING.find(headers), scope, receive, send)
            return
        countdown = [left, receive, scope]  # a method of a list costs half of what a closure does
        await self.app(scope, MethodType(receive_declared, countdown), send)
        if countdown[0] < 0:
            raise BodyTooLargeError

    async def _judge(self, framing: HeaderList, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse by what the head declares, or go on."""
        try:
            declared = declared_length(framing)
        except ValueError:
            await self._refuse(MALFORMED_LENGTH, scope, receive, send)
            return
        await self._admit(declared, scope, receive, send, chunked=declared is None and bool(framing))

    async def _admit(
        self, declared: int | None, scope: Scope, receive: Receive, send: Send, *, chunked: bool = False
    ) -> None:
        """Refuse by the declared length, or set the bound to count by."""
        limit = self._sizes.size_for(scope) if self._sizes else self._max_body_size
        beyond = TOO_LARGE
        if declared is None:
            if self._require_content_length:
                if chunked:
                    await self._refuse(LENGTH_REQUIRED, scope, receive, send)
                    return
                limit, beyond = 0, LENGTH_REQUIRED  # where a body comes after all, as HTTP/2 allows
        elif declared > limit:
            await self._refuse(TOO_LARGE, scope, receive, send)
            return
        elif self._enforce_content_length:
            limit = declared
        if self._budget is None:
            await self._count(Bound(limit, beyond), scope, receive, send)
            return
        size = declared or 0
        if not await self._budget.reserve(size):
            await self._refuse(self._budget.refusal, scope, receive, send)
            return
        share = Share(self._budget, size)
        try:
            await self._count(SharedBound(limit, beyond, share, self._budget.refusal), scope, receive, send)
        finally:
            share.give_back()

    async def _count(  # noqa: C901 -- closures over local names: an object per request would cost more
        self, bound: Bound, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Run the app, and take the request away from it when it reads more than it may."""
        received = 0
        limit = bound.size
        start: Message | None = None
        last: Message | None = None
        taken: Takeover | None = None

        async def receive_within_limit() -> Message:
            nonlocal received, limit, taken
            if taken is not None:
                return {"type": "http.disconnect"}
            message = await receive()
            body = message.get("body")
            if body:
                received += len(body) if type(body) is bytes else size_of(body)
                if received > limit:
                    # Another task of the app may have run over the limit meanwhile.
                    refusal = bound.extend(received) if taken is None else TOO_LARGE
                    if refusal is not None and taken is None:
                        taken = Takeover(refusal, scope, start=start, last=last, error=BodyTooLargeError)
                        if taken.answers:
                            lingers = message.get("more_body", False)
                            answer, rest = await self._answer(refusal, scope, receive, lingers=lingers)
                            await taken.answer(answer, send, before_last=rest)
                        elif not taken.muted and last is None and message.get("more_body", False):
                            # Who reads on behind the head of an error does it for the client to see that error.
                            await drain(receive, max_bytes=self._drain_bytes, timeout=self._drain_timeout)
                    if refusal is not None:
                        return {"type": "http.disconnect"}
                    limit = bound.size
            return message

        def send_unless_taken(message: Message) -> Awaitable[None]:
            nonlocal start, last
            if taken is not None and taken.muted:
                return drop(message)
            if message["type"] == "http.response.start":
                start = message
                if not received and message.get("status", 200) >= FIRST_ERROR:
                    bound.give_back()
            elif not message.get("more_body"):
                last = message
            return send(message)

        try:
            await self.app(scope, receive_within_limit, send_unless_taken)
        except Exception as error:
            if taken is None:
                raise
            taken.swallow(error)
        if taken is not None:
            await taken.end(send)

    async def _refuse(self, refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer without the app."""
        exchange = exchange_of(scope)
        if exchange is not None:
            exchange.refusal = refusal
        lingers = refusal is not MALFORMED_LENGTH and body_follows(scope)
        messages, rest = await self._answer(refusal, scope, receive, lingers=lingers)
        for message in messages[:-1]:
            await send(message)
        if rest is not None:
            await rest()
        await send(messages[-1])

    async def _answer(
        self, refusal: Refusal, scope: Scope, receive: Receive, *, lingers: bool
    ) -> tuple[list[Message], Callable[[], Awaitable[None]] | None]:
        """Give the messages of an answer, and what to wait for before the last of them."""
        messages = messages_of(refusal, scope)
        make = self._on_exceeded
        if make is not None and refusal is TOO_LARGE:
            try:
                messages = await collect(make(scope), scope)
            except Exception:  # noqa: BLE001 -- the request is refused, whatever that function does
                _log.exception("on_exceeded failed; the answer is the usual 413")
        if not (lingers and self._drain_bytes):
            return messages, None
        rest = partial(drain, receive, max_bytes=self._drain_bytes, timeout=self._drain_timeout)
        return [*messages[:-1], *holding_back(messages[-1])], rest
