"""Writing: lines one by one and in bulk, and the fast road of the access event."""

import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextvars import Context
from typing import Any

import pytest
import structlog
from small_apps import echo, hello

from asgi_middleware._core.exchange import Exchange, add_fields, current_exchange
from asgi_middleware.logging import LoggingMiddleware, configure_structlog, flush_log
from asgi_middleware.logging import writing as module
from asgi_middleware.logging.fast_road import open_road
from asgi_middleware.logging.writing import BufferedLines, DirectLines, close_buffers
from asgi_middleware.testing import http, websocket


@pytest.fixture
def stream() -> io.TextIOWrapper:
    """Give a text stream over bytes."""
    return io.TextIOWrapper(io.BytesIO(), encoding="ascii")


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Leave no thread behind."""
    yield
    close_buffers()


def content(stream: io.TextIOWrapper) -> bytes:
    """Give what was written."""
    return stream.buffer.getvalue()  # type: ignore[attr-defined,no-any-return]


class TestBuffer:
    def test_waits(self, stream: io.TextIOWrapper) -> None:
        """Lines wait until they are flushed."""
        lines = BufferedLines(stream)
        lines.write(b"one\n")
        assert content(stream) == b""
        flush_log()
        assert content(stream) == b"one\n"

    def test_size(self, stream: io.TextIOWrapper) -> None:
        """Much is written at once, in whole lines."""
        lines = BufferedLines(stream)
        for _ in range(70):
            lines.write(b"x" * 999 + b"\n")
        assert len(content(stream)) == 66_000

    def test_urgent(self, stream: io.TextIOWrapper) -> None:
        """An error is written at once, behind what waits."""
        lines = BufferedLines(stream)
        lines.write(b"one\n")
        lines.write_now(b"two\n")
        assert content(stream) == b"one\ntwo\n"

    def test_time(self, stream: io.TextIOWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
        """What has waited for long enough is written by a thread, again and again."""
        monkeypatch.setattr(module, "_LONGEST_WAIT", 0.01)
        lines = BufferedLines(stream)
        written = threading.Event()
        real = lines.flush_quietly

        def flush() -> None:
            real()
            written.set()

        monkeypatch.setattr(lines, "flush_quietly", flush)
        for count in (1, 2):
            written.clear()
            lines.write(b"x\n")
            assert written.wait(5)
            assert content(stream) == b"x\n" * count

    def test_what_cannot_be_written(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Lines that cannot be written are dropped, counted and told once; the buffer does not grow."""
        stream = io.TextIOWrapper(io.BytesIO())
        lines = BufferedLines(stream)
        stream.close()
        for _ in range(3):
            lines.write(b"x\n")
            lines.flush_quietly()
        assert lines._waiting == []
        assert lines._failures.count == 3
        assert capsys.readouterr().err.count("asgi_middleware:") == 1

    def test_threads(self, stream: io.TextIOWrapper) -> None:
        """No line of any thread is lost or cut."""
        lines = BufferedLines(stream)
        writers = [threading.Thread(target=lambda: [lines.write(b"12345678\n") for _ in range(2000)]) for _ in range(4)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        lines.flush()
        assert content(stream) == b"12345678\n" * 8000


def run(program: str) -> str:
    """Run a program that writes to its standard output, and give that."""
    head = (
        "import os, sys, structlog\nfrom asgi_middleware.logging import configure_structlog, flush_log\n"
        "configure_structlog(buffered=True)\nlog = structlog.get_logger()\n"
    )
    result = subprocess.run([sys.executable, "-c", head + program], capture_output=True, timeout=30, check=False)
    assert result.stderr == b""
    return " ".join(json.loads(line)["event"] for line in result.stdout.splitlines())


@pytest.mark.parametrize(
    ("program", "written"),
    [
        ("log.info('one')\nlog.info('two')", "one two"),
        ("log.info('one')\nos._exit(0)", ""),
        ("log.info('one')\nflush_log()\nos._exit(0)", "one"),
        ("log.info('one')\nlog.error('two')\nos._exit(0)", "one two"),
        ("import logging\nlog.info('one')\nlogging.getLogger().info('two')\nlog.info('three')", "one two three"),
    ],
    ids=["exit", "hard exit", "flushed", "error", "both kinds in order"],
)
def test_the_end_of_a_process(program: str, written: str) -> None:
    """What waits is written at exit and behind an error; a hard exit loses it unless it is flushed."""
    assert run(program) == written


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.may_skip("Windows has no fork")
def test_fork() -> None:
    """What waits is written once, by the parent; the child's lines are written, too."""
    program = (
        "import warnings\nwarnings.simplefilter('ignore')\nlog.info('one')\n"
        "if os.fork() == 0:\n    log.info('two')\n    sys.exit()\nos.wait()\nlog.info('three')"
    )
    assert run(program) == "one two three"


class TestFailOpen:
    @pytest.mark.usefixtures("logging_state")
    def test_an_unwritable_log_fails_no_handler(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A log call of the application on a closed stream is counted, not raised [3.4]."""
        stream = io.StringIO()
        configure_structlog(stream=stream)
        stream.close()
        log = structlog.get_logger()
        log.info("one")
        log.error("two")
        assert capsys.readouterr().err.count("asgi_middleware:") == 1


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer as the path says."""
    if scope["type"] == "websocket":
        await echo(scope, receive, send)
        return
    add_fields(user="é\n", number=1)
    if scope["path"] == "/bound":
        structlog.contextvars.bind_contextvars(cart=7)
    await send({"type": "http.response.start", "status": 404 if scope["path"] == "/absent" else 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})
    if scope["path"] == "/raises":
        raise ValueError


@pytest.mark.anyio
@pytest.mark.usefixtures("logging_state")
class TestFastRoad:
    @pytest.mark.parametrize("schema", ["flat", "ecs"])
    @pytest.mark.parametrize("path", ["/", "/bound", "/raises", "/absent"])
    async def test_the_line_is_the_same(self, path: str, schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The fast road and structlog's chain write the same line."""
        found = []
        for logger in (None, structlog.get_logger("asgi.access")):
            stream = io.StringIO()
            configure_structlog(stream=stream, schema=schema)
            for name in ("middleware", "observation", "access_log"):
                monkeypatch.setattr(f"asgi_middleware.logging.{name}.perf_counter", lambda: 1.0)
            headers = [(b"x-request-id", b"abc"), (b"traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01")]
            await http(
                LoggingMiddleware(app, logger=logger, schema=schema), path=path, headers=headers, raise_exceptions=False
            )
            await websocket(LoggingMiddleware(app, logger=logger, schema=schema), headers=headers, messages=["x"])
            changing = {"timestamp", "@timestamp", "span_id", "span"}
            written = [json.loads(line) for line in stream.getvalue().splitlines()]
            found.append([{name: line[name] for name in line if name not in changing} for line in written])
            structlog.reset_defaults()
        for fast, slow in zip(*found, strict=True):
            assert fast == slow
        assert len(found[0]) == 2
        if path == "/bound":
            assert found[0][0]["cart"] == 7

    async def test_level(self) -> None:
        """The level is asked."""
        stream = io.StringIO()
        configure_structlog(stream=stream, level="warning")
        wrapped = LoggingMiddleware(app)
        await http(wrapped)
        await websocket(wrapped, messages=["x"])
        await http(wrapped, path="/absent")
        assert [json.loads(line)["status"] for line in stream.getvalue().splitlines()] == [404]

    async def test_captured(self) -> None:
        """What captures or replaces structlog's processors gets the event, and the road opens again afterwards."""
        stream = io.StringIO()
        configure_structlog(stream=stream)
        wrapped = LoggingMiddleware(app)
        with structlog.testing.capture_logs() as lines:
            await http(wrapped)
        assert (lines[0]["event"], stream.getvalue()) == ("http.request", "")
        await http(wrapped)
        assert stream.getvalue().count("\n") == 1

    async def test_captured_from_within(self) -> None:
        """Processors that are replaced while a request is on its way get its event, too."""
        stream, lines = io.StringIO(), structlog.testing.LogCapture()
        configure_structlog(stream=stream)

        async def captures(scope: Any, receive: Any, send: Any) -> None:
            structlog.get_config()["processors"][:] = [lines]
            await hello(scope, receive, send)

        await http(LoggingMiddleware(captures))
        assert ([entry["event"] for entry in lines.entries], stream.getvalue()) == (["http.request"], "")

    async def test_ids_for_replaced_processors(self) -> None:
        """While somebody else's processors stand in the chain, the ids are bound where those look for them."""
        configure_structlog(stream=io.StringIO())
        seen: list[Any] = []

        async def notes(scope: Any, receive: Any, send: Any) -> None:
            seen.append(structlog.contextvars.get_contextvars())
            await hello(scope, receive, send)

        with structlog.testing.capture_logs() as lines:
            await http(LoggingMiddleware(notes))
        assert seen[0]["request_id"] == lines[0]["request_id"]

    @pytest.mark.parametrize("internals", [True, False])
    def test_an_empty_chain(self, internals: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """The road is closed while the chain has no processors, by whichever way structlog is asked for it."""
        if not internals:  # as where a later structlog keeps its configuration elsewhere
            monkeypatch.setattr("asgi_middleware.logging.fast_road._configuration", None)
        configure_structlog(stream=io.StringIO())
        road, chain = open_road(), structlog.get_config()["processors"]
        assert road is not None
        held = chain[:]
        chain.clear()
        assert (open_road(), road.is_clear()) == (None, False)
        chain += held
        assert (open_road(), road.is_clear()) == (road, True)

    def test_one_bound_variable(self) -> None:
        """Anything bound beside the request itself closes the road, also where the context holds nothing else."""
        configure_structlog(stream=io.StringIO())
        road = open_road()
        assert road is not None

        def request() -> list[bool]:
            current_exchange.set(Exchange())
            alone = road.is_clear()
            structlog.contextvars.bind_contextvars(cart=7)
            return [alone, road.is_clear()]

        assert Context().run(request) == [True, False]

    async def test_configured_anew(self) -> None:
        """A configuration of the user's own takes over."""
        stream, own = io.StringIO(), io.StringIO()
        configure_structlog(stream=stream)
        structlog.configure(
            processors=[structlog.processors.JSONRenderer()], logger_factory=structlog.WriteLoggerFactory(own)
        )
        await http(LoggingMiddleware(app))
        assert stream.getvalue() == ""
        assert json.loads(own.getvalue())["status"] == 200

    @pytest.mark.parametrize("path", ["/", "/absent"])
    async def test_urgent_lines(self, path: str, stream: io.TextIOWrapper) -> None:
        """A line of level error waits in no buffer, and takes with it what waits; by whichever road it goes."""
        configure_structlog(stream=stream, buffered=True, capture_server_logs=False)
        await http(LoggingMiddleware(app), path=path)
        assert content(stream) == b""
        await http(LoggingMiddleware(app, level=lambda _: "error"), path=path)
        assert content(stream).count(b"\n") == 2

    async def test_a_logger_of_ones_own(self) -> None:
        """What is bound to a logger of one's own stands on the lines that it writes."""
        stream = io.StringIO()
        configure_structlog(stream=stream)
        await http(LoggingMiddleware(hello, logger=structlog.get_logger("asgi.access").bind(service="shop")))
        assert json.loads(stream.getvalue())["service"] == "shop"

    async def test_ids_of_other_lines(self) -> None:
        """Where the road is open the application's lines still carry the ids, by both kinds of loggers."""
        stream = io.StringIO()
        configure_structlog(stream=stream)

        async def logs(scope: Any, receive: Any, send: Any) -> None:
            structlog.get_logger().info("native")
            logging.getLogger("shop").info("standard")
            await hello(scope, receive, send)

        await http(LoggingMiddleware(logs), headers=[(b"x-request-id", b"abc")])
        assert [json.loads(line)["request_id"] for line in stream.getvalue().splitlines()] == ["abc"] * 3


def test_text_without_bytes_below() -> None:
    """A stream of text alone gets text."""
    stream = io.StringIO()
    DirectLines(stream).write("é\n".encode())
    assert stream.getvalue() == "é\n"
