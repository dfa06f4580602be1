"""Progress: how far a connection is, and so whether an answer can still be given."""

from __future__ import annotations

from typing import Any

from asgi_middleware._core.messages import ends_response
from asgi_middleware._core.types import Message, Receive


class HTTPProgress:
    """How far an HTTP exchange is.

    Attributes:
        started: Whether the response has begun.
        ended: Whether the response is complete.
        gone: Whether the client left before that.
    """

    __slots__ = ("_trailers", "ended", "gone", "started")

    accepted = False  # what a WebSocket is, an HTTP exchange never becomes

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.started = False
        self.ended = False
        self.gone = False
        self._trailers = False

    @property
    def is_beyond_answer(self) -> bool:
        """Whether nobody can be answered: the client left, or has half of a response. The exception then goes on.

        A framework may still send an answer of its own to a client that left; it reaches nobody.
        """
        return self.gone or (self.started and not self.ended)

    def received(self, message: Message) -> None:
        """Read a message on its way to the app."""
        if message["type"] == "http.disconnect" and not self.ended:
            self.gone = True

    def sending(self, message: Message) -> None:
        """Read a message on its way to the server; the end counts from before the last one is sent."""
        kind = message["type"]
        if kind == "http.response.start":
            self.started = True
            self._trailers = bool(message.get("trailers", False))
        elif ends_response(message, trailers=self._trailers):
            self.ended = True

    def replay(self, receive: Receive) -> Receive:
        """Give the receive for an answer."""
        return receive


class WebSocketProgress:
    """How far a WebSocket session is.

    Attributes:
        connecting: Whether the app took ``websocket.connect``.
        accepted: Whether the handshake was accepted.
        denying: Whether a denial response has begun.
        ended: Whether it was closed or denied by the app.
        gone: Whether the client left before that.
    """

    __slots__ = ("accepted", "connecting", "denying", "ended", "gone")

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.connecting = False
        self.accepted = False
        self.denying = False
        self.ended = False
        self.gone = False

    @property
    def is_beyond_answer(self) -> bool:
        """Whether nobody can be answered: the client left, or has half of a denial. The exception then goes on."""
        return self.gone or (self.denying and not self.ended)

    def received(self, message: Message) -> None:
        """Read a message on its way to the app."""
        kind = message["type"]
        if kind == "websocket.connect":
            self.connecting = True
        elif kind == "websocket.disconnect" and not self.ended:
            self.gone = True

    def sending(self, message: Message) -> None:
        """Read a message on its way to the server."""
        kind = message["type"]
        if kind == "websocket.accept":
            self.accepted = True
        elif kind == "websocket.http.response.start":
            self.denying = True
        elif kind == "websocket.close" or (
            kind == "websocket.http.response.body" and not message.get("more_body", False)
        ):
            self.ended = True

    def replay(self, receive: Receive) -> Receive:
        """Give the receive for an answer: a refusal waits for ``websocket.connect``, which the app may have taken."""
        if not self.connecting:
            return receive

        async def connected() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        return connected
