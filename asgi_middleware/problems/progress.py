"""Progress: how far a connection is, and so whether an answer can still be given."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from asgi_middleware._core.messages import ends_response
from asgi_middleware._core.types import Message, Receive, Send


class HTTPProgress:
    """How far an HTTP exchange is. Its `receive` and `send` are what the app gets.

    Attributes:
        started: Whether the response has begun.
        ended: Whether the response is complete.
        gone: Whether the client left before that.
    """

    __slots__ = ("_receive", "_send", "_trailers", "ended", "gone", "started")

    accepted = False  # what a WebSocket is, an HTTP exchange never becomes

    def __init__(self, receive: Receive, send: Send) -> None:
        """Begin with nothing seen."""
        self._receive = receive
        self._send = send
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

    async def receive(self) -> Message:
        """Take a message from the server and hand it to the app."""
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self.ended:
            self.gone = True
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Hand a message to the server; the end counts from before the last one is sent."""
        if message["type"] == "http.response.start":
            self.started = True
            if "trailers" in message:
                self._trailers = bool(message["trailers"])
        elif ends_response(message, trailers=self._trailers):
            self.ended = True
            return self._send_last(message)
        return self._send(message)

    async def _send_last(self, message: Message) -> None:
        # Only here an OSError must be told from the app's own: before the end the exception goes on in any case.
        try:
            await self._send(message)
        except OSError:
            self.gone = True
            raise

    def replay(self) -> Receive:
        """Give the receive for an answer."""
        return self._receive


class WebSocketProgress:
    """How far a WebSocket session is. Its `receive` and `send` are what the app gets.

    Attributes:
        connecting: Whether the app took ``websocket.connect``.
        accepted: Whether the handshake was accepted.
        denying: Whether a denial response has begun.
        ended: Whether it was closed or denied by the app.
        gone: Whether the client left before that.
    """

    __slots__ = ("_receive", "_send", "accepted", "connecting", "denying", "ended", "gone")

    def __init__(self, receive: Receive, send: Send) -> None:
        """Begin with nothing seen."""
        self._receive = receive
        self._send = send
        self.connecting = False
        self.accepted = False
        self.denying = False
        self.ended = False
        self.gone = False

    @property
    def is_beyond_answer(self) -> bool:
        """Whether nobody can be answered: the client left, or has half of a denial. The exception then goes on."""
        return self.gone or (self.denying and not self.ended)

    async def receive(self) -> Message:
        """Take a message from the server and hand it to the app."""
        message = await self._receive()
        kind = message["type"]
        if kind == "websocket.connect":
            self.connecting = True
        elif kind == "websocket.disconnect" and not self.ended:
            self.gone = True
        return message

    async def send(self, message: Message) -> None:
        """Hand a message to the server; an OSError of its tells that the client left."""
        kind = message["type"]
        if kind == "websocket.accept":
            self.accepted = True
        elif kind == "websocket.http.response.start":
            self.denying = True
        elif kind == "websocket.close" or (
            kind == "websocket.http.response.body" and not message.get("more_body", False)
        ):
            self.ended = True
        try:
            await self._send(message)
        except OSError:
            self.gone = True
            raise

    def replay(self) -> Receive:
        """Give the receive for an answer: a refusal waits for ``websocket.connect``, which the app may have taken."""
        if not self.connecting:
            return self._receive

        async def connected() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        return connected
