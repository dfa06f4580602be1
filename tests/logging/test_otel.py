"""Where an OpenTelemetry span is active, our ids are its ids."""

import contextvars
import subprocess
import sys
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from asgi_middleware._core.exchange import Exchange, current_exchange
from asgi_middleware._core.refusals import Refusal
from asgi_middleware.logging import LoggingMiddleware, TraceContext, add_request_context, inject_headers
from asgi_middleware.logging.otel import active_span, adopt_span, span_of_request, trace_here
from asgi_middleware.logging.trace_context import parse_traceparent, trace_of
from asgi_middleware.testing import http, websocket

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
CARRIER = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "foo=1"}
HEADERS = [(name.encode(), value.encode()) for name, value in CARRIER.items()]

tracer = TracerProvider().get_tracer("tests")


def ids(span: trace.Span) -> tuple[str, str]:
    """Give a span's trace and span id as they are written."""
    context = span.get_span_context()
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


@pytest.fixture
def request_span() -> Iterator[trace.Span]:
    """Begin a span as an instrumentation does: for a caller's request, current while it lasts."""
    parent = TraceContextTextMapPropagator().extract(CARRIER)
    with tracer.start_as_current_span("GET /", parent, kind=trace.SpanKind.SERVER) as span:
        yield span


class TestOutside:
    @pytest.mark.anyio
    async def test_the_line_has_the_spans_ids(self, lines: list[MutableMapping[str, Any]]) -> None:
        """A request of a span that an instrumentation further out has begun has that span's ids, from the beginning."""
        seen: list[TraceContext] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["asgi_middleware"].trace)
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body"})

        with tracer.start_as_current_span("GET /") as span:
            await http(LoggingMiddleware(app))
        assert (seen[0].trace_id, seen[0].span_id) == ids(span)
        assert (lines[0]["trace_id"], lines[0]["span_id"]) == ids(span)

    def test_the_requests_ids_are_the_spans(self, request_span: trace.Span) -> None:
        """An instrumentation further out gives trace, span, parent, flags and state [3.1]."""
        found = trace_of(HEADERS, "continue")
        assert found == TraceContext(*ids(request_span), SPAN, 1, "foo=1", from_span=True)
        assert trace_of(HEADERS, "restart") == found
        assert trace_of(HEADERS, "off") is None

    def test_a_new_trace(self) -> None:
        """Without a caller the span's own trace is the request's."""
        with tracer.start_as_current_span("GET /") as span:
            found = trace_of([], "continue")
        assert found is not None
        assert (found.trace_id, found.span_id, found.parent_id) == (*ids(span), None)
        assert found.sampled

    def test_a_span_that_is_not_recorded(self) -> None:
        """A span that the sampler left out has ids all the same, and tells that it is not sampled."""
        silent = TracerProvider(sampler=ALWAYS_OFF).get_tracer("tests")
        with silent.start_as_current_span("GET /") as span:
            found = trace_of(HEADERS, "continue")
        assert found is not None
        assert (found.trace_id, found.span_id, found.sampled) == (*ids(span), False)

    def test_unknown_flags(self) -> None:
        """Of a span's flags the known ones count [3.1]."""
        context = trace.SpanContext(int(TRACE, 16), int(SPAN, 16), is_remote=False, trace_flags=trace.TraceFlags(0xFF))
        with trace.use_span(trace.NonRecordingSpan(context)):
            span = active_span()
        assert span is not None
        assert span[3] == 3

    def test_no_span(self) -> None:
        """With the API loaded and no span active the headers count."""
        found = trace_of(HEADERS, "continue")
        assert found is not None
        assert (found.trace_id, found.parent_id, found.from_span) == (TRACE, SPAN, False)

    def test_a_remote_span_is_the_callers(self) -> None:
        """A context that was only read from the headers is not this request's span."""
        context = trace.SpanContext(int(TRACE, 16), int(SPAN, 16), is_remote=True)
        with trace.use_span(trace.NonRecordingSpan(context)):
            assert active_span() is None

    def test_a_span_that_has_ended(self) -> None:
        """A span that has ended, left over in an inherited context, is not this request's [3.2]."""
        with trace.use_span(tracer.start_span("GET /"), end_on_exit=False) as span:
            assert active_span() is not None
            span.end()
            assert active_span() is None

    def test_a_span_of_the_request_before(self) -> None:
        """In a context inherited from the last request of the connection, that one's span is not this one's [3.2]."""
        with tracer.start_as_current_span("GET /first"):
            first = Exchange()
            first.trace = trace_of([], "continue")
            current_exchange.set(first)
            inherited = contextvars.copy_context()
            assert inherited.run(span_of_request) is None
            found = inherited.run(trace_of, HEADERS, "continue")
            assert found is not None
            assert found.trace_id == TRACE
            current_exchange.set(None)
        first.trace = None
        assert span_of_request() is None

    def test_an_exchange_without_a_trace(self, request_span: trace.Span) -> None:
        """Where the context's Exchange keeps no trace, the active span is taken as it is."""
        token = current_exchange.set(Exchange())
        found = span_of_request()
        current_exchange.reset(token)
        assert found is not None
        assert found[:2] == ids(request_span)


