"""Exemplars: which trace a request belongs to, so that a bucket of a histogram leads to one of its requests.

Facts this module rests on:

- OpenMetrics 1.0 allows 128 characters of names and values together; ``trace_id`` and ``span_id`` are 63.
- Only a sampled trace can be looked up. The active OpenTelemetry span knows; else ``traceparent`` does (W3C Trace
  Context 3.2.2.5).
- Where OpenTelemetry's API has not been imported, no span can be active.
"""

from __future__ import annotations

import re
from sys import modules
from typing import Final

from asgi_middleware._core.exchange import Exchange
from asgi_middleware._core.headers import find
from asgi_middleware._core.types import Scope

PAUSE_SECONDS: Final = 1.0
"""How long a line keeps an exemplar before the next one is looked for: a look-up costs as much as a measurement."""

_TRACEPARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?", re.DOTALL)
_SAMPLED: Final = 0x01


def trace_labels(scope: Scope, exchange: Exchange) -> dict[str, str] | None:
    """Give the labels of an exemplar for this request; None where its trace is not recorded or not known."""
    api = modules.get("opentelemetry.trace")
    if api is not None:
        context = api.get_current_span().get_span_context()
        if context.is_valid:
            if not context.trace_flags & _SAMPLED:
                return None
            return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
    trace = exchange.trace
    if trace is not None:
        return {"trace_id": trace.trace_id, "span_id": trace.span_id} if trace.sampled else None
    return _from_header(find(scope.get("headers") or (), b"traceparent") or b"")


def _from_header(value: bytes) -> dict[str, str] | None:
    match = _TRACEPARENT.fullmatch(value)
    if match is None or match[1] == b"ff" or not int(match[4], 16) & _SAMPLED:
        return None
    trace_id, span_id = match[2].decode(), match[3].decode()
    if not int(trace_id, 16) or not int(span_id, 16):
        return None
    return {"trace_id": trace_id, "span_id": span_id}
