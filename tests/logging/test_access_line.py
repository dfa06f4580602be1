"""The access line: written as text, it says what the general road says."""

import io
import json
from contextvars import Context
from typing import Any
from unittest.mock import patch

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_middleware._core.exchange import Exchange, add_fields, exchange_of, timing
from asgi_middleware._core.refusals import Refusal
from asgi_middleware.compression.figures import CompressionFigures
from asgi_middleware.logging import (
    Correlation,
    CorrelationIdMiddleware,
    LoggingMiddleware,
    Redaction,
    Sampling,
    TraceContext,
    configure_structlog,
)
from asgi_middleware.logging.access_event import AccessEvents
from asgi_middleware.logging.access_line import Members
from asgi_middleware.logging.access_log import AccessLog
from asgi_middleware.logging.endings import default_level
from asgi_middleware.logging.failures import Failures
from asgi_middleware.logging.fast_road import FastRoad
from asgi_middleware.logging.observation import HTTPObservation
from asgi_middleware.logging.redaction import Redactor
from asgi_middleware.logging.request_ids import RequestIds
from asgi_middleware.logging.sampling import Sampler
from asgi_middleware.logging.setup import _dumps
from asgi_middleware.logging.timestamps import Timestamps
from asgi_middleware.testing import http

TEXT = st.text(st.characters(codec=None), max_size=20) | st.sampled_from(
    ['/a"b\\c', "/\u202e\x1b\x85\u2028\ud800", "/é"]
)
WORDS = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
SECONDS = st.floats(0, 3) | st.floats(0, 1e7) | st.sampled_from([0.0009994, 0.0009995, 0.9999995, 1.0])
QUERIES = st.sampled_from(
    [b"", b"a=1", b'a="b', b"a=\\b", b"a=1&b=%22", b"token=abc", b"x=eyJhbGciOiJub25lIn0", b'q="\\', b"\xff\x00"]
)


FIGURES = st.builds(
    CompressionFigures, encoding=st.just("br"), original_size=st.none() | st.integers(0, 9), encoded_size=st.just(1),
    seconds=SECONDS, skip_reason=st.none(),
) | st.builds(
    CompressionFigures, encoding=st.none(), original_size=st.just(0), encoded_size=st.just(0), seconds=st.just(0.0),
    skip_reason=st.none() | WORDS,
)  # fmt: skip
IDS = (TraceContext, "0" * 31 + "1", "0" * 15 + "2")
TRACES = st.just(IDS) | st.builds(TraceContext, st.just("1" * 32), st.just("2" * 16), st.none() | st.just("3" * 16))
# What only the general road describes, or nobody.
ODD: dict[str, Any] = {
    "method": [None, "get", "BREW"],
    "scheme": [None, "gopher"],
    "http_version": [None, "9"],
    "lacks": ["method", "query_string", "client"],
    "trace": [None],
    "request_id": [None, 7],
    "status": [404, 500, 99],
    "started": [None],
    "ended": [None],
    "response_bytes": [None, 2**70],
    "response_chunks": [1000],
    "disconnected": [True],
    "refusal": [Refusal(503, "overloaded")],
    "error": [ValueError("answered")],
}


