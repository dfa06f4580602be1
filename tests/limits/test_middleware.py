"""RequestBodyLimitMiddleware at the level of messages."""

import copy
import logging
from collections.abc import Iterable
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware._core.exchange import enter
from asgi_middleware._core.refusals import Refusal
from asgi_middleware.limits import BodyTooLargeError, RequestBodyLimitMiddleware
from asgi_middleware.testing.driver import Result, drive, http, http_scope, lifespan, websocket

pytestmark = pytest.mark.anyio

CHUNKED = [(b"transfer-encoding", b"chunked")]

LIMIT = 10


class Reader:
    """An app that reads the whole body, notes what it gets, and answers with its length."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self.messages: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Read until there is no more, then answer."""
        while True:
            message = await receive()
            self.messages.append(message)
            if message["type"] != "http.request" or not message.get("more_body", False):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % len(self.body)})

    @property
    def body(self) -> bytes:
        """The bytes that were read."""
        return b"".join(bytes(message.get("body") or b"") for message in self.messages)


async def never(scope: Any, receive: Any, send: Any) -> None:
    """Fail when called."""
    raise AssertionError("the app was called for a refused request")


def limited(app: Any, **options: Any) -> RequestBodyLimitMiddleware:
    """Wrap an app with the small limit."""
    return RequestBodyLimitMiddleware(app, **{"max_body_size": LIMIT, **options})


def assert_refused(result: Result, reason: str = "body_too_large", status: int = 413) -> None:
    """Check a complete refusal: one start, an exact length, one end."""
    assert result.status == status
    assert result.json()["reason"] == reason
    assert result.header(b"content-length") == b"%d" % len(result.body)
    assert result.types.count("http.response.start") == 1
    assert result.complete
    assert not result.sent[-1]["more_body"]
    assert all(message["more_body"] for message in result.sent[1:-1])


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "option"),
        [
            ({"max_body_size": -1}, "max_body_size"),
            ({"max_body_size": True}, "max_body_size"),
            ({"max_body_size": 1.5}, "max_body_size"),
            ({"max_body_size": "10MB"}, "max_body_size"),
            ({"max_body_size": None}, "max_body_size"),
            ({"enforce_content_length": 1}, "enforce_content_length"),
            ({"drain_timeout": -1}, "drain_timeout"),
            ({"drain_timeout": float("nan")}, "drain_timeout"),
            ({"drain_timeout": "5"}, "drain_timeout"),
            ({"drain_bytes": -1}, "drain_bytes"),
            ({"drain_bytes": 1.0}, "drain_bytes"),
        ],
        ids=range(11),
    )
    def test_wrong(self, options: dict[str, Any], option: str) -> None:
        """A wrong option is an error at construction [B4]."""
        with pytest.raises(ConfigurationError) as caught:
            limited(never, **options)
        assert [problem.option for problem in caught.value.problems] == [option]

    def test_all_at_once(self) -> None:
        """All wrong options are reported together."""
        with pytest.raises(ConfigurationError) as caught:
            limited(never, max_body_size=-1, drain_timeout=-1, drain_bytes=None)
        assert len(caught.value.problems) == 3

    def test_required(self) -> None:
        """There is no default limit."""
        with pytest.raises(TypeError, match="max_body_size"):
            RequestBodyLimitMiddleware(never)  # type: ignore[call-arg]


