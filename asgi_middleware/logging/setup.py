"""configure_structlog: one readable set-up for structlog, the standard library's logging and the server's loggers.

Nothing else in this package needs it: the classes work with any structlog set-up, and with none.
"""

from __future__ import annotations

import json as json_module
import logging
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, TextIO

import structlog
from structlog.typing import Processor

from asgi_middleware._core.config import Problems
from asgi_middleware.logging.access_event import EVENTS, FIELDS
from asgi_middleware.logging.cleaning import clean_text, clean_value
from asgi_middleware.logging.context import add_request_context
from asgi_middleware.logging.endings import LEVELS
from asgi_middleware.logging.failures import Failures
from asgi_middleware.logging.fast_road import FastRoad, set_road
from asgi_middleware.logging.schemas import ENVELOPES, SCHEMAS
from asgi_middleware.logging.timestamps import Timestamps
from asgi_middleware.logging.tracebacks import format_exception
from asgi_middleware.logging.writing import BufferedLines, DirectLines, LineLogger, Lines, close_buffers

SERVER_LOGGERS: Final = (
    "uvicorn", "uvicorn.error", "uvicorn.asgi", "hypercorn.error", "gunicorn.error", "granian", "_granian", "daphne",
)  # fmt: skip
"""Loggers of servers whose lines are routed to the root logger."""

ACCESS_LOGGERS: Final = ("uvicorn.access", "hypercorn.access", "gunicorn.access", "granian.access", "daphne.access")
"""Access loggers of servers: silenced, since one line per request is enough."""

_LONGEST_VALUE: Final = 32_000
_LONGEST_NAME: Final = 128
_RENDERED_LATER: Final = frozenset({"exc_info", "stack_info"})
# Of the access event everything is clean that it brought itself; its traceback has several lines on purpose.
_CLEAN_IN_ACCESS_EVENT: Final = _RENDERED_LATER | {"event", "level", "timestamp", *FIELDS}
_ACCESS_EVENTS: Final = tuple(EVENTS.values())  # not a set: an event need not be hashable


def configure_structlog(
    *,
    json: bool | None = None,
    level: str = "info",
    stream: TextIO | None = None,
    capture_server_logs: bool = True,
    schema: str = "flat",
    buffered: bool = False,
) -> None:
    """Set up structlog and the standard library's logging to write one clean line per event.

    Call it once, early, in the module that makes the app. It replaces the root logger's stream handlers. A program
    that runs a server itself afterwards must keep it from setting its handlers again:
    ``uvicorn.run(app, log_config=None)``.

    Lines are JSON (written by orjson where that is installed), or coloured text for a terminal. Both carry the ids of
    the request being served, tracebacks never hold local variables, and no value holds a control character::

        import io
        import logging
        from asgi_middleware.logging import configure_structlog

        output = io.StringIO()
        configure_structlog(stream=output)
        logging.getLogger("shop").warning("sold out")
        assert '"event":"sold out"' in output.getvalue()

    Args:
        json: True for JSON, False for text; None, the default, for text where the stream is a terminal and JSON
            elsewhere.
        level: The lowest level written: debug, info, warning, error or critical.
        stream: Where to write; standard output by default.
        capture_server_logs: Whether the error logs of uvicorn, hypercorn, gunicorn, granian and daphne go through the
            same chain, and their access logs are silenced.
        schema: How time, level, message, logger, ids and traceback are called in JSON: ``"flat"``, ``"otel"``,
            ``"ecs"``, ``"gcp"`` or ``"datadog"``; for ``LoggingMiddleware`` pass the same one.
        buffered: Whether JSON lines are written in bulk: within a second, behind every error, and at exit. Lines that
            wait are lost when the process is killed; see also ``flush_log``.

    Raises:
        ConfigurationError: An option is wrong.
    """
    problems = Problems("configure_structlog")
    if json is not None:
        problems.boolean("json", json)
    problems.one_of("level", level, LEVELS)
    problems.boolean("capture_server_logs", capture_server_logs)
    problems.one_of("schema", schema, SCHEMAS)
    problems.boolean("buffered", buffered)
    problems.raise_if_any()
    output = sys.stdout if stream is None else stream
    number = LEVELS[level]
    as_json = not output.isatty() if json is None else json
    set_road(None)
    close_buffers()
    lines = BufferedLines(output) if buffered and as_json else DirectLines(output)
    chain = _configure_native(output, number, lines, schema if as_json else None)
    if as_json:
        road = FastRoad(chain, level=number, schema=schema, stamps=Timestamps(), dumps=_dumps, lines=lines)
        set_road(road)
    _configure_standard(output, number, lines, schema if as_json else None)
    if capture_server_logs:
        _capture_servers()


