"""RequestBodyLimitMiddleware: the ASGI shell around the count of a request's bytes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import Final

from asgi_middleware._core.config import Problems
from asgi_middleware._core.exchange import SCOPE_KEY, Exchange, enter
from asgi_middleware._core.headers import HeaderIndex
from asgi_middleware._core.messages import body_size, ends_response
from asgi_middleware._core.refusals import Refusal
from asgi_middleware._core.types import ASGIApp, Message, Receive, Scope, Send
from asgi_middleware.limits.body_limit import declared_length, drain, waits_for_continue

_log: Final = logging.getLogger("asgi_middleware.limits")

_TOO_LARGE: Final = Refusal(
    413, "body_too_large", detail="The request body is larger than this server accepts.", close_code=1009
)
_MALFORMED_LENGTH: Final = Refusal(
    400, "malformed_content_length", detail="The Content-Length header is malformed or contradicts itself."
)

# What has become of a request. Above _UNFED nothing of the app's goes out any more.
_OPEN: Final = 0  # all is well
_UNFED: Final = 1  # a complete answer, or another class's refusal, is out; only the rest of the body is withheld
_REFUSED: Final = 2  # the 413 is ours
_CUT: Final = 3  # an answer, the app's or ours, has begun and cannot be completed


class BodyTooLargeError(Exception):
    """A body ran over the limit, and the response is cut short; raised to the server so that it ends the connection."""

    def __init__(self) -> None:
        """Say what happened."""
        super().__init__("the request body ran over the limit, and the response could not be completed")


class RequestBodyLimitMiddleware:
    """Refuses a request whose body is larger than `max_body_size`, with a 413 that does not depend on the app.

    It bounds what the app gets, not what the server reads ahead: a server that takes in the whole body before it
    calls the app (daphne does) has it on disk by then, and none stops at exactly this limit. It counts bytes as they
    arrive: put it outside a class that decompresses request bodies, and another one inside, with a limit for the
    decompressed size.

    A declared length over the limit is refused before the app is called and before anything is read, so a client that
    asks with ``Expect: 100-continue`` sends nothing. Bytes are counted in any case. When they pass the limit, the 413
    goes out at once; from then on the app receives ``http.disconnect``, what it sends is dropped, and what it raises
    is swallowed. When the app had begun its own response by then, the connection is aborted by
    :class:`BodyTooLargeError`. A Content-Length that is malformed or contradicts itself is a 400.

    After a 413 the rest of the upload is read and thrown away for a while, because a client that is still sending when
    the connection closes loses the answer::

        from asgi_middleware.limits import RequestBodyLimitMiddleware


        async def app(scope, receive, send): ...


        app = RequestBodyLimitMiddleware(app, max_body_size=1_000_000)

    Args:
        app: The ASGI app.
        max_body_size: The largest body that passes, in bytes, 0 or more; 0 lets only empty bodies pass. Required:
            there is no value that is right for every app.
        enforce_content_length: Whether a body that is longer than its Content-Length counts as too large, even within
            the limit. On by default. Turn it off where a class outside this one decompresses bodies and leaves the
            header.
        drain_timeout: Seconds for which the rest of a refused body is read, so that the client sees the answer; 0
            closes at once. 5 by default: long enough for most uploads to notice.
        drain_bytes: Bytes of a refused body that are read at most; 0 closes at once. 32 MiB by default.

    Raises:
        ConfigurationError: Some options are wrong; every one is listed with its fix.

    Source: RFC 9110 8.6, 10.1.1, 15.5.14; RFC 9112 6.3, 9.6, 11.2.
    """

    __slots__ = ("_drain_bytes", "_drain_timeout", "_enforce_content_length", "_max_body_size", "app")

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body_size: int,
        enforce_content_length: bool = True,
        drain_timeout: float = 5.0,
        drain_bytes: int = 32 * 1024 * 1024,
    ) -> None:
        """Check the options; see the class."""
        problems = Problems("RequestBodyLimitMiddleware")
        problems.integer("max_body_size", max_body_size, minimum=0)
        problems.boolean("enforce_content_length", enforce_content_length)
        problems.number("drain_timeout", drain_timeout, minimum=0)
        problems.integer("drain_bytes", drain_bytes, minimum=0)
        problems.raise_if_any()
        self.app = app
        self._max_body_size = max_body_size
        self._enforce_content_length = enforce_content_length
        self._drain_timeout = drain_timeout
        self._drain_bytes = drain_bytes if drain_timeout else 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse by the declared length, or count what the app reads."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope, exchange = enter(scope)
        headers = exchange.headers(scope)
        limit = self._max_body_size
        if b"content-length" in headers:
            verdict = self._judge(headers)
            if isinstance(verdict, Refusal):
                lingers = verdict is _TOO_LARGE and not waits_for_continue(headers)
                await self._give(self._answer(verdict, scope, lingers=lingers), receive, send)
                return
            limit = verdict
        await self._count(limit, scope, receive, send)

    async def _count(  # noqa: C901 -- closures over local names: an object per request would cost more
        self, limit: int, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Run the app, and stop it when it reads more than `limit` bytes."""
        received = 0
        progress = _Progress()

        async def receive_within_limit() -> Message:
            nonlocal received
            if progress.state == _OPEN:
                message = await receive()
                # Another task of the app may have run over the limit meanwhile.
                if progress.state == _OPEN:
                    if message["type"] != "http.request":
                        return message
                    received += body_size(message)
                    if received <= limit:
                        return message
                    await self._stop(progress, message, scope, receive, send)
            return {"type": "http.disconnect"}

        def send_unless_stopped(message: Message) -> Awaitable[None]:
            if progress.state > _UNFED:
                return _drop(message)
            if message["type"] == "http.response.start":
                progress.started = True
                progress.trailers = message.get("trailers", False)
            elif ends_response(message, trailers=progress.trailers):
                progress.finished = True
            return send(message)

        try:
            await self.app(scope, receive_within_limit, send_unless_stopped)
        except Exception as error:
            if progress.state == _CUT:
                raise BodyTooLargeError from error
            if progress.state != _REFUSED:
                raise
            _log.debug("the app raised after its request was refused", exc_info=True)
        if progress.state == _CUT:
            raise BodyTooLargeError
        # What is left when the app cancelled its own receive() in the middle of the answer.
        if progress.state == _REFUSED:
            while progress.answer:
                await send(progress.answer.pop(0))

    def _judge(self, headers: HeaderIndex) -> int | Refusal:
        """Give the number of bytes that may come, or the refusal, by what Content-Length says."""
        try:
            declared = declared_length(headers)
        except ValueError:
            return _MALFORMED_LENGTH
        if declared is None:
            return self._max_body_size
        if declared > self._max_body_size:
            return _TOO_LARGE
        return declared if self._enforce_content_length else self._max_body_size

    async def _stop(self, progress: _Progress, message: Message, scope: Scope, receive: Receive, send: Send) -> None:
        """Act on the message that ran over the limit, as far as the response has got."""
        exchange: Exchange = scope[SCOPE_KEY]
        if progress.finished or exchange.refusal is not None:
            progress.state = _UNFED
        elif progress.started:
            progress.state = _CUT
            exchange.refusal = _TOO_LARGE
        else:
            progress.state = _REFUSED
            lingers = message.get("more_body", False)
            progress.answer = self._answer(_TOO_LARGE, scope, lingers=lingers)

            async def send_or_cut(message: Message) -> None:
                # When the app cancels this, nobody knows whether the message went out. Then no other may follow it.
                progress.state = _CUT
                await send(message)
                progress.state = _REFUSED

            try:
                await self._give(progress.answer, receive, send_or_cut)
            except OSError:  # the client is gone, and nobody waits for the rest
                progress.state = _REFUSED
                progress.answer.clear()

    def _answer(self, refusal: Refusal, scope: Scope, *, lingers: bool) -> list[Message]:
        """Give the messages of an answer; when it lingers, the last one holds the last byte back.

        Some servers close the connection as soon as all bytes that Content-Length promised are out.
        """
        exchange: Exchange = scope[SCOPE_KEY]
        exchange.refusal = refusal
        start, body = refusal.messages(scope, request_id=exchange.request_id, close_connection=True)
        if not lingers or not self._drain_bytes:
            return [start, body]
        document: bytes = body["body"]
        return [start, {**body, "body": document[:-1], "more_body": True}, {**body, "body": document[-1:]}]

    async def _give(self, answer: list[Message], receive: Receive, send: Send) -> None:
        """Send the answer; where it lingers, read the rest of the body before its last message.

        Each message leaves the list as it is sent, so that whoever finds some left knows what is missing.
        """
        lingers = len(answer) > 2
        while len(answer) > 1:
            await send(answer.pop(0))
        if lingers:
            await drain(receive, max_bytes=self._drain_bytes, timeout=self._drain_timeout)
        while answer:
            await send(answer.pop(0))


class _Progress:
    """How far one request has got. The defaults stand on the class, so that making one costs no assignments."""

    state: int = _OPEN
    started: bool = False
    trailers: bool = False
    finished: bool = False
    answer: list[Message]


async def _drop(message: Message) -> None:
    """Take a message that must not go out.

    An app that answers the disconnect politely ends in peace. One that streams has to be stopped: nothing would ever
    make it wait, and it would hold the event loop for good. OSError is how servers say it (ASGI HTTP specification,
    "Disconnected Client").
    """
    if message.get("more_body", False):
        raise ConnectionAbortedError("the request was refused and answered")
