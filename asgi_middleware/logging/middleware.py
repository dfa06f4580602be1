"""LoggingMiddleware: one line per request, with the ids that tie it to every other line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from sys import modules
from time import perf_counter
from typing import Any, Final

from asgi_middleware._core.config import Problems
from asgi_middleware._core.deadlines import call_after
from asgi_middleware._core.exchange import enter
from asgi_middleware._core.paths import PathRules
from asgi_middleware._core.types import ASGIApp, HeaderList, Receive, Scope, Send
from asgi_middleware.logging.access_event import AccessEvents
from asgi_middleware.logging.access_log import AccessLog, Enrich, access_logger
from asgi_middleware.logging.context import bind_request, unbind_request
from asgi_middleware.logging.endings import Ending, default_level
from asgi_middleware.logging.entropy import random_word
from asgi_middleware.logging.failures import Failures
from asgi_middleware.logging.fast_road import open_road
from asgi_middleware.logging.observation import HTTPObservation, Observation, WebSocketObservation, tells_of_clients
from asgi_middleware.logging.redaction import Redaction, Redactor
from asgi_middleware.logging.request_ids import Correlation, RequestIds, carriers_of, finder
from asgi_middleware.logging.sampling import Sampler, Sampling
from asgi_middleware.logging.schemas import SCHEMAS
from asgi_middleware.logging.trace_context import RANDOM, TraceContext, TraceMode, trace_of

__all__ = ["LoggingMiddleware"]

_CORRELATION: Final = Correlation()
_REDACTION: Final = Redaction()
_CLAIMS: Final = ("logging", "correlation")
# Half of what the constructor of a named tuple costs.
_make_trace: Final = partial(tuple.__new__, TraceContext)


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
        sampling: Which lines are written when not all are; all by default. Failures always are.
        schema: Names, nesting and units of the event: ``"flat"`` (those of `FIELDS`), ``"otel"``, ``"ecs"``,
            ``"gcp"`` or ``"datadog"``. Pass the same to `configure_structlog`.
        enrich: Is given the scope and the finished event, and may change the event.
        log_start: Whether an event is written also when a request comes in.
        still_running_after: Seconds after which a request that is not finished, and a WebSocket whose handshake is not
            answered, get an event of level warning; at least 0.1. None, the default, for none.
        clear_contextvars: Whether what an earlier request on the same connection bound through structlog is cleared.
            Turn it off when a class further out binds context variables of its own.

    Raises:
        ConfigurationError: Any option is wrong; all of them are listed.

    Fields: ``asgi_middleware.logging.FIELDS``. Trace context: W3C Trace Context, level 2.
    """

    __slots__ = (
        "_bare",
        "_clear",
        "_failures",
        "_find",
        "_ids",
        "_log",
        "_log_start",
        "_running_after",
        "_trace",
        "app",
    )

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
        sampling: Sampling | None = None,
        schema: str = "flat",
        enrich: Enrich | None = None,
        log_start: bool = False,
        still_running_after: float | None = None,
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
        if sampling is not None and _is_a(Sampling, "sampling", sampling, problems):
            sampling.check(problems)
        problems.one_of("schema", schema, SCHEMAS)
        problems.callable("enrich", enrich, optional=True)
        problems.boolean("log_start", log_start)
        problems.number("still_running_after", still_running_after, minimum=0.1, optional=True)
        problems.boolean("clear_contextvars", clear_contextvars)
        problems.raise_if_any()
        self.app = app
        self._clear = clear_contextvars
        self._failures = Failures("LoggingMiddleware")
        self._ids = RequestIds(correlation, names, self._failures)
        self._log = AccessLog(
            logger=access_logger(logger),
            events=AccessEvents(Redactor(redaction), shown, answered),
            exclude=exclude or None,
            level=level,
            sampler=None if sampling is None else Sampler(sampling),
            schema=schema,
            enrich=enrich,
            limit=redaction.max_length,
            failures=self._failures,
        )
        self._log_start = log_start
        self._running_after = still_running_after
        self._trace = trace_context
        self._find = finder((*names, b"traceparent", b"tracestate"))
        # The fast road serves the default logger only: another one may have anything bound.
        self._bare = logger is None

    @property
    def failures(self) -> int:
        """How often a hook or an own step failed; no request was affected."""
        return self._failures.count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        kind = scope["type"]
        if kind != "http" and kind != "websocket":  # noqa: PLR1714 -- the fast form
            await self.app(scope, receive, send)
            return
        begun = perf_counter()
        inner, exchange = enter(scope)
        identifies = first = True
        if inner is not scope:  # it is new, and ours to claim and to follow: without the calls
            exchange._claims = _CLAIMS  # noqa: SLF001
            exchange.scope = inner
        elif exchange.claim("logging"):
            inner = dict(scope)  # frameworks write their route, and some a changed path, into what they get
            identifies, first = exchange.claim("correlation"), exchange.follow(inner)
        else:
            await self.app(scope, receive, send)
            return
        observation: Observation
        if kind == "http":
            observation = HTTPObservation(scope, receive, send, exchange, self._failures, begun)
            send = observation.send_awaited if tells_of_clients(scope) else observation.send
        else:
            observation = WebSocketObservation(scope, receive, send, exchange, self._failures, begun)
            send = observation.send
        self._prepare(observation, inner, identifies=identifies)
        try:
            await self.app(inner, observation.receive, send)
        except BaseException as error:
            self._log.finish(observation, error)
            raise
        else:
            self._log.finish(observation, None)
        finally:
            # Their tracebacks hold what holds them: circles.
            observation.send_error = exchange.error = None
            if first:
                exchange.scope = None
            try:
                if observation.timer is not None:
                    observation.timer.stop()
                unbind_request(observation.bound)
            except Exception as error:  # noqa: BLE001 -- observing never fails a request
                self._failures.note("set the context variables back", error)

    def _prepare(self, observation: Observation, inner: Scope, *, identifies: bool) -> None:
        """Give the request its ids and its context; a failure of either leaves it without."""
        exchange = observation.exchange
        try:
            observation.request_headers = headers = inner.get("headers")
            found = self._find(headers)
            if found or self._trace != "continue" or "opentelemetry.trace" in modules:
                self._trace_by(observation, found)
            elif exchange.trace is None:
                exchange.trace = _make_trace((random_word(), random_word()[:16], None, RANDOM, "", False))
            if identifies:  # else a CorrelationIdMiddleware further out has given the id, and tells it itself
                self._identify(observation, inner, found)
        except Exception as error:  # noqa: BLE001 -- observing never fails a request
            self._failures.note("give the request its ids", error)
        try:
            observation.road = road = open_road() if self._bare else None
            observation.bound = bind_request(exchange, clear=self._clear, structlog=road is None)
        except Exception as error:  # noqa: BLE001 -- the same
            self._failures.note("bind the context variables", error)
        if self._log_start:
            self._log.begin(observation)
        if self._running_after is not None:
            self._watch(observation, self._running_after)

    def _trace_by(self, observation: Observation, found: HeaderList) -> None:
        """Give the request its place in its trace: an active span's, the caller's, or a new one."""
        exchange, mode = observation.exchange, self._trace
        if exchange.trace is not None or mode == "off":
            return
        if found and mode == "continue" and not self._ids.trusts(observation.scope):
            mode = "restart"
        exchange.trace = trace_of(found, mode)

    def _identify(self, observation: Observation, inner: Scope, found: HeaderList) -> None:
        ids = self._ids
        if found:
            found = [line for line in found if line[0] in ids.names]
            if found and not ids.trusts(inner):
                observation.client_request_id = ids.offered(found)
        value = ids.give(inner, observation.exchange, found)
        if ids.response_header is not None:
            if inner["type"] == "websocket":
                observation.carriers = carriers_of(inner)
            observation.line = (ids.response_header, value)

    def _watch(self, observation: Observation, seconds: float) -> None:
        try:
            observation.timer = call_after(seconds, self._log.report, observation)
        except Exception as error:  # noqa: BLE001 -- the same
            self._failures.note("watch a request", error)


def _is_a(kind: type, option: str, value: object, problems: Problems) -> bool:
    if isinstance(value, kind):
        return True
    problems.add(option, value, f"is not a {kind.__name__}", fix=f"pass {kind.__name__}(...)", code="wrong_type")
    return False


def _header_names(option: str, names: Iterable[str], problems: Problems) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(problems.header_name(option, name) for name in problems.strings(option, names)))
