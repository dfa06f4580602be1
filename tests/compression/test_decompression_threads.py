"""Where request bodies are inflated, what a cancelled step leaves behind, and what happens to callers at once."""

import threading

import anyio
import brotli
import pytest
from request_codings import FORMS, zeros

from asgi_middleware.compression import DecompressionMiddleware, inflation
from asgi_middleware.compression.brotli_head import whole_size, window_of
from asgi_middleware.compression.turns import Turns
from asgi_middleware.testing.driver import http, http_scope

pytestmark = pytest.mark.anyio

TEXT = b'{"id": 1, "name": "Ada", "text": "the quick brown fox jumps over the lazy dog"}\n' * 40
MIB = 1 << 20


async def read_all(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture(params=["gzip", "deflate", "br", "zstd"])
def form(request):
    """The name of a coding."""
    return request.param


@pytest.fixture
def places(monkeypatch):
    """Note where each step ran, and how much it gave."""
    noted = []
    step = inflation.Inflation.step

    def noting(self):
        piece = step(self)
        noted.append(("loop" if threading.current_thread() is threading.main_thread() else "thread", len(piece)))
        return piece

    monkeypatch.setattr(inflation.Inflation, "step", noting)
    return noted


class TestPlaces:
    """What runs on the event loop and what in a thread."""

    async def test_small_bodies_stay_on_the_loop(self, form, places):
        """A few kilobytes are not worth a thread."""
        coding, encode = FORMS[form]
        await http(DecompressionMiddleware(read_all), headers=[(b"content-encoding", coding)], body=encode(TEXT))
        assert {place for place, _ in places} == {"loop"}

    async def test_small_ones_in_parts_as_well(self, form, places):
        """The first part tells what is to come; the others are not asked."""
        coding, encode = FORMS[form]
        data = encode(TEXT)
        parts = [data[at : at + 15] for at in range(0, len(data), 15)]
        await http(DecompressionMiddleware(read_all), headers=[(b"content-encoding", coding)], body=parts)
        assert {place for place, _ in places} == {"loop"}

    async def test_large_ones_leave_it(self, form, places):
        """After about a millisecond's worth threads take over, and no more than an eighth of it comes between."""
        coding, encode = FORMS[form]
        body = encode(TEXT * 1500)
        await http(DecompressionMiddleware(read_all), headers=[(b"content-encoding", coding)], body=body)
        on_loop = sum(size for place, size in places if place == "loop")
        assert on_loop <= {"zstd": 7 * MIB // 2}.get(form, MIB // 2)
        assert sum(size for _, size in places) == len(TEXT) * 1500

    async def test_threads_take_turns_with_the_loop(self, places):
        """Behind a step in a thread the loop has an eighth of the bytes again: a thread is not worth every piece."""
        app = DecompressionMiddleware(read_all, thread_minimum_size=2 * MIB)
        await http(app, headers=[(b"content-encoding", b"gzip")], body=FORMS["gzip"][1](TEXT * 1500))
        order = [place for place, _ in places]
        assert "loop" in order[order.index("thread") :]

    @pytest.mark.parametrize(("limit", "expected"), [(1, {"loop", "thread"}), (0, {"loop"}), (1 << 40, {"loop"})])
    async def test_as_wished(self, form, limit, expected, places):
        """`thread_minimum_size` sets the bytes; 0 never uses a thread."""
        if (form, limit) == ("br", 1):
            expected = {"thread"}  # its first step could inflate megabytes
        if (form, limit) == ("br", 1 << 40):
            expected = {"loop"}
        coding, encode = FORMS[form]
        app = DecompressionMiddleware(read_all, thread_minimum_size=limit)
        await http(app, headers=[(b"content-encoding", coding)], body=encode(TEXT * 100))
        assert {place for place, _ in places} == expected

    async def test_a_brotli_bomb_never_runs_on_the_loop(self, places):
        """One step of brotli may fill a window of megabytes: what is not known to be small goes to a thread at once."""
        app = DecompressionMiddleware(read_all)
        result = await http(app, headers=[(b"content-encoding", b"br")], body=zeros(20 * MIB, "br"))
        assert result.status == 413
        assert {place for place, _ in places} == {"thread"}

    async def test_nor_does_one_inside_another_coding(self, places):
        """Of a body inside another nothing is known beforehand."""
        app = DecompressionMiddleware(read_all)
        body = FORMS["gzip"][1](brotli.compress(TEXT))
        await http(app, headers=[(b"content-encoding", b"br, gzip")], body=body)
        assert {place for place, _ in places} == {"thread"}


@pytest.mark.parametrize("size", [1, 80, 3200, 65536, 70_000, 1_048_577])
@pytest.mark.parametrize("quality", [2, 5, 11])
@pytest.mark.parametrize("window", [10, 16, 17, 18, 22, 24])
def test_a_brotli_body_of_one_block_tells_its_size(size, quality, window):
    """The size in the head is true, or nothing is known (RFC 7932 9.2)."""
    body = brotli.compress((TEXT * 400)[:size], quality=quality, lgwin=window)
    assert whole_size(body) in {size, None}
    assert window_of(body) == 1 << window
    if size == 3200 and window >= 16:
        assert whole_size(body) == size


@pytest.mark.parametrize(
    ("head", "size"),
    [
        (b"", None),
        (b"\x06", None),  # too short to tell
        (b"\x06\0\0\0\0", 0),  # the last block, and empty
        (b"\x1a\0\0\0\0", None),  # metadata in a last block, which no encoder writes
    ],
)
def test_odd_brotli_heads(head, size):
    """What does not tell a size tells none."""
    assert whole_size(head) == size


class Slow:
    """An inflater whose first step waits for a sign, and which notices a second user."""

    hungry = True
    ended = True
    parts = 1

    def __init__(self):
        self.entered = threading.Event()
        self.proceed = threading.Event()
        self.left = threading.Event()
        self.users = 0

    def inflate(self, data):
        self.users += 1
        assert self.users == 1, "an inflater that a thread still holds was used again"
        self.entered.set()
        assert self.proceed.wait(5)
        self.users -= 1
        self.left.set()
        return bytes(data)


@pytest.fixture
def slow(monkeypatch):
    """A class that decompresses by a slow inflater, in threads alone."""
    inflater = Slow()

    def make(app):
        middleware = DecompressionMiddleware(app)
        plan = middleware._simple[b"gzip"]
        coding = plan.codings[0]._replace(begin=lambda: inflater)
        middleware._simple[b"gzip"] = plan._replace(codings=(coding,), inline_work=0)
        return middleware

    make.inflater = inflater
    return make


def scripted(*chunks):
    script = [{"type": "http.request", "body": data, "more_body": True} for data in chunks]
    script[-1]["more_body"] = False

    async def receive():
        return script.pop(0) if script else {"type": "http.disconnect"}

    return receive


SCOPE = http_scope("POST", headers=[(b"content-encoding", b"gzip")])


class TestCancellation:
    """A receive that is cancelled while its thread runs."""

    @pytest.mark.parametrize("chunks", [(b"first ", b"second ", b"third"), (b"only",)], ids=["of three", "of one"])
    @pytest.mark.parametrize("late", [False, True], ids=["while it runs", "after it ended"])
    async def test_nothing_is_lost_and_nothing_used_by_two(self, slow, late, chunks):
        """The thread finishes its step alone, and the next receive gives its piece [M8]."""
        inflater = slow.inflater
        read = []

        async def app(scope, receive, send):
            async with anyio.create_task_group() as tasks:

                async def impatient():
                    with anyio.CancelScope() as patience:
                        scopes.append(patience)
                        await receive()

                scopes = []
                tasks.start_soon(impatient)
                await anyio.to_thread.run_sync(inflater.entered.wait, 5)
                scopes[0].cancel()
            if late:
                inflater.proceed.set()
                await anyio.to_thread.run_sync(inflater.left.wait, 5)
                await anyio.sleep(0.005)
            else:
                threading.Timer(0.02, inflater.proceed.set).start()
            while True:
                message = await receive()
                read.append(message["body"])
                if not message["more_body"]:
                    return

        with anyio.fail_after(5):
            await slow(app)(SCOPE, scripted(*chunks), None)
        assert b"".join(read) == b"".join(chunks)

    async def test_an_app_that_goes_away(self, slow):
        """An app that ends while a thread is at work ends at once; the thread's piece is dropped."""
        inflater = slow.inflater

        async def app(scope, receive, send):
            with anyio.move_on_after(0.01):
                await receive()

        with anyio.fail_after(2):
            await slow(app)(SCOPE, scripted(b"first", b"second"), None)
        inflater.proceed.set()

    async def test_cancelled_while_the_server_waits(self):
        """A receive that is cancelled before anything came loses nothing."""
        data = FORMS["gzip"][1](TEXT)
        given = iter([data[:20], data[20:]])
        read = []
        opened = anyio.Event()

        async def receive():
            await opened.wait()
            body = next(given)
            return {"type": "http.request", "body": body, "more_body": body == data[:20]}

        async def app(scope, receive, send):
            with anyio.move_on_after(0.005):
                await receive()
            opened.set()
            while True:
                message = await receive()
                read.append(message["body"])
                if not message["more_body"]:
                    return

        await DecompressionMiddleware(app)(SCOPE, receive, None)
        assert b"".join(read) == TEXT


class TestAtOnce:
    """Two tasks of an app that receive at the same time."""

    async def test_take_turns(self, slow):
        """No inflater is used by two, and each piece goes to one of them."""
        inflater = slow.inflater
        inflater.proceed.set()
        read = []

        async def app(scope, receive, send):
            async def take():
                while (message := await receive())["type"] == "http.request":
                    read.append(message["body"])

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(take)
                tasks.start_soon(take)
                tasks.start_soon(take)

        pieces = [b"%d " % number for number in range(50)]
        with anyio.fail_after(5):
            await slow(app)(SCOPE, scripted(*pieces), None)
        assert b"".join(read) == b"".join(pieces)

    async def test_one_that_gives_up_waiting(self, slow):
        """A task that is cancelled while it waits for its turn leaves the others theirs."""
        inflater = slow.inflater
        read = []

        async def app(scope, receive, send):
            async def take():
                read.append((await receive())["body"])

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(take)
                await anyio.to_thread.run_sync(inflater.entered.wait, 5)
                with anyio.move_on_after(0.005):
                    await take()
                inflater.proceed.set()
            await take()

        with anyio.fail_after(5):
            await slow(app)(SCOPE, scripted(b"first", b"second"), None)
        assert read == [b"first", b"second"]

    async def test_a_turn_that_comes_as_its_task_is_cancelled(self):
        """The turn goes on to nobody, and is free again."""
        turns = Turns()
        turns.taken = True

        async def take():
            with anyio.CancelScope() as patience:
                scopes.append(patience)
                await turns.wait()
                turns.give_up()

        scopes = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            await anyio.wait_all_tasks_blocked()
            turns.give_up()
            scopes[0].cancel()
        assert not turns.taken

    async def test_both_hear_of_a_bad_body(self):
        """One refusal goes out, and both are told that the client left."""
        kinds = []

        async def app(scope, receive, send):
            async def take():
                kinds.append((await receive())["type"])

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(take)
                tasks.start_soon(take)

        app = DecompressionMiddleware(app, thread_minimum_size=1)
        result = await http(app, headers=[(b"content-encoding", b"br")], body=b"\x0bno brotli at all")
        assert result.status == 400
        assert kinds == ["http.disconnect"] * 2
        assert result.types == ["http.response.start", "http.response.body"]