@st.composite
def observations(draw: st.DrawFn, **odd: Any) -> tuple[HTTPObservation, float]:
    """Make what one request may leave behind, and the time at which its app returned."""

    def value(name: str, usual: st.SearchStrategy[Any]) -> Any:
        return odd[name] if name in odd else draw(usual)

    exchange = Exchange()
    exchange.request_id = value("request_id", st.sampled_from(["0123456789abcdef", "a-b", 'odd"\\id']))
    exchange._trace = value("trace", TRACES)
    exchange.route = draw(st.none() | TEXT)
    exchange.subject = draw(st.none() | TEXT)
    exchange.cors = draw(st.none() | WORDS)
    exchange.compression = draw(st.none() | FIGURES)
    for name, field in draw(st.dictionaries(TEXT | st.just("status"), st.integers() | TEXT, max_size=2)).items():
        exchange.fields[name] = field
    if draw(st.booleans()):
        exchange.add_timing(draw(WORDS), draw(SECONDS))
    scope: dict[str, Any] = {
        "type": "http",
        "method": value("method", st.sampled_from(["GET", "POST"])),
        "scheme": value("scheme", st.sampled_from(["http", "https"])),
        "http_version": value("http_version", st.sampled_from(["1.1", "2"])),
        "path": draw(TEXT),
        "query_string": draw(QUERIES),
        "client": draw(st.none() | st.tuples(st.none() | TEXT | st.just("10.0.0.1"), st.just(1))),
    }
    scope.pop(odd.get("lacks"), None)
    exchange.refusal, exchange.error = odd.get("refusal"), odd.get("error")
    begun = draw(st.floats(0, 10))
    observation = HTTPObservation(scope, unused, unused, exchange, IDENTIFIED, begun)
    if exchange.request_id in {"0123456789abcdef", "a-b"}:  # those that the class gives are safe
        observation.request_id = draw(st.sampled_from([exchange.request_id, None]))
    observation.client_request_id = draw(st.none() | st.just("theirs"))
    observation.request_headers = [(b"accept", b"*/*")]
    observation.headers = [(b"server", b"x")]
    observation.status = value("status", st.sampled_from([200, 204, 302, 399]))
    observation.started = value("started", SECONDS.map(begun.__add__))
    observation.ended = value("ended", SECONDS.map(begun.__add__))
    observation.request_chunks = draw(st.integers(0, 2))
    observation.request_bytes = observation.request_chunks * 10
    observation.response_chunks = value("response_chunks", st.integers(0, 3) | st.just(999))
    observation.response_bytes = value("response_bytes", st.integers(0, 2**40))
    observation.disconnected = odd.get("disconnected", False)
    now = (observation.ended or begun) + draw(st.sampled_from([0.0, 0.0005, 0.002, 5.0]))
    return observation, now


IDENTIFIED = RequestIds(Correlation(), (b"x-request-id",), Failures("test"))


async def unused(*_: Any) -> Any:
    """Stand where nothing is called."""