def _configure_native(output: TextIO, level: int, lines: Lines, schema: str | None) -> list[Processor]:
    chain = [*_prepared(), *_finished()]
    factory: Callable[..., Any]
    if schema is None:
        chain.append(_console(output))
        factory = structlog.WriteLoggerFactory(output)
    else:
        # Bytes, whatever encoding the terminal or the locale has.
        chain.append(Renderer(schema))
        failures = Failures("configure_structlog")

        def factory(*_: object) -> LineLogger:
            return LineLogger(lines, failures)

    structlog.configure(
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    return chain


def _configure_standard(output: TextIO, level: int, lines: Lines, schema: str | None) -> None:
    handler: _Handler | _LinesHandler = _Handler(output) if schema is None else _LinesHandler(lines)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                *_prepared(),
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                drop_copies,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_finished(),
                _console(output) if schema is None else TextRenderer(schema),
            ],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        # Other handlers stay: files, and those by which test tools collect records.
        if type(old) in {logging.StreamHandler, _Handler, _LinesHandler}:
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)


def _capture_servers() -> None:
    for name in SERVER_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.disabled = False  # as logging.config.dictConfig leaves every logger that it does not name
    for name in ACCESS_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = False
        logger.addFilter(_nothing)  # stays when a server sets its handlers again


def _nothing(record: logging.LogRecord) -> bool:  # noqa: ARG001 -- the signature of a logging filter
    return False


class _Handler(logging.StreamHandler[TextIO]):
    """A stream handler that a second call of `configure_structlog` knows as its own."""


class _LinesHandler(logging.Handler):
    """Writes rendered lines to where structlog's go, so that both kinds stay in order."""

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record's line."""
        try:
            line = self.format(record).encode()
            (self._lines.write if record.levelno < logging.ERROR else self._lines.write_now)(line)
        except Exception:  # noqa: BLE001 -- as every handler of the standard library
            self.handleError(record)

    def flush(self) -> None:
        """Write what waits; asked at exit, when the stream may be closed already."""
        with suppress(Exception):
            self._lines.flush()


def _prepared() -> list[Processor]:
    return [
        add_request_context,
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        Timestamps(),
    ]


def _finished() -> list[Processor]:
    # Tracebacks and stacks are added after the cleaning, since they have lines of their own.
    return [clean_event, add_stack, structlog.processors.ExceptionRenderer(_format_exc_info)]


def _format_exc_info(exc_info: Any) -> str:
    return format_exception(exc_info[1]) if exc_info[1] is not None else ""


def _console(output: TextIO) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=output.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=20
    )


def drop_copies(
    logger: Any,  # noqa: ARG001 -- the signature of a structlog processor
    method_name: str,  # noqa: ARG001 -- the same
    event_dict: MutableMapping[str, Any],
) -> MutableMapping[str, Any]:
    """Drop the attributes by which formatters, and uvicorn with its colours, repeat a record's message and time."""
    for name in ("color_message", "message", "asctime"):
        event_dict.pop(name, None)
    return event_dict


def clean_event(
    logger: Any,  # noqa: ARG001 -- the signature of a structlog processor
    method_name: str,  # noqa: ARG001 -- the same
    event_dict: MutableMapping[str, Any],
) -> MutableMapping[str, Any]:
    """Make every value of an event safe to write: see `asgi_middleware.logging.cleaning`."""
    kept = _CLEAN_IN_ACCESS_EVENT if event_dict.get("event") in _ACCESS_EVENTS else _RENDERED_LATER
    for name in [name for name in event_dict if name not in kept]:
        value = clean_value(event_dict[name], _LONGEST_VALUE)
        if name.isidentifier():
            event_dict[name] = value
        else:
            del event_dict[name]
            event_dict[clean_text(name, _LONGEST_NAME) or "_"] = value
    return event_dict


_stack_of_caller = structlog.processors.StackInfoRenderer(additional_ignores=[__name__])


def add_stack(logger: Any, method_name: str, event_dict: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Show the stack that a log call asked for; the standard library has it as text already."""
    stack = event_dict.get("stack_info")
    if isinstance(stack, str):
        del event_dict["stack_info"]
        event_dict["stack"] = stack
        return event_dict
    return _stack_of_caller(logger, method_name, event_dict)


class Renderer:
    """Writes an event as JSON bytes with a line break; time, level and event come first, for people."""

    def __init__(self, schema: str) -> None:
        """Name the schema that says how they are called."""
        self._envelope = ENVELOPES[schema]

    def __call__(
        self,
        logger: Any,  # noqa: ARG002 -- the signature of a structlog processor
        method_name: str,  # noqa: ARG002 -- the same
        event_dict: MutableMapping[str, Any],
    ) -> bytes:
        """Render an event."""
        return _dumps(self._envelope(event_dict))


class TextRenderer(Renderer):
    """The same as text, which is what a formatter of the standard library must give."""

    def __call__(self, logger: Any, method_name: str, event_dict: MutableMapping[str, Any]) -> Any:
        """Render an event."""
        return super().__call__(logger, method_name, event_dict).decode()


def _standard_dumps(value: Any) -> bytes:
    return json_module.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _dumps_of(orjson: Any) -> Callable[[Any], bytes]:
    return partial(orjson.dumps, option=orjson.OPT_APPEND_NEWLINE)


_dumps: Callable[[Any], bytes] = _dumps_of(import_module("orjson")) if find_spec("orjson") else _standard_dumps
