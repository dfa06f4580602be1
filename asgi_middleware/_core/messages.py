"""Messages: how many bytes one carries, whether it is the last of its response, and what versions and statuses mean.

Facts this module rests on (ASGI HTTP specification and its extensions):

- ``body`` and ``more_body`` may be missing: then they mean nothing and False. Tests and apps also give None, and
  buffers that are not bytes.
- Where ``http.response.start`` promised ``trailers``, the response ends with the last of them, not with the body.
- With "Path Send" and "Zero Copy Send" the server reads a file itself: its bytes pass nobody here.
- Early hints, push promises, debug and unknown messages end nothing.
"""

from __future__ import annotations

from typing import Any, Final

from asgi_middleware._core.types import Message

HTTP_1: Final = frozenset({"1.1", "1.0", "1"})
"""What ``http_version`` is where the head tells whether a body follows, and the connection ends with a cut one."""

FIRST_ERROR: Final = 400
"""The first status that tells of an error (RFC 9110 15.5)."""


def size_of(data: Any) -> int:
    """Give the number of bytes in bytes, any other buffer, or None."""
    if not data:
        return 0
    return len(data) if type(data) is bytes else memoryview(data).nbytes


def body_size(message: Message) -> int:
    """Give the number of bytes in the ``body`` of a message."""
    return size_of(message.get("body"))


def ends_response(message: Message, *, trailers: bool = False) -> bool:
    """Tell whether nothing of the response is missing after this message.

    Args:
        message: A message on its way to the server.
        trailers: Whether the start of the response promised trailers.
    """
    kind = message["type"]
    if kind == "http.response.body" or kind == "http.response.zerocopysend":  # noqa: PLR1714 -- the fast form
        return not (trailers or message.get("more_body", False))
    if kind == "http.response.pathsend":
        return not trailers
    return trailers and kind == "http.response.trailers" and not message.get("more_trailers", False)