class TestInside:
    def test_the_request_takes_the_spans_ids(self) -> None:
        """An instrumentation inside began a trace of its own: the access line tells that one."""
        exchange = Exchange()
        exchange.trace = trace_of([], "continue")
        with tracer.start_as_current_span("GET /", kind=trace.SpanKind.SERVER) as span:
            adopt_span(exchange)
        assert exchange.trace[:3] == (*ids(span), None)

    def test_sends_are_internal_spans(self, request_span: trace.Span) -> None:
        """The internal span of one message is not the request's: its parent is."""
        exchange = Exchange()
        exchange.trace = TraceContext(TRACE, "1" * 16, SPAN)
        with tracer.start_as_current_span("GET / http send"):
            adopt_span(exchange)
        assert exchange.trace[:3] == (*ids(request_span), SPAN)

    def test_an_internal_span_of_a_trace_of_its_own(self) -> None:
        """Where an instrumentation inside began another trace than the caller's, the caller is no parent there."""
        exchange = Exchange()
        exchange.trace = trace_of(HEADERS, "continue")
        start = tracer.start_as_current_span
        with start("GET /", kind=trace.SpanKind.SERVER) as span, start("GET / http send"):
            adopt_span(exchange)
        assert exchange.trace[:3] == (*ids(span), None)

    def test_an_internal_span_alone(self) -> None:
        """An internal span without a parent is all there is, and its ids are taken."""
        exchange = Exchange()
        exchange.trace = trace_of([], "continue")
        with tracer.start_as_current_span("GET /") as span:
            adopt_span(exchange)
        assert exchange.trace[:3] == (*ids(span), None)

    def test_ids_of_a_span_stay(self, request_span: trace.Span) -> None:
        """Once the ids are a span's, a span of the handler's own changes nothing."""
        exchange = Exchange()
        exchange.trace = before = trace_of(HEADERS, "continue")
        with tracer.start_as_current_span("query"), tracer.start_as_current_span("row"):
            adopt_span(exchange)
        assert exchange.trace is before

    def test_nothing_to_adopt(self) -> None:
        """Without a span, or where no trace is kept, nothing changes."""
        exchange = Exchange()
        exchange.trace = before = TraceContext(TRACE, "1" * 16)
        adopt_span(exchange)
        assert exchange.trace is before
        exchange.trace = None
        with tracer.start_as_current_span("GET /"):
            adopt_span(exchange)
        assert exchange.trace is None

    def test_a_log_call_stands_in_the_active_span(self, request_span: trace.Span) -> None:
        """Log calls carry the ids of the span that is active where they are made."""
        exchange = Exchange()
        assert trace_here(exchange) is None
        exchange.trace = trace_of(HEADERS, "continue")
        assert trace_here(exchange) is exchange.trace
        with tracer.start_as_current_span("query") as span:
            here = trace_here(exchange)
        assert here is not None
        assert here[:3] == (*ids(span), exchange.trace.span_id)


