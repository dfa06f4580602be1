"""Measuring one HTTP request: the ASGI shell around ``recording.py``, up to its end, for which see ``ending.py``.

A request is an object with slots, whose methods stand in for ``receive`` and ``send``. Closures over ten shared names
take an eighth more instructions, for each such name is an object of its own. What an instance measures is known when it
is made: a request that is measured for its duration alone asks once whether there is more.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from asgi_middleware._core.exchange import SCOPE_KEY, Exchange, current_exchange, enter
from asgi_middleware._core.messages import ends_response
from asgi_middleware._core.types import ASGIApp, Message, Receive, Scope, Send
from asgi_middleware.metrics.ending import DONE, FIRST_BYTE, READ, TOKEN, WRITTEN, finishing, recording
from asgi_middleware.metrics.extras import RequestMeasures, record_background, record_queue
from asgi_middleware.metrics.families import Families
from asgi_middleware.metrics.messages import add_size, phase_of, raised_outcome, returned_outcome
from asgi_middleware.metrics.recording import Opening


class RequestParts:
    """What every request of one instance needs.

    Attributes:
        app: The application.
        claims: The concern under which a connection is measured once.
        openings: What is known of methods and schemes, by scheme and method as they came.
        finish: Records a request whose last message was sent.
        record: Records any other; see :func:`recording`.
        failed: Notes a failure to record.
        extras: What is measured besides durations, or None.
    """

    __slots__ = ("_open", "app", "claims", "extras", "failed", "finish", "openings", "record")

    def __init__(self, app: ASGIApp, families: Families, measures: RequestMeasures) -> None:
        recorder = measures.recorder
        self.app = app
        self.claims = (families.claim,)
        self.openings = recorder.openings
        self._open = recorder.open
        self.record = recording(families, measures)
        self.finish = finishing(self.record, families, measures)
        self.failed = families.failures.note
        self.extras = Extras(families, measures) if recorder.several else None

    def open(self, scope: Scope) -> Opening | None:
        """Count a request as active, and give what is known of it; None where that fails."""
        try:
            opening = self._open(scope.get("method"), scope.get("scheme"))
            opening.moves.append(1)
        except Exception:  # noqa: BLE001 -- metrics fail open
            self.failed("active_requests")
            return None
        return opening


class Extras:
    """What is measured besides durations: made only where an instance asks for any of it."""

    __slots__ = ("_failed", "_measures", "counts_bytes")

    def __init__(self, families: Families, measures: RequestMeasures) -> None:
        self._failed = families.failures.note
        self._measures = measures
        self.counts_bytes = measures.counts_bytes

    def begin(self, scope: Scope, exchange: Exchange) -> list[Any]:
        """Begin with a request: give the places of its figures."""
        measures = self._measures
        if measures.queue is not None:
            record_queue(self._failed, measures.queue, measures.queue_header, scope)
        token = None if measures.spans is None else current_exchange.set(exchange)
        return [None, 0, 0, None, token]

    def returned(self, figures: list[Any], exchange: Exchange) -> None:
        """Record what followed the response, when the application has returned."""
        measures = self._measures
        if measures.background is not None and figures[DONE] is not None:
            record_background(self._failed, measures, exchange, perf_counter() - figures[DONE])
        if figures[TOKEN] is not None:
            current_exchange.reset(figures[TOKEN])


class MeasuredRequest:
    """One request on its way. It has no initializer, which would take a seventh of what a request costs here.

    Attributes:
        parts: What all requests have in common.
        server_receive: The server's ``receive``.
        server_send: The server's ``send``.
        exchange: The connection's record.
        opening: What is known of it since its arrival; None where that could not be found.
        begun: When it arrived, on the clock of ``perf_counter``.
        status: The status that was sent; None before that.
        left: In which phase the client left, or None.
        figures: What is measured besides the duration; None where nothing is.
        trailers: Whether the response was announced to end with trailers.
        complete: Whether the last message of its response has been handed to the server.
        ended: Whether it has been recorded.
    """

    __slots__ = (
        "begun", "complete", "ended", "exchange", "figures", "left", "opening", "parts", "server_receive",
        "server_send", "status", "trailers",
    )  # fmt: skip

    parts: RequestParts
    server_receive: Receive
    server_send: Send
    exchange: Exchange
    opening: Opening | None
    begun: float
    status: Any
    left: str | None
    figures: list[Any] | None
    trailers: bool
    complete: bool
    ended: bool

    async def receive(self) -> Message:
        """Stand in for the server's ``receive``."""
        message = await self.server_receive()
        if not self.ended:
            try:
                kind = message["type"]
                if kind == "http.disconnect":
                    # Some servers tell a waiting receive of the end while the last message is still being sent.
                    if not self.complete:
                        self.left = phase_of(self.status)
                elif self.figures is not None:
                    self.figures[READ] = add_size(self.figures[READ], kind, message)
            except Exception:  # noqa: BLE001 -- metrics fail open
                self.parts.failed("message")
        return message

    async def send(self, message: Message) -> None:  # noqa: C901, PLR0912 -- all that a message may be, in one call
        """Stand in for the server's ``send``."""
        kind, starts, last = "", False, False
        try:
            kind = message["type"]
            if kind == "http.response.start":
                starts = True
            elif kind == "http.response.body":
                last = not (message.get("more_body") or self.trailers)
            else:
                last = ends_response(message, trailers=self.trailers)
            if last:
                self.complete = True
        except Exception:  # noqa: BLE001 -- metrics fail open
            self.parts.failed("message")
        try:
            await self.server_send(message)
        except OSError:
            # One way to learn that the client is gone (ASGI HTTP specification 2.4). Other servers return silently;
            # there the app's own receive tells. It is never polled: that would take messages from the app.
            if not self.ended:
                self.left = phase_of(self.status)
            raise
        try:
            if starts:
                self.status = message["status"]
                if "trailers" in message:
                    self.trailers = bool(message["trailers"])
                if self.figures is not None:
                    self.figures[FIRST_BYTE] = perf_counter() - self.begun
                return
            if self.figures is not None:
                self.figures[WRITTEN] = add_size(self.figures[WRITTEN], kind, message)
            if last and not self.ended:
                self.ended = True
                self.parts.finish(self)
        except Exception:  # noqa: BLE001 -- metrics fail open
            self.parts.failed("message")

    def raised(self, error: BaseException) -> None:
        """End a request whose application raised."""
        if not self.ended:
            self.ended = True
            try:
                kind, self.left = raised_outcome(error, self.left)
                self.parts.record(self, kind, error)
            except Exception:  # noqa: BLE001 -- metrics fail open
                self.parts.failed("message")

    def returned(self) -> None:
        """End a request whose application returned before its response was complete."""
        self.ended = True
        try:
            self.parts.record(self, returned_outcome(self.status, self.left), None)
        except Exception:  # noqa: BLE001 -- metrics fail open
            self.parts.failed("message")


