"""WebSocketMessageLimitMiddleware: size, rate, silence, age and connections; closed with a code, the app is woken."""

import contextlib
import gc
import sys
import types
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_middleware._core import deadlines
from asgi_middleware._core.config import ConfigurationError
from asgi_middleware._core.exchange import enter
from asgi_middleware.limits import WebSocketMessageLimitMiddleware, client_key
from asgi_middleware.limits.messages import exceeds
from asgi_middleware.testing.driver import Result, drive, http, websocket, websocket_scope

pytestmark = pytest.mark.anyio

CONNECT = {"type": "websocket.connect"}

OPTIONS: list[dict[str, Any]] = [{}, {"idle_timeout": 60}, {"max_messages_per_second": 60}]
OPTION_NAMES = ["size alone", "with a clock", "with a pace"]


class Echo:
    """An app that accepts, echoes, and notes what it receives."""

    def __init__(self) -> None:
        """Start with nothing received."""
        self.messages: list[Any] = []
        self.errors: list[Exception] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Accept, then echo until the end; then try to send once more."""
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            message = await receive()
            self.messages.append(message)
            if message["type"] == "websocket.disconnect":
                break
            await send({**message, "type": "websocket.send"})
        for last in ({"type": "websocket.send", "text": "still there?"}, {"type": "websocket.close"}):
            try:
                await send(last)
            except OSError as error:
                self.errors.append(error)


def limited(app: Any, **options: Any) -> WebSocketMessageLimitMiddleware:
    """Wrap an app with a small message size."""
    return WebSocketMessageLimitMiddleware(app, **{"max_message_size": 10, **options})


async def silent(app: Any, *messages: dict[str, Any], **options: Any) -> Result:
    """Open a connection, send some messages, and then nothing more."""
    scope, exchange = enter(websocket_scope())
    result = await drive(app, scope, [CONNECT, *messages], **options)
    result.refusal = exchange.refusal  # type: ignore[attr-defined]
    return result


class TestSize:
    @pytest.mark.parametrize(
        "message", ["x" * 10, "ä" * 5, "\U0001f600" * 2, b"x" * 10, "", b"", "\ud800" * 3], ids=range(7)
    )
    async def test_within(self, message: str | bytes) -> None:
        """A message of exactly the limit passes; text counts by its UTF-8 bytes [W1]."""
        echo = Echo()
        await websocket(limited(echo), messages=[message])
        assert echo.messages[0].get("text" if isinstance(message, str) else "bytes") == message

    @pytest.mark.parametrize(
        "message", ["x" * 11, "ä" * 6, "\U0001f600" * 3, b"x" * 11, "xxxxxxxxxä", "\ud800" * 4], ids=range(6)
    )
    @pytest.mark.parametrize("options", OPTIONS, ids=OPTION_NAMES)
    async def test_over(self, options: dict[str, Any], message: str | bytes) -> None:
        """One byte more closes with 1009; the app gets that as a disconnect, and what it sends is an OSError [W1]."""
        echo = Echo()
        scope, exchange = enter(websocket_scope())
        script = [CONNECT, {"type": "websocket.receive", "text" if isinstance(message, str) else "bytes": message}]
        result = await drive(limited(echo, **options), scope, script)
        assert result.types == ["websocket.accept", "websocket.close"]
        assert (result.close_code, result.close_reason) == (1009, "message_too_large")
        assert echo.messages == [{"type": "websocket.disconnect", "code": 1009, "reason": "message_too_large"}]
        assert len(echo.errors) == 1
        assert exchange.refusal is not None
        assert exchange.refusal.reason == "message_too_large"

    @pytest.mark.parametrize("options", OPTIONS, ids=OPTION_NAMES)
    async def test_nothing_gets_through_afterwards(self, options: dict[str, Any]) -> None:
        """After the close the app receives disconnects, whatever comes; what it raises is swallowed [W1]."""
        seen = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            seen.extend([(await receive())["type"] for _ in range(3)])
            raise ValueError("from the app")

        script = [{"type": "websocket.receive", "text": "x" * size} for size in (11, 5, 11)]
        result = await silent(limited(app, **options), *script)
        assert seen == ["websocket.disconnect"] * 3
        assert result.types == ["websocket.accept", "websocket.close"]

    @pytest.mark.parametrize("options", OPTIONS, ids=OPTION_NAMES)
    async def test_closed_by_the_app(self, options: dict[str, Any]) -> None:
        """A large message that still comes after the app has closed is not closed again, and does not reach it."""
        seen = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 1000})
            seen.append((await receive())["type"])

        result = await silent(limited(app, **options), {"type": "websocket.receive", "text": "x" * 11})
        assert seen == ["websocket.disconnect"]
        assert result.types == ["websocket.accept", "websocket.close"]
        assert result.close_code == 1000

    @pytest.mark.parametrize("options", OPTIONS, ids=OPTION_NAMES)
    @pytest.mark.parametrize("items", ["i", "q"])
    async def test_memoryview(self, items: str, options: dict[str, Any]) -> None:
        """A buffer counts by its bytes, also behind a message of bytes."""
        data = [b"x", memoryview(b"x" * 16).cast(items)]
        script = [{"type": "websocket.receive", "bytes": each, "text": None} for each in data]
        assert (await silent(limited(Echo(), **options), *script)).close_code == 1009

    @pytest.mark.parametrize("options", OPTIONS, ids=OPTION_NAMES)
    async def test_two_tasks_that_receive(self, options: dict[str, Any]) -> None:
        """Large messages that reach two tasks of the app at once close the connection once, and nothing follows."""
        coming, closing, kinds = anyio.Event(), anyio.Event(), []
        sent: list[str] = []

        async def receive() -> Any:
            await coming.wait()
            return {"type": "websocket.receive", "text": "x" * 11}

        async def send(message: Any) -> None:
            sent.append(message["type"])
            if message["type"] == "websocket.close":
                closing.set()
                await anyio.lowlevel.checkpoint()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            async def read() -> None:
                kinds.append((await receive())["type"])

            await send({"type": "websocket.accept"})
            async with anyio.create_task_group() as group:
                group.start_soon(read)
                group.start_soon(read)
                await anyio.wait_all_tasks_blocked()
                coming.set()
                await closing.wait()
                with pytest.raises(OSError, match="closed"):
                    await send({"type": "websocket.send", "text": "too late"})

        with anyio.fail_after(5):
            await limited(app, **options)(websocket_scope(), receive, send)
        assert kinds == ["websocket.disconnect"] * 2
        assert sent == ["websocket.accept", "websocket.close"]

    async def test_the_first_reason_stays(self) -> None:
        """Two tasks of the app whose messages are over different limits both hear the reason of the one close."""
        coming, script = anyio.Event(), iter(["x", "x" * 11, "x"])
        closed: list[int] = []
        heard: list[int] = []

        async def receive() -> Any:
            text = next(script)
            if closing:
                await coming.wait()
            return {"type": "websocket.receive", "text": text}

        async def send(message: Any) -> None:
            closed.append(message["code"])
            await anyio.wait_all_tasks_blocked()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            async def read() -> None:
                heard.append((await receive())["code"])

            await receive()
            closing.append(True)
            async with anyio.create_task_group() as group:
                group.start_soon(read)
                group.start_soon(read)
                await anyio.wait_all_tasks_blocked()
                coming.set()

        closing: list[bool] = []
        with anyio.fail_after(5):
            await limited(app, max_messages_per_second=0.1)(websocket_scope(), receive, send)
        assert len(closed) == 1
        assert heard == closed * 2

    async def test_any_size(self) -> None:
        """Without a limit any size passes."""
        echo = Echo()
        await websocket(limited(echo, max_message_size=None), messages=["ä" * 1_000_000])
        assert len(echo.messages[0]["text"]) == 1_000_000

    @given(st.text(st.characters(exclude_categories=[])), st.integers(0, 40))
    def test_exceeds(self, text: str, limit: int) -> None:
        """The short ways give what encoding would give."""
        assert exceeds(text, limit) is (len(text.encode("utf-8", "surrogatepass")) > limit)


class TestRate:
    async def test_burst(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As many as the burst may come at once, then one for each interval; one more closes with 1008 [W2]."""
        now = 100.0
        monkeypatch.setattr("asgi_middleware.limits.message_session.monotonic", lambda: now)
        passed = 0

        async def app(scope: Any, receive: Any, send: Any) -> None:
            nonlocal now, passed
            await receive()
            await send({"type": "websocket.accept"})
            while (await receive())["type"] == "websocket.receive":
                passed += 1
                if passed in {3, 4}:
                    now += 0.5

        script = [{"type": "websocket.receive", "text": "x"}] * 20
        result = await silent(limited(app, max_messages_per_second=2, burst=3), *script)
        assert passed == 5
        assert (result.close_code, result.close_reason) == (1008, "too_many_messages")

    async def test_burst_by_default(self) -> None:
        """Without a burst those of one second may come at once."""
        echo = Echo()
        result = await silent(
            limited(echo, max_messages_per_second=4), *[{"type": "websocket.receive", "text": "x"}] * 9
        )
        assert result.close_code == 1008
        assert [message["type"] for message in echo.messages].count("websocket.receive") == 4

    async def test_less_than_one_a_second(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """At a pace of one message in two seconds, those that keep it pass."""
        now = 100.0
        monkeypatch.setattr("asgi_middleware.limits.message_session.monotonic", lambda: now)
        kinds = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            nonlocal now
            await receive()
            await send({"type": "websocket.accept"})
            for step in (2, 2, 1, 0):
                kinds.append((await receive())["type"])
                now += step

        await silent(limited(app, max_messages_per_second=0.5), *[{"type": "websocket.receive", "text": "x"}] * 5)
        assert kinds == ["websocket.receive"] * 3 + ["websocket.disconnect"]


class TestTime:
    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"idle_timeout": 0.01}, "websocket_idle_timeout"),
            ({"max_lifetime": 0.01}, "websocket_lifetime_over"),
            ({"idle_timeout": 60, "max_lifetime": 0.01}, "websocket_lifetime_over"),
            ({"idle_timeout": 0.01, "max_lifetime": 60}, "websocket_idle_timeout"),
        ],
        ids=range(4),
    )
    async def test_wakes_the_app(self, options: dict[str, Any], reason: str) -> None:
        """A client that is silent, or has been there long enough, is closed, and the app that waits is woken [W3]."""
        echo = Echo()
        result = await silent(limited(echo, **options))
        assert (result.close_code, result.close_reason) == (1001, reason)
        assert [message["type"] for message in echo.messages] == ["websocket.disconnect"]
        assert result.refusal.reason == reason  # type: ignore[attr-defined]

    async def test_messages_keep_it_open(self) -> None:
        """Each message of the client starts the idle time anew."""
        taken = 0

        async def receive() -> Any:
            nonlocal taken
            taken += 1
            if taken == 1:
                return CONNECT
            if taken > 10:
                await anyio.sleep_forever()
            await anyio.sleep(0.08)  # nine of these are longer than the idle time
            return {"type": "websocket.receive", "text": "x"}

        async def send(message: Any) -> None:
            return None

        echo = Echo()
        with anyio.fail_after(5):
            await limited(echo, idle_timeout=0.5)(websocket_scope(), receive, send)
        assert len(echo.messages) == 10

    async def test_an_app_that_only_sends(self) -> None:
        """An app that never receives is stopped at its next send, and the client is told."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            while True:
                await anyio.sleep(0.001)
                await send({"type": "websocket.send", "text": "tick"})

        assert (await silent(limited(app, max_lifetime=0.01))).close_code == 1001

    async def test_an_app_that_does_neither(self) -> None:
        """An app that returns when time is up leaves a close behind."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await anyio.sleep(0.03)

        assert (await silent(limited(app, max_lifetime=0.005))).close_code == 1001

    @pytest.mark.parametrize("how", ["client", "app"])
    async def test_no_clock_after_the_end(self, how: str) -> None:
        """After the client or the app has ended the connection nothing is closed again."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            if how == "app":
                await send({"type": "websocket.close", "code": 1000})
            await receive()
            await anyio.sleep(0.02)

        result = await silent(
            limited(app, idle_timeout=0.005, max_lifetime=0.005), {"type": "websocket.disconnect", "code": 1000}
        )
        assert result.types == ["websocket.accept"] + ["websocket.close"] * (how == "app")
        assert not any(any(wheel.values()) for wheel in deadlines._wheels.values())

    @pytest.mark.parametrize("how", ["returns", "raises"])
    async def test_no_clock_after_the_app(self, how: str) -> None:
        """The clock of an app that ends and leaves its connection open holds nothing any more."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            if how == "raises":
                raise LookupError

        with contextlib.suppress(LookupError):
            await silent(limited(app, idle_timeout=60))
        assert not any(any(wheel.values()) for wheel in deadlines._wheels.values())

    @pytest.mark.parametrize("how", ["client", "app"])
    async def test_nobody_is_woken_after_the_end(self, how: str) -> None:
        """Whoever still waits after the client or the app has ended the connection hears of no time that is up."""
        script = iter([CONNECT, *[{"type": "websocket.disconnect", "code": 1000}] * (how == "client")])
        got = None

        async def receive() -> Any:
            message = next(script, None)
            if message is None:
                await anyio.sleep(0.03)
                return {"type": "websocket.disconnect", "code": 1006}
            return message

        async def send(message: Any) -> None:
            return None

        async def app(scope: Any, receive: Any, send: Any) -> None:
            nonlocal got
            await receive()
            await send({"type": "websocket.accept"})
            await (receive() if how == "client" else send({"type": "websocket.close", "code": 1000}))
            got = await receive()

        with anyio.fail_after(5):
            await limited(app, idle_timeout=0.005)(websocket_scope(), receive, send)
        assert got == {"type": "websocket.disconnect", "code": 1006}

    async def test_a_server_that_sends_few_codes(self) -> None:
        """Where the server raises for a code, a private one is sent in its place, and the app is woken."""
        closed: list[int] = []
        script = iter([CONNECT])

        async def receive() -> Any:
            return next(script, None) or await anyio.sleep_forever()

        async def send(message: Any) -> None:
            if message["type"] == "websocket.close":
                if message["code"] < 3000:
                    raise ValueError("invalid close code")
                closed.append(message["code"])

        echo = Echo()
        with anyio.fail_after(5):
            await limited(echo, idle_timeout=0.01)(websocket_scope(), receive, send)
        assert closed == [4001]
        assert len(echo.messages) == 1

    async def test_a_client_that_is_gone(self) -> None:
        """A close that finds the client gone is no error."""
        script = iter([CONNECT, {"type": "websocket.receive", "text": "x" * 11}])

        async def receive() -> Any:
            return next(script)

        async def send(message: Any) -> None:
            if message["type"] == "websocket.close":
                closed.append(message["code"])
                raise OSError("gone")

        closed: list[int] = []
        echo = Echo()
        await limited(echo)(websocket_scope(), receive, send)
        assert closed == [1009]
        assert [message["type"] for message in echo.messages] == ["websocket.disconnect"]

    async def test_the_app_may_raise(self) -> None:
        """What the app raises of a closed connection is swallowed; anything else passes."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            raise ValueError((await receive())["type"])

        assert (await silent(limited(app, idle_timeout=0.01))).close_code == 1001
        with pytest.raises(ValueError, match=r"websocket\.receive"):
            await silent(limited(app), {"type": "websocket.receive", "text": "x"})


class TestConnections:
    async def test_too_many(self) -> None:
        """Connections over the limit of their key are refused before the accept, others not; all are forgotten."""
        enough = anyio.Event()
        inside = 0

        async def app(scope: Any, receive: Any, send: Any) -> None:
            nonlocal inside
            await receive()
            await send({"type": "websocket.accept"})
            inside += 1
            await enough.wait()

        counted = limited(app, max_connections_per_key=2)
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(lambda: websocket(counted, client=("192.0.2.1", 1)))
            with anyio.fail_after(5):
                while inside < 2:
                    await anyio.lowlevel.checkpoint()
            result = await websocket(counted, client=("192.0.2.1", 2))
            assert (result.accepted, result.status, result.json()["reason"]) == (False, 429, "too_many_connections")
            result = await websocket(counted, client=("192.0.2.1", 2), denial_response=False)
            assert (result.close_code, result.close_reason) == (1008, "too_many_connections")
            enough.set()
            assert (await websocket(counted, client=("192.0.2.2", 2))).accepted
            assert (await websocket(counted, client=None)).accepted
        assert len(counted._connections or ()) == 0
        assert (await websocket(counted, client=("192.0.2.1", 3))).accepted

    async def test_without_a_key(self) -> None:
        """Connections whose key is None are not counted, however many there are at a time."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "websocket.accept"})
            if scope["path"] != "/3":
                assert (await websocket(counted, f"/{int(scope['path'][1:]) + 1}", client=None)).accepted

        counted = limited(app, max_connections_per_key=1)
        assert (await websocket(counted, "/1", client=None)).accepted

    async def test_an_app_that_fails(self) -> None:
        """A connection whose app raises is counted out."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            raise ValueError("from the app")

        counted = limited(app, max_connections_per_key=1)
        for _ in range(3):
            with pytest.raises(ValueError, match="from the app"):
                await websocket(counted)

    @pytest.mark.parametrize(
        ("client", "same"),
        [
            (("192.0.2.1", 5), ("192.0.2.1", 6)),
            (("2001:db8::1", 5), ("2001:db8::ffff:2", 6)),
            (("::ffff:192.0.2.1", 5), ("192.0.2.1", 6)),
            (("fe80::1%eth0", 5), ("fe80::2", 6)),
        ],
        ids=range(4),
    )
    def test_client_key(self, client: tuple[str, int], same: tuple[str, int]) -> None:
        """A client is its address without the port; an IPv6 client its /64 network, a mapped one its IPv4 [R2]."""
        assert client_key({"client": client}) == client_key({"client": same})
        assert client_key({"client": client}) != client_key({"client": ("2001:db8:0:1::1", 5)})

    @pytest.mark.parametrize("client", [None, (), ("not:an:address", 1), ("testclient", 1)])
    def test_odd_clients(self, client: Any) -> None:
        """What is no address is a key by itself; none is no key."""
        assert client_key({"client": client}) == (client[0] if client else None)


async def test_ten_thousand_idle_connections(anyio_backend_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle connections share one timer, and each holds less than 1 KB beside its coroutines' frames."""
    if anyio_backend_name != "asyncio":
        return
    import asyncio
    import tracemalloc

    monkeypatch.setattr(deadlines, "TICK", 60.0)
    number = 1_000  # what one holds does not depend on how many there are

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    async def held(wrapped: Any) -> tuple[float, int]:
        async def connection() -> None:
            script = [CONNECT]

            async def receive() -> Any:
                return script.pop() if script else await asyncio.get_running_loop().create_future()

            async def send(message: Any) -> None:
                return None

            await wrapped({"type": "websocket", "headers": []}, receive, send)

        gc.collect()
        tracing = sys.gettrace()  # coverage's: for each traced call the interpreter keeps one more object
        sys.settrace(None)
        tracemalloc.start()
        tasks = [asyncio.create_task(connection()) for _ in range(number)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        bytes_held = tracemalloc.get_traced_memory()[0] / number
        tracemalloc.stop()
        sys.settrace(tracing)
        frames, coroutine = 0, tasks[0].get_coro()
        while isinstance(coroutine, types.CoroutineType):
            frames += sys.getsizeof(coroutine)
            coroutine = coroutine.cr_await
        scheduled = len(asyncio.get_running_loop()._scheduled)  # type: ignore[attr-defined]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return bytes_held - frames, scheduled

    bare, before = await held(app)
    ours, after = await held(WebSocketMessageLimitMiddleware(app, idle_timeout=60))
    assert ours - bare < 1024
    assert after <= before + 1


async def test_other_scopes() -> None:
    """HTTP passes as the very objects."""
    got: list[Any] = []

    async def app(*call: Any) -> None:
        got.extend(call)
        await call[2]({"type": "http.response.start", "status": 204, "headers": []})

    await http(limited(app, idle_timeout=1, max_connections_per_key=1))
    assert got[0]["type"] == "http"


@pytest.mark.parametrize(
    "options",
    [
        {"max_message_size": -1},
        {"max_messages_per_second": 0},
        {"max_messages_per_second": True},
        {"burst": 2},
        {"max_messages_per_second": 1, "burst": 0},
        {"idle_timeout": 0},
        {"max_lifetime": "1"},
        {"max_connections_per_key": 0},
        {"key": "client"},
    ],
    ids=range(9),
)
def test_wrong(options: dict[str, Any]) -> None:
    """Wrong options are errors at construction."""
    with pytest.raises(ConfigurationError) as caught:
        WebSocketMessageLimitMiddleware(Echo(), **options)
    assert len(caught.value.problems) == 1