@pytest.mark.anyio
class TestWholeRequest:
    """An instrumentation of ASGI, outside LoggingMiddleware or inside."""

    @pytest.mark.parametrize("place", ["outside", "inside"])
    @pytest.mark.parametrize("headers", [[], HEADERS], ids=["no caller", "a caller"])
    async def test_ids_agree(self, place: str, headers: list[Any], lines: list[MutableMapping[str, Any]]) -> None:
        """The access line and the handlers' log calls have the span's ids, wherever the span was begun [3.1]."""
        spans: list[trace.Span] = []
        events: list[MutableMapping[str, Any]] = []

        async def handler(scope: Any, receive: Any, send: Any) -> None:
            events.append(add_request_context(None, "info", {}))
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body"})

        def instrumented(app: Any) -> Any:
            async def instrument(scope: Any, receive: Any, send: Any) -> None:
                carrier = {name.decode(): value.decode() for name, value in scope["headers"]}
                parent = TraceContextTextMapPropagator().extract(carrier)

                async def send_in_span(message: Any) -> None:
                    with tracer.start_as_current_span("GET / http send"):
                        await send(message)

                with tracer.start_as_current_span("GET /", parent, kind=trace.SpanKind.SERVER) as span:
                    spans.append(span)
                    await app(scope, receive, send_in_span)

            return instrument

        app: Any = LoggingMiddleware(instrumented(handler))
        if place == "outside":
            app = instrumented(LoggingMiddleware(handler))
        await http(app, headers=headers)
        [span], [event] = spans, events
        assert (event["trace_id"], event["span_id"]) == ids(span)
        assert (lines[0]["trace_id"], lines[0]["span_id"]) == ids(span)
        assert lines[0].get("parent_span_id") == (SPAN if headers else None)

    @pytest.mark.parametrize("denies", [False, True], ids=["accepted", "denied"])
    async def test_ids_of_a_websocket_agree(self, denies: bool, lines: list[MutableMapping[str, Any]]) -> None:
        """The line of a WebSocket has the ids of the span that was active as its handshake was answered [3.1]."""
        spans: list[trace.Span] = []

        async def instrumented(scope: Any, receive: Any, send: Any) -> None:
            with tracer.start_as_current_span("WS /", kind=trace.SpanKind.SERVER) as span:
                spans.append(span)
                if denies:
                    await Refusal(403, "denied").send(scope, receive, send)
                    return
                await receive()
                await send({"type": "websocket.accept"})
                await send({"type": "websocket.close"})

        await websocket(LoggingMiddleware(instrumented))
        [span] = spans
        assert (lines[0]["trace_id"], lines[0]["span_id"]) == ids(span)


class TestOutgoing:
    def test_the_active_span_is_the_parent(self, request_span: trace.Span) -> None:
        """An outgoing call has the active span as its parent, with that one's state, within a request or without."""
        for exchange in (None, Exchange()):
            token = current_exchange.set(exchange)
            made = inject_headers()
            current_exchange.reset(token)
            parent = parse_traceparent([made["traceparent"].encode()])
            assert parent is not None
            assert (parent.trace_id, parent.parent_id, parent.flags) == (*ids(request_span), 1)
            assert made["tracestate"] == "foo=1"
        assert exchange is not None
        assert "child_span_ids" not in exchange.fields


@pytest.mark.parametrize("broken", ["get_current_span", "SpanContext"])
def test_a_broken_api_costs_the_ids_only(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An API that is half imported or raises never breaks a request."""
    if broken == "get_current_span":
        monkeypatch.delattr(trace, broken)
    else:
        monkeypatch.setattr(trace, "get_current_span", object)
    assert active_span() is None
    assert trace_of(HEADERS, "continue") is not None


def test_nothing_imports_opentelemetry() -> None:
    """The room is used without OpenTelemetry, and does not load it where it is installed."""
    code = "import sys, asgi_middleware.logging as room; room.inject_headers(); print('opentelemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "False"
    exchange: Any = Exchange()
    exchange.trace = TraceContext(TRACE, SPAN)
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "opentelemetry.trace")
        adopt_span(exchange)
        assert trace_here(exchange) is exchange.trace
        assert inject_headers() == {}
