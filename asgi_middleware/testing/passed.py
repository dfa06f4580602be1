"""One message that crossed the class under test, as it was at that moment."""

from __future__ import annotations

from typing import Any

from asgi_middleware._core.headers import header_list
from asgi_middleware.testing.snapshots import freeze


class Passed:
    """A message that crossed one of the four borders, as it was at that moment."""

    __slots__ = ("frozen", "message", "spoiled")

    def __init__(self, message: Any) -> None:
        """Take the message and a snapshot of it."""
        self.message = message
        self.frozen = freeze(message)
        self.spoiled = False

    @property
    def kind(self) -> str:
        """The message's type."""
        kind = self.frozen.get("type") if isinstance(self.frozen, dict) else None
        return kind if isinstance(kind, str) else ""

    def same_as(self, other: Passed) -> bool:
        """Tell whether it is the same object, or has the same content."""
        return self.message is other.message or self.frozen == other.frozen

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The message's headers, as far as they are pairs of bytes; what is not is reported by the grammar."""
        raw = self.frozen.get("headers")
        pairs = raw if isinstance(raw, list | tuple) else ()
        return header_list(pair for pair in pairs if len(pair) == 2 and all(isinstance(part, bytes) for part in pair))


def size_of(message: Any) -> int:
    """Give the number of bytes of body in a message."""
    if not isinstance(message, dict):
        return 0
    body = message.get("body", b"")
    return len(body) if isinstance(body, bytes | bytearray | memoryview) else 0


def shown(message: Any) -> str:
    """Give a message as one line of a trace."""
    if not isinstance(message, dict):
        return repr(message)
    parts = [str(message.get("type"))]
    if "status" in message:
        parts.append(str(message["status"]))
    if "body" in message:
        parts.append(f"{size_of(message)} bytes")
    parts += [key for key in ("more_body", "trailers") if message.get(key)]
    return " ".join(parts)
