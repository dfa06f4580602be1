"""Messages: streams that never stall, everything else in its order, and nothing sent too early."""

import weakref
from types import SimpleNamespace

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_middleware._core.exchange import enter
from asgi_middleware.compression import CompressionMiddleware
from asgi_middleware.testing.driver import drive, http, http_scope, lifespan, websocket

pytestmark = pytest.mark.anyio

TEXT = b'{"id": 1, "name": "Ada", "text": "the quick brown fox jumps over the lazy dog"}\n' * 40
LIVE_TYPES = [
    b"text/event-stream",
    b"text/event-stream; charset=utf-8",
    b"Application/X-NDJSON",
    b"application/jsonl",
    b"application/json-seq",
]


def accepting(coding):
    return [(b"accept-encoding", coding.encode())]


class TestStreams:
    """Bodies of several messages."""

    @pytest.mark.parametrize("content_type", [b"text/html", *LIVE_TYPES])
    async def test_every_chunk_can_be_decoded_on_arrival(self, content_type, coding, sending, start, body, decoder):
        """What the app has sent so far, the client can read, to the byte [M4]."""
        chunks = [b"a", b"data: {}\n\n" * 5, TEXT, bytes(70_000), b"\n"]
        messages = [body(chunk, more_body=True) for chunk in chunks]
        app = sending(start(content_type=content_type), *messages, {"type": "http.response.body"})
        result = await http(CompressionMiddleware(app), headers=accepting(coding))
        reading = decoder(coding)
        assert chunks == [reading.feed(chunk) for chunk in result.chunks[:-1]]
        assert reading.feed(result.chunks[-1]) == b""
        assert reading.ended
        assert result.header(b"content-length") is None
        assert [message["more_body"] for message in result.sent[1:]] == [True] * 5 + [False]

    async def test_empty_chunks_produce_nothing(self, coding, sending, start, body, decode):
        """An empty chunk passes as it is, the first one with the head before it [M4]."""
        app = sending(
            start(), body(b"", more_body=True), body(TEXT, more_body=True), body(b"", more_body=True), body(b"")
        )
        result = await http(CompressionMiddleware(app), headers=accepting(coding))
        assert [result.chunks[0], result.chunks[2]] == [b"", b""]
        assert decode(coding, result.body) == TEXT

    async def test_a_body_key_may_be_missing(self, coding, sending, start, decode):
        """A last message without `body` and `more_body` ends the stream [M4]."""
        app = sending(start(), {"type": "http.response.body", "more_body": True}, {"type": "http.response.body"})
        result = await http(CompressionMiddleware(app), headers=accepting(coding))
        assert decode(coding, result.body) == b""

    async def test_a_declared_length_is_dropped(self, coding, sending, start, body, decode):
        """A stream of known length loses its Content-Length, which is no longer true [H3]."""
        app = sending(start((b"content-length", b"6400")), body(TEXT, more_body=True), body(TEXT))
        result = await http(CompressionMiddleware(app), headers=accepting(coding))
        assert result.header(b"content-length") is None
        assert decode(coding, result.body) == TEXT * 2

    async def test_a_stream_in_one_piece_gets_its_length(self, coding, sending, start, body, decode):
        """A first chunk as long as the declared length is the whole body: it is encoded at once [M6]."""
        app = sending(start((b"content-length", b"%d" % len(TEXT))), body(TEXT, more_body=True), body(b""))
        result = await http(CompressionMiddleware(app), headers=accepting(coding))
        assert result.header(b"content-length") == b"%d" % len(result.body)
        assert decode(coding, result.body) == TEXT
        assert [message.get("more_body", False) for message in result.sent[1:]] == [True, False]

    async def test_extra_keys_survive(self, coding, sending, start, body):
        """Keys that a later specification may add stay on the messages [M1]."""
        app = sending(start(extra=1), body(TEXT, more_body=True, extra=2), body(b"", extra=3))
        result = await http(CompressionMiddleware(app), headers=accepting(coding))
        assert [message["extra"] for message in result.sent] == [1, 2, 3]

    async def test_messages_after_the_end_are_the_servers_business(self, sending, start, body, decode):
        """What an app sends after its last message passes as it is."""
        late = body(b"late")
        app = sending(start(), body(TEXT, more_body=True), body(b""), late)
        result = await http(CompressionMiddleware(app), headers=accepting("gzip"))
        assert result.sent[-1] is late

    @pytest.mark.parametrize("content_type", LIVE_TYPES)
    async def test_live_types_start_at_once(self, content_type, coding, start, body, decode):
        """The head of an open-ended stream is out before its first chunk exists [M5]."""
        sent = []

        async def app(scope, receive, send):
            await send(start(content_type=content_type))
            assert [message["type"] for message in sent] == ["http.response.start"]
            await send(body(b"data: 1\n\n", more_body=True))
            await send(body(b""))

        async def send(message):
            sent.append(message)

        await CompressionMiddleware(app)(http_scope(headers=accepting(coding)), None, send)
        assert (b"content-encoding", coding.encode()) in sent[0]["headers"]
        assert decode(coding, b"".join(message["body"] for message in sent[1:])) == b"data: 1\n\n"

    @pytest.mark.parametrize("content_type", LIVE_TYPES)
    async def test_live_types_with_a_length_are_whole_bodies(self, content_type, coding, sending, start, body, decode):
        """A file of events with a declared length is no open-ended stream [M5]."""
        app = sending(start((b"content-length", b"%d" % len(TEXT)), content_type=content_type), body())
        result = await http(CompressionMiddleware(app), headers=accepting(coding))
        assert result.header(b"content-length") == b"%d" % len(result.body)
        assert decode(coding, result.body) == TEXT

    async def test_the_encoder_goes_with_the_last_chunk(self, sending, start, body):
        """An app that works on behind its response does not keep megabytes for that."""
        encoders = []

        class Encoder:
            """An encoder that can be watched."""

            def __init__(self, *, live):
                encoders.append(weakref.ref(self))

            def feed(self, data):
                return data

            finish = feed

        async def app(scope, receive, send):
            await sending(start(), body(TEXT, more_body=True))(scope, receive, send)
            assert encoders[0]() is not None
            await send(body(b""))
            assert encoders[0]() is None

        wrapped = CompressionMiddleware(app, thread_minimum_size=0)
        codec = SimpleNamespace(coding=b"gzip", heavy_start=False, inline_size=1, open=Encoder)
        wrapped._policy.agreements._codecs[b"gzip"] = codec
        await http(wrapped, headers=accepting("gzip"))
        assert len(encoders) == 1

    async def test_other_heads_wait_for_the_body(self, coding, start, body):
        """An ordinary head is held until the first message of the body decides about its length [M5]."""
        sent = []

        async def app(scope, receive, send):
            await send(start())
            assert sent == []
            await send(body())

        async def send(message):
            sent.append(message["type"])

        await CompressionMiddleware(app)(http_scope(headers=accepting(coding)), None, send)
        assert sent == ["http.response.start", "http.response.body"]

    async def test_heads_that_are_not_encoded_do_not_wait(self, start):
        """A head that stays as it is goes out at once, as the very object where nothing is to be added."""
        sent = []
        head = start(content_type=b"image/png")

        async def app(scope, receive, send):
            await send(head)
            assert sent[0] is head

        async def send(message):
            sent.append(message)

        await CompressionMiddleware(app)(http_scope(headers=accepting("gzip")), None, send)

    async def test_live_streams_take_the_cheapest_coding(self, sending, start, body, decode):
        """Of codings liked alike, an open-ended stream takes gzip: an open encoder costs least there."""
        app = sending(start(content_type=b"text/event-stream"), body(b"data: 1\n\n", more_body=True), body(b""))
        result = await http(CompressionMiddleware(app), headers=[(b"accept-encoding", b"gzip, deflate, br, zstd")])
        assert result.header(b"content-encoding") == b"gzip"
        assert decode("gzip", result.body) == b"data: 1\n\n"

    async def test_figures_are_there_when_the_last_chunk_passes(self, coding, sending, start, body):
        """Who stands further out reads them at the end of the body, with the time that encoding took."""
        scope, exchange = enter(http_scope(headers=accepting(coding)))
        seen = []

        async def send(message):
            seen.append(exchange.compression)

        app = CompressionMiddleware(sending(start(), body(TEXT, more_body=True), body(TEXT)))
        await app(scope, None, send)
        assert seen[-1] == exchange.compression
        assert seen[-1][:2] == (coding, 2 * len(TEXT))
        assert 0 < seen[-1].seconds < 1

    async def test_figures_of_a_stream_cut_short(self, start, body):
        """A stream that fails leaves the figures so far."""
        seen = []

        async def app(scope, receive, send):
            await send(start())
            await send(body(TEXT, more_body=True))
            raise RuntimeError("gone")

        wrapped = CompressionMiddleware(app, on_complete=lambda scope, figures: seen.append(figures))
        with pytest.raises(RuntimeError, match="gone"):
            await http(wrapped, headers=accepting("gzip"))
        assert seen[0].encoding == "gzip"
        assert seen[0].original_size == len(TEXT)
        assert 0 < seen[0].encoded_size < len(TEXT)

    @given(
        chunks=st.lists(st.binary(max_size=300) | st.sampled_from([b"", TEXT]), min_size=1, max_size=8),
        coding=st.sampled_from(["gzip", "br", "zstd"]),
        minimum_size=st.sampled_from([0, 1, 100, 500]),
        content_type=st.sampled_from([b"text/plain", b"text/event-stream", b"image/png"]),
        declared=st.booleans(),
    )
    def test_the_body_is_always_the_apps(self, chunks, coding, minimum_size, content_type, declared):
        """However a body is cut, what the client decodes is what the app sent."""
        conftest_decoder = _decoders()[coding]
        headers = [(b"content-type", content_type)]
        if declared:
            headers.append((b"content-length", b"%d" % sum(map(len, chunks))))

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for position, chunk in enumerate(chunks, start=1):
                await send({"type": "http.response.body", "body": chunk, "more_body": position < len(chunks)})

        async def run():
            return await http(CompressionMiddleware(app, minimum_size=minimum_size), headers=accepting(coding))

        result = anyio.run(run)
        encoded = result.header(b"content-encoding") is not None
        assert b"".join(chunks) == (conftest_decoder(result.body) if encoded else result.body)
        length = result.header(b"content-length")
        assert length is None or int(length) == len(result.body)
        assert [message.get("more_body", False) for message in result.sent[1:]].count(False) == 1


