"""LoggingMiddleware: one line per request, with the ids that tie it to every other line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextvars import copy_context
from sys import modules
from time import perf_counter
from typing import Any, Final

from asgi_middleware._core.config import Problems
from asgi_middleware._core.deadlines import call_after
from asgi_middleware._core.exchange import current_exchange, enter
from asgi_middleware._core.header_finder import HeaderFinder
from asgi_middleware._core.paths import PathRules
from asgi_middleware._core.types import ASGIApp, HeaderList, Receive, Scope, Send
from asgi_middleware.logging.access_event import AccessEvents
from asgi_middleware.logging.access_log import AccessLog, Enrich, access_logger
from asgi_middleware.logging.context import Bound, bind_request, unbind_elsewhere, unbind_request
from asgi_middleware.logging.endings import Ending, default_level
from asgi_middleware.logging.entropy import random_ids
from asgi_middleware.logging.failures import Failures
from asgi_middleware.logging.fast_road import open_road
from asgi_middleware.logging.observation import HTTPObservation, Observation, WebSocketObservation, tells_of_clients
from asgi_middleware.logging.otel import API
from asgi_middleware.logging.redaction import Redaction, Redactor
from asgi_middleware.logging.request_ids import Correlation, RequestIds
from asgi_middleware.logging.sampling import Sampler, Sampling
from asgi_middleware.logging.schemas import SCHEMAS
from asgi_middleware.logging.trace_context import TraceContext, TraceMode, trace_of

__all__ = ["LoggingMiddleware"]

_CORRELATION: Final = Correlation()
_REDACTION: Final = Redaction()
_CLAIMS: Final = ("logging", "correlation")
# Looked up once: a method of a name that was imported is bound anew for every call.
_set_current: Final = current_exchange.set
_reset_current: Final = current_exchange.reset


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
        correlation: How the request gets its id; header names and hooks, as the options of `CorrelationIdMiddleware`.
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
        sampling: Which lines are written when not all are; all by default. ``Sampling(rate=0.1, slow_after=1.0)``
            writes failures and slow requests, and of the others a tenth, chosen by the trace id.
        schema: Names, nesting and units of the event: ``"flat"`` (those of `FIELDS`), ``"otel"``, ``"ecs"``,
            ``"gcp"`` or ``"datadog"``. Pass the same to `configure_structlog`.
        enrich: Is given the scope and the finished event, and may change the event.
        log_start: Whether an event is written also when a request comes in: ``http.request.started``,
            ``websocket.session.started``.
        still_running_after: Seconds after which a request that is not finished, and a WebSocket whose handshake is not
            answered, get an event of level warning: ``http.request.running``, ``websocket.session.running``. At least
            0.1; None, the default, for none.
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
        "_finder",
        "_first",
        "_ids",
        "_log",
        "_log_start",
        "_others",
        "_plain",
        "_running_after",
        "_tells_on_the_way",
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
        redactor = Redactor(redaction)
        self._log = AccessLog(
            logger=access_logger(logger),
            events=AccessEvents(redactor, shown, answered),
            redactor=redactor,
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
        self._tells_on_the_way = log_start or still_running_after is not None
        self._trace = trace_context
        finder = HeaderFinder((*names, b"traceparent", b"tracestate"))
        self._finder, self._others = finder, finder.others
        self._plain = trace_context == "continue" and self._ids.plain and self._ids.response_header == names[0]
        self._first = names[0]
        # The fast road serves the default logger only: another one may have anything bound.
        self._bare = logger is None

    @property
    def failures(self) -> int:
        """How often a hook or an own step failed; no request was affected."""
        return self._failures.count

    async def __call__(  # noqa: PLR0912 -- on the way of every request: what is split off costs a call
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve one connection."""
        kind = scope["type"]
        if kind != "http" and kind != "websocket":  # noqa: PLR1714 -- the fast form
            await self.app(scope, receive, send)
            return
        begun = perf_counter()
        inner, exchange = enter(scope)
        identifies = first = new = inner is not scope
        if new:  # and ours to claim and to follow: without the calls
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
            observation = HTTPObservation(scope, receive, send, exchange, self._ids, begun)
            send = observation.send_awaited if tells_of_clients(scope) else observation.send
        else:
            observation = WebSocketObservation(scope, receive, send, exchange, self._ids, begun)
            send = observation.send
        bound = self._prepare(observation, inner, new=new, identifies=identifies)
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
                if self._tells_on_the_way and observation.timer is not None:
                    observation.timer.stop()
                if len(bound) == 1:  # the Exchange alone
                    _reset_current(bound[0])
                else:
                    unbind_request(bound)
            except Exception as error:  # noqa: BLE001 -- observing never fails a request
                unbind_elsewhere(bound, error, self._failures)

    def _prepare(self, observation: Observation, inner: Scope, *, new: bool, identifies: bool) -> Bound:
        """Give the request its ids and its context; a failure of either leaves it without."""
        exchange = observation.exchange
        try:
            observation.request_headers = headers = inner.get("headers") or ()
            others = self._others
            found = [(name, value) for name, value in headers if name not in others]
            if found:
                found = self._finder.pick(found)
            if found or not (new and self._plain) or API in modules:
                self._trace_by(observation, found)
                if identifies:  # else a CorrelationIdMiddleware further out has given the id, and tells it itself
                    self._identify(observation, inner, found)
            else:
                # What most requests need, without a call more than that.
                request_id, trace_id, span_id = random_ids()
                exchange._trace = (TraceContext, trace_id, span_id)  # noqa: SLF001 -- made when it is asked for
                exchange.request_id = observation.request_id = request_id
                observation.line = line = (self._first, request_id.encode())
                inner["headers"] = [*headers, line]
                state = inner.get("state")
                if state is not None:
                    inner["state"] = state = state.copy()
                    state["request_id"] = request_id
        except Exception as error:  # noqa: BLE001 -- observing never fails a request
            self._failures.note("give the request its ids", error)
        bound: Bound = ()
        try:
            observation.road = road = open_road() if self._bare else None
            if road is not None and not (self._clear and len(copy_context())):
                bound = (_set_current(exchange),)
            else:
                bound = bind_request(exchange, clear=self._clear, structlog=road is None)
        except Exception as error:  # noqa: BLE001 -- the same
            self._failures.note("bind the context variables", error)
        if self._tells_on_the_way:
            if self._log_start:
                self._log.begin(observation)
            if self._running_after is not None:
                self._watch(observation, self._running_after)
        return bound

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
        observation.request_id = observation.exchange.request_id
        if ids.response_header is not None:
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
