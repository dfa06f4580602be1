"""How much body a request may have, and how to let a refused upload run out.

Facts this module rests on:

- ``Content-Length`` is a promise. With ``Transfer-Encoding`` beside it, it is not even that, and some servers pass
  both on (RFC 9112 6.1 and 6.3). So bytes are counted whatever was declared.
- A body that is longer than its declared length means that somebody on the way framed it differently (RFC 9112 11.2).
- Closing a connection while the client still sends makes TCP reset it, and the client then loses the response that it
  had not read yet (RFC 9112 9.6). Reading on for a while, and throwing away what comes, lets it arrive.
- A client that sent ``Expect: 100-continue`` holds its body back until it hears a status (RFC 9110 10.1.1). It needs no
  such while.
- ``http.request`` may lack ``body`` and ``more_body``; a body may be any bytes-like object.
"""

from __future__ import annotations

import anyio
import anyio.lowlevel

from asgi_middleware._core.headers import HeaderIndex, parse_content_length
from asgi_middleware._core.messages import body_size
from asgi_middleware._core.types import Receive


def declared_length(headers: HeaderIndex) -> int | None:
    """Give the declared length of the body, or None where none is declared that counts.

    Raises:
        ValueError: Content-Length is malformed or contradicts itself (RFC 9110 8.6).
    """
    values = headers.get_all(b"content-length")
    if not values:
        return None
    length = parse_content_length(values)
    return None if b"transfer-encoding" in headers else length


def waits_for_continue(headers: HeaderIndex) -> bool:
    """Tell whether the client holds its body back until it hears a status."""
    return b"100-continue" in headers.get(b"expect", b"").lower()


async def drain(receive: Receive, *, max_bytes: int, timeout: float) -> None:  # noqa: ASYNC109 -- the bound is the point
    """Take and drop the rest of a request's body.

    Ends when the body ends, when the client leaves, after `max_bytes` bytes, or after `timeout` seconds.
    """
    left = max_bytes
    with anyio.move_on_after(timeout):
        while left > 0:
            # A server may have messages at hand without waiting; the clock needs a chance all the same.
            await anyio.lowlevel.checkpoint()
            message = await receive()
            if message["type"] != "http.request" or not message.get("more_body", False):
                return
            left -= body_size(message)
