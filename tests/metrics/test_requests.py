"""What is recorded of an HTTP request: each end of a response, each way to fail, nothing of a client's choosing."""

import contextlib
import http as http_module
import random
import string
from typing import Any

import anyio
import pytest
from prometheus_client import CollectorRegistry

from asgi_middleware._core.exchange import current_exchange, timing
from asgi_middleware._core.refusals import Refusal
from asgi_middleware.metrics import PrometheusMiddleware
from asgi_middleware.testing.driver import drive, http, http_scope, lifespan

pytestmark = pytest.mark.anyio

START = {"type": "http.response.start", "status": 200, "headers": []}
LAST = {"type": "http.response.body", "body": b"hello", "more_body": False}
MORE = {"type": "http.response.body", "body": b"hello", "more_body": True}
DISCONNECTS = ("http_server_client_disconnects_total", "http_route", "phase")


def sending(*messages: dict[str, Any], then: BaseException | None = None) -> Any:
    """Give an app that sends these messages and then raises, if told to."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)
        if then is not None:
            raise then

    return app


@pytest.mark.parametrize(
    ("messages", "status", "error"),
    [
        ([START, LAST], "200", ""),
        ([START, MORE, MORE, LAST], "200", ""),
        ([START, MORE, {"type": "http.response.body"}], "200", ""),
        ([{"type": "http.response.start", "status": 204}, {"type": "http.response.body"}], "204", ""),
        ([{**START, "status": http_module.HTTPStatus.CREATED}, LAST], "201", ""),
        ([{**START, "status": 404}, LAST], "404", ""),
        ([{**START, "status": 503}, LAST], "503", "503"),
        ([{**START, "status": 999}, LAST], "_OTHER", ""),
        ([{**START, "status": "200"}, LAST], "_OTHER", ""),
        ([{**START, "status": 99}, LAST], "_OTHER", ""),
        ([START, {"type": "http.response.pathsend", "path": "/x"}], "200", ""),
        ([START, {"type": "http.response.zerocopysend", "file": 3, "more_body": True}, LAST], "200", ""),
        ([START, {"type": "http.response.zerocopysend", "file": 3}], "200", ""),
        ([{**START, "trailers": True}, LAST, {"type": "http.response.trailers", "headers": []}], "200", ""),
        ([{**START, "trailers": False}, LAST], "200", ""),
        ([{"type": "http.response.debug", "info": {}}, START, LAST], "200", ""),
        ([{"type": "http.response.early_hint", "links": []}, START, LAST], "200", ""),
        ([START, {"type": "http.response.push", "path": "/", "headers": []}, LAST], "200", ""),
        ([START, {"type": "of.the.future"}, LAST], "200", ""),
        ([], "500", "no_response"),
        ([START], "200", "incomplete_response"),
        ([START, MORE], "200", "incomplete_response"),
        ([{**START, "trailers": True}, LAST], "200", "incomplete_response"),
        (
            [{**START, "trailers": True}, LAST, {"type": "http.response.trailers", "more_trailers": True}],
            "200",
            "incomplete_response",
        ),
        ([START, {"type": "http.response.zerocopysend", "file": 3, "more_body": True}], "200", "incomplete_response"),
        ([START, LAST, LAST, START], "200", ""),
    ],
    ids=str,
)
async def test_how_a_response_ends(metrics: Any, messages: list[Any], status: str, error: str) -> None:
    """A response ends with its last body, trailers or file; keys may be missing; all messages pass [T7, T9, T10]."""
    result = await http(metrics.wrap(sending(*messages)))
    assert metrics.requests() == {("GET", "", status, error): 1}
    assert metrics.active() == 0
    assert metrics.errors() == {}
    assert len(result.sent) == len(messages)
    assert all(sent is given for sent, given in zip(result.sent, messages, strict=True))


class Failed(Exception):
    pass


@pytest.mark.parametrize(
    ("messages", "status"),
    [([], "500"), ([START], "200"), ([START, MORE], "200"), ([{**START, "status": 418}], "418")],
    ids=str,
)
@pytest.mark.parametrize("kind", [Failed, ValueError, ExceptionGroup])
async def test_an_exception(metrics: Any, messages: list[Any], status: str, kind: type[Exception]) -> None:
    """An exception comes out as the same object; its class is the error, 500 the status if none was sent [T12]."""
    error = kind("text of a request", [ValueError()]) if kind is ExceptionGroup else kind("text of a request")
    with pytest.raises(kind) as raised:
        await http(metrics.wrap(sending(*messages, then=error)))
    assert raised.value is error
    name = f"{__name__}.Failed" if kind is Failed else kind.__name__
    assert metrics.requests() == {("GET", "", status, name): 1}
    assert metrics.active() == 0


async def leaves(scope: Any, receive: Any, send: Any) -> None:
    """Hear that the client left, and answer all the same."""
    while (await receive())["type"] != "http.disconnect":
        pass
    await sending(START, LAST)(scope, receive, send)


async def skips(scope: Any, receive: Any, send: Any) -> None:
    """Leave the request out, and answer."""
    scope["asgi_middleware"].skip_metrics()
    await sending(START, LAST)(scope, receive, send)


async def times(scope: Any, receive: Any, send: Any) -> None:
    """Spend time in a block, and answer."""
    with timing("db"):
        pass
    await sending(START, LAST)(scope, receive, send)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"time_to_first_byte": True},
        {"timings": True, "background": True},
        {"labels": {"tenant": lambda scope: scope["type"]}},
        {"labels": {"tenant": None}},
        {"preset": "fastapi-instrumentator"},
        {"preset": "starlette-exporter"},
        {"preset": "django"},
    ],
    ids=["durations", "first byte", "timings", "own label", "handlers' label", "preset 1", "preset 2", "preset 3"],
)
@pytest.mark.parametrize(
    "app",
    [
        sending(START, LAST),
        sending({**START, "status": http_module.HTTPStatus.OK}, LAST),
        sending({**START, "status": 503}, LAST),
        sending({**START, "status": 700}, LAST),
        Refusal(413, "body_too_large").send,
        leaves,
        skips,
        times,
    ],
    ids=["200", "HTTPStatus", "503", "700", "refused", "leaves", "skips", "times"],
)
async def test_what_comes_again_counts_as_it_did_first(app: Any, options: dict[str, Any]) -> None:
    """A request counts the same whether it is the first of an instance or others of its kind came before."""

    async def counted(*before: Any) -> dict[Any, float]:
        registry, apps = CollectorRegistry(), [*before, app]

        async def next_one(scope: Any, receive: Any, send: Any) -> None:
            await apps.pop(0)(scope, receive, send)

        wrapped = PrometheusMiddleware(next_one, registry=registry, **options)
        shown: list[dict[Any, float]] = []
        for _ in (*before, app):
            script = [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]
            await drive(wrapped, http_scope(), script)
            shown.append(
                {
                    (sample.name, *sorted(sample.labels.items())): sample.value
                    for family in registry.collect()
                    for sample in family.samples
                    if sample.name.endswith(("_count", "_total", "_active_requests", "_inprogress"))
                }
            )
        last, earlier = shown[-1], shown[-2] if before else {}
        return {key: value - earlier.get(key, 0) for key, value in last.items() if value != earlier.get(key, 0)}

    first = await counted()
    assert await counted(sending(START, LAST), app) == first
    assert await counted(sending(START, LAST), app, app) == first


async def test_odd_statuses(metrics: Any) -> None:
    """What is no status counts as such, is remembered for nothing, and leaves the real one beside it alone."""
    statuses = [*range(600, 650), 200.0, 200, 200]
    given = iter(statuses)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sending({**START, "status": next(given)}, LAST)(scope, receive, send)

    wrapped = metrics.wrap(app)
    for _ in statuses:
        await http(wrapped)
    assert metrics.requests() == {("GET", "", "_OTHER", ""): 51, ("GET", "", "200", ""): 2}
    assert wrapped.parts.openings["http"]["GET"].settled.keys() == {200}


async def test_an_exception_after_the_response(metrics: Any) -> None:
    """What is raised after the last message changes nothing that was recorded."""
    result = await http(metrics.wrap(sending(START, LAST, then=Failed())), raise_exceptions=False)
    assert type(result.exception) is Failed
    assert metrics.requests() == {("GET", "", "200", ""): 1}


@pytest.mark.parametrize("status", [500, 404])
async def test_an_exception_that_the_app_answers_itself(metrics: Any, status: int) -> None:
    """A 5xx that is sent while an exception is handled carries the exception's class; a 4xx carries none [T12]."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await sending(then=Failed())(scope, receive, send)
        except Failed:
            await sending({**START, "status": status}, LAST)(scope, receive, send)
            raise

    await http(metrics.wrap(app), raise_exceptions=False)
    assert metrics.requests() == {("GET", "", str(status), f"{__name__}.Failed" if status == 500 else ""): 1}


