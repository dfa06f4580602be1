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
from asgi_middleware.logging.failures import Failures
from asgi_middleware.logging.otel import trace_here

Bound: TypeAlias = tuple[Token[Any], ...]


def _variables() -> list[ContextVar[Any]]:
    # A token tells the variable that structlog keeps for a name: it is looked up once here, not in every request.
    tokens = bind_contextvars(request_id=None, trace_id=None, span_id=None)
    return [tokens[name].var for name in ("request_id", "trace_id", "span_id")]


id_variable, _trace_id, _span_id = copy_context().run(_variables)


class CorrelationId:
    """The id of the request being served, read and set like a context variable.

    It is the variable that structlog keeps for ``request_id``, so that one setting serves both; where that is not set,
    it is the id of the current Exchange. A worker that was handed an id sets it for what it does and logs::

        from asgi_middleware.logging import correlation_id

        token = correlation_id.set("the id that came with the job")
        try:
            assert correlation_id.get() == "the id that came with the job"
        finally:
            correlation_id.reset(token)
    """

    __slots__ = ()

    name: Final = "correlation_id"

    def get(self, default: Any = None) -> Any:
        """Give the id, or `default` outside a request."""
        value = id_variable.get(...)
        if value is not ... and value is not None:
            return value
        exchange = current_exchange.get()
        return default if exchange is None or exchange.request_id is None else exchange.request_id

    def set(self, value: str | None) -> Token[Any]:
        """Set the id, and give what :meth:`reset` takes."""
        return id_variable.set(... if value is None else value)

    def reset(self, token: Token[Any]) -> None:
        """Set the id back to what it was."""
        id_variable.reset(token)


correlation_id: Final = CorrelationId()
"""The id of the request being served, or None: what asgi-correlation-id offers under this name."""


def bind_request(exchange: Exchange, *, clear: bool, structlog: bool = True) -> Bound:
    """Set the request's context variables, and give what :func:`unbind_request` needs to set them back.

    Args:
        exchange: The request's Exchange, with its ids.
        clear: Whether everything bound through ``structlog.contextvars`` is unbound first.
        structlog: Whether the ids are bound there. Chains with :func:`add_request_context` need it not.
    """
    if not structlog and not (clear and len(copy_context())):
        return (current_exchange.set(exchange),)
    cleared: Bound = _clear() if clear else ()
    current = current_exchange.set(exchange)
    if not structlog:
        return (*cleared, current)
    request_id, trace = exchange.request_id, exchange.trace
    bound: Bound = (*cleared, current) if request_id is None else (*cleared, current, id_variable.set(request_id))
    return bound if trace is None else (*bound, _trace_id.set(trace.trace_id), _span_id.set(trace.span_id))


def bind_id(request_id: str, *, clear: bool) -> Bound:
    """Set the id alone, and give what :func:`unbind_request` needs to set it back."""
    if clear and len(copy_context()):
        return (*_clear(), id_variable.set(request_id))
    return (id_variable.set(request_id),)


def unbind_request(bound: Bound) -> None:
    """Set the context variables back to what they were, last one first."""
    try:
        if len(bound) == 1:
            bound[0].var.reset(bound[0])
            return
        for token in bound[::-1]:
            token.var.reset(token)
    except (ValueError, RuntimeError):  # another context: nothing of this request may stay there either
        for token in bound:
            token.var.set(... if token.var.name.startswith(STRUCTLOG_KEY_PREFIX) else None)


def unbind_elsewhere(bound: Bound, error: Exception, failures: Failures) -> None:
    """Set the variables back after that has failed, as it does in another context; what else it may be is counted."""
    if isinstance(error, ValueError):
        try:
            unbind_request(bound)
        except Exception as another:  # noqa: BLE001 -- no reason to fail a request
            error = another
        else:
            return
    failures.note("set the context variables back", error)


def is_bound() -> bool:
    """Tell whether anything is bound through structlog in this context."""
    return any(
        value is not ... and variable.name.startswith(STRUCTLOG_KEY_PREFIX)
        for variable, value in copy_context().items()
    )


def _clear() -> Bound:
    return tuple(
        variable.set(...)
        for variable, value in copy_context().items()
        if value is not ... and variable.name.startswith(STRUCTLOG_KEY_PREFIX)
    )


def request_ids() -> dict[str, str]:
    """Give the ids that a log line carries: ``request_id``, ``trace_id``, ``span_id``, those that there are."""
    ids = {}
    request_id = correlation_id.get()
    if request_id is not None:
        ids["request_id"] = request_id
    exchange = current_exchange.get()
    trace = None if exchange is None else trace_here(exchange)
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
    for name, value in request_ids().items():
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
        ids = request_ids()
        record.request_id = record.correlation_id = ids.get("request_id", _ABSENT)
        record.trace_id = ids.get("trace_id", _ABSENT)
        record.span_id = ids.get("span_id", _ABSENT)
        return True
