"""BodyTimeoutMiddleware: slow bodies end in a 408, whatever the app does; the clock runs only while it waits."""

import asyncio
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asgi_middleware import CORSMiddleware
from asgi_middleware._core import deadlines
from asgi_middleware._core.config import ConfigurationError
from asgi_middleware._core.exchange import enter
from asgi_middleware._core.refusals import Refusal
from asgi_middleware._core.takeover import Takeover
from asgi_middleware.limits import BodyTimeoutError, BodyTimeoutMiddleware, SendTimeoutError
from asgi_middleware.limits.body_clock import IDLE, RATE, TOTAL, Pace, RequestClock
from asgi_middleware.testing.driver import Result, drive, http, http_scope

pytestmark = pytest.mark.anyio

CHUNKED = [(b"transfer-encoding", b"chunked")]
PART = {"type": "http.request", "body": b"x", "more_body": True}


async def read_all(scope: Any, receive: Any, send: Any) -> None:
    """Read the body, then answer."""
    while (await receive()).get("more_body"):
        pass
    await answer(send)


async def answer(send: Any) -> None:
    """Send an empty 200."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def timed(app: Any = read_all, **options: Any) -> BodyTimeoutMiddleware:
    """Wrap an app with a clock that is up soon."""
    return BodyTimeoutMiddleware(app, **{"idle_timeout": 0.01, "min_rate": 0, **options})


async def stall(app: Any, *messages: dict[str, Any], scope: Any = None, **options: Any) -> Result:
    """Send some messages of a body and then nothing more."""
    return await drive(app, scope or http_scope("POST", headers=CHUNKED), messages or [PART], **options)


class TestPace:
    @pytest.mark.parametrize(
        ("pace", "waited", "received", "allowed", "refusal"),
        [
            (Pace(15, None, 0, 0), 100, 0, 15, IDLE),
            (Pace(15, 20, 0, 0), 0, 0, 15, IDLE),
            (Pace(15, 20, 0, 0), 10, 0, 10, TOTAL),
            (Pace(15, 20, 0, 0), 30, 0, 0, TOTAL),
            (Pace(15, None, 240, 5), 0, 0, 5, RATE),
            (Pace(15, None, 240, 5), 4, 240, 2, RATE),
            (Pace(15, None, 240, 5), 5, 240 * 60, 15, IDLE),
            (Pace(None, None, 100, 0), 1, 50, 0, RATE),
        ],
        ids=range(8),
    )
    def test_allow(self, pace: Pace, waited: float, received: int, allowed: float, refusal: Refusal) -> None:
        """The shortest of what idle, total and rate allow; bytes buy time [T5]."""
        assert pace.allow(waited, received) == (pytest.approx(allowed), refusal)

    def test_one_byte_a_second(self) -> None:
        """One byte a second is over soon after the grace, though no single wait is long [T5]."""
        pace = Pace(15, None, 240, 5)
        seconds = 0
        while pace.allow(seconds, seconds)[0] > 1:
            seconds += 1
        assert seconds <= 5


class TestTooSlow:
    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({}, "body_idle_timeout"),
            ({"idle_timeout": 9, "total_timeout": 0.01}, "body_total_timeout"),
            ({"idle_timeout": None, "min_rate": 1000, "min_rate_grace": 0.01}, "body_too_slow"),
        ],
        ids=["idle", "total", "rate"],
    )
    @pytest.mark.parametrize("version", ["1.1", "2"])
    async def test_408(self, options: dict[str, Any], reason: str, version: str) -> None:
        """Before the response a slow body is a 408 that closes the connection, with its reason in the Exchange."""
        scope, exchange = enter(http_scope("POST", headers=CHUNKED, http_version=version))
        result = await stall(timed(**options), scope=scope)
        assert (result.status, result.json()["reason"], result.complete) == (408, reason, True)
        assert result.header(b"connection") == (b"close" if version == "1.1" else None)
        assert exchange.refusal is not None
        assert exchange.refusal.reason == reason

    async def test_a_trickle(self) -> None:
        """A client that sends a byte now and then, each in time, is ended by the least rate [T5]."""

        async def receive() -> Any:
            await anyio.sleep(0.002)
            return PART

        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        app = timed(idle_timeout=5, min_rate=10_000, min_rate_grace=0.02)
        with anyio.fail_after(5):
            await app(http_scope("POST", headers=CHUNKED), receive, send)
        assert sent[0]["status"] == 408

    @pytest.mark.parametrize("behaviour", ["raises", "answers", "streams", "reads on"])
    async def test_whatever_the_app_does(self, behaviour: str) -> None:
        """The app gets disconnects, and neither what it sends nor what it raises changes the 408 [B2, T3]."""
        seen = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.extend([(await receive())["type"] for _ in range(3)])
            if behaviour == "raises":
                raise ExceptionGroup("x", [ValueError("x")])
            if behaviour == "answers":
                await answer(send)
            if behaviour == "streams":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                while True:
                    await send({"type": "http.response.body", "body": b"x", "more_body": True})

        result = await stall(timed(app))
        assert (result.status, result.types.count("http.response.start"), result.complete) == (408, 1, True)
        assert seen == ["http.request", "http.disconnect", "http.disconnect"]

    async def test_after_the_start(self) -> None:
        """After the start of a response the connection is aborted, and nothing more goes out [B3]."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await receive()
            await receive()
            await send({"type": "http.response.body", "body": b"half a truth"})

        result = await stall(timed(app), raise_exceptions=False)
        assert isinstance(result.exception, BodyTimeoutError)
        assert result.types == ["http.response.start"]

    async def test_after_an_answer(self) -> None:
        """An answer that is complete, or an error that has begun, stands, and no refusal is noted."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/complete":
                await answer(send)
                await receive()
                await receive()
                return
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await receive()
            await receive()
            await send({"type": "http.response.body", "body": b"no"})

        scope, exchange = enter(http_scope("POST", headers=CHUNKED))
        result = await stall(timed(app), scope=scope)
        assert (result.status, result.body, result.complete) == (401, b"no", True)
        assert exchange.refusal is None
        result = await stall(timed(app), scope=http_scope("POST", "/complete", headers=CHUNKED))
        assert (result.status, result.complete) == (200, True)

    async def test_readable_by_scripts(self) -> None:
        """With CORSMiddleware outside a script can read the 408."""
        origin = "https://app.example"
        scope = http_scope("POST", headers=[*CHUNKED, (b"origin", origin.encode())])
        result = await stall(CORSMiddleware(timed(), allow_origins=[origin]), scope=scope)
        assert result.status == 408
        assert result.header(b"access-control-allow-origin") == origin.encode()

    async def test_a_future_as_receive(self, anyio_backend_name: str) -> None:
        """A receive that gives no coroutine is timed as well; some servers give an awaitable of their own."""
        if anyio_backend_name != "asyncio":
            return
        futures = []

        def receive() -> Any:
            future = asyncio.get_running_loop().create_future()
            if not futures:
                future.set_result(PART)
            futures.append(future)
            return future

        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await timed()(http_scope("POST", headers=CHUNKED), receive, send)
        assert sent[0]["status"] == 408
        assert futures[-1].cancelled()


class TestInTime:
    async def test_the_app_may_be_slow(self) -> None:
        """Only waiting counts: an app that is busy between two reads is no slow client [T5]."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            for _ in range(2):
                await receive()
                await anyio.sleep(0.02)
            await answer(send)

        body = [b"x", b"x"]
        options: dict[str, Any] = {"total_timeout": 0.01, "min_rate": 1000, "min_rate_grace": 0.01}
        assert (await http(timed(app, **options), "POST", headers=CHUNKED, body=body)).status == 200

    async def test_after_the_body(self) -> None:
        """Waiting for the client to leave is not waiting for a body."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            with anyio.move_on_after(0.03):
                await receive()
            await answer(send)

        assert (await http(timed(app), "POST", headers=CHUNKED, body=b"x")).status == 200

    async def test_a_wait_that_ends_in_time(self) -> None:
        """A body that makes the app wait, but not for long, passes; no timer is left."""

        async def receive() -> Any:
            await anyio.lowlevel.checkpoint()
            return next(script)

        async def send(message: Any) -> None:
            sent.append(message)

        sent: list[Any] = []
        script = iter([PART, PART, {"type": "http.request"}])
        await timed(idle_timeout=60)(http_scope("POST", headers=CHUNKED), receive, send)
        assert sent[0]["status"] == 200
        assert not any(any(wheel.values()) for wheel in deadlines._wheels.values())

    @pytest.mark.parametrize(
        ("version", "headers", "passes"),
        [("1.1", [], True), ("1.0", [], True), ("2", [], False), ("1.1", [(b"content-length", b"0")], False)],
        ids=range(4),
    )
    async def test_no_body(self, version: str, headers: list[tuple[bytes, bytes]], passes: bool) -> None:
        """A request without a body passes as the very objects, where its head tells that it has none."""
        got = []

        async def app(*call: Any) -> None:
            got.extend(call)

        call = http_scope(headers=headers, http_version=version), object(), object()
        await BodyTimeoutMiddleware(app)(*call)  # type: ignore[arg-type]
        assert (got[1:] == list(call[1:])) is passes

    async def test_a_part_that_comes_late_to_another_task(self) -> None:
        """A part that one task of the app gets when another has got the end passes as it is."""
        gates, numbers, got = [anyio.Event(), anyio.Event()], iter(range(2)), []

        async def receive() -> Any:
            number = next(numbers)
            await gates[number].wait()
            return [PART, {"type": "http.request"}][number]

        async def app(scope: Any, receive: Any, send: Any) -> None:
            async def read() -> None:
                got.append(await receive())

            async with anyio.create_task_group() as group:
                for _ in gates:
                    group.start_soon(read)
                    await anyio.wait_all_tasks_blocked()
                for gate in reversed(gates):
                    gate.set()
                    await anyio.wait_all_tasks_blocked()

        with anyio.fail_after(5):
            await timed(app, idle_timeout=60)(http_scope("POST", headers=CHUNKED), receive, None)  # type: ignore[arg-type]
        assert got == [{"type": "http.request"}, PART]

    async def test_headers_that_can_be_read_once(self) -> None:
        """Headers that come as an iterator reach the app whole."""
        headers, seen = [(b"x-a", b"1"), *CHUNKED, (b"x-b", b"2")], []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.extend(scope["headers"])
            await read_all(scope, receive, send)

        scope = {**http_scope("POST"), "headers": iter(headers)}
        assert (await stall(timed(app), {"type": "http.request"}, scope=scope)).status == 200
        assert seen == headers

    async def test_cancellation_passes(self) -> None:
        """A cancellation from outside ends the wait for a body, and reaches the server's receive."""
        returned = False
        waiting = anyio.Event()
        ended_by: list[type[BaseException]] = []

        async def receive() -> Any:
            waiting.set()
            try:
                await anyio.sleep_forever()
            except BaseException as error:
                ended_by.append(type(error))
                raise

        async def serve() -> None:
            nonlocal returned
            await timed(idle_timeout=60)(http_scope("POST", headers=CHUNKED), receive, None)  # type: ignore[arg-type]
            returned = True

        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            await waiting.wait()
            group.cancel_scope.cancel()
        assert not returned
        assert ended_by == [anyio.get_cancelled_exc_class()]


