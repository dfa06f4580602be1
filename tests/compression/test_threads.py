"""Loop freedom: what runs where, and what happens to a step that is cancelled."""

import asyncio
import threading

import anyio
import pytest

from asgi_middleware.compression import CompressionMiddleware
from asgi_middleware.compression.turns import Turns
from asgi_middleware.testing.driver import http, http_scope

pytestmark = pytest.mark.anyio

TEXT = b'{"id": 1, "name": "Ada", "text": "the quick brown fox jumps over the lazy dog"}\n' * 40


def accepting(coding):
    return [(b"accept-encoding", coding.encode())]


class Watched:
    """A codec that notes in which thread each step ran."""

    def __init__(self, codec):
        self._codec = codec
        self.coding = codec.coding
        self.inline_size = codec.inline_size
        self.heavy_start = codec.heavy_start
        self.live_memory = codec.live_memory
        self.steps = []

    def _note(self, encode):
        def noting(data):
            self.steps.append("loop" if threading.current_thread() is threading.main_thread() else "thread")
            return encode(data)

        return noting

    def whole(self, data):
        return self._note(self._codec.whole)(data)

    def open(self, *, live):
        encoder = self._codec.open(live=live)
        return type("Encoder", (), {"feed": self._note(encoder.feed), "finish": self._note(encoder.finish)})


class Blocking:
    """A codec whose steps wait for a sign, and which notices a second caller."""

    coding = b"gzip"
    inline_size = 1
    live_memory = 1
    heavy_start = False

    def __init__(self):
        self.entered = threading.Event()
        self.proceed = threading.Event()
        self.callers = 0
        self.left = threading.Event()

    def whole(self, data):
        self.callers += 1
        assert self.callers == 1, "an object that a thread still holds was used again [M8]"
        self.entered.set()
        self.proceed.wait(5)
        self.callers -= 1
        self.left.set()
        return data[:10]

    def open(self, *, live):
        return type("Encoder", (), {"feed": self.whole, "finish": self.whole})


def watch(middleware, coding):
    codecs = middleware._policy.agreements._codecs
    codecs[coding.encode()] = Watched(codecs[coding.encode()])
    return codecs[coding.encode()].steps


