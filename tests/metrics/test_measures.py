"""What is measured besides durations, each by its own option; and what a handler decides about its request."""

import gc
import os
import random
import tracemalloc
import weakref
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from asgi_middleware import ConfigurationError, timing
from asgi_middleware.metrics import MetricsEndpoint, PrometheusMiddleware, ending, recording
from asgi_middleware.metrics.families import families_of
from asgi_middleware.metrics.queue_time import queued_seconds
from asgi_middleware.metrics.websocket_recording import WebSocketRecorder
from asgi_middleware.metrics.websockets import BATCH, LOOK_EVERY
from asgi_middleware.testing.driver import drive, http, http_scope, lifespan, websocket, websocket_scope

pytestmark = pytest.mark.anyio

# A million in the environment for long runs.
REQUESTS = int(os.environ.get("ASGI_MIDDLEWARE_METRICS_REQUESTS", "1000"))
START = {"type": "http.response.start", "status": 200, "headers": []}
LAST = {"type": "http.response.body", "body": b"hello", "more_body": False}
MORE = {**LAST, "more_body": True}
SPAN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer."""
    await send(START)
    await send(LAST)


async def test_time_to_first_byte(metrics: Any) -> None:
    """The time to the head is recorded beside the whole time, with the same labels."""

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        scope["path_template"] = "/s/{x}"
        await send(START)
        await anyio.sleep(0.03)
        await send(LAST)

    await http(metrics.wrap(stream, time_to_first_byte=True))
    [first] = metrics.read("http_server_time_to_first_byte_seconds_sum", "http_route").items()
    assert first[0] == "/s/{x}"
    assert first[1] + 0.03 <= metrics.seconds()


async def test_no_first_byte(metrics: Any) -> None:
    """A response that never began has no time to its first byte."""

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        return

    await http(metrics.wrap(silent, time_to_first_byte=True))
    assert metrics.read("http_server_time_to_first_byte_seconds_count", "http_route") == {"": 0}


async def test_background_time(metrics: Any) -> None:
    """What the app does after its response has a histogram of its own, by route."""

    async def later(scope: Any, receive: Any, send: Any) -> None:
        scope["path_template"] = "/later"
        await app(scope, receive, send)
        answered.append(metrics.seconds())
        await anyio.sleep(0.02)

    answered: list[float] = []
    await http(metrics.wrap(later, background=True))
    [(route, seconds)] = metrics.read("http_server_background_duration_seconds_sum", "http_route").items()
    assert (route, seconds >= 0.02) == ("/later", True)
    assert [metrics.seconds()] == answered


async def test_background_time_of_an_unmatched_request(metrics: Any) -> None:
    """Where a preset has a name for requests without a route, background times go by it, too."""
    await http(metrics.wrap(app, background=True, preset="fastapi-instrumentator"))
    assert metrics.read("http_server_background_duration_seconds_count", "http_route") == {"none": 1}


class TestQueueTime:
    """The proxy's stamp, in each form that proxies write."""

    @pytest.mark.parametrize(
        ("value", "waited"),
        [
            (b"t=1700000000.250", 0.25),
            (b"1700000000", 0.5),
            (b" 1700000000.500 ", 0.0),
            (b"1700000000250", 0.25),
            (b"t=1700000000250000", 0.25),
            (b"1700000000250000000", 0.25),
            (b"1700000001", None),
            (b"1699990000", None),
            (b"t=", None),
            (b"", None),
            (b"yesterday", None),
            (b"1700000000.25, 1700000000.3", None),
            (b"-1700000000", None),
            (b"1e10", None),
            (b"9" * 30, None),
        ],
    )
    def test_stamps(self, value: bytes, waited: float | None) -> None:
        """Seconds, milli-, micro- and nanoseconds are told by their size; the future and long ago are none."""
        found = queued_seconds(value, 1700000000.5)
        assert found == (None if waited is None else pytest.approx(waited, abs=1e-3))

    async def test_recorded(self, metrics: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """A stamped request is recorded, any other is not."""
        monkeypatch.setattr("asgi_middleware.metrics.extras.time", lambda: 1700000000.5)
        wrapped = metrics.wrap(app, queue_time_header="X-Request-Start")
        for headers in ([(b"X-Request-Start", b"t=1700000000.25")], [(b"x-request-start", b"soon")], []):
            await http(wrapped, headers=headers)
        assert metrics.read("http_server_queue_duration_seconds_count") == {(): 1}
        assert metrics.read("http_server_queue_duration_seconds_sum") == {(): 0.25}
        assert metrics.errors() == {}


async def test_timing_blocks(metrics: Any) -> None:
    """The blocks of a request are added up by name and recorded once for it."""

    async def busy(scope: Any, receive: Any, send: Any) -> None:
        for name in ("db", "db", "render"):
            with timing(name):
                pass
        await app(scope, receive, send)

    await http(metrics.wrap(busy, timings=True))
    assert metrics.read("asgi_middleware_timing_seconds_count", "name") == {"db": 1, "render": 1}


class TestOwnLabels:
    """Labels of the user's own, each with a bound on its values."""

    LABELS = ("http_server_request_duration_seconds_count", "tenant")

    async def test_from_a_function(self, metrics: Any) -> None:
        """A function gets the innermost scope, after the application ran."""

        async def framework(scope: Any, receive: Any, send: Any) -> None:
            scope["user"] = "ada"
            await app(scope, receive, send)

        await http(metrics.wrap(framework, labels={"tenant": lambda scope: scope["user"]}))
        assert metrics.read(*self.LABELS) == {"ada": 1}

    @pytest.mark.parametrize(
        ("value", "label"), [("a", "a"), (7, "7"), (None, ""), ("x" * 500, "x" * 120), ("\ud800", "?")]
    )
    async def test_from_a_handler(self, metrics: Any, value: Any, label: str) -> None:
        """A handler's value comes before the function's; one that is not declared is ignored."""

        async def handler(scope: Any, receive: Any, send: Any) -> None:
            scope["asgi_middleware"].add_label("tenant", value)
            scope["asgi_middleware"].add_label("undeclared", "x")
            await app(scope, receive, send)

        await http(metrics.wrap(handler, labels={"tenant": None}, body_sizes=True))
        assert metrics.read(*self.LABELS) == {label: 1}
        assert metrics.read("http_server_response_body_size_bytes_count", "tenant") == {label: 1}

    async def test_objects_are_not_kept(self, metrics: Any) -> None:
        """What a function gives is written down as text, and not kept alive by that."""

        class Tenant:
            def __str__(self) -> str:
                return "acme"

        tenants = [Tenant() for _ in range(5)]
        left = tenants.copy()
        wrapped = metrics.wrap(app, labels={"tenant": lambda scope: left.pop()}, max_label_values=2)
        for _ in tenants:
            await http(wrapped)
        assert metrics.read(*self.LABELS) == {"acme": 5}
        kept = weakref.ref(tenants[0])
        tenants.clear()
        gc.collect()
        assert kept() is None

    async def test_values_are_capped(self, metrics: Any) -> None:
        """Beyond its bound a label's further values are one, also for a stack that is built again."""
        for number in range(10):
            wrapped = metrics.wrap(app, labels={"tenant": lambda scope: scope["path"]}, max_label_values=3)
            await http(wrapped, "GET", f"/{number}")
        assert metrics.read(*self.LABELS) == {"/0": 1, "/1": 1, "/2": 1, "_OTHER": 7}
        assert metrics.read("asgi_middleware_metrics_label_overflow_total", "label") == {"tenant": 7}

    @pytest.mark.parametrize("bad", [lambda scope: 1 / 0, lambda scope: [scope]], ids=["raises", "gives a list"])
    async def test_a_function_that_fails(self, metrics: Any, bad: Any) -> None:
        """A function that raises, or gives nonsense, leaves its label empty and nothing else changed [T19]."""
        result = await http(metrics.wrap(app, labels={"tenant": bad, "other": lambda scope: "fine"}))
        assert result.body == b"hello"
        assert metrics.read("http_server_request_duration_seconds_count", "tenant", "other") == {("", "fine"): 1}
        assert metrics.errors() == {"own_labels": 1}

    @pytest.mark.parametrize(
        ("labels", "codes"),
        [
            ({"http_route": None}, ["invalid_label"]),
            ({"le": None}, ["invalid_label"]),
            ({"__x": None}, ["invalid_label"]),
            ({"a-b": None, 7: None}, ["invalid_label", "invalid_label"]),
            ({"a": "b"}, ["not_callable"]),
            (["a"], ["invalid_option"]),
        ],
    )
    def test_wrong_ones(self, metrics: Any, labels: Any, codes: list[str]) -> None:
        """A label needs a name of its own, and a function or None."""
        with pytest.raises(ConfigurationError) as raised:
            metrics.wrap(app, labels=labels)
        assert [problem.code for problem in raised.value.problems] == codes

    def test_other_labels_in_the_same_registry(self, metrics: Any) -> None:
        """Two instances on one registry cannot disagree about the labels."""
        metrics.wrap(app)
        with pytest.raises(ConfigurationError) as raised:
            metrics.wrap(app, labels={"tenant": None})
        assert {problem.code for problem in raised.value.problems} == {"conflicting_labels"}


class TestHandlersDecide:
    """The Exchange's methods about the figures of one request."""

    async def test_skip(self, metrics: Any) -> None:
        """A request that is left out is in no histogram, and no longer active."""

        async def skips(scope: Any, receive: Any, send: Any) -> None:
            scope["asgi_middleware"].skip_metrics()
            if scope["type"] == "http":
                await app(scope, receive, send)
            else:
                await send({"type": "websocket.accept"})

        wrapped = metrics.wrap(skips, background=True)
        await http(wrapped)
        await websocket(wrapped)
        assert metrics.requests() == {}
        assert metrics.active() == 0
        assert metrics.read("websocket_server_handshakes_total", "outcome") == {}
        assert metrics.read("http_server_background_duration_seconds_count", "http_route") == {}

    async def test_set_route(self, metrics: Any) -> None:
        """A route that a handler names comes before what the framework says."""

        async def names(scope: Any, receive: Any, send: Any) -> None:
            scope["path_template"] = "/theirs"
            scope["asgi_middleware"].set_route("/rpc/{method}")
            await app(scope, receive, send)

        await http(metrics.wrap(names))
        assert metrics.requests() == {("GET", "/rpc/{method}", "200", ""): 1}


class TestExemplars:
    """A bucket leads to the trace of one of its requests."""

    @staticmethod
    def exemplars(metrics: Any) -> list[dict[str, str]]:
        return [
            sample.exemplar.labels
            for family in metrics.registry.collect()
            for sample in family.samples
            if sample.exemplar is not None
        ]

    @pytest.mark.parametrize(
        ("value", "found"),
        [
            (SPAN, True),
            (SPAN[:-1] + "0", False),
            (f"{SPAN}-later", True),
            (f"{SPAN}0", False),
            (f"ff{SPAN[2:]}", False),
            (f"00-{'0' * 32}-b7ad6b7169203331-01", False),
            (f"{SPAN[:36]}{'0' * 16}-01", False),
            (SPAN.upper(), False),
            ("", False),
            ("x" * 1000, False),
        ],
    )
    async def test_from_the_header(self, metrics: Any, value: str, found: bool) -> None:
        """A sampled, well-formed traceparent is an exemplar of the duration; no other value is, nor an error."""
        wrapped = metrics.wrap(app, body_sizes=True, time_to_first_byte=True)
        await http(wrapped, headers=[(b"traceparent", value.encode())])
        expected = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331"}
        assert self.exemplars(metrics) == ([expected] if found else [])
        assert metrics.errors() == {}

    @pytest.mark.parametrize("sampled", [True, False])
    async def test_from_the_exchange(self, metrics: Any, sampled: bool) -> None:
        """The trace that the Exchange keeps comes before the header; one that is not sampled gives none."""
        known = SimpleNamespace(trace_id="a" * 32, span_id="b" * 16, sampled=sampled)

        async def traced(scope: Any, receive: Any, send: Any) -> None:
            scope["asgi_middleware"].trace = known
            await app(scope, receive, send)

        await http(metrics.wrap(traced), headers=[(b"traceparent", SPAN.encode())])
        expected = {"trace_id": known.trace_id, "span_id": known.span_id}
        assert self.exemplars(metrics) == ([expected] if sampled else [])

    async def test_from_the_active_span(self, metrics: Any) -> None:
        """The active OpenTelemetry span comes before the header; one that is not recorded gives none."""
        trace = pytest.importorskip("opentelemetry.trace")

        async def traced(scope: Any, receive: Any, send: Any) -> None:
            flags = trace.TraceFlags(int(scope["path"][1:]))
            context = trace.SpanContext(0x1234, 0x56, is_remote=False, trace_flags=flags)
            with trace.use_span(trace.NonRecordingSpan(context)):
                await app(scope, receive, send)

        wrapped = metrics.wrap(traced)
        await http(wrapped, "GET", "/0", headers=[(b"traceparent", SPAN.encode())])
        assert self.exemplars(metrics) == []
        await anyio.sleep(1.1 * recording.LOOK_SECONDS)
        await http(wrapped, "GET", "/1", headers=[(b"traceparent", SPAN.encode())])
        assert self.exemplars(metrics) == [{"trace_id": f"{0x1234:032x}", "span_id": f"{0x56:016x}"}]

    @pytest.mark.parametrize(("pause", "expected"), [(60.0, 1), (0.0, 20)], ids=["fresh", "old"])
    async def test_at_most_one_a_second(
        self, metrics: Any, monkeypatch: pytest.MonkeyPatch, pause: float, expected: int
    ) -> None:
        """While a series has a fresh exemplar, no request pays for another look, however often lines are looked at."""
        monkeypatch.setattr("asgi_middleware.metrics.extras.PAUSE_SECONDS", pause)
        monkeypatch.setattr("asgi_middleware.metrics.ending.LOOK_SECONDS", 0.0)
        looks = 0

        def look(*arguments: Any) -> dict[str, str]:
            nonlocal looks
            looks += 1
            return {"trace_id": "1", "span_id": "2"}

        monkeypatch.setattr("asgi_middleware.metrics.extras.trace_labels", look)
        wrapped = metrics.wrap(app)
        for _ in range(20):
            await http(wrapped)
        assert looks == expected

    async def test_off(self, metrics: Any) -> None:
        """Without exemplars none is looked for."""
        await http(metrics.wrap(app, exemplars=False), headers=[(b"traceparent", SPAN.encode())])
        assert self.exemplars(metrics) == []


class TestWebSocketMessages:
    """Messages and bytes by direction, at once and without the connection's end."""

    async def test_more_routes_than_series(self, metrics: Any) -> None:
        """Messages of a route that has no series of its own are counted as such, each one."""

        async def handler(scope: Any, receive: Any, send: Any) -> None:
            scope["asgi_middleware"].set_route(scope["path"])
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
            for _ in range(2):
                await send({"type": "websocket.send", "text": "x"})
            await send({"type": "websocket.close"})

        wrapped = metrics.wrap(handler, max_series=2)
        for path in ("/one", "/two"):
            await websocket(wrapped, path, messages=["x"])
        messages = metrics.read("websocket_server_messages_total", "http_route")
        assert messages == {"/one": 3, "_OTHER": 3}
        overflows = metrics.read("asgi_middleware_metrics_overflow_total", "metric")
        assert {overflows[f"websocket_server_{name}"] for name in ("messages_total", "message_bytes_total")} == {3}

    async def test_counted(self, metrics: Any) -> None:
        """Text counts as its UTF-8 bytes, whatever keys a message has; only what was sent counts [T27]."""

        async def echo(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
            await receive()
            await send({"type": "websocket.send", "text": "h\xe9llo"})
            await send({"type": "websocket.send", "bytes": b"1234", "text": None})
            await send({"type": "websocket.send", "bytes": memoryview(b"12")})
            counted.append(metrics.read("websocket_server_messages_total", "direction"))
            await send({"type": "websocket.close"})
            await send({"type": "websocket.send", "text": "too late"})

        counted: list[Any] = []
        await drive(
            metrics.wrap(echo),
            websocket_scope(),
            [
                {"type": "websocket.connect"},
                {"type": "websocket.receive", "text": "\u20ac", "bytes": None},
                {"type": "websocket.receive", "bytes": b"12345"},
            ],
            raise_exceptions=False,
        )
        assert counted == [{"received": 2, "sent": 3}]
        assert metrics.read("websocket_server_messages_total", "direction") == {"received": 2, "sent": 3}
        assert metrics.read("websocket_server_message_bytes_total", "direction") == {"received": 8, "sent": 12}

    async def test_a_long_conversation(self, metrics: Any) -> None:
        """More messages than a list holds are all counted, and what is held stays small."""
        held = 0

        async def talks(scope: Any, receive: Any, send: Any) -> None:
            nonlocal held
            await receive()
            await send({"type": "websocket.accept"})
            while (await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": "x"})
                held = max(held, *(len(flow.sizes) for flow in recorder._flows.values()))

        wrapped = metrics.wrap(talks)
        recorders = families_of(metrics.registry, "", None).recorders.values()  # type: ignore[arg-type] # nothing fails
        [recorder] = [each for each in recorders if isinstance(each, WebSocketRecorder)]
        await websocket(wrapped, messages=["y"] * 2500)
        assert held <= BATCH + LOOK_EVERY
        assert metrics.read("websocket_server_messages_total", "direction") == {"received": 2500, "sent": 2500}

    async def test_text_and_bytes_in_turn(self, metrics: Any) -> None:
        """Each message counts once by its own bytes, whatever the one before was, in any kind of bytes."""
        messages = ["a", b"bc", "d\xe9f", "\u20ac", b"\xff", bytearray(b"12"), memoryview(b"345"), "", b"", "z"]
        script: list[Any] = [{"type": "websocket.connect"}]
        for message in messages:
            key, other = ("text", "bytes") if isinstance(message, str) else ("bytes", "text")
            script += [
                {"type": "websocket.receive", key: message},
                {"type": "websocket.receive", key: message, other: None},
            ]
        script.append({"type": "websocket.disconnect", "code": 1000})

        async def mirror(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                await send({**message, "type": "websocket.send"})

        await drive(metrics.wrap(mirror), websocket_scope(), script)
        count = 2 * len(messages)
        size = 2 * sum(len(each.encode()) if isinstance(each, str) else len(each) for each in messages)
        assert metrics.read("websocket_server_messages_total", "direction") == {"received": count, "sent": count}
        assert metrics.read("websocket_server_message_bytes_total", "direction") == {"received": size, "sent": size}
        assert metrics.errors() == {}

    async def test_off(self, metrics: Any) -> None:
        """Without the option nothing is counted and no family is there."""
        await websocket(metrics.wrap(app, websocket_messages=False), messages=["y"], raise_exceptions=False)
        assert not [each for each in metrics.series() if each[0].startswith("websocket_server_message")]

    async def test_accepted_once(self, metrics: Any) -> None:
        """A second accept, which some servers let pass, opens no second connection."""

        async def twice(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close"})

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            return None

        await metrics.wrap(twice)(websocket_scope(), receive, send)
        assert metrics.read("websocket_server_handshakes_total", "outcome") == {"accepted": 1}
        assert metrics.read("websocket_server_active_connections", "http_route") == {"": 0}


class TestLoopLag:
    """One sampler for each event loop, from start-up to shut-down."""

    @pytest.fixture(autouse=True)
    def _often(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("asgi_middleware.metrics.loop_lag.INTERVAL_SECONDS", 0.005)

    @staticmethod
    async def rests(scope: Any, receive: Any, send: Any) -> None:
        """Start up, stay for a while, shut down."""
        assert (await receive())["type"] == "lifespan.startup"
        await send({"type": "lifespan.startup.complete"})
        await anyio.sleep(0.03)
        assert (await receive())["type"] == "lifespan.shutdown"
        await send({"type": "lifespan.shutdown.complete"})

    async def test_sampled(self, metrics: Any) -> None:
        """The lag is sampled while the application lives, and no longer."""
        result = await lifespan(metrics.wrap(self.rests, loop_lag=True))
        assert result.types == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        count = metrics.read("asgi_middleware_event_loop_lag_seconds_count")[()]
        assert 1 <= count <= 7
        await anyio.sleep(0.02)
        assert metrics.read("asgi_middleware_event_loop_lag_seconds_count")[()] == count

    async def test_once_for_each_loop(self, metrics: Any) -> None:
        """Two instances around one application sample its loop once."""
        await lifespan(metrics.wrap(metrics.wrap(self.rests, loop_lag=True), loop_lag=True))
        assert metrics.read("asgi_middleware_event_loop_lag_seconds_count")[()] <= 7

    async def test_a_start_up_that_fails(self, metrics: Any) -> None:
        """The sampler stops with an application that never started."""

        async def fails(scope: Any, receive: Any, send: Any) -> None:
            raise LookupError

        with pytest.raises(LookupError):
            await metrics.wrap(fails, loop_lag=True)({"type": "lifespan"}, None, None)
        await anyio.sleep(0.02)
        assert metrics.read("asgi_middleware_event_loop_lag_seconds_count") in ({}, {(): 0})


ODD_ROUTES = {
    "number": 5,
    "bytes": b"/x",
    "surrogate": "/\ud800",
    "quotes and lines": '/"\\\n{}% # {a="b"} 1',
    "long": "/" + "x" * 100_000,
    "object": object(),
}


@pytest.mark.parametrize("route", ODD_ROUTES)
async def test_routes_by_odd_names(metrics: Any, route: str) -> None:
    """Whatever a handler calls its route, the scrape can be read, in both formats, and the label is short."""

    async def handler(scope: Any, receive: Any, send: Any) -> None:
        scope["asgi_middleware"].set_route(ODD_ROUTES[route])
        if scope["type"] == "http":
            await app(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": "x"})
            await send({"type": "websocket.close"})

    await http(metrics.wrap(handler))
    await http(metrics.wrap(handler))
    await websocket(metrics.wrap(handler), messages=[])
    endpoint = MetricsEndpoint(registry=metrics.registry)
    accept = [(b"accept", b"application/openmetrics-text; version=1.0.0")]
    for parse, headers in ((parse_text, []), (parse_openmetrics, accept)):
        scrape = await http(endpoint, headers=headers)
        assert scrape.status == 200
        samples = [sample for family in parse(scrape.body.decode()) for sample in family.samples]
        counted = [sample for sample in samples if sample.name == "http_server_request_duration_seconds_count"]
        assert [(sample.value, len(sample.labels["http_route"]) <= 500) for sample in counted] == [(2, True)]
    assert metrics.errors() == {}


async def test_routes_without_end(metrics: Any) -> None:
    """An application that names its routes by what clients ask for keeps neither series nor look-ups for them."""

    async def handler(scope: Any, receive: Any, send: Any) -> None:
        scope["asgi_middleware"].set_route(scope["path"])
        if scope["type"] == "http":
            await app(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close"})

    wrapped = metrics.wrap(handler, max_series=5)
    for number in range(300):
        await http(wrapped, "GET", "/" + "x" * (number % 2 * 600) + str(number))
        await websocket(wrapped, "/" + "x" * (number % 2 * 600) + str(number), messages=[])
    held = 0
    for recorder in families_of(metrics.registry, "", None).recorders.values():  # type: ignore[arg-type] # nothing fails
        if isinstance(recorder, WebSocketRecorder):
            held += len(recorder._flows)
        else:
            openings = [one for by_method in recorder.openings.values() for one in by_method.values()]
            held += sum(len(one.lines) + sum(map(len, one.settled.values())) for one in openings)
    assert held <= 60
    assert sum(metrics.requests().values()) == 300


@pytest.mark.parametrize("skipped", [False, True])
async def test_what_waits_to_be_added_up_is_bounded(
    metrics: Any, monkeypatch: pytest.MonkeyPatch, skipped: bool
) -> None:
    """However many requests come between two scrapes, their lists are added up, also where none is recorded."""
    monkeypatch.setattr(ending, "LOOK_SECONDS", 0)  # the time between two looks lets as many more in

    async def handler(scope: Any, receive: Any, send: Any) -> None:
        if skipped:
            scope["asgi_middleware"].skip_metrics()
        await app(scope, receive, send)

    wrapped, longest = metrics.wrap(handler), 0
    for _ in range(600):
        await http(wrapped)
        opening = wrapped.parts.openings["http"]["GET"]
        longest = max(longest, len(opening.moves), *(len(line.samples) for line in opening.lines.values()))
    assert longest <= recording.MOST_MOVES + 2
    assert sum(metrics.requests().values()) == (0 if skipped else 600)
    assert metrics.active() == 0


class TestMemory:
    """Nothing grows with what clients send."""

    async def test_random_requests(self, metrics: Any) -> None:
        """Hundreds of made-up paths, methods and hosts add no memory and no series [T1-T8]."""
        wrapped = metrics.wrap(app, body_sizes=True, time_to_first_byte=True)
        source = random.Random(3)

        async def receive() -> Any:
            return {"type": "http.request"}

        async def send(message: Any) -> None:
            return

        async def ask(count: int) -> None:
            for _ in range(count):
                token = f"{source.getrandbits(64):x}"
                await wrapped(
                    http_scope(token, f"/{token}", headers=[(b"host", token.encode())], scheme=token), receive, send
                )

        await ask(300)
        series = metrics.series()
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            await ask(REQUESTS)
            metrics.series()  # adds up what came since the last look
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert metrics.series() == series
        assert grown < 50_000

    def test_instances_on_many_registries_claim_apart(self) -> None:
        """A registry that is gone gives its place in memory to another, but not its claim."""
        claims = set()
        for _ in range(4):
            registry = CollectorRegistry()
            PrometheusMiddleware(app, registry=registry)
            claims.add(families_of(registry, "", None).claim)  # type: ignore[arg-type]
            del registry
            gc.collect()
        assert len(claims) == 4