class TestSend:
    async def test_a_client_that_does_not_read(self) -> None:
        """A send that takes too long is an OSError for the app, and ends the connection [T6]."""
        seen: list[type[BaseException]] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(2):
                try:
                    await send({"type": "http.response.body", "body": b"x", "more_body": True})
                except OSError as error:
                    seen.append(type(error))

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                await anyio.sleep_forever()

        async def receive() -> Any:
            return {"type": "http.request"}

        scope, exchange = enter(http_scope())
        with anyio.fail_after(5), pytest.raises(SendTimeoutError):
            await timed(app, send_timeout=0.01)(scope, receive, send)
        assert seen == [ConnectionAbortedError] * 2
        assert exchange.refusal is not None
        assert exchange.refusal.reason == "send_timeout"

    @pytest.mark.parametrize("read", [False, True], ids=["before the body", "after the body"])
    async def test_what_the_app_hears_then(self, read: bool) -> None:
        """After such a send the app hears that its client left, and the server that the response was cut."""
        heard: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if read:
                await receive()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            with pytest.raises(ConnectionAbortedError):
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
            heard.append((await receive())["type"])

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                await anyio.sleep_forever()

        script = iter([{"type": "http.request"}] * read)

        async def receive() -> Any:
            return next(script, None) or await anyio.sleep_forever()

        with anyio.fail_after(5), pytest.raises(SendTimeoutError):
            await timed(app, send_timeout=0.01)(http_scope("POST", headers=CHUNKED), receive, send)
        assert heard == ["http.disconnect"]

    @pytest.mark.parametrize("slow", [False, True], ids=["in time", "after a slow body"])
    async def test_an_error_that_is_not_taken(self, slow: bool) -> None:
        """That the client did not take an error response is noted as such, also behind a body that came too slowly."""
        stalled = "http.response.body" if slow else "http.response.start"

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await receive()
            assert (await receive())["type"] == "http.disconnect"
            await send({"type": "http.response.body", "body": b"x"})

        async def send(message: Any) -> None:
            if message["type"] == stalled:
                await anyio.sleep_forever()

        script = iter([PART])

        async def receive() -> Any:
            return next(script, None) or await anyio.sleep_forever()

        scope, exchange = enter(http_scope("POST", headers=CHUNKED))
        with anyio.fail_after(5), pytest.raises(SendTimeoutError):
            await timed(app, send_timeout=0.01)(scope, receive, send)
        assert exchange.refusal is not None
        assert exchange.refusal.reason == "send_timeout"

    async def test_the_first_reason_stays(self) -> None:
        """Where the response was cut already, a send that was still under way tells of nothing else."""
        scope, exchange = enter(http_scope())
        clock = RequestClock(Pace(1, None, 0, 0), scope, None)  # type: ignore[arg-type]
        clock.taken = Takeover(TOTAL, scope, start={"status": 200}, last=None, error=BodyTimeoutError)
        clock.cut()
        assert exchange.refusal is TOTAL
        with pytest.raises(BodyTimeoutError):
            await clock.taken.end(None)  # type: ignore[arg-type]

    async def test_a_future_from_send(self, anyio_backend_name: str) -> None:
        """A send that gives no coroutine is timed as well."""
        if anyio_backend_name != "asyncio":
            return
        futures: list[Any] = []

        def send(message: Any) -> Any:
            futures.append(asyncio.get_running_loop().create_future())
            if message["type"] == "http.response.start":
                futures[-1].set_result(None)
            return futures[-1]

        async def receive() -> Any:
            return {"type": "http.request"}

        with pytest.raises(SendTimeoutError):
            await timed(send_timeout=0.01)(http_scope(), receive, send)
        assert [future.cancelled() for future in futures] == [False, True]

    async def test_in_time(self) -> None:
        """A send that waits for a while, or for nothing, passes; what it raises passes too."""

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                await anyio.lowlevel.checkpoint()
                raise OSError("the client is gone")

        async def receive() -> Any:
            return {"type": "http.request"}

        with pytest.raises(OSError, match="the client is gone"):
            await timed(send_timeout=60)(http_scope(), receive, send)
        assert (await http(timed(send_timeout=60))).status == 200
        assert not any(any(wheel.values()) for wheel in deadlines._wheels.values())


