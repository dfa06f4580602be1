"""OpenTelemetry: the ids of the active span, where its API is loaded and a span is active, so that ids agree.

Facts this module rests on:

- Nothing here imports ``opentelemetry``: where nobody else has, no span can be active. ``trace.get_current_span`` is of
  the API, and gives spans of any SDK.
- An instrumentation may stand *outside* our classes: the request's span is then active when they begin. More often it
  stands *inside* (``FastAPIInstrumentor``): its span is active in the handlers only, and seen when the response starts.
- A server may start a request inside the context of the last one on its connection (python/cpython#140947), where that
  one's span still looks active. A span that has ended, or one of the trace of an inherited Exchange, is such a span.
- A span context that came from a remote caller is that caller's span, not ours.
- The instrumentation of ASGI sends each message within an internal span of its own, a child of the request's.
"""

from __future__ import annotations

from sys import modules
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from asgi_middleware._core.exchange import Exchange, current_exchange

if TYPE_CHECKING:
    from asgi_middleware.logging.trace_context import TraceContext

API: Final = "opentelemetry.trace"

SpanIds: TypeAlias = tuple[str, str, str | None, int, str, bool]
"""The fields of a :class:`TraceContext`."""

_KNOWN_FLAGS: Final = 0x03


def span_of_request() -> SpanIds | None:
    """Give the ids of the span that an instrumentation further out has begun for this request, or None.

    To be asked before the request's own Exchange becomes the current one.
    """
    span = active_span()
    if span is None:
        return None
    inherited = current_exchange.get()
    if inherited is not None and inherited.trace is not None and inherited.trace.trace_id == span[0]:
        return None
    return span


def active_span() -> SpanIds | None:
    """Give the ids of the active span of this process, or None; never raises."""
    found = _find_active_span()
    if found is None:
        return None
    span, context = found
    return _ids(context, f"{context.span_id:016x}", _local_parent(span))


def adopt_span(exchange: Exchange) -> None:
    """Take the active span's ids for the request, where an instrumentation inside the app has begun one.

    To be called as the response starts, in the app's own context. Ids that came from a span already stay.
    """
    trace: TraceContext | None = exchange.trace
    if trace is None or trace.from_span:
        return
    found = _find_active_span()
    if found is None:
        return
    span, context = found
    span_id = f"{context.span_id:016x}"
    parent = _local_parent(span)
    if parent is not None and getattr(getattr(span, "kind", None), "name", "") == "INTERNAL":
        # Who the request's span has as its parent, no span tells; in the caller's own trace it is the caller.
        span_id, parent = parent, trace.parent_id if trace.trace_id == f"{context.trace_id:032x}" else None
    exchange.trace = type(trace)(*_ids(context, span_id, parent))


def trace_here(exchange: Exchange) -> TraceContext | None:
    """Give where a log call stands in its trace: in the active span, else in the request."""
    trace: TraceContext | None = exchange.trace
    if API in modules and trace is not None:
        span = active_span()
        if span is not None and span[1] != trace.span_id:
            return type(trace)(*span)
    return trace


def _find_active_span() -> tuple[Any, Any] | None:
    try:
        span = modules[API].get_current_span()
        context = span.get_span_context()
        if not context.is_valid or context.is_remote or getattr(span, "end_time", None) is not None:
            return None
    except Exception:  # noqa: BLE001 -- a broken or half-imported API costs the ids, not the request
        return None
    return span, context


def _local_parent(span: Any) -> str | None:
    """Give the id of a span's parent; only an SDK's recording spans tell it."""
    parent = getattr(span, "parent", None)
    span_id = getattr(parent, "span_id", 0)
    return f"{span_id:016x}" if span_id else None


def _ids(context: Any, span_id: str, parent_id: str | None) -> SpanIds:
    state = context.trace_state
    return (
        f"{context.trace_id:032x}",
        span_id,
        parent_id,
        int(context.trace_flags) & _KNOWN_FLAGS,
        state.to_header() if state else "",
        True,
    )
