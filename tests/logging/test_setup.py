"""configure_structlog: what is written, by whom, and how."""

import importlib
import io
import json
import logging
import logging.config
import subprocess
import sys
from typing import Any

import pytest
import structlog

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware._core.exchange import Exchange, current_exchange
from asgi_middleware.logging import LoggingMiddleware, configure_structlog, setup
from asgi_middleware.logging.timestamps import Timestamps
from asgi_middleware.testing import http

pytestmark = pytest.mark.usefixtures("logging_state")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Buffered:
    """A text stream over bytes, as standard output is, of an encoding that holds little."""

    def __init__(self) -> None:
        self.buffer = io.BytesIO()
        self.text = io.TextIOWrapper(self.buffer, encoding="ascii", write_through=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.text, name)


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    """Read the JSON lines of a stream."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def fail() -> None:
    """Raise with a secret in a local variable."""
    password = "CANARY"
    raise ValueError(len(password))


def test_json_for_structlog_and_standard_logging() -> None:
    """Both kinds of loggers write JSON lines of one shape, with time, level and event first."""
    stream = io.StringIO()
    configure_structlog(stream=stream)
    structlog.get_logger().info("native", answer=42)
    logging.getLogger("shop").warning("standard %s", "one", extra={"answer": 43})
    native, standard = written(stream)
    assert list(native)[:3] == list(standard)[:3] == ["timestamp", "level", "event"]
    assert native | {"timestamp": 0} == {"timestamp": 0, "level": "info", "event": "native", "answer": 42}
    assert standard["event"] == "standard one"
    assert (standard["level"], standard["logger"], standard["answer"]) == ("warning", "shop", 43)
    assert native["timestamp"].endswith("Z")


def test_levels() -> None:
    """Lines below the level are written by neither kind."""
    stream = io.StringIO()
    configure_structlog(stream=stream, level="warning")
    structlog.get_logger().info("no")
    logging.getLogger("shop").info("no")
    structlog.get_logger().error("yes")
    logging.getLogger("shop").error("yes")
    assert [line["event"] for line in written(stream)] == ["yes", "yes"]


def test_ids_on_every_line() -> None:
    """Both kinds of lines carry the ids of the request being served, and what was bound through structlog."""
    stream = io.StringIO()
    configure_structlog(stream=stream)
    exchange = Exchange()
    exchange.request_id = "abc"
    token = current_exchange.set(exchange)
    try:
        with structlog.contextvars.bound_contextvars(user_id=7):
            structlog.get_logger().info("native")
            logging.getLogger("shop").info("standard")
    finally:
        current_exchange.reset(token)
    assert [(line["request_id"], line["user_id"]) for line in written(stream)] == [("abc", 7), ("abc", 7)]


@pytest.mark.parametrize("as_json", [True, False])
def test_tracebacks_without_locals(as_json: bool) -> None:
    """A logged exception shows its traceback and no local variable, in both forms and of both kinds [3.4]."""
    stream = io.StringIO()
    configure_structlog(stream=stream, json=as_json)
    for log in (structlog.get_logger(), logging.getLogger("shop")):
        try:
            fail()
        except ValueError:
            log.exception("failed")
    text = stream.getvalue()
    assert text.count("Traceback (most recent call last):") == 2
    assert text.count("ValueError: 6") == 2
    assert "CANARY" not in text.replace('password = "CANARY"', "")
    assert '"message"' not in text


def test_stacks() -> None:
    """A stack is shown when a log call asks for it, that of the caller."""
    stream = io.StringIO()
    configure_structlog(stream=stream)
    structlog.get_logger().info("native", stack_info=True)
    logging.getLogger("shop").info("standard", stack_info=True)
    for line in written(stream):
        assert "in test_stacks" in line["stack"]
        assert "stack_info" not in line


@pytest.mark.parametrize(
    ("stream", "as_json", "is_json", "is_coloured"),
    [
        (io.StringIO(), None, True, False),
        (Terminal(), None, False, True),
        (Terminal(), True, True, False),
        (io.StringIO(), False, False, False),
    ],
    ids=["file", "terminal", "terminal, JSON wanted", "file, text wanted"],
)
def test_form(stream: io.StringIO, as_json: bool | None, is_json: bool, is_coloured: bool) -> None:
    """JSON where nobody watches, text on a terminal, coloured only there; the choice can be made."""
    configure_structlog(stream=stream, json=as_json)
    structlog.get_logger().info("hello")
    logging.getLogger("shop").info("hello")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert all(line.startswith("{") is is_json for line in lines)
    assert ("\x1b[" in stream.getvalue()) is is_coloured


def test_bytes_whatever_the_encoding() -> None:
    """On a stream over bytes JSON is written as UTF-8, even where the stream's own encoding could not."""
    stream = Buffered()
    configure_structlog(stream=stream)  # type: ignore[arg-type]
    structlog.get_logger().info("日本")
    assert json.loads(stream.buffer.getvalue())["event"] == "日本"


@pytest.mark.parametrize("as_json", [True, False])
def test_values_are_clean(as_json: bool) -> None:
    """No value of an application's own line breaks out either [3.4]."""
    stream = io.StringIO()
    configure_structlog(stream=stream, json=as_json)
    evil = "a\r\n2026 [error] forged\x1b[31m\x85\u2028\u202e\ud800"
    structlog.get_logger().info(evil, **{evil: evil, "nested": {evil: [evil]}, "big": 2**80, "": ""})
    logging.getLogger("shop").info(evil, extra={"value": evil})
    structlog.get_logger().info("x", exception=evil, stack=evil)
    structlog.get_logger().info(["not", "text"])
    lines = stream.getvalue().split("\n")
    if as_json:
        assert len(lines) == 5
    for line in lines:
        assert not line.startswith("2026 [error]")
        assert line.isprintable(), ascii(line)


