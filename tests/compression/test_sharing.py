"""What responses share: the memory of encoded bodies, the memory for open streams, who is told."""

import logging
import threading
import time

import pytest

from asgi_middleware._core.exchange import enter
from asgi_middleware.compression import CompressionMiddleware
from asgi_middleware.compression.cache import BodyCache
from asgi_middleware.compression.codecs import LIVE_MEMORY, make_codec
from asgi_middleware.compression.policy import LiveMemory
from asgi_middleware.testing.driver import drive, http, http_scope

pytestmark = pytest.mark.anyio

LEVELS = {"gzip_level": 6, "brotli_quality": 4, "zstd_level": 3}
TEXT = b'{"id": 1, "name": "Ada", "text": "the quick brown fox jumps over the lazy dog"}\n' * 40


def accepting(coding):
    return [(b"accept-encoding", coding.encode())]


class TestCache:
    """Encoded bodies kept."""

    async def test_the_same_body_is_encoded_once(self, coding, sending, start, body, decode):
        """A second client gets the bytes that the first one got, for which no time was spent."""
        seen = []
        app = CompressionMiddleware(
            sending(start(), body()), cache_size=1_000_000, on_complete=lambda scope, figures: seen.append(figures)
        )
        results = [await http(app, headers=accepting(coding)) for _ in range(2)]
        assert results[0].sent == results[1].sent
        assert decode(coding, results[1].body) == TEXT
        assert seen[0].seconds > 0
        assert seen[1].seconds == 0

    async def test_with_nobody_told_of_the_figures(self, coding, sending, start, body):
        """Nor does it take a listener to remember."""
        app = CompressionMiddleware(sending(start(), body()), cache_size=1_000_000)
        first, second = [(await http(app, headers=accepting(coding))).sent[1]["body"] for _ in range(2)]
        assert first is second

    async def test_a_large_body_needs_no_second_thread(self, coding, sending, start, body, decode):
        """What a thread has encoded is remembered as well."""
        seen = []
        app = CompressionMiddleware(
            sending(start(), body(TEXT * 100)),
            cache_size=10_000_000,
            thread_minimum_size=1,
            on_complete=lambda scope, figures: seen.append(figures.seconds),
        )
        for _ in range(2):
            assert decode(coding, (await http(app, headers=accepting(coding))).body) == TEXT * 100
        assert seen[0] > 0
        assert seen[1] == 0

    def test_it_is_bounded_in_bytes(self):
        """What was not asked for the longest goes first, and the sizes of both forms count."""
        cache = BodyCache(80_000)
        for number in range(100):
            cache.put(b"gzip", b"%05d" % number * 800, b"encoded %d" % number)
            cache.get(b"gzip", b"00000" * 800)
        held = [number for number in range(100) if cache.get(b"gzip", b"%05d" % number * 800)]
        assert held[0] == 0
        assert held[1:] == list(range(100 - len(held) + 1, 100))
        assert 10 < len(held) < 20

    def test_what_is_forgotten_leaves_all_its_room(self):
        """After any number of bodies as many are held as at the beginning."""

        def held_after(numbers):
            for number in numbers:
                cache.put(b"gzip", b"%05d" % number * 100, b"encoded")
            return sum(cache.get(b"gzip", b"%05d" % number * 100) is not None for number in numbers)

        cache = BodyCache(20_000)
        assert held_after(range(100)) == held_after(range(100, 2000)) > 10

    def test_one_body_does_not_push_all_others_out(self):
        """A body of more than an eighth is not kept."""
        cache = BodyCache(8_000)
        for size in (1_000, 1_001):
            cache.put(b"gzip", b"x" * size, b"x")
            assert cache.get(b"gzip", b"x" * size) is None

    def test_codings_are_kept_apart(self):
        """The same body in two codings is two entries."""
        cache = BodyCache(80_000)
        cache.put(b"gzip", b"body", b"as gzip")
        cache.put(b"br", b"body", b"as br")
        cache.put(b"br", b"body", b"again")
        assert (cache.get(b"gzip", b"body"), cache.get(b"br", b"body")) == (b"as gzip", b"as br")


