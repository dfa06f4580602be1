"""Files handed over by their path: encoded siblings, encoding on the way, and what HEAD may say."""

import os

import pytest

from asgi_middleware._core.exchange import enter
from asgi_middleware.compression import CompressionMiddleware
from asgi_middleware.compression.files import find_sibling, zstd_window
from asgi_middleware.testing.driver import http, http_scope

try:
    from compression import zstd
except ImportError:
    from backports import zstd

pytestmark = pytest.mark.anyio

TEXT = b"the quick brown fox jumps over the lazy dog\n" * 100
LARGE = b"".join(b'{"number": %d, "square": %d}\n' % (n, n * n) for n in range(30_000))
PATHSEND = {"http.response.pathsend": {}}
SUFFIXES = {"gzip": ".gz", "br": ".br", "zstd": ".zst"}


@pytest.fixture
def page(tmp_path):
    """A file of text."""
    path = tmp_path / "page.html"
    path.write_bytes(TEXT)
    return path


@pytest.fixture
def sending_file(start):
    """Make an app that hands a file over by its path, as Starlette's FileResponse does."""

    def make(path, *headers):
        async def app(scope, receive, send):
            length = (b"content-length", b"%d" % path.stat().st_size)
            await send(start(length, (b"accept-ranges", b"bytes"), *headers, content_type=b"text/html"))
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                await send({"type": "http.response.pathsend", "path": str(path)})

        return app

    return make


async def ask(app, accept, method="GET", **options):
    seen = []
    wrapped = CompressionMiddleware(app, on_complete=lambda scope, figures: seen.append(figures), **options)
    result = await http(wrapped, method, headers=[(b"accept-encoding", accept.encode())], extensions=PATHSEND)
    return result, seen[0]


def beside(path, coding, data=b"encoded", *, age=0.0):
    sibling = path.with_name(path.name + SUFFIXES[coding])
    sibling.write_bytes(zstd.compress(TEXT) if coding == "zstd" and data == b"encoded" else data)
    changed = path.stat().st_mtime_ns - int(age * 1e9)
    os.utime(sibling, ns=(changed, changed))
    return sibling