def _decoders():
    import zlib

    import brotli

    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    return {"gzip": lambda data: zlib.decompress(data, 31), "br": brotli.decompress, "zstd": zstd.decompress}


class TestOtherMessages:
    """Whatever is neither head nor body."""

    @pytest.mark.parametrize("kind", ["http.response.early_hint", "http.response.debug"])
    async def test_hints_overtake_a_held_head(self, kind, coding, sending, start, body, decode):
        """Early hints and debug information go out at once, before the head, and the response is still encoded [M1]."""
        other = {"type": kind, "links": [b"</a>; rel=preload"], "info": {}}
        app = sending(other, start(), other, body())
        result = await http(CompressionMiddleware(app), headers=accepting(coding))
        assert result.types == [kind, kind, "http.response.start", "http.response.body"]
        assert result.sent[0] is other
        assert decode(coding, result.body) == TEXT

    @pytest.mark.parametrize(
        "other",
        [
            {"type": "http.response.pathsend", "path": "/tmp/x"},  # noqa: S108 -- never opened
            {"type": "http.response.zerocopysend", "file": 3},
            {"type": "http.response.push", "path": "/x", "headers": []},
            {"type": "http.response.trailers", "headers": []},
            {"type": "http.response.not_invented_yet", "key": object()},
        ],
        ids=lambda other: other["type"],
    )
    async def test_what_may_stand_for_a_body_leaves_it_plain(self, other, coding, sending, start, body):
        """Before the body, any other message releases the head as it was, with Vary, and passes behind it [M1]."""
        seen = []

        app = sending(start((b"content-length", b"3200")), other, body())
        wrapped = CompressionMiddleware(app, on_complete=lambda scope, figures: seen.append(figures))
        result = await http(wrapped, headers=accepting(coding))
        assert result.types == ["http.response.start", other["type"], "http.response.body"]
        assert result.sent[1] is other
        assert result.header(b"content-encoding") is None
        assert result.header(b"content-length") == b"3200"
        assert result.header(b"vary") == b"Accept-Encoding"
        assert result.body == TEXT
        assert seen[0].skip_reason == "raw_send"

    async def test_a_file_of_lines_is_sent_by_path(self, coding, sending, start):
        """Under a server that sends files by path, a head that may belong to a file waits [M1, M5]."""
        app = sending(
            start(content_type=b"application/x-ndjson"), {"type": "http.response.pathsend", "path": "/nowhere"}
        )
        result = await http(
            CompressionMiddleware(app), headers=accepting(coding), extensions={"http.response.pathsend": {}}
        )
        assert result.types == ["http.response.start", "http.response.pathsend"]
        assert result.header(b"content-encoding") is None

    async def test_events_there_start_at_once(self, coding, start, body, decode):
        """Events are no file, so that their head waits for nothing there either [M5]."""
        sent = []

        async def app(scope, receive, send):
            await send(start(content_type=b"text/event-stream"))
            assert len(sent) == 1
            await send(body(b"data: 1\n\n"))

        async def send(message):
            sent.append(message)

        scope = http_scope(headers=accepting(coding), extensions={"http.response.pathsend": {}})
        await CompressionMiddleware(app)(scope, None, send)
        assert decode(coding, sent[1]["body"]) == b"data: 1\n\n"

    @pytest.mark.parametrize("extensions", [{}, {"extensions": None}])
    async def test_lines_under_a_server_without_extensions(self, extensions, coding, sending, start, body, decode):
        """A server that offers nothing may leave the key out or set it to None."""
        app = CompressionMiddleware(sending(start(content_type=b"application/x-ndjson"), body(b"{}\n")))
        scope = {key: value for key, value in http_scope(headers=accepting(coding)).items() if key != "extensions"}
        result = await drive(app, {**scope, **extensions})
        assert decode(coding, result.body) == b"{}\n"

    async def test_a_stream_of_lines_there_is_encoded(self, coding, sending, start, body, decode):
        """The same head with a body behind it is encoded, chunk by chunk [M5]."""
        app = sending(start(content_type=b"application/x-ndjson"), body(b"{}\n", more_body=True), body(b"{}\n"))
        result = await http(
            CompressionMiddleware(app), headers=accepting(coding), extensions={"http.response.pathsend": {}}
        )
        assert decode(coding, result.body) == b"{}\n{}\n"

    async def test_it_takes_the_cheapest_coding_as_well(self, sending, start, body, decode):
        """That it had to wait makes it no ordinary body [M5]."""
        app = sending(start(content_type=b"application/x-ndjson"), body(b"{}\n", more_body=True), body(b"{}\n"))
        result = await http(
            CompressionMiddleware(app),
            headers=[(b"accept-encoding", b"gzip, br, zstd")],
            extensions={"http.response.pathsend": {}},
        )
        assert decode("gzip", result.body) == b"{}\n{}\n"

    @pytest.mark.parametrize("streamed", [False, True])
    async def test_trailers_follow_the_body(self, streamed, coding, sending, start, body, decode):
        """The flag and the trailers survive, and no Content-Length stands beside them [M2]."""
        trailers = {"type": "http.response.trailers", "headers": [(b"server-timing", b"x")], "more_trailers": False}
        bodies = [body(TEXT, more_body=True), body(b"")] if streamed else [body()]
        app = sending(start((b"content-length", b"3200"), trailers=True), *bodies, trailers)
        result = await http(CompressionMiddleware(app), headers=accepting(coding))
        assert result.sent[0]["trailers"] is True
        assert result.header(b"content-length") is None
        assert decode(coding, result.body) == TEXT
        assert result.sent[-1] is trailers

    async def test_a_body_from_a_thread_with_trailers(self, coding, sending, start, body, decode):
        """Where the body is encoded makes no difference [M2]."""
        app = sending(start((b"content-length", b"3200"), trailers=True), body())
        result = await http(CompressionMiddleware(app, thread_minimum_size=1), headers=accepting(coding))
        assert result.header(b"content-length") is None
        assert decode(coding, result.body) == TEXT

    async def test_no_trailers_is_said_in_two_ways(self, coding, sending, start, body):
        """A head that says ``trailers=False`` keeps its length [M2]."""
        result = await http(CompressionMiddleware(sending(start(trailers=False), body())), headers=accepting(coding))
        assert result.header(b"content-length") == b"%d" % len(result.body)

    async def test_messages_within_a_stream_keep_their_place(self, coding, sending, start, body, decode):
        """A push between two chunks stays between them [M1]."""
        push = {"type": "http.response.push", "path": "/x", "headers": []}
        app = sending(start(), body(TEXT, more_body=True), push, body(TEXT))
        result = await http(CompressionMiddleware(app), headers=accepting(coding))
        assert result.types[2] == "http.response.push"
        assert decode(coding, result.body) == TEXT * 2


