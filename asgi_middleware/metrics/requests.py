"""Measuring one HTTP request: the ASGI shell around ``recording.py``.

A request is an object with slots, whose methods stand in for ``receive`` and ``send``. Closures over ten shared names
take an eighth more instructions, for each such name is an object of its own. What an instance measures is known when it
is made: a request that is measured for its duration alone asks once whether there is more.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from asgi_middleware._core.exchange import Exchange, current_exchange, enter
from asgi_middleware._core.messages import ends_response
from asgi_middleware._core.routes import route_of
from asgi_middleware._core.types import ASGIApp, Message, Receive, Scope, Send
from asgi_middleware.metrics.extras import (
    RequestMeasures,
    attach_exemplar,
    own_values,
    record_background,
    record_ending,
    record_queue,
    record_spans,
)
from asgi_middleware.metrics.families import Families
from asgi_middleware.metrics.messages import add_size, phase_of, raised_outcome, returned_outcome
from asgi_middleware.metrics.recording import MOST_MOVES, Opening, outcome

# Where the figures besides the duration stand while a request runs.
_FIRST_BYTE, _READ, _WRITTEN, _DONE, _TOKEN = range(5)


class RequestParts:
    """What every request of one instance needs."""

    __slots__ = ("app", "claims", "extras", "failed", "open", "openings", "record")

    def __init__(self, app: ASGIApp, families: Families, measures: RequestMeasures) -> None:
        recorder = measures.recorder
        self.app = app
        self.claims = (families.claim,)
        self.openings = recorder.openings
        self.open = recorder.open
        self.record = _recording(families, measures)
        self.failed = families.failures.note
        self.extras = Extras(families, measures) if recorder.several else None


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
        if measures.background is not None and figures[_DONE] is not None:
            record_background(self._failed, measures, exchange, perf_counter() - figures[_DONE])
        if figures[_TOKEN] is not None:
            current_exchange.reset(figures[_TOKEN])


class MeasuredRequest:
    """One request on its way.

    Attributes:
        begun: When it arrived, on the clock of ``perf_counter``.
        complete: Whether the last message of its response has been handed to the server.
        ended: Whether it has been recorded.
        status: The status that was sent; None before that.
        left: In which phase the client left, or None.
        figures: What is measured besides the duration; None where nothing is.
    """

    __slots__ = (
        "_parts",
        "_receive",
        "_send",
        "_trailers",
        "begun",
        "complete",
        "ended",
        "exchange",
        "figures",
        "left",
        "opening",
        "status",
    )

    def __init__(
        self, parts: RequestParts, receive: Receive, send: Send, exchange: Exchange, opening: Opening | None
    ) -> None:
        self._parts = parts
        self._receive = receive
        self._send = send
        self.exchange = exchange
        self.opening = opening
        self.status: Any = None
        self.left: str | None = None
        self.figures: list[Any] | None = None
        self._trailers = self.complete = self.ended = False
        self.begun = perf_counter()

    async def receive(self) -> Message:
        """Stand in for the server's ``receive``."""
        message = await self._receive()
        if not self.ended:
            try:
                kind = message["type"]
                if kind == "http.disconnect":
                    # Some servers tell a waiting receive of the end while the last message is still being sent.
                    if not self.complete:
                        self.left = phase_of(self.status)
                elif self.figures is not None:
                    self.figures[_READ] = add_size(self.figures[_READ], kind, message)
            except Exception:  # noqa: BLE001 -- metrics fail open
                self._parts.failed("message")
        return message

    async def send(self, message: Message) -> None:  # noqa: C901 -- all that a message may be, in one call
        """Stand in for the server's ``send``."""
        kind, last = "", False
        try:
            kind = message["type"]
            if kind == "http.response.body":
                last = not (self._trailers or message.get("more_body", False))
            elif kind != "http.response.start":
                last = ends_response(message, trailers=self._trailers)
            if last:
                self.complete = True
        except Exception:  # noqa: BLE001 -- metrics fail open
            self._parts.failed("message")
        try:
            await self._send(message)
        except OSError:
            # One way to learn that the client is gone (ASGI HTTP specification 2.4). Other servers return silently;
            # there the app's own receive tells. It is never polled: that would take messages from the app.
            if not self.ended:
                self.left = phase_of(self.status)
            raise
        if self.ended:
            return
        try:
            if kind == "http.response.start":
                self.status = message["status"]
                self._trailers = bool(message.get("trailers", False))
                if self.figures is not None:
                    self.figures[_FIRST_BYTE] = perf_counter() - self.begun
                return
            if self.figures is not None:
                self.figures[_WRITTEN] = add_size(self.figures[_WRITTEN], kind, message)
            if last:
                self.ended = True
                self._parts.record(self, "", None)
        except Exception:  # noqa: BLE001 -- metrics fail open
            self._parts.failed("message")

    def raised(self, error: BaseException) -> None:
        """End a request whose application raised."""
        if not self.ended:
            self.ended = True
            try:
                kind, self.left = raised_outcome(error, self.left)
                self._parts.record(self, kind, error)
            except Exception:  # noqa: BLE001 -- metrics fail open
                self._parts.failed("message")

    def returned(self) -> None:
        """End a request whose application returned before its response was complete."""
        self.ended = True
        try:
            self._parts.record(self, returned_outcome(self.status, self.left), None)
        except Exception:  # noqa: BLE001 -- metrics fail open
            self._parts.failed("message")


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
    outer = scope
    scope, exchange = enter(scope)
    if scope is not outer:
        # It is new, and ours to claim and to follow; without the calls.
        exchange._claims = parts.claims  # noqa: SLF001
        exchange.scope = scope
        first = True
    elif exchange.claim(parts.claims[0]):
        first = exchange.follow(scope)
    else:
        await parts.app(scope, receive, send)  # a copy further out, on the same registry, records it
        return
    opening: Opening | None = None
    try:
        method, scheme = scope.get("method"), scope.get("scheme")
        opening = parts.openings.get((method, scheme)) or parts.open(method, scheme)
        moves = opening.moves
        moves.append(1)
        if len(moves) > MOST_MOVES:
            opening.fold_moves()
    except Exception:  # noqa: BLE001 -- metrics fail open
        parts.failed("active_requests")
    request = MeasuredRequest(parts, receive, send, exchange, opening)
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


