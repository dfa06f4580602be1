"""Lingering close: what a client still sends after its answer is taken and dropped, so that it can read that answer.

Facts this module rests on:

- Closing a connection while the client still sends makes TCP reset it, and the client then loses the response that it
  had not read yet (RFC 9112 9.6). Of the servers, uvicorn and daphne read on by themselves; others close at once.
- Some servers close the connection as soon as all bytes that Content-Length promised are out. What is to keep it open
  for a while has to hold the last byte back.
- A client that sent ``Expect: 100-continue`` holds its body back until it hears a status (RFC 9110 10.1.1). It needs no
  such while, and reading would ask it for the body.
- A request that announces no body has none over HTTP/1 (RFC 9112 6.3), and asking for it may wait for the client to
  leave. What follows a malformed length is not known to be a body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asgi_middleware._core.header_finder import HeaderFinder
from asgi_middleware._core.messages import body_size

if TYPE_CHECKING:
    from asgi_middleware._core.types import Message, RawHeaders, Receive

LINGERING_SECONDS: Final = 5.0
"""Long enough for most uploads to notice the answer; a client that sends slowly is not waited for."""
LINGERING_BYTES: Final = 32 * 1024 * 1024

_HEAD: Final = HeaderFinder((b"content-length", b"transfer-encoding", b"expect"))


def body_follows(headers: RawHeaders | None) -> bool:
    """Tell whether the client is about to send a body, whatever it is told: announced, and not held back."""
    follows = False
    for name, value in _HEAD.find(headers):
        if name == b"expect":
            if waits_for_continue(value):
                return False
        elif name == b"transfer-encoding":
            follows = True
        elif not value.isdigit():
            return False
        elif value.strip(b"0"):
            follows = True
    return follows


def waits_for_continue(expect: bytes) -> bool:
    """Tell whether the client holds its body back until it hears a status, by its field ``Expect``."""
    return b"100-continue" in expect.lower()


def holding_back(message: Message) -> tuple[Message, Message]:
    """Split the last message of a response into what goes out at once and the last byte, which is held back."""
    body: bytes = message.get("body", b"")
    return {**message, "body": body[:-1], "more_body": True}, {**message, "body": body[-1:], "more_body": False}


async def drain(
    receive: Receive,
    *,
    max_bytes: int = LINGERING_BYTES,
    timeout: float = LINGERING_SECONDS,  # noqa: ASYNC109 -- the bound is the point
) -> None:
    """Take and drop the rest of a request's body.

    Ends when the body ends, when the client leaves, after `max_bytes` bytes, or after `timeout` seconds.
    """
    import anyio.lowlevel  # noqa: PLC0415 -- only a refusal needs it

    left = max_bytes
    with anyio.move_on_after(timeout):
        while left > 0:
            # A server may have messages at hand without waiting; the clock needs a chance all the same.
            await anyio.lowlevel.checkpoint()
            message = await receive()
            if message["type"] != "http.request" or not message.get("more_body", False):
                return
            left -= body_size(message)