class TestLiveMemory:
    """The bound on what open streams hold."""

    @pytest.mark.parametrize("coding", ["gzip", "zstd"])
    def test_ten_thousand_event_streams_fit(self, coding):
        """The codings that need little are never refused to 10,000 clients, nor does anything exceed 400 MB."""
        memory, codec = LiveMemory(LIVE_MEMORY), make_codec(coding, **LEVELS)
        assert all(memory.take(codec) for _ in range(10_000))
        assert LIVE_MEMORY < 400_000_000

    async def test_streams_beyond_it_stay_plain(self, coding, sending, start, body, decode):
        """A stream that finds no room goes out as it is; when another ends, there is room again."""
        app = CompressionMiddleware(
            sending(start(content_type=b"text/event-stream"), body(TEXT, more_body=True), body(b""))
        )
        memory = app._policy.live_memory
        codec = app._policy.agreements._codecs[coding.encode()]
        memory._left = codec.live_memory
        assert decode(coding, (await http(app, headers=accepting(coding))).body) == TEXT
        assert memory._left == codec.live_memory
        assert memory.take(codec)
        result = await http(app, headers=accepting(coding))
        assert result.body == TEXT
        assert result.header(b"content-encoding") is None
        assert result.header(b"vary") == b"Accept-Encoding"
        memory.give_back(codec)
        assert (await http(app, headers=accepting(coding))).header(b"content-encoding") == coding.encode()

    async def test_a_stream_that_fails_gives_it_back(self, start, body):
        """Memory comes back however a stream ends."""

        async def app(scope, receive, send):
            await send(start(content_type=b"text/event-stream"))
            await send(body(b"data: 1\n\n", more_body=True))
            raise RuntimeError("gone")

        wrapped = CompressionMiddleware(app)
        await http(wrapped, headers=accepting("gzip"), raise_exceptions=False)
        assert wrapped._policy.live_memory._left == LIVE_MEMORY

    async def test_lines_behind_a_server_of_files_count_too(self, sending, start, body):
        """A stream whose head had to wait is bounded as well."""
        app = CompressionMiddleware(
            sending(start(content_type=b"application/x-ndjson"), body(b"{}\n", more_body=True), body(b"{}\n"))
        )
        app._policy.live_memory._left = 0
        result = await http(app, headers=accepting("gzip"), extensions={"http.response.pathsend": {}})
        assert result.body == b"{}\n{}\n"
        assert result.header(b"content-encoding") is None
        assert result.header(b"vary") == b"Accept-Encoding"

    async def test_what_follows_a_plain_stream_is_the_servers_business(self, sending, start, body):
        """A head out of order behind a stream without memory reaches the server at once."""
        late = start(status=500)
        app = CompressionMiddleware(
            sending(start(content_type=b"application/x-ndjson"), body(b"{}\n", more_body=True), late, body(b"{}\n"))
        )
        app._policy.live_memory._left = 0
        result = await http(app, headers=accepting("gzip"), extensions={"http.response.pathsend": {}})
        assert result.sent[2] is late

    def test_several_event_loops_count_together(self):
        """Threads that take and give back at the same moment lose nothing."""

        class Slow:
            @property
            def live_memory(self):
                time.sleep(0.0001)  # lets another thread go on in the middle of a sum
                return 10

        memory = LiveMemory(1000)

        def serve():
            for _ in range(20):
                assert memory.take(Slow())
                memory.give_back(Slow())

        threads = [threading.Thread(target=serve) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for _ in range(100):
            assert memory.take(Slow())
        assert not memory.take(Slow())


class TestFigures:
    """Who is told of them."""

    async def test_the_exchange_gets_them_where_there_is_one(self, coding, sending, start, body):
        """A class further out reads them after the response."""
        scope, exchange = enter(http_scope(headers=accepting(coding)))
        await drive(CompressionMiddleware(sending(start(), body())), scope)
        assert exchange.compression.encoding == coding
        assert exchange.compression.original_size == len(TEXT)

    async def test_no_exchange_is_made_where_nobody_reads_it(self, start, body):
        """Alone, with nothing to hide from the app, the class hands the very scope on."""
        seen = []

        async def app(scope, receive, send):
            seen.append(scope)

        scope = http_scope(headers=accepting("gzip"))
        await drive(CompressionMiddleware(app), scope)
        assert seen[0] is scope

    async def test_a_failing_listener_breaks_nothing(self, sending, start, body, decode, caplog):
        """What `on_complete` raises is logged, and the response is whole."""

        def listener(scope, figures):
            raise RuntimeError("mine")

        app = CompressionMiddleware(sending(start(), body()), on_complete=listener)
        with caplog.at_level(logging.ERROR, logger="asgi_middleware.compression"):
            result = await http(app, headers=accepting("gzip"))
        assert decode("gzip", result.body) == TEXT
        assert [record.getMessage() for record in caplog.records] == ["on_complete has failed"]

    async def test_a_listener_gets_the_scope(self, sending, start, body):
        """The path and the route are at hand for labels."""
        seen = []
        app = CompressionMiddleware(sending(start(), body()), on_complete=lambda *told: seen.append(told))
        await http(app, path="/here")
        assert seen[0][0]["path"] == "/here"
        assert seen[0][1].skip_reason == "no_accept_encoding"

    async def test_a_listener_reads_what_the_app_wrote_into_its_scope(self, sending, start, body):
        """A framework's route is at hand, also where the app saw a copy of the scope."""
        seen = []

        async def app(scope, receive, send):
            scope["route"] = "/items/{item}"
            await sending(start(), body())(scope, receive, send)

        wrapped = CompressionMiddleware(app, etag="suffix", on_complete=lambda scope, _: seen.append(scope["route"]))
        await http(wrapped, headers=[*accepting("gzip"), (b"if-none-match", b'"a-gzip"')])
        assert seen == ["/items/{item}"]

    async def test_a_listener_hears_nothing_where_no_response_was(self, caplog):
        """An app that fails or ends before its head has no figures."""

        async def app(scope, receive, send):
            if scope["path"] == "/fails":
                raise RuntimeError("mine")

        seen = []
        wrapped = CompressionMiddleware(app, on_complete=lambda *told: seen.append(told))
        for path in ("/fails", "/ends"):
            await http(wrapped, path=path, headers=accepting("gzip"), raise_exceptions=False)
        assert seen == []


class TestInnerLayers:
    """``remove_accept_encoding``."""

    @pytest.mark.parametrize(("remove", "seen"), [(True, False), (False, True)])
    @pytest.mark.parametrize("accept", ["gzip", "identity"])
    async def test_the_app_does_not_see_the_header(self, remove, seen, accept, start, body):
        """Nothing inside encodes by itself, whether or not this class will."""
        names = []

        async def app(scope, receive, send):
            names.extend(name for name, _ in scope["headers"])

        await http(
            CompressionMiddleware(app, remove_accept_encoding=remove), headers=[(b"Accept-Encoding", accept.encode())]
        )
        assert (b"Accept-Encoding" in names) == seen