class TestByContentLength:
    @pytest.mark.parametrize("value", [b"11", b"0011", b"99999999999999999999", b"11, 11"])
    @pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
    async def test_over(self, method: str, value: bytes) -> None:
        """A declared length over the limit is refused without calling the app [B6, B8]."""
        app = limited(never, drain_timeout=0)
        result = await http(app, method, headers=[(b"content-length", value)], body=b"x" * 11)
        assert_refused(result)
        assert result.received == 0
        assert len(result.sent) == 2
        assert result.header(b"connection") == b"close"

    async def test_head(self) -> None:
        """On HEAD the refusal has no body, whether it lingers or not [B11]."""
        for options in ({}, {"drain_timeout": 0}):
            result = await http(limited(never, **options), "HEAD", headers=[(b"content-length", b"11")], body=b"x" * 11)
            assert (result.status, result.body, result.complete) == (413, b"", True)

    @pytest.mark.parametrize(
        "values",
        [[b"+5"], [b"-5"], [b"1_0"], [b"abc"], [b"5", b"6"], [b"5, 6"], [b""], [b"\xd9\xa5"], [b"5.0"]],
        ids=range(9),
    )
    async def test_malformed(self, values: list[bytes]) -> None:
        """A malformed or contradictory length is a 400, before the app and without reading [B6]."""
        headers = [(b"content-length", value) for value in values]
        result = await http(limited(never), "POST", headers=headers, body=b"xxxxx")
        assert_refused(result, "malformed_content_length", 400)
        assert result.received == 0
        assert result.header(b"connection") == b"close"

    @pytest.mark.parametrize("version", ["1.0", "1", "1.1", "2", "3"])
    async def test_connection_close(self, version: str) -> None:
        """The connection is closed on HTTP/1 only; HTTP/2 forbids the field [B9]."""
        result = await http(
            limited(never), "POST", headers=[(b"content-length", b"11")], body=b"", http_version=version
        )
        assert result.header(b"connection") == (b"close" if version.startswith("1") else None)

    async def test_expect_continue(self) -> None:
        """A client that waits for a status is answered without reading anything [B8, B10]."""
        headers = [(b"content-length", b"11"), (b"expect", b"100-continue")]
        result = await http(limited(never), "POST", headers=headers, body=b"x" * 11)
        assert_refused(result)
        assert result.received == 0
        assert len(result.sent) == 2

    async def test_lingers(self) -> None:
        """The answer goes out first, its last byte after the rest of the body was taken [B10]."""
        order: list[str] = []
        result = await drive(
            noting(limited(never), order),
            http_scope("POST", headers=[(b"content-length", b"12")]),
            requests(b"x" * 6, b"x" * 6),
        )
        assert_refused(result)
        assert order == ["http.response.start", "http.response.body", "receive", "receive", "http.response.body"]

    @pytest.mark.parametrize("drained", [6, 7])
    async def test_lingers_within_bytes(self, drained: int) -> None:
        """Taking in the rest ends at drain_bytes [B10]."""
        headers = [(b"content-length", b"600")]
        result = await http(limited(never, drain_bytes=drained), "POST", headers=headers, body=[b"x" * 6] * 100)
        assert_refused(result)
        assert result.received == (1 if drained == 6 else 2)

    async def test_lingers_within_time(self) -> None:
        """Taking in the rest ends at drain_timeout [B10]."""
        scope = http_scope("POST", headers=[(b"content-length", b"600")])
        script = [{"type": "http.request", "body": b"x", "more_body": True}]
        result = await drive(limited(never, drain_timeout=0.01), scope, script)
        assert_refused(result)

    async def test_cancelled_while_it_lingers(self) -> None:
        """Cancellation ends the wait for the rest of the body at once."""
        waiting = anyio.Event()

        async def receive() -> Any:
            waiting.set()
            await anyio.sleep_forever()

        async def send(message: Any) -> None:
            return None

        scope = http_scope("POST", headers=[(b"content-length", b"11")])
        with anyio.fail_after(2):
            async with anyio.create_task_group() as group:
                group.start_soon(limited(never, drain_timeout=60), scope, receive, send)
                await waiting.wait()
                group.cancel_scope.cancel()

    async def test_noted(self) -> None:
        """The refusal is in the Exchange, and its request id in the document."""
        scope, exchange = enter(http_scope("POST", headers=[(b"content-length", b"11")]))
        exchange.request_id = "abc"
        result = await drive(limited(never), scope, requests(b"x" * 11))
        assert exchange.refusal is not None
        assert exchange.refusal.reason == "body_too_large"
        assert result.json()["request_id"] == "abc"
        assert_refused(result)


def requests(*chunks: bytes, more: bool = False) -> list[dict[str, Any]]:
    """Make the messages of a body; `more` leaves it unfinished."""
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    if not more:
        messages[-1]["more_body"] = False
    return messages


