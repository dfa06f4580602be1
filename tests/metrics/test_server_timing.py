"""ServerTimingMiddleware: strict syntax, only for whom it is enabled, nothing of the app's headers lost."""

import re
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_middleware import ConfigurationError, ServerTimingMiddleware, timing
from asgi_middleware._core.exchange import current_exchange
from asgi_middleware.metrics.server_timing import format_metric
from asgi_middleware.testing.driver import drive, http, http_scope, websocket

pytestmark = pytest.mark.anyio

# W3C Server Timing, "The Server-Timing Header Field", with RFC 9110 5.6.2 and 5.6.4.
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
METRIC = rf'{TOKEN};dur=\d+\.\d(;desc="(?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t \x21-\x7e])*")?'
FIELD = re.compile(rf"{METRIC}(?:, {METRIC})*")
LENGTH = (b"content-length", b"5")
LAST = {"type": "http.response.body", "body": b"hello", "more_body": False}
EXTENSIONS = {"http.response.trailers": {}}
TE = [(b"te", b"deflate, Trailers")]


def answering(*headers: tuple[bytes, bytes], status: int = 200, blocks: tuple[str, ...] = (), **keys: Any) -> Any:
    """Give an app that spends time in blocks and answers."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for name in blocks:
            with timing(name, f"the {name}"):
                pass
        await send({"type": "http.response.start", "status": status, "headers": tuple(headers), **keys})
        await send(LAST)

    return app


def field(result: Any, name: bytes = b"server-timing") -> list[str]:
    """Give the lines of a field."""
    return [value.decode() for value in result.header_all(name)]


class TestWhoSeesIt:
    @pytest.mark.parametrize("enabled", [False, lambda scope: False, lambda scope: 1 / 0], ids=["no", "not", "broken"])
    async def test_nobody(self, enabled: Any) -> None:
        """Off by default, and for whom the function does not say yes, also by raising [T41]."""
        for options in ({"enabled": enabled}, {}):
            app = ServerTimingMiddleware(answering(blocks=("db",)), timing_allow_origin="*", **options)
            result = await http(app)
            assert field(result) == field(result, b"timing-allow-origin") == []

    async def test_some(self) -> None:
        """A function decides for each request."""
        app = ServerTimingMiddleware(answering(LENGTH), enabled=lambda scope: scope["path"] == "/shown")
        assert [bool(field(await http(app, "GET", path))) for path in ("/shown", "/hidden")] == [True, False]


class TestTheHead:
    async def test_blocks_and_total(self) -> None:
        """Blocks come in the order of their first use, then the total; each is well formed [T39]."""
        app = ServerTimingMiddleware(answering(LENGTH, blocks=("db", "render", "db")), enabled=True)
        [line] = field(await http(app))
        assert FIELD.fullmatch(line)
        assert [metric.split(";")[0] for metric in line.split(", ")] == ["db", "render", "total"]
        assert 'desc="the db"' in line

    async def test_existing_lines_stay(self) -> None:
        """The app's own lines are kept as they are, also in a tuple; ours is one more [T40]."""
        own = (b"Server-Timing", b"cache;desc=hit")
        result = await http(ServerTimingMiddleware(answering(LENGTH, own), enabled=True))
        assert field(result)[0] == "cache;desc=hit"
        assert len(field(result)) == 2
        assert own in [(bytes(name), bytes(value)) for name, value in result.sent[0]["headers"]]

    @pytest.mark.parametrize(
        ("method", "status", "headers", "name"),
        [
            ("GET", 200, [LENGTH], "total"),
            ("GET", 200, [], "ttfb"),
            ("HEAD", 200, [], "total"),
            ("GET", 304, [], "total"),
            ("GET", 204, [], "total"),
        ],
    )
    async def test_the_name_of_the_whole(self, method: str, status: int, headers: Any, name: str) -> None:
        """Only a response that is about to end has its total in the head [T42]."""
        [line] = field(await http(ServerTimingMiddleware(answering(*headers, status=status), enabled=True), method))
        assert line.split(";")[0] == name

    async def test_nothing_to_tell(self) -> None:
        """Without blocks and without a total there is no header [T40]."""
        assert field(await http(ServerTimingMiddleware(answering(LENGTH), enabled=True, total=None))) == []

    async def test_a_block_without_a_name(self) -> None:
        """What has no name is left out, and nothing stands in its place."""
        [line] = field(await http(ServerTimingMiddleware(answering(LENGTH, blocks=("", "db")), enabled=True)))
        assert [metric.split(";")[0] for metric in line.split(", ")] == ["db", "total"]

    async def test_the_context_is_left_as_it_was(self) -> None:
        """After the response nothing of the request is current any more."""
        await http(ServerTimingMiddleware(answering(LENGTH), enabled=True))
        assert current_exchange.get() is None

    async def test_at_most(self) -> None:
        """No more metrics are sent than allowed, and the total is one of them."""
        app = answering(LENGTH, blocks=tuple(f"b{number}" for number in range(50)))
        [line] = field(await http(ServerTimingMiddleware(app, enabled=True, max_metrics=4)))
        assert [metric.split(";")[0] for metric in line.split(", ")] == ["b0", "b1", "b2", "total"]

    async def test_timing_allow_origin(self) -> None:
        """Other origins' scripts are let in only where they are named [T41]."""
        origins = ["https://a.example", "https://b.example:8443"]
        app = ServerTimingMiddleware(answering(LENGTH), enabled=True, timing_allow_origin=origins)
        assert field(await http(app), b"timing-allow-origin") == ["https://a.example, https://b.example:8443"]

    async def test_a_copy_further_in_steps_aside(self) -> None:
        """Two instances send one line."""
        inner = ServerTimingMiddleware(answering(LENGTH), enabled=True)
        assert len(field(await http(ServerTimingMiddleware(inner, enabled=True)))) == 1


