"""Context: the ids of the request being served, for every log call made on its behalf.

Facts this module rests on:

- A server may start the task of a connection's next request inside the context of the last one, so that its context
  variables are inherited (python/cpython#140947, Kludex/uvicorn#2912). What an earlier request bound is cleared first.
- A context variable set by a handler in a thread, a child task or a streaming body is not seen outside. A mutable
  record held by a variable is. So the variables hold the Exchange and constants only.
- ``ContextVar.reset`` raises ``ValueError`` in another context than the one of ``set`` (django/asgiref#534).
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from contextvars import ContextVar, Token, copy_context
from typing import Any, Final, TypeAlias

from structlog.contextvars import STRUCTLOG_KEY_PREFIX, bind_contextvars

from asgi_middleware._core.exchange import Exchange, current_exchange

correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)
"""The id of the request being served, or None; the variable that asgi-correlation-id offers under this name."""

Bound: TypeAlias = list[Token[Any]]


def _variables() -> list[ContextVar[Any]]:
    # A token tells the variable that structlog keeps for a name: it is looked up once here, not in every request.
    tokens = bind_contextvars(request_id=None, trace_id=None, span_id=None)
    return [tokens[name].var for name in ("request_id", "trace_id", "span_id")]


_request_id, _trace_id, _span_id = copy_context().run(_variables)


def bind_request(bound: Bound, exchange: Exchange, *, clear: bool) -> None:
    """Set the request's context variables.

    Args:
        bound: Takes what :func:`unbind_request` needs to set them back, one by one, so that a failure loses none.
        exchange: The request's Exchange, with its ids.
        clear: Whether everything bound through ``structlog.contextvars`` is unbound first.
    """
    if clear:
        for variable, value in copy_context().items():
            if value is not ... and variable.name.startswith(STRUCTLOG_KEY_PREFIX):
                bound.append(variable.set(...))
    request_id = exchange.request_id
    bound += (current_exchange.set(exchange), correlation_id.set(request_id))
    if request_id is not None:
        bound.append(_request_id.set(request_id))
    trace = exchange.trace
    if trace is not None:
        bound += (_trace_id.set(trace.trace_id), _span_id.set(trace.span_id))


def unbind_request(bound: Bound) -> None:
    """Set the context variables back to what they were, last one first."""
    try:
        for token in reversed(bound):
            token.var.reset(token)
    except (ValueError, RuntimeError):  # another context: nothing of this request may stay there either
        for token in bound:
            token.var.set(... if token.var.name.startswith(STRUCTLOG_KEY_PREFIX) else None)


def request_ids(exchange: Exchange) -> dict[str, str]:
    """Give the ids that a log line carries: ``request_id``, ``trace_id``, ``span_id``, those that there are."""
    ids = {}
    if exchange.request_id is not None:
        ids["request_id"] = exchange.request_id
    trace = exchange.trace
    if trace is not None:
        ids["trace_id"] = trace.trace_id
        ids["span_id"] = trace.span_id
    return ids


def add_request_context(
    logger: Any,  # noqa: ARG001 -- the signature of a structlog processor
    method_name: str,  # noqa: ARG001 -- the same
    event_dict: MutableMapping[str, Any],
) -> MutableMapping[str, Any]:
    """Add the ids of the request being served to a structlog event; what the event has already is kept.

    A processor for chains without ``structlog.contextvars.merge_contextvars``, which looks at every context variable
    there is::

        import structlog
        from asgi_middleware.logging import add_request_context

        structlog.configure(processors=[add_request_context, structlog.processors.JSONRenderer()])
    """
    exchange = current_exchange.get()
    if exchange is not None:
        for name, value in request_ids(exchange).items():
            event_dict.setdefault(name, value)
    return event_dict


_ABSENT: Final = "-"


class RequestContextFilter(logging.Filter):
    """Gives every record of the standard library's logging the ids of the request being served.

    Filters of a logger are not asked for records of its children: attach this to the *handler*.

    The attributes are ``request_id``, ``trace_id``, ``span_id`` and, for formats written for asgi-correlation-id,
    ``correlation_id``. Outside a request they are ``-``::

        import logging
        from asgi_middleware.logging import RequestContextFilter

        handler = logging.StreamHandler()
        handler.addFilter(RequestContextFilter())
        handler.setFormatter(logging.Formatter("%(levelname)s [%(request_id)s] %(name)s: %(message)s"))
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Set the attributes; every record passes."""
        exchange = current_exchange.get()
        ids = {} if exchange is None else request_ids(exchange)
        record.request_id = record.correlation_id = ids.get("request_id", _ABSENT)
        record.trace_id = ids.get("trace_id", _ABSENT)
        record.span_id = ids.get("span_id", _ABSENT)
        return True
