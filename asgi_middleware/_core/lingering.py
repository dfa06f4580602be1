"""Lingering close: what a client still sends after its answer is taken and dropped, so that it can read that answer.

Facts this module rests on:

- Closing a connection while the client still sends makes TCP reset it, and the client then loses the response that it
  had not read yet (RFC 9112 9.6). Of the servers, uvicorn and daphne read on by themselves; others close at once.
- Some servers close the connection as soon as all bytes that Content-Length promised are out. What is to keep it open
  for a while has to hold the last byte back.
- A client that sent ``Expect: 100-continue`` holds its body back until it hears a status (RFC 9110 10.1.1). It needs no
  such while, and reading would ask it for the body.
- A request that announces no body has none over HTTP/1 (RFC 9112 6.3), and asking for it may wait for the client to
  leave. HTTP/2 and 3 announce none (RFC 9113 8.1), and their servers reset the stream or end the connection. What
  follows a malformed length is not known to be a body.
- Some clients stop sending at the first bytes of an error and wait for the rest of it (curl does). Nobody is to wait
  long where nothing comes any more; Apache httpd lingers for two silent seconds too.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from asgi_middleware._core.header_finder import HeaderFinder
from asgi_middleware._core.messages import HTTP_1, body_size
from asgi_middleware._core.waiting import let_others_run, time_limit

if TYPE_CHECKING:
    from asgi_middleware._core.types import Message, Receive, Scope

LINGERING_SECONDS: Final = 5.0
"""Long enough for most uploads to notice the answer; a client that sends slowly is not waited for."""
LINGERING_BYTES: Final = 32 * 1024 * 1024
SILENT_SECONDS: Final = 2.0
"""A client that sends nothing for so long waits for the answer, or is gone; or a class outside took the whole body."""

# Methods whose requests announce even an empty body (RFC 9110 8.6). Not every server tells the end of another's.
_BODIED: Final = ("POST", "PUT", "PATCH", "QUERY")
_HEAD: Final = HeaderFinder((b"content-length", b"transfer-encoding", b"expect"))


def body_follows(scope: Scope) -> bool:
    """Tell whether the client may be about to send a body, whatever it is told: announced, and not held back."""
    found = _HEAD.find(scope.get("headers"))
    follows = (
        not found and scope.get("http_version", "1.1") not in HTTP_1 and scope.get("method", "GET").upper() in _BODIED
    )
    for name, value in found:
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

    Ends when the body ends, when the client leaves or is silent, after `max_bytes` bytes, or after `timeout` seconds.
    What `receive` raises ends it too: the answer has begun, and is to be completed.
    """
    left = max_bytes
    end = monotonic() + timeout
    # The clock is looked at as well: a `receive` may swallow the one cancellation that a time limit makes.
    while left > 0 and monotonic() < end:
        try:
            async with time_limit(min(SILENT_SECONDS, end - monotonic())):
                await let_others_run()  # a server may have messages at hand without waiting
                message = await receive()
        except Exception:  # noqa: BLE001 -- there is no more to take, or no more time
            return
        if not message.get("more_body", False):  # of a client that left, too
            return
        left -= body_size(message)
