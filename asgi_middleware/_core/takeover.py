"""Taking a request away from an app that is at work on it: the answer is ours, whatever the app makes of that.

Facts this module rests on:

- An exception that has to cross the app gets lost there: in a catch-all handler, in an exception group, in the
  endpoint's ``except``. So the answer goes out from inside the app's ``receive``, and the app is told that its client
  left.
- A response starts once (ASGI HTTP specification, "Response Start"). When the app's has begun, only an abort is left:
  an exception to the server, which then ends the connection. An error that has begun is no false promise, and a
  complete answer is complete; both may stand.
- An app that streams without end asks nobody whether the client is still there. Only an exception from ``send`` stops
  it; OSError is how servers say it ("Disconnected Client").
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from asgi_middleware._core.exchange import exchange_of
from asgi_middleware._core.messages import FIRST_ERROR, ends_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from asgi_middleware._core.refusals import Refusal
    from asgi_middleware._core.types import Message, Scope, Send

_UNFED: Final = 1  # an answer may stand as it is; only the rest of the body is withheld
_REFUSED: Final = 2  # the answer is ours
_CUT: Final = 3  # an answer, the app's or ours, has begun and cannot be completed


class Takeover:
    """One request that was taken away from the app, from then on.

    Args:
        refusal: Why.
        scope: The request's scope.
        start: The start of the app's response, or None where it has not begun.
        last: The last message of the app that might have ended its response, or None.
        error: What the server is told where the app's response cannot stand; made without arguments.
    """

    __slots__ = ("_error", "_left", "_state")

    def __init__(
        self,
        refusal: Refusal,
        scope: Scope,
        *,
        start: Message | None,
        last: Message | None,
        error: type[Exception],
    ) -> None:
        self._error = error
        self._left: list[Message] = []
        if start is None:
            self._state = _REFUSED
        elif start.get("status", 200) >= FIRST_ERROR or (
            last is not None and ends_response(last, trailers=start.get("trailers", False))
        ):
            self._state = _UNFED
            return
        else:
            self._state = _CUT
        exchange = exchange_of(scope)
        if exchange is not None:
            exchange.refusal = refusal

    @property
    def answers(self) -> bool:
        """Whether the answer is still to be given, by :meth:`answer`."""
        return self._state == _REFUSED

    @property
    def muted(self) -> bool:
        """Whether nothing of the app's goes out any more."""
        return self._state > _UNFED

    def cut(self) -> None:
        """Let nothing more out, and end in an error."""
        self._state = _CUT
        self._left.clear()

    async def answer(
        self, messages: list[Message], send: Send, *, before_last: Callable[[], Awaitable[None]] | None
    ) -> None:
        """Give the answer. Each message leaves the list as it is sent, so that :meth:`end` knows what is missing.

        Args:
            messages: The answer.
            send: The server's send.
            before_last: What to wait for before the last message, or None.
        """
        self._left = messages
        try:
            while len(messages) > 1:
                await self._send_next(send)
            if before_last is not None:
                await before_last()
            while messages:
                await self._send_next(send)
        except OSError:  # the client is gone, and nobody waits for the rest
            self._state = _REFUSED
            messages.clear()

    async def _send_next(self, send: Send) -> None:
        # When the app cancels this, nobody knows whether the message went out. Then no other may follow it.
        self._state = _CUT
        await send(self._left.pop(0))
        self._state = _REFUSED

    def swallow(self, error: Exception) -> None:
        """Take what the app raised: it was told that its client left, and may say so in any way.

        Raises:
            Exception: The connection has to end; of the type that was given.
        """
        if self._state == _CUT:
            raise self._error from error
        if self._state == _UNFED:
            raise error
        log = logging.getLogger(self._error.__module__)
        log.debug("the app raised after its request was refused", exc_info=error)

    async def end(self, send: Send) -> None:
        """Finish, when the app has ended.

        Raises:
            Exception: The connection has to end; of the type that was given.
        """
        if self._state == _CUT:
            raise self._error
        # What is left when the app cancelled its own receive() in the middle of the answer.
        while self._left:
            await send(self._left.pop(0))


async def drop(message: Message) -> None:
    """Take a message that must not go out: in peace where it would end the response, else by stopping the app."""
    if message.get("more_body", False):
        raise ConnectionAbortedError("the request was refused and answered")