class Written:
    """Keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.write = self.write_now = self.lines.append

    def flush(self) -> None:
        """Do nothing."""


def log(options: dict[str, Any], *, at_once: bool) -> AccessLog:
    """Make an access log, which may write lines at once or takes the general road."""
    redactor = Redactor(Redaction(max_length=16) if options["short"] else Redaction())
    shown = (b"accept", b"server") if options["headers"] else ()
    made = AccessLog(
        logger=None, events=AccessEvents(redactor, shown[:1], shown[1:]), redactor=redactor, exclude=None,
        level=default_level if options["level"] is None else lambda _: options["level"],
        sampler=Sampler(Sampling(rate=1)) if options["sampled"] else None,
        schema="flat", enrich=None, limit=redactor.max_length, failures=Failures("test"),
    )  # fmt: skip
    if not at_once:
        made._line = made._usual = None
    return made


def members(observation: HTTPObservation, now: float, access_log: AccessLog) -> list[Any] | None:
    """Write the line of a request, and give its members in their order; None where the failure was counted."""
    written = Written()
    observation.road = FastRoad([min], level=10, schema="flat", stamps=Timestamps(), dumps=_dumps, lines=written)
    with patch("asgi_middleware.logging.access_log.perf_counter", return_value=now):
        Context().run(access_log.finish, observation, None)
    if access_log._failures.count:
        assert written.lines == []
        return None
    [line] = written.lines
    text = line.decode()
    assert text.endswith("}\n")
    assert not set(text[:-1]) & UNSAFE
    pairs: list[Any] = json.loads(text, object_pairs_hook=list)
    assert [pairs[0][0], len(pairs[0][1])] == ["timestamp", len("2026-11-21T06:38:24.472907Z")]
    return pairs[1:]


UNSAFE = {*map(chr, range(32)), "\x7f", "\x85", "\u2028", "\u202e"}
OPTIONS = st.fixed_dictionaries(
    {
        "short": st.booleans(),
        "headers": st.booleans(),
        "level": st.sampled_from([None, "debug", "error"]),
        "sampled": st.booleans(),
    }
)


USUAL = {"short": False, "headers": False, "level": None, "sampled": False}


@settings(max_examples=200)
@given(observations(), OPTIONS)
def test_both_roads(observed: tuple[HTTPObservation, float], options: dict[str, Any]) -> None:
    """The line of a request that went well has as text the members of the general road, in order and in value [4]."""
    observation, now = observed
    expected = members(observation, now, log(options, at_once=False))
    assert expected is not None
    with patch.object(AccessEvents, "describe", broken):
        assert members(observation, now, log(options, at_once=True)) == expected


@pytest.mark.parametrize(("name", "odd"), [(name, odd) for name, values in ODD.items() for odd in values], ids=str)
def test_odd_requests(name: str, odd: Any) -> None:
    """A request with anything odd about it has the line that the general road gives it."""

    @settings(max_examples=10)
    @given(observations(**{name: odd}), OPTIONS)
    def check(observed: tuple[HTTPObservation, float], options: dict[str, Any]) -> None:
        observation, now = observed
        for chosen in (options, USUAL):
            with patch("sys.stderr", io.StringIO()):
                expected = members(observation, now, log(chosen, at_once=False))
            if expected is not None:  # else it was a number beyond 64 bits, which a text has no need to refuse
                assert members(observation, now, log(chosen, at_once=True)) == expected

    check()


def broken(*_: Any, **__: Any) -> Any:
    """Fail."""
    message = "step"
    raise RuntimeError(message)


@pytest.fixture
def output(logging_state: None) -> io.StringIO:
    """Take what is written."""
    stream = io.StringIO()
    configure_structlog(stream=stream, capture_server_logs=False)
    return stream


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """Answer."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"server", b"x")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def full(scope: Any, receive: Any, send: Any) -> None:
    """Answer, and add to the line whatever an app and other classes may."""
    add_fields(user_id=42, outcome="mine")
    with timing("db"):
        pass
    exchange = exchange_of(scope)
    assert exchange is not None
    exchange.subject, exchange.cors, exchange.route = 'a"b', "allowed", "/{id}"
    await plain(scope, receive, send)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("app", "options", "request_headers", "found"),
    [
        (plain, {}, [], {"outcome": "ok", "path": '/a"b', "query": "a=1", "response_bytes": 5}),
        (plain, {}, [(b"X-Request-Id", b"a-b")], {"request_id": "a-b"}),
        (plain, {}, [(b"traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01")], {"parent_span_id": "2" * 16}),
        (full, {}, [], {"user_id": 42, "app_outcome": "mine", "outcome": "ok", "subject": 'a"b', "route": "/{id}"}),
        (plain, {"sampling": Sampling(rate=1)}, [], {"sampling_rate": 1.0}),
        (plain, {"request_headers": ["accept"]}, [(b"accept", b"*/*")], {"request_headers": {"accept": "*/*"}}),
        (plain, {"level": lambda _: "error"}, [], {"level": "error"}),
    ],
    ids=["plain", "id", "trace", "fields", "sampled", "headers", "level"],
)  # fmt: skip
async def test_written_at_once(
    app: Any, options: Any, request_headers: Any, found: Any, output: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that went well gets its line without an event, whatever was added to it."""
    monkeypatch.setattr(AccessEvents, "describe", broken)
    wrapped = LoggingMiddleware(app, **options)
    await http(wrapped, path='/a"b', query_string=b"a=1", headers=request_headers)
    assert wrapped.failures == 0
    line = json.loads(output.getvalue())
    assert {name: line[name] for name in found} == found


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "add"),
    [
        ("route", lambda exchange: exchange.set_route("/{id}")),
        ("subject", lambda exchange: setattr(exchange, "subject", "ada")),
        ("cors", lambda exchange: setattr(exchange, "cors", "allowed")),
        ("compression", lambda exchange: setattr(exchange, "compression", CompressionFigures(None, 1, 1, 0, "small"))),
        ("timings_ms", lambda exchange: exchange.add_timing("db", 0.5)),
        ("plan", lambda exchange: exchange.add_fields(plan="pro")),
    ],
)  # fmt: skip
async def test_one_thing_more(name: str, add: Any, output: io.StringIO) -> None:
    """Whatever is known of a request is on its line, also where nothing else is beside it."""

    async def adds(scope: Any, receive: Any, send: Any) -> None:
        add(exchange_of(scope))
        await plain(scope, receive, send)

    await http(LoggingMiddleware(plain))
    await http(LoggingMiddleware(adds))
    without, line = map(json.loads, output.getvalue().splitlines())
    assert {*line} ^ {*without} - {"after_response_ms"} == {name}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "options", [{"schema": "ecs"}, {"enrich": lambda *_: None}], ids=["another schema", "enrich"]
)  # fmt: skip
async def test_general_road(options: Any, output: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody works on the event itself, an event is made."""
    monkeypatch.setattr("asgi_middleware.logging.access_line.AccessLine.write", broken)
    wrapped = LoggingMiddleware(plain, **options)
    await http(wrapped)
    assert wrapped.failures == 0
    assert output.getvalue().count("\n") == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    "step",
    [
        "access_line.AccessLine.write",
        "access_line.route_of",
        "access_line.time",
        "access_log.perf_counter",
        "fast_road.FastRoad.is_clear",
        "redaction.Redactor.path",
        "redaction.Redactor.query",
        "writing.DirectLines.write",
    ],
)
async def test_fail_open(
    step: str, logging_state: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Should a step on the way to the line fail, the response is the same, and the failure is counted and told once."""
    monkeypatch.setattr(f"asgi_middleware.logging.{step}", broken)
    configure_structlog(stream=io.StringIO(), capture_server_logs=False)
    wrapped = LoggingMiddleware(plain)
    for _ in range(2):
        assert (await http(wrapped, query_string=b"a=1")).body == b"hello"
    assert wrapped.failures == 2
    assert capsys.readouterr().err.count("asgi_middleware:") == 1


@pytest.mark.anyio
async def test_time_goes_on(output: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line has its own time, in one second as in the next, and should the clock be set back."""
    clock = iter([1e9 + 0.25, 1e9 + 0.5, 1e9 + 1, 1e9 - 60])
    monkeypatch.setattr("asgi_middleware.logging.access_line.time", lambda: next(clock))
    for _ in range(4):
        await http(LoggingMiddleware(plain))
    assert [
        json.loads(line)["timestamp"].removeprefix("2001-09-09T01:") for line in output.getvalue().splitlines()
    ] == [
        "46:40.250000Z",
        "46:40.500000Z",
        "46:41.000000Z",
        "45:40.000000Z",
    ]


@pytest.mark.anyio
async def test_level_that_is_not_written(logging_state: None) -> None:
    """Nothing is written below the level of the set-up."""
    stream = io.StringIO()
    configure_structlog(stream=stream, level="warning", capture_server_logs=False)
    await http(LoggingMiddleware(plain))
    assert stream.getvalue() == ""


@pytest.mark.anyio
async def test_sampled_by_the_trace(output: io.StringIO) -> None:
    """Which lines are written follows from the trace id, also where nobody has asked for the trace."""
    made: list[str] = []

    async def notes(scope: Any, receive: Any, send: Any) -> None:
        made.append(scope["asgi_middleware"]._trace[1])
        await plain(scope, receive, send)

    wrapped = LoggingMiddleware(notes, sampling=Sampling(rate=0.5))
    for _ in range(50):
        await http(wrapped)
    kept = [json.loads(line)["trace_id"] for line in output.getvalue().splitlines()]
    assert kept == [trace_id for trace_id in made if int(trace_id[-14:], 16) >= 2**55]


@pytest.mark.anyio
async def test_an_id_that_was_given_further_out(output: io.StringIO) -> None:
    """An id that another class has given stays, also where the request's headers do not tell it."""
    wrapped = CorrelationIdMiddleware(LoggingMiddleware(plain), update_request_header=False)
    result = await http(wrapped)
    assert json.loads(output.getvalue())["request_id"].encode() == result.header(b"x-request-id")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "response_id"),
    [
        ({"trace_context": "off"}, True),
        ({"trace_context": "restart"}, True),
        ({"correlation": Correlation(generator=lambda: "mine")}, True),
        ({"correlation": Correlation(response_header=None)}, False),
        ({"correlation": Correlation(update_request_header=False)}, True),
    ],
)
async def test_options_of_ids(options: Any, response_id: bool, output: io.StringIO) -> None:
    """Whoever wants ids in another way gets them so."""
    seen: list[Any] = []

    async def looks(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(value for name, value in scope["headers"] if name == b"x-request-id")
        await plain(scope, receive, send)

    wrapped = LoggingMiddleware(looks, **options)
    result = await http(wrapped)
    line = json.loads(output.getvalue())
    assert ("trace_id" in line) is (options.get("trace_context") != "off")
    chosen: Correlation = options.get("correlation", Correlation())
    assert seen == ([line["request_id"].encode()] if chosen.update_request_header else [])
    assert result.header(b"x-request-id") == (line["request_id"].encode() if response_id else None)
    assert (line["request_id"] == "mine") is (chosen.generator is not Correlation().generator)


@pytest.mark.anyio
async def test_a_set_up_of_another_schema(logging_state: None) -> None:
    """Where the set-up writes another schema than the class, the line has what that schema has around each event."""
    stream = io.StringIO()
    configure_structlog(stream=stream, schema="ecs", capture_server_logs=False)
    await http(LoggingMiddleware(plain))
    line = json.loads(stream.getvalue())
    assert "@timestamp" in line
    assert not {"timestamp", "level", "event"} & set(line)


@pytest.mark.anyio
async def test_a_chain_that_changes_during_the_request(output: io.StringIO) -> None:
    """Processors that were replaced while the request went on see its event."""
    capturing = structlog.testing.capture_logs()
    captured: list[Any] = []

    async def captures(scope: Any, receive: Any, send: Any) -> None:
        captured.append(capturing.__enter__())
        await plain(scope, receive, send)

    try:
        await http(LoggingMiddleware(captures))
    finally:
        capturing.__exit__(None, None, None)
    assert [event["event"] for event in captured[0]] == ["http.request"]
    assert output.getvalue() == ""


@pytest.mark.anyio
async def test_the_trace_is_made_when_asked_for(output: io.StringIO) -> None:
    """The trace that an app asks for has the ids of the line, and is one object."""
    seen: list[Any] = []

    async def asks(scope: Any, receive: Any, send: Any) -> None:
        exchange = exchange_of(scope)
        assert exchange is not None
        seen.extend((exchange.trace, exchange.trace))
        await plain(scope, receive, send)

    await http(LoggingMiddleware(asks))
    await http(LoggingMiddleware(plain))
    asked, not_asked = map(json.loads, output.getvalue().splitlines())
    assert (asked["trace_id"], asked["span_id"]) == (seen[0].trace_id, seen[0].span_id)
    assert seen[0] is seen[1]
    assert isinstance(seen[0], TraceContext)
    assert {*asked} ^ {*not_asked} <= {"after_response_ms"}  # on a machine that is busy


def test_members_are_bounded() -> None:
    """What strangers choose does not fill the memory: neither many values nor long ones."""
    kept = Members("client", 1000)
    for number in range(5000):
        assert kept[str(number)] == f',"client":"{number}"'
    assert len(kept) <= 1024
    assert kept["x" * 900] == f',"client":"{"x" * 900}"'
    assert "x" * 900 not in kept
    assert kept['a"\n'] == r',"client":"a\"\\x0a"'
