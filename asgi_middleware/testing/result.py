"""What an app did with one connection: every message it sent, and the usual readings of them."""

from __future__ import annotations

import json as json_module
from typing import Any

from asgi_middleware._core.headers import find, find_all


class Result:
    """What an app did with one connection.

    Attributes:
        scope: The scope that was given.
        sent: Every message that the app sent, in order.
        received: How many messages the app took.
        exception: What the app raised, or None.
    """

    def __init__(self, scope: dict[str, Any]) -> None:
        """Start with nothing sent."""
        self.scope = scope
        self.sent: list[dict[str, Any]] = []
        self.received = 0
        self.exception: BaseException | None = None

    def first(self, *kinds: str) -> dict[str, Any] | None:
        """Give the first message of one of the types, or None."""
        return next((message for message in self.sent if message["type"] in kinds), None)

    @property
    def types(self) -> list[str]:
        """The types of the messages sent, in order."""
        return [message["type"] for message in self.sent]

    @property
    def started(self) -> bool:
        """Whether a response, or a denial response, was started."""
        return self.first("http.response.start", "websocket.http.response.start") is not None

    @property
    def complete(self) -> bool:
        """Whether the connection is at its end as far as the app is concerned."""
        return any(ends(message) for message in self.sent)

    @property
    def status(self) -> int | None:
        """The status of the response or denial response, None without one."""
        start = self.first("http.response.start", "websocket.http.response.start")
        return None if start is None else int(start["status"])

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The response headers, or those of the WebSocket's accept, as sent."""
        start = self.first("http.response.start", "websocket.http.response.start", "websocket.accept")
        return [] if start is None else [(bytes(name), bytes(value)) for name, value in start.get("headers") or ()]

    def header(self, name: bytes) -> bytes | None:
        """Give the first value of a lower-case header name, or None."""
        return find(self.headers, name)

    def header_all(self, name: bytes) -> list[bytes]:
        """Give every value of a lower-case header name."""
        return find_all(self.headers, name)

    @property
    def chunks(self) -> list[bytes]:
        """The body messages' bytes, one item a message."""
        kinds = ("http.response.body", "websocket.http.response.body")
        return [bytes(message.get("body", b"")) for message in self.sent if message["type"] in kinds]

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.chunks)

    def json(self) -> Any:
        """Give the body read as JSON."""
        return json_module.loads(self.body)

    @property
    def accepted(self) -> bool:
        """Whether the WebSocket was accepted."""
        return self.first("websocket.accept") is not None

    @property
    def close_code(self) -> int | None:
        """The code with which the app closed the WebSocket; None if it did not."""
        close = self.first("websocket.close")
        return None if close is None else int(close.get("code", 1000))

    @property
    def close_reason(self) -> str | None:
        """The reason with which the app closed the WebSocket; None if it did not."""
        close = self.first("websocket.close")
        return None if close is None else close.get("reason", "")

    @property
    def messages(self) -> list[str | bytes]:
        """What the app sent over the WebSocket."""
        return [
            message["text"] if message.get("text") is not None else message["bytes"]
            for message in self.sent
            if message["type"] == "websocket.send"
        ]


def ends(message: dict[str, Any]) -> bool:
    """Tell whether the app ends its answer, or the connection, with this message."""
    kind = message["type"]
    if kind in {"http.response.body", "websocket.http.response.body", "http.response.zerocopysend"}:
        return not message.get("more_body", False)
    return kind in {"http.response.pathsend", "websocket.close"}