class TestFailures:
    """Apps that fail, start anew or say nothing."""

    @pytest.mark.parametrize("accept", ["gzip", "identity"])
    async def test_an_exception_passes_unchanged(self, accept):
        """The very exception of the app comes out [M7]."""
        error = RuntimeError("mine")

        async def app(scope, receive, send):
            raise error

        result = await http(CompressionMiddleware(app), headers=accepting(accept), raise_exceptions=False)
        assert result.exception is error
        assert result.sent == []

    async def test_nothing_is_sent_for_an_app_that_fails_before_its_body(self, start):
        """An outer error handler can still answer 500 [M7]."""

        async def app(scope, receive, send):
            await send(start())
            raise RuntimeError("too early")

        result = await http(CompressionMiddleware(app), headers=accepting("gzip"), raise_exceptions=False)
        assert result.sent == []

    @pytest.mark.parametrize("status", [500, 204])
    async def test_a_second_start_replaces_a_held_one(self, status, sending, start, body):
        """An inner error handler may begin anew while nothing is out [M7]."""
        app = sending(start(), start(status=status), body(b""))
        result = await http(CompressionMiddleware(app), headers=accepting("gzip"))
        assert result.types == ["http.response.start", "http.response.body"]
        assert result.status == status

    async def test_a_head_after_one_that_the_predicate_has_broken_is_judged(self, coding, start, body, decode):
        """What the predicate raises comes out of the app's send, and the head that replaces it is a head like any."""

        def broken(scope, status, headers):
            if status == 200:
                raise RuntimeError("mine")
            return True

        async def app(scope, receive, send):
            with pytest.raises(RuntimeError, match="mine"):
                await send(start())
            await send(start(status=500))
            await send(body())

        result = await http(CompressionMiddleware(app, predicate=broken), headers=accepting(coding))
        assert (result.status, result.header(b"vary")) == (500, b"Accept-Encoding")
        assert decode(coding, result.body) == TEXT

    async def test_a_head_without_a_body_is_released_at_the_end(self, sending, start):
        """An app that returns without a body has sent its head: the server decides what that means."""
        result = await http(CompressionMiddleware(sending(start())), headers=accepting("gzip"))
        assert result.types == ["http.response.start"]
        assert result.header(b"vary") == b"Accept-Encoding"

    async def test_a_body_behind_a_released_head_is_plain(self, start, body):
        """A task that outlives the app sends its body under the head that went out when the app returned."""
        kept = []

        async def app(scope, receive, send):
            kept.append(send)
            await send(start())

        sent = []

        async def send(message):
            sent.append(message)

        await CompressionMiddleware(app)(http_scope(headers=accepting("gzip")), None, send)
        await kept[0](body())
        assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
        assert (b"content-encoding", b"gzip") not in sent[0]["headers"]
        assert sent[1]["body"] == TEXT

    async def test_a_body_without_a_head_is_the_servers_business(self, sending, body):
        """A message out of order passes as it is."""
        message = body()
        result = await http(CompressionMiddleware(sending(message)), headers=accepting("gzip"))
        assert result.sent == [message]
        assert result.sent[0] is message

    async def test_an_error_of_the_server_comes_out(self, start, body):
        """An OSError of the server's send reaches the app unchanged."""
        error = OSError("client left")
        caught = []

        async def app(scope, receive, send):
            await send(start())
            try:
                await send(body(TEXT, more_body=True))
            except OSError as raised:
                caught.append(raised)

        async def send(message):
            raise error

        await CompressionMiddleware(app)(http_scope(headers=accepting("gzip")), None, send)
        assert caught == [error]