def noting(app: Any, order: list[str]) -> Any:
    """Note what passes between the server and an app."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        async def note_receive() -> Any:
            order.append("receive")
            return await receive()

        async def note_send(message: Any) -> None:
            order.append(message["type"])
            await send(message)

        await app(scope, note_receive, note_send)

    return wrapped


CHUNKINGS = [[b"x" * 10], [b"x" * 5, b"x" * 5], [b"x"] * 10, [b"", b"x" * 10, b""]]
OVER = [[b"x" * 11], [b"x" * 10, b"x"], [b"x"] * 11, [b"x" * 5, b"", b"x" * 600, b"x"], [b"x" * 100_000]]


class TestByCounting:
    @pytest.mark.parametrize("chunks", CHUNKINGS, ids=range(4))
    @pytest.mark.parametrize(
        "headers", [[], [(b"content-length", b"10")], [(b"transfer-encoding", b"chunked")]], ids=range(3)
    )
    async def test_at_the_limit(self, chunks: list[bytes], headers: list[tuple[bytes, bytes]]) -> None:
        """A body of exactly the limit passes, and every message as the same object [B4]."""
        reader = Reader()
        messages = requests(*chunks)
        result = await drive(limited(reader), http_scope("POST", headers=headers), messages)
        assert (result.status, result.body) == (200, b"10")
        assert all(one is other for one, other in zip(reader.messages, messages, strict=True))

    @pytest.mark.parametrize("chunks", OVER, ids=range(5))
    async def test_over_the_limit(self, chunks: list[bytes]) -> None:
        """A body over the limit is a 413, and no byte over the limit reaches the app [B1]."""
        reader = Reader()
        scope, exchange = enter(http_scope("POST", headers=[(b"transfer-encoding", b"chunked")]))
        result = await drive(limited(reader), scope, requests(*chunks))
        assert_refused(result)
        assert len(reader.body) <= LIMIT
        assert reader.messages[-1] == {"type": "http.disconnect"}
        assert exchange.refusal is not None
        assert exchange.refusal.reason == "body_too_large"

    async def test_zero(self) -> None:
        """A limit of 0 lets empty bodies pass, and nothing else [B4]."""
        assert (await http(limited(Reader(), max_body_size=0), "POST")).status == 200
        assert_refused(await http(limited(Reader(), max_body_size=0), "POST", body=b"x"))

    async def test_lying_length(self) -> None:
        """A small Content-Length beside Transfer-Encoding does not stop the count [B5]."""
        headers = [(b"content-length", b"3"), (b"transfer-encoding", b"chunked")]
        assert_refused(await http(limited(Reader()), "POST", headers=headers, body=[b"x" * 5] * 3))
        assert (await http(limited(Reader()), "POST", headers=headers, body=[b"x" * 5])).body == b"5"

    @pytest.mark.parametrize(
        ("method", "headers", "chunks"),
        [
            ("POST", [(b"content-length", b"3")], [b"xxx", b"x"]),
            ("GET", [(b"content-length", b"3")], [b"xxx", memoryview(b"x")]),
            ("HEAD", [(b"content-length", b"0")], [b"x"]),
            ("POST", [(b"content-length", b"3")], [memoryview(b"xxxx").cast("i")]),
        ],
        ids=["declared", "declared on GET", "none declared on HEAD", "larger items than bytes"],
    )
    @pytest.mark.parametrize("catches", [False, True], ids=["passes on", "catches"])
    async def test_longer_than_declared(
        self, method: str, headers: list[tuple[bytes, bytes]], chunks: list[Any], catches: bool
    ) -> None:
        """A body that is longer than its head says can only be made up by a class outside; it is cut off [B5, B7]."""
        read = 0

        async def app(scope: Any, receive: Any, send: Any) -> None:
            nonlocal read
            try:
                while (message := await receive()).get("more_body"):
                    read += len(message["body"])
            except BodyTooLargeError:
                if not catches:
                    raise
                with pytest.raises(BodyTooLargeError):
                    await receive()
            await send({"type": "http.response.start", "status": 200, "headers": []})

        scope, exchange = enter(http_scope(method, headers=headers))
        with pytest.raises(BodyTooLargeError):
            await drive(limited(app), scope, requests(*chunks))
        assert read <= LIMIT
        assert exchange.refusal is not None
        assert exchange.refusal.reason == "body_too_large"

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("version", ["1.0", "1.1"])
    async def test_no_body_by_its_head(self, method: str, version: str) -> None:
        """A GET or HEAD whose head rules a body out passes as it is; where heads are not believed, it is counted."""
        got: list[Any] = []

        async def app(*call: Any) -> None:
            got.extend(call)
            await call[2]({"type": "http.response.start", "status": 204, "headers": []})
            await call[2]({"type": "http.response.body"})

        async def outer(scope: Any, receive: Any, send: Any) -> None:
            await limited(app)(scope, receive, send)
            assert got == [scope, receive, send]

        await http(outer, method, http_version=version)
        app_that_reads = limited(Reader(), enforce_content_length=False)
        result = await http(app_that_reads, method, body=b"x" * 11, http_version=version)
        assert result.status == 413

    @pytest.mark.parametrize("version", ["2", "3"])
    async def test_get_over_http_2(self, version: str) -> None:
        """A GET of a protocol whose head need not announce a body is counted like any other [B11]."""
        assert_refused(await http(limited(Reader()), "GET", body=b"x" * 11, http_version=version))
        assert (await http(limited(Reader()), "GET", body=b"x" * 10, http_version=version)).body == b"10"

    async def test_longer_than_declared_allowed(self) -> None:
        """Switched off, only the limit counts: something outside may have decompressed the body [B7]."""
        headers = [(b"content-length", b"3")]
        app = limited(Reader(), enforce_content_length=False)
        assert (await http(app, "POST", headers=headers, body=b"x" * 10)).body == b"10"
        assert_refused(await http(app, "POST", headers=headers, body=b"x" * 11))

    async def test_odd_messages(self) -> None:
        """Messages without keys, with None, of other buffer types and of unknown types pass [B11]."""
        messages: list[dict[str, Any]] = [
            {"type": "http.request.from.the.future"},
            {"type": "http.request", "body": None, "more_body": True},
            {"type": "http.request", "body": bytearray(b"xxx"), "more_body": True},
            {"type": "http.request", "body": memoryview(b"xxxx"), "more_body": True},
            {"type": "http.request"},
        ]
        seen = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.extend([await receive() for _ in messages])
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})

        await drive(limited(app), http_scope("POST"), messages)
        assert all(one is other for one, other in zip(seen, messages, strict=True))

    async def test_memoryview_over(self) -> None:
        """A memoryview counts by its bytes, not by its items [B11]."""
        messages = [{"type": "http.request", "body": memoryview(b"x" * 12).cast("i")}]
        assert_refused(await drive(limited(Reader()), http_scope("POST"), messages))

    async def test_body_ended(self) -> None:
        """When nothing of the body is left, the answer goes out in one piece."""
        result = await http(limited(Reader()), "POST", body=b"x" * 11)
        assert len(result.sent) == 2
        assert result.received == 1

    async def test_lingers(self) -> None:
        """The rest of a chunked body is taken in before the last byte of the answer [B10]."""
        order: list[str] = []
        scope = http_scope("POST")
        await drive(noting(limited(Reader()), order), scope, requests(b"x" * 11, b"y" * 100, b"z"))
        assert order == [
            "receive",
            "http.response.start",
            "http.response.body",
            "receive",
            "receive",
            "http.response.body",
        ]

    async def test_client_gone(self) -> None:
        """A client that is gone when the 413 is sent makes no error; the app still sees a disconnect [B2]."""
        reader = Reader()
        script = iter(requests(b"x" * 11, more=True))

        async def receive() -> Any:
            return next(script)

        async def send(message: Any) -> None:
            raise OSError("client is gone")

        await limited(reader)(http_scope("POST"), receive, send)
        assert reader.messages == [{"type": "http.disconnect"}]


class TestAfterwards:
    """What the app meets after its request was refused."""

    async def refuse(self, app: Any) -> Result:
        """Drive an app over the limit; nothing it does may show."""
        result = await http(limited(app), "POST", body=[b"x" * 11, b"x"])
        assert_refused(result)
        return result

    async def test_disconnect_for_ever(self) -> None:
        """Every further receive gives a fresh disconnect at once [B2]."""
        seen = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            for _ in range(5):
                message = await receive()
                seen.append(dict(message))
                message.clear()

        await self.refuse(app)
        assert seen == [{"type": "http.disconnect"}] * 5

    @pytest.mark.parametrize(
        "error", [RuntimeError("x"), OSError("x"), ExceptionGroup("g", [ValueError("x")]), TimeoutError()], ids=range(4)
    )
    async def test_exception_swallowed(self, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
        """What the app then raises is swallowed, and logged for whoever debugs [B2]."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            raise error

        with caplog.at_level(logging.DEBUG, "asgi_middleware.limits"):
            await self.refuse(app)
        (record,) = caplog.records
        assert record.levelno == logging.DEBUG
        assert record.exc_info is not None
        assert record.exc_info[1] is error

    async def test_base_exception_passes(self) -> None:
        """What is no Exception is never swallowed [B2]."""

        class Stop(BaseException):
            pass

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            raise Stop

        with pytest.raises(Stop):
            await http(limited(app), "POST", body=b"x" * 11)

    async def test_cancellation_passes(self) -> None:
        """Cancellation passes, also after a refusal [B2]."""
        reached = anyio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            reached.set()
            await anyio.sleep_forever()

        returned = False

        async def serve() -> None:
            nonlocal returned
            await http(limited(app), "POST", body=b"x" * 11)
            returned = True

        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            await reached.wait()
            group.cancel_scope.cancel()
        assert not returned

    async def test_own_exception_passes(self) -> None:
        """Without a refusal the app's exception passes as the same object."""
        error = ValueError("x")

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            raise error

        with pytest.raises(ValueError, match="x") as caught:
            await http(limited(app), "POST", body=b"x" * 10)
        assert caught.value is error

    async def test_late_answer_dropped(self) -> None:
        """A polite answer to the disconnect is dropped without an error [B2]."""
        done = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "http.response.early_hint", "links": []})
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b"late"})
            done.append(True)

        await self.refuse(app)
        assert done == [True]

    async def test_stream_stopped(self) -> None:
        """A stream without end is stopped by an OSError: nothing else would ever make it wait [B2]."""
        caught = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            try:
                while True:
                    await send({"type": "http.response.body", "body": b"tick", "more_body": True})
            except OSError as error:
                caught.append(error)
                raise

        await self.refuse(app)
        assert len(caught) == 1

    async def test_cancelled_in_receive(self) -> None:
        """An app that gives up waiting in the middle of the answer does not cut it short."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            with anyio.move_on_after(0.01):
                await receive()

        scope = http_scope("POST")
        result = await drive(limited(app), scope, requests(b"x" * 11, more=True))
        assert_refused(result)

    @pytest.mark.parametrize("stuck", ["http.response.start", "http.response.body"])
    @pytest.mark.parametrize("written", [False, True])
    async def test_cancelled_while_the_answer_is_sent(self, stuck: str, written: bool) -> None:
        """Whether a cancelled message went out is unknown: nothing follows it, and the connection is aborted."""
        sent: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            with anyio.move_on_after(0.01):
                await receive()
            assert (await receive())["type"] == "http.disconnect"
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"late"})

        async def waiting(scope: Any, receive: Any, send: Any) -> None:
            async def slow(message: Any) -> None:
                if message["type"] == stuck and not written:
                    await anyio.sleep(10)
                sent.append(message["type"])
                if message["type"] == stuck:
                    await anyio.sleep(10)

            await limited(app)(scope, receive, slow)

        with pytest.raises(BodyTooLargeError):
            await drive(waiting, http_scope("POST"), requests(b"x" * 11, more=True))
        assert sent == ["http.response.start", "http.response.body"][: (stuck == "http.response.body") + written]

    async def test_concurrent_receives(self) -> None:
        """Two tasks of an app in receive make one answer, and both see the disconnect."""
        seen = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            async def take() -> None:
                seen.append(await receive())

            async with anyio.create_task_group() as group:
                group.start_soon(take)
                group.start_soon(take)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"late"})

        async def waiting(scope: Any, receive: Any, send: Any) -> None:
            async def slow() -> Any:
                await anyio.sleep(0.001)
                return await receive()

            # Where the other task gets the end of the body, the wait for it takes its time.
            await limited(app, drain_timeout=0.1)(scope, slow, send)

        result = await drive(waiting, http_scope("POST"), requests(b"x" * 11, b"x" * 11, b"x"))
        assert_refused(result)
        assert seen == [{"type": "http.disconnect"}] * 2


class TestAfterStart:
    """The limit is passed when the response has begun."""

    async def early(self, scope: Any, receive: Any, send: Any) -> None:
        """Begin the answer, then read."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        message = await receive()
        await send({"type": "http.response.body", "body": b"end of " + message["type"].encode()})

    async def test_cut(self) -> None:
        """The rest of the answer is withheld, and an exception makes the server end the connection [B3]."""
        scope, exchange = enter(http_scope("POST"))
        result = await drive(limited(self.early), scope, requests(b"x" * 11), raise_exceptions=False)
        assert isinstance(result.exception, BodyTooLargeError)
        assert result.types == ["http.response.start"]
        assert exchange.refusal is not None
        assert exchange.refusal.reason == "body_too_large"

    async def test_cut_with_an_exception(self) -> None:
        """What the app raises after the disconnect becomes the cause [B3]."""
        error = RuntimeError("x")

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await receive()
            raise error

        with pytest.raises(BodyTooLargeError) as caught:
            await http(limited(app), "POST", body=b"x" * 11)
        assert caught.value.__cause__ is error

    @pytest.mark.parametrize(
        "last",
        [{"type": "http.response.body", "body": b"done"}, {"type": "http.response.pathsend", "path": "/x"}],
        ids=["body", "pathsend"],
    )
    async def test_complete_answer_stays(self, last: dict[str, Any]) -> None:
        """An answer that is complete stays as it is; the app only gets no more of the body."""
        seen = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send(last)
            seen.extend([await receive() for _ in range(2)])

        result = await http(limited(app), "POST", body=b"x" * 11)
        assert result.sent[1:] == [last]
        assert seen == [{"type": "http.disconnect"}] * 2

    @pytest.mark.parametrize("sent", [False, True], ids=["missing", "sent"])
    async def test_trailers_belong_to_the_answer(self, sent: bool) -> None:
        """An answer that promised trailers is complete when they are sent, and cut before that."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
            await send({"type": "http.response.body", "body": b"done"})
            if sent:
                await send({"type": "http.response.trailers", "headers": []})
            await receive()

        call = drive(limited(app), http_scope("POST"), requests(b"x" * 11), raise_exceptions=False)
        assert (type((await call).exception) is BodyTooLargeError) is not sent

    async def test_refusal_inside(self) -> None:
        """A refusal of a class inside that reads on is not cut: it only gets no more of the body."""
        refusal = Refusal(401, "token_missing")

        async def lingering(scope: Any, receive: Any, send: Any) -> None:
            async def read_between(message: Any) -> None:
                await send(message)
                await receive()

            await refusal.send(scope, receive, read_between)

        result = await http(limited(lingering), "POST", body=[b"x" * 6] * 5)
        assert result.status == 401
        assert result.complete

    @pytest.mark.parametrize(
        ("status", "more", "received"), [(401, True, 5), (401, False, 2), (200, False, 2)], ids=range(3)
    )
    async def test_an_error_that_has_begun(self, status: int, more: bool, received: int) -> None:
        """Behind an error that is not complete the upload runs out, so that the client sees its end [B10]."""
        seen = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": b"no", "more_body": more})
            while (message := await receive())["type"] == "http.request":
                seen.append(message["body"])
            if more:
                await send({"type": "http.response.body", "body": b"!"})

        result = await http(limited(app), "POST", headers=CHUNKED, body=[b"x" * 6] * 5)
        assert seen == [b"x" * 6]
        assert result.received == received
        assert result.body == (b"no!" if more else b"no")

    @pytest.mark.parametrize(("status", "parts"), [(200, 5), (401, 2)], ids=["cut", "over with its last part"])
    async def test_nobody_waits_for_the_rest(self, status: int, parts: int) -> None:
        """Nothing more is taken of an upload whose answer is cut, or that has come to its end."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": status, "headers": []})
            while (await receive())["type"] == "http.request":
                pass
            await send({"type": "http.response.body", "body": b"!"})

        async def counting(scope: Any, receive: Any, send: Any) -> None:
            async def counted() -> Any:
                calls.append(1)
                return await receive()

            await limited(app)(scope, counted, send)

        calls: list[int] = []
        result = await http(counting, "POST", headers=CHUNKED, body=[b"x" * 6] * parts, raise_exceptions=False)
        assert len(calls) == 2
        assert (type(result.exception) is BodyTooLargeError) is (status == 200)

    @pytest.mark.parametrize(("drain_bytes", "received"), [(1000, 50), (0, 2)])
    async def test_a_refusal_inside_lets_the_upload_run_out(self, drain_bytes: int, received: int) -> None:
        """The refusal of a class inside is seen too, however much more than the limit still comes."""
        refusal = Refusal(401, "token_missing")
        app = limited(refusal.send, drain_bytes=drain_bytes)
        result = await http(app, "POST", headers=CHUNKED, body=[b"x" * 6] * 50)
        assert result.status == 401
        assert result.complete
        assert result.received == received

    @pytest.mark.parametrize("inner", [4, 16])
    async def test_nested(self, inner: int) -> None:
        """Of two limits in one stack the stricter one answers, and the other lets it finish [B13]."""
        reader = Reader()
        app = limited(limited(reader, max_body_size=inner))
        result = await http(app, "POST", body=[b"x" * 3] * 100)
        assert_refused(result)
        assert len(reader.body) <= min(inner, LIMIT)


