"""The end of a request: what it is recorded as, once, when its last message was sent or will never be."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from asgi_middleware._core.routes import route_of
from asgi_middleware.metrics.extras import RequestMeasures, attach_exemplar, own_values, record_ending, record_spans
from asgi_middleware.metrics.families import Families
from asgi_middleware.metrics.recording import LOOK_SECONDS, Line, outcome

if TYPE_CHECKING:
    from asgi_middleware.metrics.requests import MeasuredRequest

# Where the figures besides the duration stand while a request runs.
FIRST_BYTE, READ, WRITTEN, DONE, TOKEN = range(5)


def recording(families: Families, measures: RequestMeasures) -> Callable[..., None]:
    """Give the function that records a request, once, when its last message was sent or will never be.

    It takes the request, the ``error_type`` (empty to derive it from the status), and the exception that ended it.
    """
    failed = families.failures.note
    recorder, unmatched = measures.recorder, measures.unmatched
    own_labels, spans, keep = measures.own_labels, measures.spans, _keeping(families, measures)
    settles = _settles(measures)

    def record(request: MeasuredRequest, error: str, raised: BaseException | None) -> None:
        now = perf_counter()
        figures, opening = request.figures, request.opening
        if figures is not None:
            figures[DONE] = now
        if opening is None:
            return
        opening.moves.append(-1)
        exchange, status, left = request.exchange, request.status, request.left
        try:
            opening.trim()
            if not exchange.measured:
                return
            matched = route_of(exchange)
            route = unmatched if matched is None else matched
            kinds = outcome(status, error, exchange, raised)
            own = own_values(own_labels, exchange, failed) if own_labels else ()
            line = recorder.find(opening, route, status, kinds, own)
            if settles and not kinds[0]:
                opening.settle(status, matched, line)
        except Exception:  # noqa: BLE001 -- metrics fail open
            failed("labels")
            return
        seconds = now - request.begun
        line.samples.append(seconds if figures is None else (seconds, *figures[:DONE]))
        if now > line.due:
            keep(line, request, seconds, now)
        if left is not None or exchange.refusal is not None:
            record_ending(failed, measures, route, exchange, left)
        if spans is not None and exchange.timings:
            record_spans(failed, spans, measures.max_series, route, exchange)

    return record


def finishing(record: Callable[..., None], families: Families, measures: RequestMeasures) -> Callable[..., None]:
    """Give the function that records a complete response.

    Where durations alone are measured, it does what `record` does for the requests that come again and again, at half
    the cost, and leaves all others to it.
    """
    if not _settles(measures):
        return partial(record, error="", raised=None)
    failed, unmatched, keep = families.failures.note, measures.unmatched, _keeping(families, measures)

    def finish(request: MeasuredRequest) -> None:
        now = perf_counter()
        exchange, opening = request.exchange, request.opening
        route = line = None
        try:
            route = route_of(exchange)
            line = opening.settled[request.status][route]  # type: ignore[union-attr] # no opening, no line
        except Exception:  # noqa: BLE001, S110 -- what fails is no request that comes again and again
            pass
        if line is None or exchange._unmeasured:  # noqa: SLF001 -- the property costs a call
            # Not from within the handler of an exception: the one that the application handles is looked for there.
            record(request, "", None)
            return
        opening.moves.append(-1)  # type: ignore[union-attr]
        seconds = now - request.begun
        line.samples.append(seconds)
        if now > line.due:
            keep(line, request, seconds, now)
        if request.left is not None or exchange.refusal is not None:
            record_ending(failed, measures, unmatched if route is None else route, exchange, request.left)

    return finish


def _settles(measures: RequestMeasures) -> bool:
    """Tell whether durations alone are measured, so that status and route lead to a line without a closer look."""
    return not (measures.recorder.several or measures.own_labels)


def _keeping(families: Families, measures: RequestMeasures) -> Callable[[Line, MeasuredRequest, float, float], None]:
    """Give the function that sees to a line fifty times a second: is an exemplar due, or a fold?"""
    failed, fold_line, exemplars = families.failures.note, measures.recorder.fold_line, measures.exemplars

    def keep(line: Line, request: MeasuredRequest, seconds: float, now: float) -> None:
        try:
            line.due = now + LOOK_SECONDS
            request.opening.trim()  # type: ignore[union-attr] # it has led to the line
            if exemplars and now > line.exemplar_due:
                attach_exemplar(line, request.exchange, seconds, now)
            if len(line.samples) >= line.limit:
                fold_line(line)
        except Exception:  # noqa: BLE001 -- metrics fail open
            failed("requests")

    return keep