class TestSiblings:
    """``pathsend="siblings"``."""

    async def test_the_encoded_file_is_sent(self, coding, page, sending_file):
        """The server gets the path of the encoded file, under a head that is true of it [M1]."""
        sibling = beside(page, coding)
        app = sending_file(page, (b"etag", b'"a"'))
        result, figures = await ask(app, coding, pathsend="siblings")
        assert result.types == ["http.response.start", "http.response.pathsend"]
        assert result.sent[1]["path"] == str(sibling)
        assert result.header_all(b"content-encoding") == [coding.encode()]
        assert result.header_all(b"content-length") == [b"%d" % sibling.stat().st_size]
        assert result.header(b"accept-ranges") is None
        assert result.header(b"etag") == b'W/"a"'
        assert result.header_all(b"vary") == [b"Accept-Encoding"]
        assert figures[:3] == (coding, len(TEXT), sibling.stat().st_size)

    async def test_the_best_liked_that_is_there(self, page, sending_file):
        """Of the codings that the client takes, the first with a file wins, and no other is looked at."""
        beside(page, "gzip")
        sibling = beside(page, "br")
        result, _ = await ask(sending_file(page), "zstd, br, gzip", pathsend="siblings")
        assert result.sent[1]["path"] == str(sibling)
        result, _ = await ask(sending_file(page), "zstd", pathsend="siblings")
        assert result.sent[1]["path"] == str(page)

    @pytest.mark.parametrize("mode", ["forward", "siblings"])
    async def test_without_one_the_file_goes_out_as_it_is(self, mode, coding, page, sending_file):
        """No sibling, an older one, or the option unset: the very message passes, with Vary."""
        beside(page, coding, age=10)
        result, figures = await ask(sending_file(page), coding, pathsend=mode)
        assert result.sent[1]["path"] == str(page)
        assert result.header(b"content-encoding") is None
        assert result.header(b"content-length") == b"%d" % len(TEXT)
        assert result.header(b"vary") == b"Accept-Encoding"
        assert figures.skip_reason == "raw_send"

    async def test_a_folder_or_a_wide_window_is_no_sibling(self, page):
        """A folder of that name, and a .zst that browsers refuse, are passed over [C1]."""
        (page.parent / "page.html.br").mkdir()
        parameter = zstd.CompressionParameter
        wide = zstd.ZstdCompressor(options={parameter.compression_level: 1, parameter.window_log: 24})
        beside(page, "zstd", wide.compress(TEXT) + wide.flush())
        assert find_sibling(str(page), [b"br", b"zstd"]) is None
        beside(page, "zstd", zstd.compress(TEXT, 19))
        assert find_sibling(str(page), [b"br", b"zstd"]).coding == b"zstd"

    async def test_an_empty_file_is_no_sibling(self, coding, page):
        """A file that has just been opened to be written would be served as a body that nobody can decode."""
        beside(page, coding, b"")
        assert find_sibling(str(page), [coding.encode()]) is None

    @pytest.mark.parametrize(
        ("head", "expected"),
        [
            (b"", None),
            (b"\x1f\x8b\x08\x00\x00\x00", None),
            (b"\x28\xb5\x2f\xfd\x00\x58", 2 * 1024 * 1024),
            (b"\x28\xb5\x2f\xfd\x00\x69", 9 * 1024 * 1024),
            (b"\x28\xb5\x2f\xfd\x20\x05", 5),
            (b"\x28\xb5\x2f\xfd\x60\x00\x01", 512),
            (b"\x28\xb5\x2f\xfd\xa3\xff\xff\xff\xff\x00\x00\x10\x00", 1024 * 1024),
        ],
    )
    def test_windows_are_read(self, head, expected):
        """The window comes from the descriptor, or is the content's size (RFC 8878 3.1.1.1) [C1]."""
        assert zstd_window(head) == expected

    @pytest.mark.parametrize("mode", ["siblings", "encode"])
    async def test_trailers_stand_beside_no_length(self, mode, coding, page, start):
        """A sibling and a file of one step lose their length where trailers follow [M2]."""
        if mode == "siblings":
            beside(page, coding)

        async def app(scope, receive, send):
            await send(start((b"content-length", b"4400"), content_type=b"text/html", trailers=True))
            await send({"type": "http.response.pathsend", "path": str(page)})

        result, _ = await ask(app, coding, pathsend=mode)
        assert result.header(b"content-encoding") == coding.encode()
        assert result.header(b"content-length") is None

    async def test_what_follows_a_file_is_the_servers_business(self, coding, page, sending_file, start):
        """A head out of order reaches the server at once, which says what it thinks of it."""
        beside(page, coding)
        late = start(status=500)

        async def app(scope, receive, send):
            await sending_file(page)(scope, receive, send)
            await send(late)
            await send({"type": "http.response.trailers", "headers": []})

        result, _ = await ask(app, coding, pathsend="siblings")
        assert result.types[2:] == ["http.response.start", "http.response.trailers"]
        assert result.sent[2] is late

    async def test_a_missing_file_fails_as_it_would_have(self, tmp_path, start):
        """The error of a path that leads nowhere comes out of the app's send, with nothing sent [M7]."""

        async def app(scope, receive, send):
            await send(start())
            await send({"type": "http.response.pathsend", "path": str(tmp_path / "none")})

        wrapped = CompressionMiddleware(app, pathsend="siblings")
        result = await http(
            wrapped, headers=[(b"accept-encoding", b"gzip")], extensions=PATHSEND, raise_exceptions=False
        )
        assert isinstance(result.exception, FileNotFoundError)
        assert result.sent == []