@pytest.mark.parametrize(
    "options",
    [
        {"idle_timeout": 0},
        {"idle_timeout": -1},
        {"total_timeout": True},
        {"send_timeout": "5"},
        {"min_rate": -1},
        {"min_rate_grace": float("inf")},
        {"idle_timeout": None, "min_rate": 0},
    ],
    ids=range(7),
)
def test_wrong(options: dict[str, Any]) -> None:
    """Wrong options are errors at construction, and so is a class without anything to do."""
    with pytest.raises(ConfigurationError) as caught:
        BodyTimeoutMiddleware(read_all, **options)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    ("size", "more", "refused"), [(5, True, True), (6, True, False), (1, False, False)], ids=["slow", "fast", "last"]
)
async def test_what_has_just_come_counts(monkeypatch: pytest.MonkeyPatch, size: int, more: bool, refused: bool) -> None:
    """The bytes of the message that ends a wait count for its pace, and the last of a body is never too late."""
    now = 100.0
    monkeypatch.setattr("asgi_middleware.limits.body_clock.monotonic", lambda: now)

    async def receive() -> Any:
        nonlocal now
        await anyio.lowlevel.checkpoint()
        now += 1.0
        return {"type": "http.request", "body": b"x" * size, "more_body": more}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        got.append((await receive())["type"])

    async def send(message: Any) -> None:
        return None

    got: list[str] = []
    timed_app = BodyTimeoutMiddleware(app, idle_timeout=None, min_rate=10, min_rate_grace=0.5)
    await timed_app(http_scope("POST", headers=CHUNKED), receive, send)
    assert got == ["http.disconnect" if refused else "http.request"]


async def test_a_trickle_faster_than_the_timer() -> None:
    """A body of which a byte comes more often than the timer ticks is caught all the same [T5]."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass

    sent: list[Any] = []

    async def receive() -> Any:
        await anyio.sleep(0.0005)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = http_scope("POST", headers=[(b"content-length", b"100000")])
    with anyio.fail_after(5):
        await BodyTimeoutMiddleware(app, min_rate=100_000, min_rate_grace=0.01)(scope, receive, send)
    assert sent[0]["status"] == 408