class TestTrailers:
    async def test_a_stream(self) -> None:
        """The total of a stream follows in a trailer that the head announces [T42]."""
        app = ServerTimingMiddleware(answering(blocks=("db",)), enabled=True)
        result = await http(app, headers=TE, extensions=EXTENSIONS)
        assert result.types == ["http.response.start", "http.response.body", "http.response.trailers"]
        assert result.sent[0]["trailers"] is True
        assert field(result, b"trailer") == ["server-timing"]
        [(name, value)] = result.sent[2]["headers"]
        assert name == b"server-timing"
        assert FIELD.fullmatch(value.decode())
        assert [metric.split(";")[0] for metric in value.decode().split(", ")] == ["db", "total"]

    async def test_the_apps_own_trailers(self) -> None:
        """An application that sends trailers has ours among its last ones."""
        end = {"type": "http.response.trailers", "headers": [(b"digest", b"x")], "more_trailers": False}

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await answering(trailers=True)(scope, receive, send)
            await send({**end, "more_trailers": True})
            await send(end)

        result = await http(ServerTimingMiddleware(app, enabled=True), headers=TE, extensions=EXTENSIONS)
        assert [name for name, _ in result.sent[2]["headers"]] == [b"digest"]
        assert [name for name, _ in result.sent[3]["headers"]] == [b"digest", b"server-timing"]
        assert end["headers"] == [(b"digest", b"x")]

    async def test_the_apps_own_trailers_for_another_client(self) -> None:
        """Trailers of the application's own stay as they are where the client asked for none."""
        end = {"type": "http.response.trailers", "headers": [(b"digest", b"x")]}

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await answering(trailers=True)(scope, receive, send)
            await send(end)

        result = await http(ServerTimingMiddleware(app, enabled=True), extensions=EXTENSIONS)
        assert result.sent[2] == end

    async def test_one_trailer(self) -> None:
        """What an application sends behind its last message gets no second trailer."""
        sent: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await answering()(scope, receive, send)
            await send({"type": "http.response.body", "body": b"more"})

        async def send(message: Any) -> None:
            sent.append(message["type"].rpartition(".")[2])

        scope = http_scope(headers=TE, extensions=EXTENSIONS)
        await ServerTimingMiddleware(app, enabled=True)(scope, anyio.sleep_forever, send)
        assert sent == ["start", "body", "trailers", "body"]

    async def test_no_headers(self) -> None:
        """A scope without headers asks for no trailers."""
        scope = http_scope(extensions=EXTENSIONS)
        del scope["headers"]
        result = await drive(ServerTimingMiddleware(answering(), enabled=True), scope)
        assert result.types == ["http.response.start", "http.response.body"]

    @pytest.mark.parametrize(
        ("headers", "extensions", "options"),
        [([], EXTENSIONS, {}), ([(b"te", b"gzip")], EXTENSIONS, {}), (TE, {}, {}), (TE, None, {}),
         (TE, EXTENSIONS, {"trailers": False})],
        ids=["not asked for", "another coding", "not offered", "no extensions", "off"],
    )  # fmt: skip
    async def test_without(self, headers: Any, extensions: Any, options: dict[str, Any]) -> None:
        """Where server, client or option speaks no trailers the response is as it was."""
        app = ServerTimingMiddleware(answering(), enabled=True, **options)
        result = await http(app, headers=headers, extensions=extensions)
        assert result.types == ["http.response.start", "http.response.body"]
        assert "trailers" not in result.sent[0]