class TestPlaces:
    """What runs on the event loop and what in a thread."""

    @pytest.mark.parametrize(
        ("limit", "size", "place"),
        [
            (None, 3_000, "loop"),
            (None, 2_000_000, "thread"),
            (10_000, 9_999, "loop"),
            (10_000, 10_000, "thread"),
            (0, 2_000_000, "loop"),
        ],
    )
    async def test_whole_bodies_by_size(self, limit, size, place, coding, sending, start, body, decode):
        """A body that takes more than about a millisecond goes to a thread; the option says otherwise in bytes."""
        data = (TEXT * (size // len(TEXT) + 1))[:size]
        app = CompressionMiddleware(sending(start(), body(data)), thread_minimum_size=limit)
        steps = watch(app, coding)
        result = await http(app, headers=accepting(coding))
        assert decode(coding, result.body) == data
        assert result.header(b"content-length") == b"%d" % len(result.body)
        assert steps == [place]

    async def test_streams_by_what_they_add_up_to(self, coding, sending, start, body, decode):
        """The budget is the response's: many small chunks go to threads as one large chunk does."""
        chunks = [body(TEXT, more_body=True) for _ in range(100)]
        app = CompressionMiddleware(sending(start(), *chunks, body(b"")), thread_minimum_size=10 * len(TEXT))
        steps = watch(app, coding)
        result = await http(app, headers=accepting(coding))
        assert decode(coding, result.body) == TEXT * 100
        assert steps[:10] == ["loop"] * 9 + ["thread"]
        # After the first millisecond an eighth of it is left between two threads: here one chunk.
        assert set(steps[10:100]) == {"loop", "thread"} or set(steps[10:100]) == {"thread"}
        assert steps[10:100].count("thread") >= 45

    async def test_large_chunks_never_run_on_the_loop(self, coding, sending, start, body, decode):
        """A 5 MB body in chunks of 64 KiB leaves the loop as free as one sent whole."""
        chunk = (TEXT * 21)[:65536]
        messages = [body(chunk, more_body=True) for _ in range(20)]
        app = CompressionMiddleware(sending(start(), *messages, body(b"")), thread_minimum_size=65536)
        steps = watch(app, coding)
        result = await http(app, headers=accepting(coding))
        assert decode(coding, result.body) == chunk * 20
        assert steps == ["thread"] * 20 + ["loop"]

    async def test_a_level_that_starts_slowly_starts_in_a_thread(self, sending, start, body, decode):
        """From zstd 10 on a stream's first chunk clears megabytes of tables, however small it is."""
        app = CompressionMiddleware(sending(start(), body(b"small", more_body=True), body(b"end")), zstd_level=12)
        steps = watch(app, "zstd")
        assert decode("zstd", (await http(app, headers=accepting("zstd"))).body) == b"smallend"
        assert steps == ["thread", "loop"]

    async def test_a_live_stream_of_such_a_level_starts_on_the_loop(self, sending, start, body):
        """What an open-ended stream clears is little at any level."""
        messages = [body(b"data: 1\n\n", more_body=True), body(b"")]
        app = CompressionMiddleware(
            sending(start(content_type=b"text/event-stream"), *messages), zstd_level=12, encodings=["zstd"]
        )
        steps = watch(app, "zstd")
        await http(app, headers=accepting("zstd"))
        assert steps == ["loop", "loop"]

    async def test_no_thread_means_none(self, sending, start, body):
        """Who wants no threads gets none for a level that starts slowly either."""
        app = CompressionMiddleware(
            sending(start(), body(TEXT, more_body=True), body(b"")), zstd_level=12, thread_minimum_size=0
        )
        steps = watch(app, "zstd")
        await http(app, headers=accepting("zstd"))
        assert steps == ["loop", "loop"]

    async def test_a_live_stream_is_measured_by_its_own_coding(self, sending, start, body):
        """What a thread is worth to an open-ended stream says the coding that it takes, not that of a page."""
        messages = [body(bytes(200), more_body=True), body(b"")]
        app = CompressionMiddleware(sending(start(content_type=b"text/event-stream"), *messages))
        steps = watch(app, "gzip")
        app._policy.agreements._codecs[b"gzip"].inline_size = 100
        await http(app, headers=accepting("gzip, br, zstd"))
        assert steps[0] == "thread"

    async def test_slow_streams_stay_on_the_loop(self, coding, sending, start, body):
        """A few small events are not worth a thread."""
        events = [body(b"data: 1\n\n", more_body=True) for _ in range(50)]
        app = CompressionMiddleware(sending(start(content_type=b"text/event-stream"), *events, body(b"")))
        steps = watch(app, coding)
        await http(app, headers=accepting(coding))
        assert set(steps) == {"loop"}


class TestCancellation:
    """A step that is cancelled while its thread runs."""

    async def test_a_stream_ends_and_its_encoder_is_never_used_again(self, start, body):
        """After a cancelled step the stream is over: the next send says so, and no thread meets another [M8]."""
        codec = Blocking()
        sent = []

        async def app(scope, receive, send):
            await send(start(content_type=b"text/event-stream"))
            with anyio.move_on_after(0.05) as cancelling:
                await send(body(b"data: 1\n\n", more_body=True))
            assert cancelling.cancelled_caught
            for _ in range(2):
                with pytest.raises(ConnectionAbortedError):
                    await send(body(b"data: 2\n\n", more_body=True))
            codec.proceed.set()

        async def send(message):
            sent.append(message["type"])

        middleware = CompressionMiddleware(app)
        middleware._policy.agreements._codecs[b"gzip"] = codec
        await middleware(http_scope(headers=accepting("gzip")), None, send)
        assert sent == ["http.response.start"]
        assert codec.left.wait(5)

    async def test_a_whole_body_leaves_room_for_another_answer(self, start, body):
        """Nothing is out yet when a whole body is cancelled, so an error answer can follow, plain and complete [M8]."""
        codec = Blocking()

        async def app(scope, receive, send):
            await send(start())
            with anyio.move_on_after(0.05):
                await send(body())
            await send(start(status=503))
            await send(body(b"too slow"))
            codec.proceed.set()

        middleware = CompressionMiddleware(app)
        middleware._policy.agreements._codecs[b"gzip"] = codec
        result = await http(middleware, headers=accepting("gzip"))
        assert result.status == 503
        assert result.body == b"too slow"
        assert result.header(b"content-encoding") is None
        assert codec.left.wait(5)

    async def test_cancellation_reaches_the_app(self, start, body):
        """A cancelled request ends as cancelled, with nothing sent for it [M7, M8]."""
        codec = Blocking()
        ended = []

        async def app(scope, receive, send):
            try:
                await send(start())
                await send(body())
            except BaseException as error:
                ended.append(error)
                raise

        middleware = CompressionMiddleware(app)
        middleware._policy.agreements._codecs[b"gzip"] = codec
        sent = []

        async def send(message):
            sent.append(message)

        with anyio.move_on_after(0.05) as scope:
            await middleware(http_scope(headers=accepting("gzip")), None, send)
        codec.proceed.set()
        assert scope.cancelled_caught
        assert isinstance(ended[0], anyio.get_cancelled_exc_class())
        assert sent == []

    async def test_a_cancelled_send_of_the_server_ends_the_stream(self, start, body):
        """Whether the server has put a cancelled chunk on the wire is unknown, so none may follow [M8]."""

        async def app(scope, receive, send):
            await send(start(content_type=b"text/event-stream"))
            with anyio.move_on_after(0.05):
                await send(body(b"data: 1\n\n", more_body=True))
            with pytest.raises(ConnectionAbortedError):
                await send(body(b""))

        async def send(message):
            if message["type"] == "http.response.body":
                await anyio.sleep_forever()

        await CompressionMiddleware(app)(http_scope(headers=accepting("gzip")), None, send)


async def test_a_turn_is_never_free_between_two():
    """Who hands the turn on and asks again at once waits behind the one that has it now."""
    turns = Turns()
    turns.taken = True
    order = []

    async def take(name):
        await turns.wait()
        order.append(name)
        turns.give_up()

    async with anyio.create_task_group() as tasks:
        for name in ("first", "second"):
            tasks.start_soon(take, name)
            await anyio.wait_all_tasks_blocked()
        turns.give_up()
        assert turns.taken
    assert order == ["first", "second"]
    assert not turns.taken


class TestConcurrentSenders:
    """An app that sends from two tasks, as a pinger beside a stream does."""

    @pytest.mark.parametrize("content_type", [b"text/event-stream", b"text/plain"])
    async def test_take_turns(self, content_type, coding, start, body, decode):
        """Chunks sent at once come out whole, each once, in the order of the calls [M8]."""
        chunks = [b"<%d>" % number * 2000 for number in range(8)]
        calls = []

        async def app(scope, receive, send):
            await send(start(content_type=content_type))

            async def one(chunk):
                calls.append(chunk)
                await send(body(chunk, more_body=True))

            async with anyio.create_task_group() as tasks:
                for chunk in chunks:
                    tasks.start_soon(one, chunk)
            await send(body(b""))

        result = await http(CompressionMiddleware(app, thread_minimum_size=1), headers=accepting(coding))
        assert decode(coding, result.body) == b"".join(calls)

    async def test_one_that_stops_waiting_lets_the_next_go(self, start, body, decode):
        """A sender that is cancelled while it waits for its turn loses its own chunk alone [M8]."""
        release = anyio.Event()
        sent = []

        async def app(scope, receive, send):
            await send(start(content_type=b"text/event-stream"))

            async def one(chunk, seconds):
                with anyio.move_on_after(seconds):
                    await send(body(chunk, more_body=True))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(one, b"first", 5)
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(one, b"second", 0.01)
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(one, b"third", 5)
                await anyio.sleep(0.05)
                release.set()
            await send(body(b""))

        async def send(message):
            if message["type"] == "http.response.body":
                await release.wait()
                sent.append(message["body"])

        await CompressionMiddleware(app)(http_scope(headers=accepting("gzip")), None, send)
        assert decode("gzip", b"".join(sent)) == b"firstthird"

    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_one_cancelled_at_its_turn_hands_it_on(self, start, body, decode):
        """A sender that is cancelled just as it gets its turn passes it to the next one [M8]."""
        sent = []

        async def app(scope, receive, send):
            await send(start(content_type=b"text/event-stream"))

            async def first():
                await send(body(b"first", more_body=True))
                second.cancel()  # its turn has come by now, and it has not run since

            tasks = [asyncio.create_task(first())]
            await asyncio.sleep(0)
            second = asyncio.create_task(send(body(b"second", more_body=True)))
            tasks.append(asyncio.create_task(send(body(b"third", more_body=True))))
            await asyncio.gather(*tasks)
            assert second.cancelled()
            await send(body(b""))

        async def send(message):
            await asyncio.sleep(0.01)
            if message["type"] == "http.response.body":
                sent.append(message["body"])

        with anyio.fail_after(5):
            await CompressionMiddleware(app)(http_scope(headers=accepting("gzip")), None, send)
        assert decode("gzip", b"".join(sent)) == b"firstthird"