def _recording(families: Families, measures: RequestMeasures) -> Callable[..., None]:  # noqa: C901 -- as above
    """Give the function that records a request, once, when its last message was sent or will never be.

    It takes the request, the ``error_type`` (empty to derive it from the status), and the exception that ended it.
    """
    failed = families.failures.note
    recorder, unmatched, exemplars = measures.recorder, measures.unmatched, measures.exemplars
    find, fold_line = recorder.find, recorder.fold_line
    own_labels, spans = measures.own_labels, measures.spans

    def record(request: MeasuredRequest, error: str, raised: BaseException | None) -> None:  # noqa: C901
        now = perf_counter()
        figures, opening = request.figures, request.opening
        if figures is not None:
            figures[_DONE] = now
        if opening is None:
            return
        opening.moves.append(-1)
        exchange, status, left = request.exchange, request.status, request.left
        try:
            if exchange._unmeasured:  # noqa: SLF001 -- the property costs a call
                return
            route = route_of(exchange)
            if route is None:
                route = unmatched
            line = None
            if not (error or own_labels) and type(status) is int and status < 500:
                line = opening.lines.get((route, status))
            if line is None:
                kinds = outcome(status, error, exchange, raised)
                own = own_values(own_labels, exchange, failed) if own_labels else ()
                line = find(opening, route, status, kinds, own)
        except Exception:  # noqa: BLE001 -- metrics fail open
            failed("labels")
            return
        try:
            samples = line.samples
            seconds = now - request.begun
            samples.append(seconds if figures is None else (seconds, *figures[:_DONE]))
            if exemplars and now > line.exemplar_due:
                attach_exemplar(line, exchange, seconds, now)
            if len(samples) >= line.limit:
                fold_line(line)
        except Exception:  # noqa: BLE001 -- metrics fail open
            failed("requests")
        if left is not None or exchange.refusal is not None:
            record_ending(failed, measures, route, exchange, left)
        if spans is not None and exchange._timings:  # noqa: SLF001 -- as above
            record_spans(failed, spans, measures.max_series, route, exchange)

    return record