class TestTransparency:
    async def test_other_scopes(self) -> None:
        """WebSocket and lifespan pass with the very scope that came [B13]."""
        seen = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope)
            await receive()
            if scope["type"] == "websocket":
                await send({"type": "websocket.accept"})
                assert (await receive())["text"] == "x" * 100

        opened = await websocket(limited(app), messages=["x" * 100])
        started = await lifespan(limited(app))
        assert seen[0] is opened.scope
        assert seen[1] is started.scope

    async def test_scope_and_messages_untouched(self) -> None:
        """The caller's scope and the app's messages are as they were."""
        scope = http_scope("POST", headers=[(b"content-length", b"3")])
        before = copy.deepcopy(scope)
        result = await drive(limited(Reader()), scope, requests(b"xxx"))
        assert scope == before
        assert result.status == 200

    async def test_lazy(self) -> None:
        """Nothing is read before the app asks for it [B8]."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body"})

        assert (await http(limited(app), "POST", body=b"x" * 11)).received == 0

    async def test_disconnect_passes(self) -> None:
        """The server's disconnect passes as the same object."""
        message = {"type": "http.disconnect"}
        reader = Reader()
        await drive(limited(reader), http_scope("POST"), [message])
        assert reader.messages[0] is message

    async def test_unknown_messages_out(self) -> None:
        """Messages of the app pass as the same objects."""
        messages = [
            {"type": "http.response.early_hint", "links": []},
            {"type": "http.response.start", "status": 200, "headers": [], "trailers": True},
            {"type": "http.response.zerocopysend", "file": 1, "more_body": True},
            {"type": "http.response.body", "body": b""},
            {"type": "http.response.trailers", "headers": []},
            {"type": "http.response.from.the.future"},
        ]

        async def app(scope: Any, receive: Any, send: Any) -> None:
            for message in messages:
                await send(message)

        result = await http(limited(app))
        assert all(one is other for one, other in zip(result.sent, messages, strict=True))

    async def test_interleaved(self) -> None:
        """Two requests on one instance do not count together."""
        app = limited(Reader())
        results: list[int | None] = []

        async def one() -> None:
            results.append((await http(app, "POST", body=[b"x" * 5, b"x" * 5])).status)

        async with anyio.create_task_group() as group:
            group.start_soon(one)
            group.start_soon(one)
        assert results == [200, 200]


