"""LoggingMiddleware: one line per request, with the ids that tie it to every other line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any, Final

import structlog

from asgi_middleware._core.config import Problems
from asgi_middleware._core.exchange import enter
from asgi_middleware._core.paths import PathRules
from asgi_middleware._core.types import ASGIApp, Receive, Scope, Send
from asgi_middleware.logging.access_event import EVENTS, AccessEvents
from asgi_middleware.logging.context import bind_request, unbind_request
from asgi_middleware.logging.endings import (
    LEVELS,
    Ending,
    default_level,
    ending_of,
    is_failure,
)
from asgi_middleware.logging.failures import Failures
from asgi_middleware.logging.observation import Observation
from asgi_middleware.logging.redaction import Redaction, Redactor
from asgi_middleware.logging.request_ids import Correlation, RequestIds, carriers_of
from asgi_middleware.logging.trace_context import TraceMode, trace_of

__all__ = ["LoggingMiddleware"]

_CORRELATION: Final = Correlation()
_REDACTION: Final = Redaction()


class LoggingMiddleware:
    """Writes one access event per HTTP request and per WebSocket session, at its end, through structlog.

    Put it outermost: what stands outside it is neither timed nor seen. It replaces the server's access log, which
    should be turned off (``configure_structlog`` does that). It observes only: no failure of its own changes a
    response.

    Each request gets an id and a place in its W3C trace; both are bound for every log call made on its behalf.
    Handlers add fields with ``add_fields`` and times with ``timing``, from threads and child tasks as well::

        import anyio
        import structlog
        from asgi_middleware import LoggingMiddleware, add_fields
        from asgi_middleware.testing import http


        async def app(scope, receive, send):
            add_fields(user_id=42)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"hello"})


        with structlog.testing.capture_logs() as lines:
            anyio.run(http, LoggingMiddleware(app), "GET", "/greet")

        [line] = lines
        assert line["event"] == "http.request"
        assert (line["method"], line["path"], line["status"], line["user_id"]) == ("GET", "/greet", 200, 42)

    Args:
        app: The ASGI app to wrap.
        logger: A structlog logger; ``structlog.get_logger("asgi.access")`` by default. Any structlog set-up will do.
        correlation: How the request gets its id.
        trace_context: ``"continue"`` (the default) takes the caller's trace, ``"restart"`` begins a new one for every
            request, for servers that strangers call; ``"off"`` keeps none.
        exclude_paths: Requests that are not worth a line, as path rules: ``"/health"``, ``"/static/**"``. Their
            failures (a status of 400 or more, or any outcome but ``ok``) are logged all the same, and ids are given
            as always.
        request_headers: Request headers to log. None by default: a header may be a secret or a person's trait.
        response_headers: Response headers to log.
        redaction: What is hidden, and how long a value may be.
        level: Gives the level's name for an ending; error for 5xx and broken answers, warning for 4xx and refusals,
            else info.
        clear_contextvars: Whether what an earlier request on the same connection bound through structlog is cleared.
            Turn it off when a class further out binds context variables of its own.

    Raises:
        ConfigurationError: Any option is wrong; all of them are listed.

    Fields: ``asgi_middleware.logging.FIELDS``. Trace context: W3C Trace Context, level 2.
    """

    __slots__ = ("_clear", "_events", "_exclude", "_failures", "_ids", "_level", "_logger", "_trace", "app")

    def __init__(
        self,
        app: ASGIApp,
        *,
        logger: Any = None,
        correlation: Correlation = _CORRELATION,
        trace_context: TraceMode = "continue",
        exclude_paths: Iterable[str | re.Pattern[str]] = (),
        request_headers: Iterable[str] = (),
        response_headers: Iterable[str] = (),
        redaction: Redaction = _REDACTION,
        level: Callable[[Ending], str] = default_level,
        clear_contextvars: bool = True,
    ) -> None:
        problems = Problems("LoggingMiddleware")
        if logger is not None and not callable(getattr(logger, "bind", None)):
            problems.add("logger", logger, "is not a structlog logger", fix="pass structlog.get_logger(), or nothing")
        names: tuple[bytes, ...] = ()
        if _is_a(Correlation, "correlation", correlation, problems):
            names = correlation.check(problems, "correlation.")
        problems.one_of("trace_context", trace_context, ("continue", "restart", "off"))
        exclude = PathRules(exclude_paths, problems=problems)
        shown = _header_names("request_headers", request_headers, problems)
        answered = _header_names("response_headers", response_headers, problems)
        if _is_a(Redaction, "redaction", redaction, problems):
            redaction.check(problems)
        problems.callable("level", level)
        problems.boolean("clear_contextvars", clear_contextvars)
        problems.raise_if_any()
        self.app = app
        self._clear = clear_contextvars
        self._events = AccessEvents(Redactor(redaction), shown, answered)
        self._exclude = exclude or None
        self._failures = Failures("LoggingMiddleware")
        self._ids = RequestIds(correlation, names, self._failures)
        self._level = level
        self._logger = structlog.get_logger("asgi.access") if logger is None else logger
        self._trace = trace_context

    @property
    def failures(self) -> int:
        """How often a hook or an own step failed; no request was affected."""
        return self._failures.count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        kind = scope["type"]
        if kind not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        begun = perf_counter()
        inner, exchange = enter(scope)
        if not exchange.claim("logging"):
            await self.app(scope, receive, send)
            return
        if inner is scope:
            inner = dict(scope)  # frameworks write their route, and some a changed path, into what they get
        first = exchange.follow(inner)
        observation = Observation(scope, receive, send, exchange=exchange, begun=begun, failures=self._failures)
        self._prepare(observation, inner)
        try:
            await self.app(inner, observation.receive, observation.send)
        except BaseException as error:
            self._finish(observation, error)
            raise
        else:
            self._finish(observation, None)
        finally:
            # Their tracebacks hold what holds them: circles.
            observation.traffic.send_error = exchange.error = None
            if first:
                exchange.scope = None
            try:
                unbind_request(observation.bound)
            except Exception as error:  # noqa: BLE001 -- observing never fails a request
                self._failures.note("set the context variables back", error)

    def _prepare(self, observation: Observation, inner: Scope) -> None:
        """Give the request its ids and its context; a failure of either leaves it without."""
        exchange = observation.exchange
        try:
            observation.index = index = exchange.headers(inner)
            outermost = exchange.claim("correlation")
            if exchange.trace is None:
                exchange.trace = trace_of(index, self._trace)
            # A CorrelationIdMiddleware further out has given the id and tells it itself.
            if outermost:
                self._identify(observation, inner)
        except Exception as error:  # noqa: BLE001 -- observing never fails a request
            self._failures.note("give the request its ids", error)
        try:
            bind_request(observation.bound, exchange, clear=self._clear)
        except Exception as error:  # noqa: BLE001 -- the same
            self._failures.note("bind the context variables", error)

    def _identify(self, observation: Observation, inner: Scope) -> None:
        ids, index, exchange = self._ids, observation.index, observation.exchange
        request_id = exchange.request_id
        if request_id is None:
            request_id = exchange.request_id = ids.choose(index)
        ids.rewrite(inner, index, request_id)
        if ids.response_header is not None:
            observation.carriers = carriers_of(inner)
            observation.header = (ids.response_header, request_id.encode("ascii"))

    def _finish(self, observation: Observation, raised: BaseException | None) -> None:
        """Write the access event, without waiting: the app may have been cancelled. Never raises an Exception."""
        try:
            now = perf_counter()
            exchange, traffic = observation.exchange, observation.traffic
            ending = ending_of(traffic, exchange, raised, now)
            exclude = self._exclude
            if exclude is not None and not is_failure(ending) and exclude.exempts(observation.scope):
                return
            level = self._level_of(ending)
            logger = self._logger.bind()
            if not _is_enabled(logger, LEVELS[level]):
                return
            fields = self._events.describe(observation.scope, observation.index, exchange, traffic, ending, now=now)
            getattr(logger, level)(EVENTS[observation.scope["type"]], **fields)
        except Exception as error:  # noqa: BLE001 -- a log that cannot be written never fails a request
            self._failures.note("write the access event", error)

    def _level_of(self, ending: Ending) -> str:
        try:
            level = self._level(ending)
            if level in LEVELS:
                return level
            self._failures.note("use the level", ValueError(f"{level!r} is not a level"))
        except Exception as error:  # noqa: BLE001 -- a hook never breaks a line
            self._failures.note("ask for the level", error)
        return default_level(ending)


def _is_enabled(logger: Any, level: int) -> bool:
    # Asked of the class: structlog's generic BoundLogger makes a log call of any unknown attribute.
    kind = type(logger)
    ask = getattr(kind, "is_enabled_for", None) or getattr(kind, "isEnabledFor", None)
    return ask is None or bool(ask(logger, level))


def _is_a(kind: type, option: str, value: object, problems: Problems) -> bool:
    if isinstance(value, kind):
        return True
    problems.add(option, value, f"is not a {kind.__name__}", fix=f"pass {kind.__name__}(...)", code="wrong_type")
    return False


def _header_names(option: str, names: Iterable[str], problems: Problems) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(problems.header_name(option, name) for name in problems.strings(option, names)))
