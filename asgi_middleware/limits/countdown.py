"""The count of a body whose length is declared and within the limit: the road that most uploads take.

Fact this module rests on: the server holds the body to what the head declares (RFC 9112 6.3, RFC 9113 8.1.1). So this
count runs over only where a class outside has put another body in place, and `send` needs no wrapper that would have to
know how far the response has got.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgi_middleware._core.exchange import exchange_of
from asgi_middleware._core.messages import size_of
from asgi_middleware.limits.body_limit import TOO_LARGE
from asgi_middleware.limits.errors import BodyTooLargeError

if TYPE_CHECKING:
    from asgi_middleware._core.types import Message


async def receive_declared(countdown: list[Any]) -> Message:
    """Receive, and count down the bytes that may still come.

    Args:
        countdown: The bytes that are left, the server's receive, and the scope.

    Raises:
        BodyTooLargeError: The body is larger than its head declared.
    """
    message: Message = await countdown[1]()
    body = message.get("body")
    if body:
        left = countdown[0] = countdown[0] - (len(body) if type(body) is bytes else size_of(body))
        if left < 0:
            countdown[1] = _no_more
            exchange = exchange_of(countdown[2])
            if exchange is not None:
                exchange.refusal = TOO_LARGE
            raise BodyTooLargeError
    return message


async def _no_more() -> Message:
    raise BodyTooLargeError
