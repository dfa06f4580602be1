"""Observation: one connection as it passes, each message shown to its traffic record and handed on.

An observation is a traffic record with the server's `receive` and `send`: one object for each connection.
"""

from __future__ import annotations

from sys import modules
from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeAlias

from asgi_middleware._core.messages import size_of
from asgi_middleware.logging.otel import API, adopt_span
from asgi_middleware.logging.request_ids import carriers_of, with_line
from asgi_middleware.logging.traffic import HTTPTraffic, Traffic, WebSocketTraffic

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from asgi_middleware._core.deadlines import Timer
    from asgi_middleware._core.exchange import Exchange
    from asgi_middleware._core.types import Message, Receive, Scope, Send
    from asgi_middleware.logging.fast_road import FastRoad
    from asgi_middleware.logging.request_ids import RequestIds


_SLOTS: Final = (
    "client_request_id", "exchange", "ids", "line", "request_id", "road", "scope", "server_receive", "server_send",
    "timer",
)  # fmt: skip


class _Observed(Traffic):
    """What both kinds of observation have.

    Attributes:
        scope: The scope as it came.
        exchange: The connection's record.
        ids: How requests get their ids, and where failures are counted.
        line: The response header that tells the id; None for none.
        client_request_id: The id of a peer that is not trusted.
        request_id: The id that was given; the Exchange's may have been changed since.
        road: The fast road, where it was open when the request came in.
        timer: What reports a request that is still running.
    """

    __slots__ = ()

    scope: Scope
    exchange: Exchange
    ids: RequestIds
    server_receive: Receive
    server_send: Send
    line: tuple[bytes, bytes] | None
    client_request_id: str | None
    request_id: str | None
    road: FastRoad | None
    timer: Timer | None


class HTTPObservation(_Observed, HTTPTraffic):
    """One HTTP exchange being observed. Its `receive` and `send` are what the app gets."""

    __slots__ = _SLOTS

    def __init__(  # noqa: PLR0917 -- one flat constructor: a further call would cost as much as eight slots
        self, scope: Scope, receive: Receive, send: Send, exchange: Exchange, ids: RequestIds, begun: float
    ) -> None:
        """Begin with nothing seen."""
        self.scope = scope
        self.exchange = exchange
        self.ids = ids
        self.server_receive = receive
        self.server_send = send
        self.line = None
        self.client_request_id = None
        self.request_id = None
        self.road = None
        self.timer = None
        self.begun = begun
        self.status = None
        self.headers = None
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
            self.ids.failures.note("read a message", error)
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Hand a message to the server, with the id where it belongs.

        Hands back the server's own awaitable, which saves a coroutine for every message.
        """
        try:
            kind = message["type"]
            if kind == "http.response.body":
                # Here, since a call more would double what a chunk costs; and without the clock for any but the last.
                if self.ended is None:
                    body = message.get("body")
                    size = len(body) if type(body) is bytes else size_of(body)
                    if size and not self.bodiless:
                        self.response_chunks += 1
                        if self.response_bytes is not None:
                            self.response_bytes += size
                    if not (message.get("more_body") or self._trailers):
                        self.ended = perf_counter()
            else:
                if kind == "http.response.start":
                    if API in modules:
                        adopt_span(self.exchange)
                    if self.line is not None:
                        message = with_line(message, self.line, self.ids.response_finder)
                self.sending(message, perf_counter())
        except Exception as error:  # noqa: BLE001 -- observing never fails a request
            self.ids.failures.note("read a message", error)
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
        self, scope: Scope, receive: Receive, send: Send, exchange: Exchange, ids: RequestIds, begun: float
    ) -> None:
        """Begin with nothing seen."""
        super().__init__()
        self.scope = scope
        self.exchange = exchange
        self.ids = ids
        self.server_receive = receive
        self.server_send = send
        self.line = None
        self.client_request_id = None
        self.request_id = None
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
            self.ids.failures.note("read a message", error)
        return message

    async def send(self, message: Message) -> None:
        """Hand a message to the server, with the id where it belongs; waits, as for HTTP."""
        try:
            if message["type"] != "websocket.send":
                if API in modules:
                    adopt_span(self.exchange)
                if self.line is not None and message["type"] in carriers_of(self.scope):
                    message = with_line(message, self.line, self.ids.response_finder)
                if self.timer is not None:
                    self.timer.stop()
            self.sending(message, perf_counter())
        except Exception as error:  # noqa: BLE001 -- observing never fails a request
            self.ids.failures.note("read a message", error)
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