class TestSyntax:
    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (("db", 0.0123), b"db;dur=12.3"),
            (("db", 0.0), b"db;dur=0.0"),
            (("db", 1e-9), b"db;dur=0.0"),
            (("db", 1e6), b"db;dur=1000000000.0"),
            (("a b,c;d\r\nx: y", 0.1), b"a-b-c-d--x--y;dur=100.0"),
            (("caf\xe9", 0.1), b"caf-;dur=100.0"),
            (("", 0.1), b""),
            (("db", 0.1, 'say "hi" \\'), b'db;dur=100.0;desc="say \\"hi\\" \\\\"'),
            (("db", 0.1, "a\r\nset-cookie: x"), b'db;dur=100.0;desc="a??set-cookie: x"'),
            (("db", 0.1, "\u20ac"), b'db;dur=100.0;desc="?"'),
            (("db", 0.1, ""), b"db;dur=100.0"),
            (("db", -0.0), b"db;dur=0.0"),
            (("db", float("nan")), b"db;dur=0.0"),
        ],
    )
    def test_a_metric(self, arguments: Any, expected: bytes) -> None:
        """Names are tokens, durations plain decimals, descriptions quoted; nothing can break out [T39]."""
        assert format_metric(*arguments) == expected

    @given(st.text(min_size=1), st.floats(min_value=-1e9, max_value=1e9), st.none() | st.text())
    @settings(max_examples=100)
    def test_any_metric(self, name: str, seconds: float, description: str | None) -> None:
        """Whatever is given, what comes out matches the grammar [T39]."""
        assert re.fullmatch(METRIC, format_metric(name, seconds, description).decode("ascii"))


async def test_websockets_pass() -> None:
    """A WebSocket reaches the app with the very objects of the server."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        await send({"type": "websocket.accept"})

    result = await websocket(ServerTimingMiddleware(app, enabled=True))
    assert seen[0] is result.scope
    assert result.sent == [{"type": "websocket.accept"}]


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        ({"enabled": 1}, ["not_callable"]),
        ({"total": "a b"}, ["invalid_option"]),
        ({"total": ""}, ["invalid_option"]),
        ({"timing_allow_origin": "https://a.example"}, ["string_for_list"]),
        ({"timing_allow_origin": ["a.example", "https://a.example/path", "x\r\ny"]}, ["invalid_origin"] * 3),
        ({"trailers": None, "max_metrics": 0}, ["not_a_bool", "out_of_range"]),
    ],
)
def test_wrong_options(options: dict[str, Any], codes: list[str]) -> None:
    """Every wrong option is named at construction."""
    with pytest.raises(ConfigurationError) as raised:
        ServerTimingMiddleware(answering(), **options)
    assert [problem.code for problem in raised.value.problems] == codes