async def test_an_exception_that_another_class_answered(metrics: Any) -> None:
    """The Exchange's error, left by the class that answered for the app, is named too."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["asgi_middleware"].error = Failed()
        await sending({**START, "status": 500}, LAST)(scope, receive, send)

    await http(metrics.wrap(app))
    assert metrics.requests() == {("GET", "", "500", f"{__name__}.Failed"): 1}


@pytest.mark.parametrize(("before", "status"), [([], ""), ([START, MORE], "200")], ids=str)
async def test_cancellation(metrics: Any, before: list[Any], status: str) -> None:
    """A cancelled request is recorded once, is no 500, and is no longer active [T13]."""
    waiting = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sending(*before)(scope, receive, send)
        assert metrics.active() == 1
        waiting.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(http, metrics.wrap(app))
        await waiting.wait()
        tasks.cancel_scope.cancel()
    assert metrics.requests() == {("GET", "", status, "cancelled"): 1}
    assert metrics.read(*DISCONNECTS) == {("", "cancelled"): 1}
    assert metrics.active() == 0


class TestClientsThatLeave:
    """A disconnect is learned from the app's own receive, from OSError out of send, or by cancellation [T14]."""

    @pytest.mark.parametrize(
        ("before", "after", "phase", "status", "error"),
        [
            ([], [], "before_start", "", "client_disconnected"),
            ([START], [], "mid_body", "200", "client_disconnected"),
            ([START, MORE], [LAST], "mid_body", "200", ""),
            ([], [START, LAST], "before_start", "200", ""),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("then", [None, Failed()], ids=["returns", "raises"])
    async def test_seen_by_the_apps_receive(
        self, metrics: Any, before: Any, after: Any, phase: str, status: str, error: str, then: Any
    ) -> None:
        """The phase is that of the response so far; a response that is completed all the same keeps its status."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await sending(*before)(scope, receive, send)
            assert (await receive())["type"] == "http.disconnect"
            await sending(*after, then=then)(scope, receive, send)

        wrapped = metrics.wrap(app)
        result = await drive(wrapped, http_scope(), [{"type": "http.disconnect"}], raise_exceptions=False)
        assert result.exception is then
        assert metrics.requests() == {("GET", "", status, error): 1}
        assert metrics.read(*DISCONNECTS) == {("", phase): 1}

    @pytest.mark.parametrize(
        ("failing", "phase", "status"), [(0, "before_start", ""), (1, "mid_body", "200"), (2, "mid_body", "200")]
    )
    @pytest.mark.parametrize("converts", [False, True])
    async def test_an_oserror_from_send(
        self, metrics: Any, failing: int, phase: str, status: str, converts: bool
    ) -> None:
        """An OSError of the server's send comes through unchanged and is no error of the app."""
        gone = ConnectionResetError("gone")
        count = 0

        async def send(message: Any) -> None:
            nonlocal count
            if count == failing:
                raise gone
            count += 1

        async def app(scope: Any, receive: Any, send: Any) -> None:
            try:
                await sending(START, MORE, LAST)(scope, receive, send)
            except OSError as error:
                if converts:
                    raise Failed from error
                raise

        with pytest.raises(Failed if converts else ConnectionResetError) as raised:
            await metrics.wrap(app)(http_scope(), anyio.sleep_forever, send)
        assert (raised.value.__cause__ if converts else raised.value) is gone
        assert metrics.requests() == {("GET", "", status, "client_disconnected"): 1}
        assert metrics.read(*DISCONNECTS) == {("", phase): 1}
        assert metrics.active() == 0

    async def test_an_oserror_of_the_apps_own(self, metrics: Any) -> None:
        """An OSError that does not come from send is the app's failure."""
        await http(metrics.wrap(sending(then=FileNotFoundError("x"))), raise_exceptions=False)
        assert metrics.requests() == {("GET", "", "500", "FileNotFoundError"): 1}
        assert metrics.read(*DISCONNECTS) == {}

    async def test_cancelled_after_leaving(self, metrics: Any) -> None:
        """A server that tells the app and then cancels it has lost one client, once."""
        waiting = anyio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            waiting.set()
            await anyio.sleep_forever()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(drive, metrics.wrap(app), http_scope(), [{"type": "http.disconnect"}])
            await waiting.wait()
            tasks.cancel_scope.cancel()
        assert metrics.requests() == {("GET", "", "", "client_disconnected"): 1}
        assert metrics.read(*DISCONNECTS) == {("", "before_start"): 1}

    async def test_leaving_after_the_response(self, metrics: Any) -> None:
        """The disconnect that ends every keep-alive connection is none [T15]."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await sending(START, LAST)(scope, receive, send)
            assert (await receive())["type"] == "http.disconnect"

        await http(metrics.wrap(app))
        assert metrics.read(*DISCONNECTS) == {}
        assert metrics.requests() == {("GET", "", "200", ""): 1}

    async def test_told_while_the_last_message_is_sent(self, metrics: Any) -> None:
        """A server may tell a waiting receive of the end before the last send returns: nobody has left [T15]."""
        sending_last = anyio.Event()
        told = anyio.Event()

        async def receive() -> Any:
            await sending_last.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message == LAST:
                sending_last.set()
                await told.wait()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            async def listen() -> None:
                await receive()
                told.set()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listen)
                await sending(START, LAST)(scope, receive, send)

        await metrics.wrap(app)(http_scope(), receive, send)
        assert metrics.read(*DISCONNECTS) == {}
        assert metrics.requests() == {("GET", "", "200", ""): 1}

    async def test_receive_is_never_polled(self, metrics: Any) -> None:
        """No message is taken that the app did not ask for [T14]."""
        result = await http(metrics.wrap(sending(START, LAST)), body=[b"1", b"2"])
        assert result.received == 0


async def test_the_clock_stops_at_the_last_message(metrics: Any) -> None:
    """Background work after the response is in no duration, and the request is not active meanwhile [T10, T11]."""
    during: list[float] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sending(START, LAST)(scope, receive, send)
        during.append(metrics.active())
        seconds = metrics.seconds()
        await anyio.sleep(0.05)
        assert metrics.seconds() == seconds

    await http(metrics.wrap(app))
    assert during == [0]


async def test_the_duration_is_measured_from_the_arrival(metrics: Any) -> None:
    """The time until the start counts, and is never negative [T20]."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep(0.02)
        await sending(START, LAST)(scope, receive, send)

    await http(metrics.wrap(app))
    assert 0.02 <= metrics.seconds() < 5


async def test_active_requests(metrics: Any) -> None:
    """A request is active from its arrival on, by method and scheme; unknown methods share one value [T2]."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sending(START)(scope, receive, send)
        seen.append(metrics.read("http_server_active_requests", "http_request_method", "url_scheme"))
        await sending(LAST)(scope, receive, send)

    await http(metrics.wrap(app), "POST", scheme="https")
    await http(metrics.wrap(app), "BREW", scheme="gopher")
    assert seen == [{("POST", "https"): 1}, {("POST", "https"): 0, ("_OTHER", "_OTHER"): 1}]


@pytest.mark.parametrize("declared", [b"abc", b"-1", b"7", None])
async def test_body_sizes_are_counted(metrics: Any, declared: bytes | None) -> None:
    """Sizes are those of the bytes that passed, in any type of bytes; Content-Length is not looked at [T16]."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await sending(START, {**MORE, "body": bytearray(b"12345")}, {**LAST, "body": memoryview(b"1234").cast("H")})(
            scope, receive, send
        )

    headers = [] if declared is None else [(b"content-length", declared)]
    await http(metrics.wrap(app, body_sizes=True), "POST", headers=headers, body=[b"123", b"", b"4567"])
    await http(metrics.wrap(app, body_sizes=True), "POST", headers=headers)
    assert metrics.read("http_server_request_body_size_bytes_sum", "http_route") == {"": 7}
    assert metrics.read("http_server_request_body_size_bytes_count", "http_route") == {"": 2}
    assert metrics.read("http_server_response_body_size_bytes_sum", "http_route") == {"": 18}
    assert metrics.errors() == {}


async def test_bytes_that_only_the_server_sees_have_no_size(metrics: Any) -> None:
    """A response that the server reads from a file is timed, but its size is not guessed."""
    wrapped = metrics.wrap(sending(START, {"type": "http.response.pathsend", "path": "/x"}), body_sizes=True)
    await http(wrapped)
    assert metrics.read("http_server_response_body_size_bytes_count", "http_route") == {"": 0}
    assert metrics.read("http_server_request_body_size_bytes_count", "http_route") == {"": 1}


async def test_two_interleaved_requests(metrics: Any) -> None:
    """Requests that overlap on one instance keep their own figures [T18]."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        size = int(scope["path"][1:])
        await send({**START, "status": 200 + size})
        for left in range(size, 0, -1):
            await anyio.lowlevel.checkpoint()
            await send({**MORE, "body": b"x", "more_body": left > 1})

    wrapped = metrics.wrap(app, body_sizes=True)
    async with anyio.create_task_group() as tasks:
        for size in range(1, 9):
            tasks.start_soon(http, wrapped, "GET", f"/{size}")
    sums = metrics.read("http_server_response_body_size_bytes_sum", "http_response_status_code")
    assert sums == {str(200 + size): size for size in range(1, 9)}
    assert set(metrics.requests().values()) == {1}


class TestNesting:
    async def test_a_copy_further_in_steps_aside(self, metrics: Any) -> None:
        """Two instances on the same registry around one request record it once [T21]."""
        await http(metrics.wrap(metrics.wrap(sending(START, LAST))))
        assert metrics.requests() == {("GET", "", "200", ""): 1}

    async def test_two_registries_each_record(self, metrics: Any) -> None:
        """Instances on different registries do not take each other's requests [T22]."""
        other = CollectorRegistry()
        await http(metrics.wrap(PrometheusMiddleware(sending(START, LAST), registry=other)))
        labels = {
            "http_request_method": "GET",
            "http_route": "",
            "http_response_status_code": "200",
            "error_type": "",
            "url_scheme": "http",
        }
        assert other.get_sample_value("http_server_request_duration_seconds_count", labels) == 1
        assert metrics.requests() == {("GET", "", "200", ""): 1}

    async def test_a_copy_for_another_registry_leaves_the_scope_alone(self, metrics: Any) -> None:
        """The route is there for the outer one too, where the app fails and the inner one is done before."""

        async def fails(scope: Any, receive: Any, send: Any) -> None:
            scope["path_template"] = "/in/{side}"
            raise Failed

        inner = PrometheusMiddleware(fails, registry=CollectorRegistry())
        await http(metrics.wrap(inner), raise_exceptions=False)
        assert metrics.requests() == {("GET", "/in/{side}", "500", f"{__name__}.Failed"): 1}

    async def test_the_route_is_read_past_a_framework_that_copies_the_scope(self, metrics: Any) -> None:
        """A template written further in, into a copy of the scope, is found through the classes in between [T25]."""

        async def framework(scope: Any, receive: Any, send: Any) -> None:
            scope["path_template"] = "/in/{side}"
            await sending(START, LAST)(scope, receive, send)

        inner = metrics.wrap(framework, namespace="inner")

        async def copies(scope: Any, receive: Any, send: Any) -> None:
            await inner(dict(scope), receive, send)

        await http(metrics.wrap(copies))
        assert metrics.requests() == {("GET", "/in/{side}", "200", ""): 1}


async def test_method_and_path_are_read_before_the_app(metrics: Any) -> None:
    """An app that rewrites its scope does not change what was asked [T23]."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope.update(method="PATCH", path="/rewritten", scheme="https")
        await sending(START, LAST)(scope, receive, send)

    await http(metrics.wrap(app), "GET", "/asked")
    assert metrics.requests() == {("GET", "", "200", ""): 1}
    assert metrics.read("http_server_request_duration_seconds_count", "url_scheme") == {"http": 1}


async def test_refusals_are_counted_by_reason(metrics: Any) -> None:
    """A refusal further in is counted under its stable reason."""
    refusal = Refusal(413, "body_too_large")
    await http(metrics.wrap(refusal.send))
    assert metrics.read("asgi_middleware_refusals_total", "reason", "protocol") == {("body_too_large", "http"): 1}
    assert metrics.requests() == {("GET", "", "413", ""): 1}


async def test_the_scope_of_the_server_is_left_as_it_was(metrics: Any) -> None:
    """The server's scope is not written into, and the app's copy carries the Exchange."""
    scope = http_scope()
    before = dict(scope)
    await drive(metrics.wrap(sending(START, LAST)), scope)
    assert scope == before


async def test_headers_that_can_be_read_once(metrics: Any) -> None:
    """Headers that come as an iterator are there for the app and for the labels."""
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(scope["headers"])
        await sending(START, LAST)(scope, receive, send)

    headers = [(b"x-tenant", b"acme")]
    wrapped = metrics.wrap(app, labels={"tenant": lambda scope: dict(scope["headers"])[b"x-tenant"].decode()})
    await drive(wrapped, {**http_scope(), "headers": iter(headers)})
    assert seen == headers
    assert metrics.read("http_server_request_duration_seconds_count", "tenant") == {"acme": 1}


@pytest.mark.parametrize("options", [{}, {"timings": True}], ids=["durations", "timings"])
async def test_the_context_is_left_as_it_was(metrics: Any, options: dict[str, Any]) -> None:
    """After a request nothing of it is current any more, however it ended."""
    for app in (sending(START, LAST), sending(then=Failed())):
        await http(metrics.wrap(app, **options), raise_exceptions=False)
        assert current_exchange.get() is None


async def test_the_exchange_does_not_keep_the_scope(metrics: Any) -> None:
    """After the request the Exchange holds no scope, also when the app raised."""
    kept: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kept.append(scope["asgi_middleware"])
        assert kept[-1].scope is scope
        raise Failed

    await http(metrics.wrap(app), raise_exceptions=False)
    assert kept[0].scope is None


@pytest.mark.parametrize("kind", ["lifespan", "of.the.future"])
async def test_other_scopes_pass_with_their_own_objects(metrics: Any, kind: str) -> None:
    """Lifespan and unknown scopes reach the app with the very objects of the server [T21]."""
    seen: list[Any] = []

    async def app(*arguments: Any) -> None:
        seen.append(arguments)

    scope, receive, send = {"type": kind}, object(), object()
    await metrics.wrap(app)(scope, receive, send)
    assert [given is wanted for given, wanted in zip(seen[0], (scope, receive, send), strict=True)] == [True] * 3


async def test_lifespan_runs(metrics: Any) -> None:
    """Start-up and shut-down messages go through."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for name in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{name}"
            await send({"type": f"lifespan.{name}.complete"})

    assert (await lifespan(metrics.wrap(app))).types == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


class TestCardinality:
    """Nothing a client sends adds a series beyond the caps."""

    async def test_random_methods(self, metrics: Any) -> None:
        """Two hundred made-up methods add one value, in the histogram and in the gauge [T2]."""
        wrapped = metrics.wrap(sending(START, LAST))
        random_source = random.Random(7)
        for _ in range(200):
            await http(wrapped, "".join(random_source.choices(string.ascii_letters, k=8)))
        assert metrics.requests() == {("_OTHER", "", "200", ""): 200}
        assert set(metrics.read("http_server_active_requests", "http_request_method")) == {"_OTHER"}

    async def test_random_paths_hosts_schemes_and_headers(self, metrics: Any) -> None:
        """Two hundred made-up paths, hosts, schemes and headers add no series, and no scheme is kept [T3, T8]."""
        wrapped = metrics.wrap(sending({**START, "status": 404}, LAST), body_sizes=True)
        await http(wrapped, scheme="x")
        await http(wrapped)
        series = metrics.series()
        for number in range(200):
            headers = [(b"host", b"h%d" % number), (b"x-%d" % number, b"na\xefve")]
            await http(
                wrapped, "GET", f"/{number}", headers=headers, http_version=str(number),
                scheme=f"s{number}", root_path=f"/r{number}", query_string=b"q=%d" % number,
            )  # fmt: skip
        assert metrics.series() == series
        assert wrapped.parts.openings.keys() == {"http"}

    async def test_an_own_set_of_methods(self, metrics: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """OpenTelemetry's variable replaces the known methods [T2]."""
        monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET,PROPFIND")
        wrapped = metrics.wrap(sending(START, LAST))
        for method in ("GET", "PROPFIND", "POST", "get"):
            await http(wrapped, method)
        assert set(metrics.read("http_server_request_duration_seconds_count", "http_request_method")) == {
            "GET", "PROPFIND", "_OTHER",
        }  # fmt: skip


@pytest.mark.parametrize(
    "missing", ["headers", "scheme", "method", "asgi", "state", "client", "server", "http_version"]
)
async def test_scopes_of_lesser_servers(metrics: Any, missing: str) -> None:
    """Keys that a server leaves out are no failure."""
    scope = http_scope()
    scope.pop(missing, None)
    await drive(metrics.wrap(sending(START, LAST), queue_time_header="x-request-start"), scope)
    assert sum(metrics.requests().values()) == 1
    assert metrics.errors() == {}


async def test_an_app_that_sends_nonsense(metrics: Any) -> None:
    """A message that cannot be understood passes to the server, which decides; the failure is counted."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    nonsense = [{}, {"type": "http.response.start"}, {"type": "http.response.body", "body": 7, "more_body": True}]
    with contextlib.suppress(TypeError):
        await metrics.wrap(sending(*nonsense), body_sizes=True)(http_scope(), anyio.sleep_forever, send)
    assert sent == nonsense
    assert metrics.errors() == {"message": 3}
    assert metrics.active() == 0