class TestPassingThrough:
    """What is not an HTTP request, and what another copy has taken."""

    async def test_other_scopes_pass_with_the_very_objects(self):
        """WebSocket, lifespan and unknown scopes are the app's alone [N6]."""
        seen = []

        async def app(*arguments):
            seen.append(arguments)

        async def receive():
            raise AssertionError

        async def send(message):
            raise AssertionError

        wrapped = CompressionMiddleware(app)
        for kind in ("websocket", "lifespan", "not_invented_yet"):
            scope = {"type": kind}
            await wrapped(scope, receive, send)
            assert all(given is got for given, got in zip((scope, receive, send), seen.pop(), strict=True))
            assert scope == {"type": kind}

    async def test_websocket_and_lifespan_work(self):
        """A WebSocket echo and a lifespan run through unchanged [N6]."""

        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                await receive()
                await send({"type": "lifespan.startup.complete"})
                return
            await receive()
            await send({"type": "websocket.accept"})
            message = await receive()
            await send({"type": "websocket.send", "text": message["text"]})

        wrapped = CompressionMiddleware(app)
        assert (await websocket(wrapped, messages=["hello"])).messages == ["hello"]
        assert (await lifespan(wrapped)).types == ["lifespan.startup.complete"]

    async def test_nested_copies_encode_once(self, coding, sending, start, body, decode):
        """The outer copy encodes, the inner one steps aside, for whole bodies and streams [M9]."""
        for messages in ([body()], [body(TEXT, more_body=True), body(b"")]):
            scope, exchange = enter(http_scope(headers=accepting(coding)))
            app = CompressionMiddleware(CompressionMiddleware(sending(start(), *messages)))
            result = await drive(app, scope)
            assert exchange.compression.encoding == coding
            assert exchange.compression.original_size == len(TEXT)
            assert result.header_all(b"content-encoding") == [coding.encode()]
            assert result.header_all(b"vary") == [b"Accept-Encoding"]
            assert decode(coding, result.body) == TEXT

    async def test_copies_without_an_exchange_encode_once(self, coding, sending, start, body, decode):
        """Alone, the inner copy encodes, and the outer one sees an encoded response [M9]."""
        for messages in ([body()], [body(TEXT, more_body=True), body(b"")]):
            app = CompressionMiddleware(
                CompressionMiddleware(sending(start((b"etag", b'"a"')), *messages), etag="suffix"), etag="suffix"
            )
            result = await http(app, headers=accepting(coding))
            assert result.header_all(b"content-encoding") == [coding.encode()]
            assert result.header_all(b"vary") == [b"Accept-Encoding"]
            assert result.header_all(b"etag") == [b'"a-%b"' % coding.encode()]
            assert decode(coding, result.body) == TEXT

    async def test_the_outer_copy_decides_alone(self, sending, start, body):
        """With an Exchange to agree by, what the outer copy leaves plain stays plain [M9]."""
        inner = CompressionMiddleware(sending(start(), body()))
        app = CompressionMiddleware(inner, exclude_content_types=["application/json"])
        scope, _ = enter(http_scope(headers=accepting("gzip")))
        result = await drive(app, scope)
        assert result.body == TEXT
        assert result.header(b"content-encoding") is None

    async def test_a_copy_with_a_listener_decides_alone(self, sending, start, body):
        """The Exchange that a listener needs is one to agree by [M9]."""
        inner = CompressionMiddleware(sending(start(), body()))
        app = CompressionMiddleware(
            inner, exclude_content_types=["application/json"], on_complete=lambda scope, figures: None
        )
        result = await http(app, headers=accepting("gzip"))
        assert result.body == TEXT
        assert result.header(b"content-encoding") is None

    async def test_an_excluded_path_leaves_it_to_the_inner_copy(self, sending, start, body, decode):
        """A copy that does not look at a path does not claim it either [M9]."""
        app = CompressionMiddleware(CompressionMiddleware(sending(start(), body())), exclude_paths=["/"])
        result = await http(app, headers=accepting("gzip"))
        assert decode("gzip", result.body) == TEXT

    async def test_the_callers_scope_is_not_touched(self, coding, sending, start, body):
        """The scope and its headers are the same after the call, in every mode [H10]."""
        scope = http_scope(
            headers=[*accepting(coding), (b"if-match", b'"a-br"'), (b"range", b"bytes=0-"), (b"if-range", b"x")],
            extensions={"http.response.zerocopysend": {}},
        )
        before = {key: value.copy() if isinstance(value, dict | list) else value for key, value in scope.items()}
        await drive(CompressionMiddleware(sending(start(), body()), etag="suffix"), scope)
        assert before == scope

    async def test_interleaved_requests_do_not_mix(self, start, body, decode):
        """Two requests on one instance, chunk by chunk in turn, give what two in a row give."""

        async def app(scope, receive, send):
            await send(start())
            for _ in range(20):
                await send(body(scope["path"].encode() * 50, more_body=True))
                await anyio.lowlevel.checkpoint()
            await send(body(b""))

        wrapped = CompressionMiddleware(app)
        results = {}

        async def run(path, coding):
            results[path] = decode(coding, (await http(wrapped, path=path, headers=accepting(coding))).body)

        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(run, f"/{number}", ["gzip", "br", "zstd"][number % 3])
        assert results == {f"/{number}": b"/%d" % number * 1000 for number in range(6)}
