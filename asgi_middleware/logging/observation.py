"""Observation: one connection as it passes, each message shown to its traffic record and handed on."""

from __future__ import annotations

from time import perf_counter
from typing import Final

from asgi_middleware._core.exchange import Exchange
from asgi_middleware._core.headers import HeaderIndex, index_headers
from asgi_middleware._core.types import Message, Receive, Scope, Send
from asgi_middleware.logging.context import Bound
from asgi_middleware.logging.failures import Failures
from asgi_middleware.logging.request_ids import with_header
from asgi_middleware.logging.traffic import HTTPTraffic, WebSocketTraffic

_NO_HEADERS: Final = index_headers(None)
_NO_MESSAGES: Final = frozenset[str]()


class Observation:
    """One connection being observed. Its `receive` and `send` are what the app gets.

    Attributes:
        scope: The scope as it came.
        exchange: The connection's record.
        index: The request headers as they came.
        traffic: What passed so far.
        bound: The context variables to set back.
        header: The response header that tells the id, and its value; None for none.
        carriers: The message types that may carry it.
    """

    __slots__ = (
        "_failures",
        "_receive",
        "_send",
        "bound",
        "carriers",
        "exchange",
        "header",
        "index",
        "scope",
        "traffic",
    )

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, *, exchange: Exchange, begun: float, failures: Failures
    ) -> None:
        """Begin with nothing seen."""
        self.scope = scope
        self.exchange = exchange
        self.index: HeaderIndex = _NO_HEADERS
        self.traffic: HTTPTraffic | WebSocketTraffic
        if scope["type"] == "http":
            self.traffic = HTTPTraffic(begun, head=scope.get("method") == "HEAD")
        else:
            self.traffic = WebSocketTraffic(begun)
        self.bound: Bound = []
        self.header: tuple[bytes, bytes] | None = None
        self.carriers = _NO_MESSAGES
        self._receive = receive
        self._send = send
        self._failures = failures

    async def receive(self) -> Message:
        """Take a message from the server and hand it to the app as it is."""
        message = await self._receive()
        try:
            self.traffic.received(message)
        except Exception as error:  # noqa: BLE001 -- observing never fails a request
            self._failures.note("read a message", error)
        return message

    async def send(self, message: Message) -> None:
        """Hand a message to the server, with the id where it belongs.

        Waits for the server, since only its OSError tells of a client that left (ASGI HTTP specification 2.4).
        """
        try:
            if self.header is not None and message["type"] in self.carriers:
                message = with_header(message, *self.header)
            self.traffic.sending(message, perf_counter())
        except Exception as error:  # noqa: BLE001 -- observing never fails a request
            self._failures.note("read a message", error)
        try:
            await self._send(message)
        except OSError as error:
            self.traffic.send_failed(error)
            raise