async def serve(middleware: Any, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: C901, PLR0912 -- see below
    """Pass one connection on, and measure it if it is a request: ``PrometheusMiddleware.__call__``.

    A function of its own behind ``__call__`` would be a further coroutine for every request.
    """
    if scope["type"] != "http":
        await middleware.others(scope, receive, send)
        return
    # A path that no literal rule names needs no closer look, unless part of it is the root path.
    literals = middleware.literals
    if (literals is None or scope.get("path") in literals or scope.get("root_path")) and middleware.exempts(scope):
        await middleware.app(scope, receive, send)
        return
    parts: RequestParts = middleware.parts
    if SCOPE_KEY not in scope and type(scope) is dict and type(scope.get("headers")) is list:
        # What `enter` does, and what claims and follows, without the calls: the usual case is a tenth faster so.
        scope = scope.copy()
        exchange = scope[SCOPE_KEY] = Exchange()
        exchange._claims = parts.claims  # noqa: SLF001
        exchange.scope = scope
        first = True
    else:
        scope, exchange = enter(scope)
        if not exchange.claim(parts.claims[0]):
            await parts.app(scope, receive, send)  # a copy further out, on the same registry, records it
            return
        first = exchange.follow(scope)
    request = MeasuredRequest()
    request.parts, request.server_receive, request.server_send, request.exchange = parts, receive, send, exchange
    request.status = request.left = request.figures = None
    request.trailers = request.complete = request.ended = False
    try:
        opening = parts.openings[scope["scheme"]][scope["method"]]
        opening.moves.append(1)
    except Exception:  # noqa: BLE001 -- the first of its kind, or one that is known by no name
        request.opening = parts.open(scope)
    else:
        request.opening = opening
    request.begun = perf_counter()
    extras = parts.extras
    if extras is not None:
        request.figures = extras.begin(scope, exchange)
    try:
        await parts.app(scope, request.receive, request.send)
    except BaseException as error:
        request.raised(error)
        raise
    else:
        if not request.ended:
            request.returned()
    finally:
        if extras is not None and request.figures is not None:
            extras.returned(request.figures, exchange)
        if first:
            exchange.scope = None