class TestEncoding:
    """``pathsend="encode"``."""

    async def test_a_small_file_gets_its_length(self, coding, page, sending_file, decode):
        """A file of one step is encoded whole."""
        result, figures = await ask(sending_file(page), coding, pathsend="encode")
        assert decode(coding, result.body) == TEXT
        assert result.header(b"content-length") == b"%d" % len(result.body)
        assert figures[:3] == (coding, len(TEXT), len(result.body))

    async def test_the_figures_are_there_when_the_last_part_passes(self, coding, tmp_path, sending_file):
        """Who stands further out reads them at the end of the body, and those so far when the client leaves."""
        path = tmp_path / "large.html"
        path.write_bytes(LARGE)
        scope, exchange = enter(http_scope(headers=[(b"accept-encoding", coding.encode())], extensions=PATHSEND))
        seen = []

        async def send(message):
            seen.append(exchange.compression)

        app = CompressionMiddleware(sending_file(path), pathsend="encode")
        await app(scope, None, send)
        assert seen[-1] == exchange.compression
        assert seen[-1][:2] == (coding, len(LARGE))

        async def leave(message):
            if message["type"] == "http.response.body":
                raise OSError("client left")

        scope, exchange = enter(http_scope(headers=[(b"accept-encoding", coding.encode())], extensions=PATHSEND))
        with pytest.raises(OSError, match="client left"):
            await app(scope, None, leave)
        assert exchange.compression[:2] == (coding, 262_144)

    async def test_a_large_file_is_a_stream(self, coding, tmp_path, sending_file, decode):
        """A file of several steps comes out in as many messages, the last one ending it."""
        path = tmp_path / "large.html"
        path.write_bytes(LARGE)
        result, figures = await ask(sending_file(path), coding, pathsend="encode")
        assert decode(coding, result.body) == LARGE
        assert [message["more_body"] for message in result.sent[1:]] == [True] * (len(LARGE) // 262_144) + [False]
        assert result.header(b"content-length") is None
        assert figures[:3] == (coding, len(LARGE), len(result.body))

    async def test_a_sibling_saves_the_work(self, coding, page, sending_file):
        """An encoded file that stands there is preferred."""
        sibling = beside(page, coding)
        result, _ = await ask(sending_file(page), coding, pathsend="encode")
        assert result.sent[1]["path"] == str(sibling)

    async def test_what_gets_no_smaller_is_sent_by_path(self, coding, page, sending_file):
        """Noise, and files below the minimum, go out as they were [H11]."""
        for data in (os.urandom(2000), b"small"):
            page.write_bytes(data)
            result, _ = await ask(sending_file(page), coding, pathsend="encode")
            assert result.types[1] == "http.response.pathsend"
            assert result.header(b"content-encoding") is None

    async def test_a_file_that_changes_ends_the_response(self, tmp_path, sending_file):
        """Half of one version is never followed by half of another."""
        path = tmp_path / "large.html"
        path.write_bytes(LARGE)
        sent = []

        async def receive():
            raise AssertionError

        async def send(message):
            sent.append(message)
            if len(sent) == 2:
                path.write_bytes(LARGE + b"more")

        from asgi_middleware.testing.driver import http_scope

        scope = http_scope(headers=[(b"accept-encoding", b"gzip")], extensions=PATHSEND)
        with pytest.raises(OSError, match="has changed"):
            await CompressionMiddleware(sending_file(path), pathsend="encode")(scope, receive, send)
        assert len(sent) == 2


class TestHead:
    """HEAD behind a server that sends files by their path [H8]."""

    @pytest.mark.parametrize("mode", ["forward", "siblings", "encode"])
    @pytest.mark.parametrize(
        ("etag", "expected"), [("weak", b'W/"a"'), ("suffix", None), ("drop", None), ("keep", b'"a"')]
    )
    async def test_says_nothing_that_get_might_not(self, mode, etag, expected, coding, page, sending_file):
        """Whether GET would be a file or a body is not known: no coding, no length, no strong tag of one of them."""
        app = sending_file(page, (b"etag", b'"a"'))
        result, figures = await ask(app, coding, "HEAD", pathsend=mode, etag=etag)
        assert result.body == b""
        assert result.header(b"content-encoding") is None
        assert result.header(b"content-length") is None
        assert result.header(b"accept-ranges") is None
        assert result.header(b"etag") == expected
        assert result.header(b"vary") == b"Accept-Encoding"
        assert figures.skip_reason == "raw_send"

    @pytest.mark.parametrize(("mode", "length"), [("forward", b"4400"), ("siblings", b"4400"), ("encode", None)])
    async def test_an_app_that_hands_the_file_over_for_head_too(self, mode, length, coding, page, start):
        """The message passes, no byte is read, and the head says no length that GET might not (RFC 9110 8.6)."""

        async def app(scope, receive, send):
            await send(start((b"content-length", b"4400"), content_type=b"text/html"))
            await send({"type": "http.response.pathsend", "path": str(page)})

        result, figures = await ask(app, coding, "HEAD", pathsend=mode)
        assert result.types == ["http.response.start", "http.response.pathsend"]
        assert result.header(b"content-encoding") is None
        assert result.header(b"content-length") == length
        assert result.header(b"vary") == b"Accept-Encoding"
        assert figures.skip_reason == "raw_send"

    async def test_reads_names_in_any_case(self, coding, sending, start, body):
        """A length, a range unit and a tag in capitals are found as well."""
        head = start((b"Content-Length", b"4400"), (b"Accept-Ranges", b"bytes"), (b"ETag", b'"a"'), (b"X-Own", b"1"))
        result, _ = await ask(sending(head, body(b"")), coding, "HEAD")
        assert result.sent[0]["headers"] == [
            (b"content-type", b"application/json"),
            (b"ETag", b'W/"a"'),
            (b"X-Own", b"1"),
            (b"vary", b"Accept-Encoding"),
        ]

    async def test_of_lines_says_the_coding_of_their_stream(self, sending, start, body):
        """What GET would stream in the cheapest coding, HEAD says to be in that one [M5]."""
        app = sending(start(content_type=b"application/x-ndjson"), body(TEXT))
        result, _ = await ask(app, "gzip, br, zstd", "HEAD")
        assert result.header(b"content-encoding") == b"gzip"
        assert result.body == b""

    async def test_says_what_is_known(self, coding, sending, start, body):
        """An app that answers HEAD with the body of GET sends no file: the head is that of GET."""
        app = sending(start((b"content-length", b"4400")), body(TEXT))
        result, _ = await ask(app, coding, "HEAD")
        assert result.header(b"content-encoding") == coding.encode()
        assert result.header(b"content-length") is None
        assert result.body == b""

    async def test_small_ones_keep_their_length(self, coding, page, sending_file):
        """What is too small to be encoded either way stays as it was."""
        page.write_bytes(b"small")
        result, _ = await ask(sending_file(page), coding, "HEAD")
        assert result.header(b"content-length") == b"5"
