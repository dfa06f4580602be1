"""The access log: whether a connection gets a line, how loud it is, and where it is written. Never raises."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

import structlog

from asgi_middleware._core.paths import PathRules
from asgi_middleware._core.types import Scope
from asgi_middleware.logging.access_event import EVENTS, FIELDS, RUNNING, STARTED, AccessEvents
from asgi_middleware.logging.access_line import AccessLine
from asgi_middleware.logging.cleaning import clean_text, clean_value
from asgi_middleware.logging.endings import LEVELS, Ending, default_level, ending_of, is_failure, went_well
from asgi_middleware.logging.failures import Failures
from asgi_middleware.logging.fast_road import FastRoad
from asgi_middleware.logging.observation import HTTPObservation, Observation
from asgi_middleware.logging.redaction import Redactor
from asgi_middleware.logging.sampling import Sampler
from asgi_middleware.logging.schemas import ENVELOPES, Schema
from asgi_middleware.logging.traffic import milliseconds

Enrich = Callable[[Any, dict[str, Any]], None]

_URGENT: Final = LEVELS["error"]
_LONGEST_NAME: Final = 128
_MOST_PATHS: Final = 256
_LONGEST_PATH: Final = 256  # characters of one that is remembered: servers let through tens of thousands
_HEAD: Final = ("timestamp", "level", "event")  # structlog's own


class AccessLog:
    """Writes the events of connections, as the options of `LoggingMiddleware` say."""

    __slots__ = (
        "_enrich", "_events", "_exclude", "_excluded", "_failures", "_level", "_limit", "_line", "_logger", "_sampler",
        "_schema", "_usual",
    )  # fmt: skip

    def __init__(
        self,
        *,
        logger: Any,
        events: AccessEvents,
        redactor: Redactor,
        exclude: PathRules | None,
        level: Callable[[Ending], str],
        sampler: Sampler | None,
        schema: str,
        enrich: Enrich | None,
        limit: int,
        failures: Failures,
    ) -> None:
        """Keep checked options; `limit` is the longest value that `enrich` may give."""
        self._logger = logger
        self._events = events
        # The schemas and `enrich` work on the event itself.
        self._line = AccessLine(events, redactor) if schema == "flat" and enrich is None else None
        # Without choices to make, it is all that most requests need.
        self._usual = self._line if exclude is None and sampler is None and level is default_level else None
        self._exclude = exclude
        self._excluded: dict[str, tuple[str | None, bytes | None, str | None]] = {}
        self._level = level
        self._sampler = sampler
        self._schema = None if schema == "flat" else Schema(schema, FIELDS)
        self._enrich = enrich
        self._limit = limit
        self._failures = failures

    def finish(self, observation: Observation, raised: BaseException | None) -> None:
        """Write the access event, without waiting: the app may have been cancelled."""
        try:
            now, exchange = perf_counter(), observation.exchange
            well = observation if raised is None and type(observation) is HTTPObservation else None
            if well is not None and self._usual is not None and self._usual.write(well, "info", None, now):
                return
            ending, level, rate = None, "info", None
            if well is None or not went_well(well, exchange):
                well, ending = None, ending_of(observation, exchange, raised, now)
            if (
                self._exclude is not None
                and (ending is None or not is_failure(ending))
                and self._excludes(self._exclude, observation.scope)
            ):
                return
            sampler = self._sampler
            if sampler is not None:
                spent = 0.0 if well is None or well.ended is None else well.ended - well.begun
                rate = sampler.rate_of_success(spent, exchange) if ending is None else sampler.rate_of(ending, exchange)
                if rate is None:
                    return
            if ending is not None or self._level is not default_level:
                ending = ending or ending_of(observation, exchange, raised, now)
                level = self._level_of(ending)
            line = None if self._usual is not None else self._line
            if well is not None and line is not None and line.write(well, level, rate, now):
                return
            log = self._log_at(level, observation)
            if log is None:
                return
            if ending is None:
                ending = ending_of(observation, exchange, raised, now)
            fields = self._events.describe(observation.scope, exchange, observation, ending, now=now)
            if rate is not None:
                fields["sampling_rate"] = rate
            self._write(log, level, EVENTS, observation, fields)
        except Exception as error:  # noqa: BLE001 -- a log that cannot be written never fails a request
            self._failures.note("write the access event", error)

    def begin(self, observation: Observation) -> None:
        """Write that a connection came in."""
        self._tell(observation, "info", STARTED)

    def report(self, observation: Observation) -> None:
        """Write that a connection is still unanswered."""
        self._tell(observation, "warning", RUNNING)

    def _tell(self, observation: Observation, level: str, names: dict[str, str]) -> None:
        try:
            if self._exclude is not None and names is STARTED and self._excludes(self._exclude, observation.scope):
                return
            log = self._log_at(level, observation)
            if log is not None:
                fields = self._events.describe_request(observation.scope, observation.exchange)
                del fields["outcome"], fields["status"]
                if names is RUNNING:
                    fields["duration_ms"] = milliseconds(perf_counter() - observation.begun)
                else:
                    del fields["duration_ms"]
                self._write(log, level, names, observation, fields)
        except Exception as error:  # noqa: BLE001 -- as for the access event
            self._failures.note("write an event on the way", error)

    def _excludes(self, rules: PathRules, scope: Scope) -> bool:
        """Tell whether the path is excluded. Those that are come again and again, so that they are remembered."""
        path, about = scope.get("path"), (scope.get("method"), scope.get("raw_path"), scope.get("root_path"))
        if self._excluded.get(path) == about:
            return True
        excluded = rules.exempts(scope)
        if excluded and len(path) <= _LONGEST_PATH:
            if len(self._excluded) >= _MOST_PATHS:
                self._excluded.clear()
            self._excluded[path] = about
        return excluded

    def _level_of(self, ending: Ending) -> str:
        hook = self._level
        if hook is default_level:
            return default_level(ending)
        try:
            level = hook(ending)
            if level in LEVELS:
                return level
            self._failures.note("use the level", ValueError(f"{level!r} is not a level"))
        except Exception as error:  # noqa: BLE001 -- a hook never breaks a line
            self._failures.note("ask for the level", error)
        return default_level(ending)

    def _log_at(self, level: str, observation: Observation) -> FastRoad | Callable[..., Any] | None:
        """Give the fast road, where it is open, or the logger's method; None where the level is not written."""
        road = observation.road
        if road is not None and road.is_clear():
            return road if LEVELS[level] >= road.level else None
        return self._method(level)

    def _method(self, level: str) -> Callable[..., Any] | None:
        """Give the logger's method; None where the level is not written."""
        logger = self._logger.bind()
        if not _is_enabled(logger, LEVELS[level]):
            return None
        log: Callable[..., Any] = getattr(logger, level)
        return log

    def _write(
        self,
        log: FastRoad | Callable[..., Any],
        level: str,
        names: dict[str, str],
        observation: Observation,
        fields: dict[str, Any],
    ) -> None:
        if observation.client_request_id is not None:
            fields["client_request_id"] = observation.client_request_id
        if self._schema is not None:
            fields = self._schema.apply(fields)
        if self._enrich is not None:
            fields = self._enriched(observation.scope, fields)
        name = names[observation.scope["type"]]
        if type(log) is not FastRoad:
            del fields["timestamp"], fields["level"], fields["event"]
            log(name, **fields)  # type: ignore[operator]  # a logger's method
            return
        fields["timestamp"] = log.stamps.now()
        fields["level"] = level
        fields["event"] = name
        event: Any = fields if log.schema == "flat" else ENVELOPES[log.schema](fields)
        (log.lines.write if LEVELS[level] < _URGENT else log.lines.write_now)(log.dumps(event))

    def _enriched(self, scope: Scope, fields: dict[str, Any]) -> dict[str, Any]:
        event = {name: value for name, value in fields.items() if name not in _HEAD}
        try:
            self._enrich(scope, event)  # type: ignore[misc]  # asked by the caller
            changed = {
                clean_text(str(name), _LONGEST_NAME): value
                if name in fields and value is fields[name]
                else clean_value(value, self._limit)
                for name, value in event.items()
            }
        except Exception as error:  # noqa: BLE001 -- a hook never breaks a line
            self._failures.note("enrich an event", error)
            return fields
        return changed | {name: fields[name] for name in _HEAD}


def access_logger(logger: Any) -> Any:
    """Give the logger to use."""
    return structlog.get_logger("asgi.access") if logger is None else logger


def _is_enabled(logger: Any, level: int) -> bool:
    # Asked of the class: structlog's generic BoundLogger makes a log call of any unknown attribute.
    kind = type(logger)
    ask = getattr(kind, "is_enabled_for", None) or getattr(kind, "isEnabledFor", None)
    return ask is None or bool(ask(logger, level))
