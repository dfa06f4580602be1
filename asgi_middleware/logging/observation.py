"""Observation: one connection as it passes, each message shown to its traffic record and handed on.

An observation is a traffic record with the server's `receive` and `send`: one object for each connection.
"""

from __future__ import annotations

from sys import modules
from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeAlias

from asgi_middleware.logging.context import Bound
from asgi_middleware.logging.otel import API, adopt_span
from asgi_middleware.logging.request_ids import HTTP_CARRIERS, with_header
from asgi_middleware.logging.traffic import HTTPTraffic, Traffic, WebSocketTraffic

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from asgi_middleware._core.deadlines import Timer
    from asgi_middleware._core.exchange import Exchange
    from asgi_middleware._core.types import Message, Receive, Scope, Send
    from asgi_middleware.logging.failures import Failures
    from asgi_middleware.logging.fast_road import FastRoad


_SLOTS: Final = (
    "bound", "carriers", "client_request_id", "exchange", "failures", "line", "road", "scope", "server_receive",
    "server_send", "timer",
)  # fmt: skip


_NO_MESSAGES: Final = frozenset[str]()


class _Observed(Traffic):
    """What both kinds of observation have.

    Attributes:
        scope: The scope as it came.
        exchange: The connection's record.
        bound: The context variables to set back.
        line: The response header that tells the id; None for none.
        carriers: The message types that may carry it.
        client_request_id: The id of a peer that is not trusted.
        road: The fast road, where it was open when the request came in.
        timer: What reports a request that is still running.
    """

    __slots__ = ()

    scope: Scope
    exchange: Exchange
    failures: Failures
    server_receive: Receive
    server_send: Send
    bound: Bound
    line: tuple[bytes, bytes] | None
    carriers: frozenset[str]
    client_request_id: str | None
    road: FastRoad | None
    timer: Timer | None

    def start(self, message: Message) -> Message:
        """Look at the message that opens the answer, and give it with the id in its headers."""
        if API in modules:
            adopt_span(self.exchange)
        line = self.line
        if line is None or message["type"] not in self.carriers:
            return message
        name = line[0]
        size = len(name)
        headers = message.get("headers") or ()
        if type(headers) is not list:
            headers = list(headers)  # perhaps it can be read but once
        for key, _ in headers:
            if len(key) == size and key.lower() == name:
                return with_header(message, headers, line)
        changed: Message = dict(message)
        changed["headers"] = [*headers, line]
        return changed


class HTTPObservation(_Observed, HTTPTraffic):
    """One HTTP exchange being observed. Its `receive` and `send` are what the app gets."""

    __slots__ = _SLOTS

    def __init__(  # noqa: PLR0917 -- one flat constructor: a further call would cost as much as eight slots
        self, scope: Scope, receive: Receive, send: Send, exchange: Exchange, failures: Failures, begun: float
    ) -> None:
        """Begin with nothing seen."""
        self.scope = scope
        self.exchange = exchange
        self.failures = failures
        self.server_receive = receive
        self.server_send = send
        self.bound = ()
        self.line = None
        self.carriers = HTTP_CARRIERS
        self.client_request_id = None
        self.road = None
        self.timer = None
        self.begun = begun
        self.status = None
        self.headers = None
        self.request_headers = None
        self.send_error = None
        self.answered_error = None
        self.started = None
        self.ended = None
        self.request_bytes = 0
        self.request_chunks = 0
        self.response_bytes = 0
        self.response_chunks = 0
        self.disconnected = False
        self.bodiless = scope.get("method") == "HEAD"
        self._trailers = False

    async def receive(self) -> Message:
        """Take a message from the server and hand it to the app as it is."""
        try:
            message = await self.server_receive()
        except OSError as error:
            if self.ended is None:
                self.failed(error)
            else:  # it tells only that the connection was closed
                self.send_error = error
            raise
        try:
            self.received(message)
        except Exception as error:  # noqa: BLE001 -- observing never fails a request
            self.failures.note("read a message", error)
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Hand a message to the server, with the id where it belongs.

        Hands back the server's own awaitable, which saves a coroutine for every message.
        """
        try:
            if message["type"] == "http.response.start":
                message = self.start(message)
            self.sending(message, perf_counter())
        except Exception as error:  # noqa: BLE001 -- observing never fails a request
            self.failures.note("read a message", error)
        return self.server_send(message)

    async def send_awaited(self, message: Message) -> None:
        """Do the same, and wait: an OSError tells of a client that left (ASGI HTTP specification 2.4)."""
        try:
            await self.send(message)
        except OSError as error:
            self.failed(error)
            raise


class WebSocketObservation(_Observed, WebSocketTraffic):
    """One WebSocket session being observed. Its `receive` and `send` are what the app gets."""

    __slots__ = _SLOTS

    def __init__(  # noqa: PLR0917 -- as for HTTP
        self, scope: Scope, receive: Receive, send: Send, exchange: Exchange, failures: Failures, begun: float
    ) -> None:
        """Begin with nothing seen."""
        super().__init__()
        self.scope = scope
        self.exchange = exchange
        self.failures = failures
        self.server_receive = receive
        self.server_send = send
        self.bound = ()
        self.line = None
        self.carriers = _NO_MESSAGES
        self.client_request_id = None
        self.road = None
        self.timer = None
        self.begun = begun

    async def receive(self) -> Message:
        """Take a message from the server and hand it to the app as it is."""
        try:
            message = await self.server_receive()
        except OSError as error:
            self.failed(error)
            raise
        try:
            self.received(message)
        except Exception as error:  # noqa: BLE001 -- observing never fails a request
            self.failures.note("read a message", error)
        return message

    async def send(self, message: Message) -> None:
        """Hand a message to the server, with the id where it belongs; waits, as for HTTP."""
        try:
            if message["type"] != "websocket.send":
                if message["type"] != "websocket.http.response.body":
                    message = self.start(message)
                if self.timer is not None:
                    self.timer.stop()
            self.sending(message, perf_counter())
        except Exception as error:  # noqa: BLE001 -- observing never fails a request
            self.failures.note("read a message", error)
        try:
            await self.server_send(message)
        except OSError as error:
            self.failed(error)
            raise


Observation: TypeAlias = HTTPObservation | WebSocketObservation


def tells_of_clients(scope: Scope) -> bool:
    """Tell whether an OSError out of ``send`` means that the client is gone (ASGI HTTP specification 2.4)."""
    try:
        version = scope["asgi"].get("spec_version")
        return version != "2.3" and tuple(int(part) for part in (version or "2.0").split(".")) >= _WITH_ERRORS
    except (AttributeError, KeyError, TypeError, ValueError):
        return True


_WITH_ERRORS: Final = (2, 4)
