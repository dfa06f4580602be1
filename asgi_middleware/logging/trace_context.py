"""W3C Trace Context, level 2: read what the caller sent, continue it or start anew.

Facts this module rests on (https://www.w3.org/TR/trace-context-2/):

- ``traceparent`` is ``version-traceid-parentid-flags``, lower-case hexadecimal (3.2). Version ``ff`` is invalid, so
  are ids of all zeros; version ``00`` has exactly 55 characters; a higher version is read by its first 55, which must
  end there or go on with a hyphen (3.2.4).
- Of the flags two are known: ``01`` sampled, ``02`` the right-most 7 bytes of the trace id are random. Unknown ones are
  not passed on. Who continues a trace passes ``02`` on unchanged; who begins one may set it only on a truly random id
  (3.2.2.5).
- Two ``traceparent`` lines are no traceparent. Without a valid one ``tracestate`` is dropped, too (3.3). The other way
  round a bad ``tracestate`` leaves ``traceparent`` as it is.
- ``tracestate`` lines are joined in order. It has at most 32 members, one for each key, and at least 512 characters of
  it go on; when it must be cut, whole members go, those of more than 128 characters first, then from the end (3.3.1).
- Every outgoing call gets a ``parent-id`` of its own, by which the callee knows its caller (3.2.2.4).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from sys import modules
from typing import Final, Literal, NamedTuple, TypeAlias

from asgi_middleware._core.headers import find_all
from asgi_middleware._core.types import RawHeaders
from asgi_middleware.logging.entropy import random_half, random_word
from asgi_middleware.logging.otel import span_of_request

TraceMode: TypeAlias = Literal["continue", "restart", "off"]
"""What becomes of the caller's trace: it goes on, a new one begins, or none is kept."""

SAMPLED: Final = 0x01
RANDOM: Final = 0x02
_KNOWN_FLAGS: Final = SAMPLED | RANDOM

_TRACEPARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
# key "=" value: the value is printable ASCII without "," and "=", and does not end with a space (3.3.1.3).
_MEMBER: Final = re.compile(
    rb"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_NO_TRACE: Final = b"0" * 32
_NO_SPAN: Final = b"0" * 16
_MOST_MEMBERS: Final = 32
_LONGEST_STATE: Final = 512
_LONG_MEMBER: Final = 128


class TraceContext(NamedTuple):
    """Where a request stands in its trace.

    Attributes:
        trace_id: 32 hexadecimal digits, the same for the whole trace.
        span_id: 16 hexadecimal digits that stand for this request here.
        parent_id: The caller's span id, or None where the trace begins here.
        flags: The trace flags, known bits only.
        tracestate: The vendors' list as received, checked; empty for none.
        from_span: Whether an OpenTelemetry span stands behind the ids.
    """

    trace_id: str
    span_id: str
    parent_id: str | None = None
    flags: int = RANDOM
    tracestate: str = ""
    from_span: bool = False

    @property
    def sampled(self) -> bool:
        """Whether the caller may have recorded this trace."""
        return bool(self.flags & SAMPLED)

    @property
    def traceparent(self) -> str:
        """The header value for outgoing calls, with this request as their parent (3.2)."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    def child(self) -> TraceContext:
        """Give the context of one outgoing call: the same trace, with a new span id below this one."""
        return self._replace(span_id=random_half(), parent_id=self.span_id, from_span=False)


class Parent(NamedTuple):
    """A valid ``traceparent``: the caller's trace and span."""

    trace_id: str
    parent_id: str
    flags: int


def new_trace() -> TraceContext:
    """Begin a trace: random ids, not sampled."""
    return TraceContext(random_word(), random_half())


def trace_of(headers: RawHeaders, mode: TraceMode) -> TraceContext | None:
    """Give this request's place in its trace: that of the active OpenTelemetry span, else by the request's headers.

    Args:
        headers: The request's raw headers; those of other names do not matter.
        mode: ``"continue"`` takes the caller's trace where it is valid; ``"restart"`` begins a new one for every
            request, for servers that strangers call; ``"off"`` keeps none.
    """
    if mode == "off":
        return None
    if "opentelemetry.trace" in modules:
        span = span_of_request()
        if span is not None:
            return TraceContext(*span)
    if mode == "restart":
        return new_trace()
    return continued(find_all(headers, b"traceparent"), find_all(headers, b"tracestate")) or new_trace()


def continued(traceparent: Sequence[bytes], tracestate: Sequence[bytes]) -> TraceContext | None:
    """Continue the caller's trace under a new span id; None without a valid ``traceparent``.

    Args:
        traceparent: The raw values of its lines.
        tracestate: The raw values of its lines.
    """
    parent = parse_traceparent(traceparent)
    if parent is None:
        return None
    state = parse_tracestate(tracestate) if tracestate else ""
    return TraceContext(parent.trace_id, random_half(), parent.parent_id, parent.flags, state)


def parse_traceparent(values: Sequence[bytes]) -> Parent | None:
    """Read the ``traceparent`` lines of a request; None unless there is one, and that one valid."""
    if len(values) != 1:
        return None
    match = _TRACEPARENT.fullmatch(values[0].strip(b" \t"))
    if match is None:
        return None
    version, trace_id, parent_id, flags, more = match.groups()
    if version == b"ff" or (version == b"00" and more is not None) or trace_id == _NO_TRACE or parent_id == _NO_SPAN:
        return None
    return Parent(trace_id.decode("ascii"), parent_id.decode("ascii"), int(flags, 16) & _KNOWN_FLAGS)


def parse_tracestate(values: Sequence[bytes]) -> str:
    """Read the ``tracestate`` lines of a request; empty where any member is malformed, or there are more than 32.

    Of two members with one key the first, which is the newer one, is kept.
    """
    members: dict[bytes, bytes] = {}
    count = 0
    for raw in b",".join(values).split(b","):
        member = raw.strip(b" \t")
        if not member:
            continue
        count += 1
        if count > _MOST_MEMBERS or _MEMBER.fullmatch(member) is None:
            return ""
        members.setdefault(member.partition(b"=")[0], member)
    return b",".join(_shortened(list(members.values()))).decode("ascii")


def _shortened(members: list[bytes]) -> list[bytes]:
    excess = sum(map(len, members)) + len(members) - 1 - _LONGEST_STATE
    for shortest_to_go in (_LONG_MEMBER + 1, 0):
        for position in range(len(members) - 1, -1, -1):
            if excess <= 0:
                return members
            if len(members[position]) >= shortest_to_go:
                excess -= len(members.pop(position)) + 1
    return members