class Behaviour:
    """An app made of steps: read, start, send a part, finish, raise, read on in the background."""

    def __init__(self, steps: Iterable[str], *, catches: bool) -> None:
        """Take the steps."""
        self.steps = list(steps)
        self.catches = catches
        self.read = 0
        self.ended = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Do one step after the other, as far as the grammar of a response allows."""
        async with anyio.create_task_group() as group:
            await self._run(receive, send, group)
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()  # whatever still reads

    async def _run(self, receive: Any, send: Any, group: Any) -> None:
        started = finished = False
        for step in self.steps:
            try:
                if step == "read" and not self.ended:
                    await self._read(receive)
                elif step == "background":
                    group.start_soon(self._read_on, receive)
                    await anyio.lowlevel.checkpoint()
                elif step == "start" and not started:
                    started = True
                    await send({"type": "http.response.start", "status": 200, "headers": []})
                elif step == "part" and started and not finished:
                    await send({"type": "http.response.body", "body": b"part", "more_body": True})
                elif step == "finish" and started and not finished:
                    finished = True
                    await send({"type": "http.response.body", "body": b"end"})
                elif step == "raise":
                    raise ValueError(step)
            except Exception:
                if not self.catches:
                    raise

    async def _read(self, receive: Any) -> None:
        message = await receive()
        self.read += len(message.get("body", b""))
        self.ended = not message.get("more_body", False)

    async def _read_on(self, receive: Any) -> None:
        try:
            while not self.ended:
                await self._read(receive)
                await anyio.lowlevel.checkpoint()
        except Exception:
            if not self.catches:
                raise


STEPS = ["read", "read", "start", "part", "finish", "raise", "background"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 8), min_size=1, max_size=8),
    st.lists(st.sampled_from(STEPS), max_size=12),
    st.booleans(),
    st.sampled_from([None, 0, 5, 10, 11]),
)
def test_grammar_holds(backend: str, sizes: list[int], steps: list[str], catches: bool, declared: int | None) -> None:
    """Whatever chunks come and whatever the app does, the answer is legal and no byte over the limit gets in [B1]."""
    app = Behaviour(steps, catches=catches)
    headers = [] if declared is None else [(b"content-length", b"%d" % declared)]
    scope, exchange = enter(http_scope("POST", headers=headers))

    async def call() -> Result:
        return await drive(limited(app), scope, requests(*(b"x" * size for size in sizes)), raise_exceptions=False)

    result = anyio.run(call, backend=backend)
    limit = LIMIT if declared is None else min(LIMIT, declared)
    assert app.read <= limit
    assert result.types.count("http.response.start") <= 1
    ends = [
        index
        for index, message in enumerate(result.sent)
        if result.types[index].endswith("body") and not message.get("more_body")
    ]
    assert ends in ([], [len(result.sent) - 1])
    raised = [] if result.exception is None else list(leaves(result.exception))
    if exchange.refusal is not None:
        assert result.status == 413 or any(isinstance(error, BodyTooLargeError) for error in raised)
    if result.status == 413 and result.complete:
        assert_refused(result)
        assert not raised
    elif result.status == 413:  # the app gave up its receive() in the middle of the answer
        assert any(isinstance(error, BodyTooLargeError) for error in raised)
    assert all(isinstance(error, ValueError | BodyTooLargeError) for error in raised)


def leaves(error: BaseException) -> Iterable[BaseException]:
    """Give what an exception, or a group of them, is made of."""
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from leaves(part)
    else:
        yield error