def test_standard_library_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without orjson the standard library writes the same."""
    stream, other = io.StringIO(), io.StringIO()
    configure_structlog(stream=stream)
    structlog.get_logger().info("日本", n=1.5, more=[None, True])
    monkeypatch.setattr(setup, "_dumps", setup._standard_dumps)
    structlog.reset_defaults()
    configure_structlog(stream=other)
    structlog.get_logger().info("日本", n=1.5, more=[None, True])
    first, second = written(stream)[0], written(other)[0]
    assert first | {"timestamp": 0} == second | {"timestamp": 0}
    assert list(first) == list(second)
    assert "日本" in other.getvalue()


def test_orjson_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where orjson is not installed, the encoder is the standard library's."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    try:
        importlib.reload(setup)
        assert setup._dumps({"a": 1}) == b'{"a":1}\n'
        assert setup._dumps is setup._standard_dumps
    finally:
        monkeypatch.undo()
        importlib.reload(setup)


@pytest.mark.anyio
async def test_server_loggers() -> None:
    """Error logs of servers go through the chain; access logs are silent, even when a server sets them up again."""
    stream, elsewhere = io.StringIO(), io.StringIO()
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).addHandler(logging.StreamHandler(elsewhere))
    configure_structlog(stream=stream)
    logging.getLogger("uvicorn.error").error("broken", extra={"color_message": "\x1b[31mbroken"})
    logging.getLogger("uvicorn.access").info("GET /")
    logging.getLogger("uvicorn.access").addHandler(logging.StreamHandler(elsewhere))
    logging.getLogger("uvicorn.access").info("GET /")
    [line] = written(stream)
    assert (line["event"], line["logger"]) == ("broken", "uvicorn.error")
    assert "color_message" not in line
    assert elsewhere.getvalue() == ""


def test_a_server_logger_that_was_disabled() -> None:
    """A dictConfig in between, which disables the loggers that exist already, does not silence a server's errors."""
    stream = io.StringIO()
    logging.getLogger("uvicorn.error").disabled = True
    configure_structlog(stream=stream)
    logging.getLogger("uvicorn.error").error("broken")
    assert [line["event"] for line in written(stream)] == ["broken"]


def test_server_loggers_can_be_left_alone() -> None:
    """The loggers of servers are not touched when not asked for."""
    elsewhere = io.StringIO()
    logger = logging.getLogger("uvicorn.access")
    logger.addHandler(logging.StreamHandler(elsewhere))
    logger.setLevel("INFO")
    configure_structlog(stream=io.StringIO(), capture_server_logs=False)
    logger.info("GET /")
    assert elsewhere.getvalue() == "GET /\n"


def test_called_twice() -> None:
    """A second call replaces the first one's handler; handlers of other kinds stay."""

    class Own(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            """Do nothing."""

    own, first, second = Own(), io.StringIO(), io.StringIO()
    logging.getLogger().addHandler(own)
    configure_structlog(stream=first)
    configure_structlog(stream=second)
    logging.getLogger("shop").warning("once")
    assert first.getvalue() == ""
    assert len(written(second)) == 1
    assert own in logging.getLogger().handlers


@pytest.mark.parametrize(
    ("options", "named"),
    [({"json": "yes", "level": "loud"}, ["json", "level"]), ({"capture_server_logs": None}, ["capture_server_logs"])],
    ids=["two", "flag"],
)
def test_configuration_errors(options: dict[str, Any], named: list[str]) -> None:
    """Wrong options are told at once, and nothing is set up then."""
    before = structlog.get_config()
    with pytest.raises(ConfigurationError) as caught:
        configure_structlog(**options)
    assert [problem.option for problem in caught.value.problems] == named
    assert structlog.get_config() == before


@pytest.mark.anyio
async def test_one_id_on_all_lines() -> None:
    """The access line and both kinds of application lines of a request carry one id."""
    stream = io.StringIO()
    configure_structlog(stream=stream)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        structlog.get_logger().info("native")
        logging.getLogger("shop").info("standard")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    await http(LoggingMiddleware(app), headers=[(b"x-request-id", b"abc")])
    assert [(line["event"], line["request_id"]) for line in written(stream)] == [
        ("native", "abc"),
        ("standard", "abc"),
        ("http.request", "abc"),
    ]
    assert len({line["trace_id"] for line in written(stream)}) == 1


def test_standard_output_of_a_process() -> None:
    """By default lines go to standard output, as JSON where that is no terminal, in order."""
    program = (
        "import logging, structlog\n"
        "from asgi_middleware.logging import configure_structlog\n"
        "configure_structlog()\n"
        "structlog.get_logger().info('one')\n"
        "logging.getLogger().info('two')\n"
        "structlog.get_logger().info('three')\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert [json.loads(line)["event"] for line in result.stdout.splitlines()] == ["one", "two", "three"]
    assert result.stderr == ""


def test_timestamps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is UTC with six digits, whatever second came before."""
    stamp = Timestamps()
    found = []
    for now in (1_700_000_000.000_001_5, 1_700_000_000.999_999_5, 1_700_000_001.0, 1_699_999_999.5):
        monkeypatch.setattr("asgi_middleware.logging.timestamps.time.time", lambda now=now: now)
        found.append(stamp(None, "info", {})["timestamp"])
    assert found == [
        "2023-11-14T22:13:20.000001Z",
        "2023-11-14T22:13:20.999999Z",
        "2023-11-14T22:13:21.000000Z",
        "2023-11-14T22:13:19.500000Z",
    ]
