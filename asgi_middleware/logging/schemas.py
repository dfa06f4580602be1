"""Schemas: the names, the nesting and the units that a log store knows.

The neutral event (``access_event.FIELDS``) is plain words and milliseconds. A schema turns what the store has a name
for into that name and unit; what it has none for keeps its own name, in a place of its own: under ``asgi`` where the
store nests or dots names, at the top in the others. What handlers add stays at the top, by the name they gave it.

Sources:

- ``otel``: OpenTelemetry semantic conventions 1.44 (attribute registry: http, url, network, client, error, exception,
  user_agent, user), and "Trace Context in non-OTLP Log Formats" of the log data model. Durations are seconds.
- ``ecs``: Elastic Common Schema 9 and the ECS logging specification, by which ``@timestamp``, ``log.level``,
  ``message`` and ``ecs.version`` come first and are not nested. Durations are integers of nanoseconds.
- ``gcp``: Cloud Logging, "Structured logging" (special JSON fields) and ``LogEntry.HttpRequest``. A latency is text:
  seconds with an ``s``; sizes are integers of 64 bits, hence text in JSON.
- ``datadog``: "Standard attributes" of Log Management. ``duration`` is nanoseconds; span ids are decimal numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from ipaddress import ip_address
from typing import Any, Final, NamedTuple, TypeAlias

Event: TypeAlias = MutableMapping[str, Any]

SCHEMAS: Final = ("flat", "otel", "ecs", "gcp", "datadog")
"""The schemas by name."""

_ECS_VERSION: Final = "9.0.0"
_SEVERITY_NUMBERS: Final = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}
_OWN: Final = "asgi."


class _Place(NamedTuple):
    """Where a value goes, and what it becomes on the way."""

    name: str
    convert: Callable[[Any], Any] | None = None


def _seconds(milliseconds: float) -> float:
    return round(milliseconds / 1000, 6)


def _nanoseconds(milliseconds: float) -> int:
    return round(milliseconds * 1_000_000)


def _latency(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.6f}s"


def _number_64(value: int) -> str:
    return str(value)


def _decimal(span_id: str) -> str:
    return str(int(span_id, 16))


_OTEL: Final = {
    "method": _Place("http.request.method"),
    "method_original": _Place("http.request.method_original"),
    "path": _Place("url.path"),
    "query": _Place("url.query"),
    "scheme": _Place("url.scheme"),
    "route": _Place("http.route"),
    "status": _Place("http.response.status_code"),
    "http_version": _Place("network.protocol.version"),
    "client": _Place("client.address"),
    "subject": _Place("user.id"),
    "request_bytes": _Place("http.request.body.size"),
    "response_bytes": _Place("http.response.body.size"),
    "duration_ms": _Place("http.server.request.duration", _seconds),
    "error_type": _Place("error.type"),
    "exception": _Place("exception.stacktrace"),
    "request_id": _Place("request_id"),
    "trace_id": _Place("trace_id"),
    "span_id": _Place("span_id"),
    "parent_span_id": _Place("parent_span_id"),
}

_ECS: Final = {
    "method": _Place("http.request.method"),
    "path": _Place("url.path"),
    "query": _Place("url.query"),
    "scheme": _Place("url.scheme"),
    "status": _Place("http.response.status_code"),
    "http_version": _Place("http.version"),
    "client": _Place("client.address"),
    "subject": _Place("user.id"),
    "request_bytes": _Place("http.request.body.bytes"),
    "response_bytes": _Place("http.response.body.bytes"),
    "received_bytes": _Place("source.bytes"),
    "sent_bytes": _Place("destination.bytes"),
    "duration_ms": _Place("event.duration", _nanoseconds),
    "refusal": _Place("event.reason"),
    "error_type": _Place("error.type"),
    "exception": _Place("error.stack_trace"),
    "request_id": _Place("http.request.id"),
    "trace_id": _Place("trace.id"),
    "span_id": _Place("span.id"),
}

_GCP: Final = {
    "method": _Place("httpRequest.requestMethod"),
    "status": _Place("httpRequest.status"),
    "http_version": _Place("httpRequest.protocol", "HTTP/{}".format),
    "client": _Place("httpRequest.remoteIp"),
    "request_bytes": _Place("httpRequest.requestSize", _number_64),
    "response_bytes": _Place("httpRequest.responseSize", _number_64),
    "duration_ms": _Place("httpRequest.latency", _latency),
    "exception": _Place("stack_trace"),
    "trace_id": _Place("logging.googleapis.com/trace"),
    "span_id": _Place("logging.googleapis.com/spanId"),
}

_DATADOG: Final = {
    "method": _Place("http.method"),
    "path": _Place("http.url_details.path"),
    "scheme": _Place("http.url_details.scheme"),
    "status": _Place("http.status_code"),
    "http_version": _Place("http.version"),
    "client": _Place("network.client.ip"),
    "subject": _Place("usr.id"),
    "request_bytes": _Place("network.bytes_read"),
    "response_bytes": _Place("network.bytes_written"),
    "received_bytes": _Place("network.bytes_read"),
    "sent_bytes": _Place("network.bytes_written"),
    "duration_ms": _Place("duration", _nanoseconds),
    "error_type": _Place("error.kind"),
    "exception": _Place("error.stack"),
    "request_id": _Place("http.request_id"),
    "trace_id": _Place("dd.trace_id"),
    "span_id": _Place("dd.span_id", _decimal),
}

_ECS_OUTCOMES: Final = {"ok": "success", "": "unknown", "client_disconnect": "unknown", "cancelled": "unknown"}
_KEPT_WHOLE: Final = frozenset(
    {"logging.googleapis.com/trace", "logging.googleapis.com/spanId", "dd.trace_id", "dd.span_id"}
)
_HEADER_FIELDS: Final = {
    # By header: its own field in OTel, ECS, Cloud Logging, Datadog.
    "user-agent": ("user_agent.original", "user_agent.original", "httpRequest.userAgent", "http.useragent"),
    "referer": (None, "http.request.referrer", "httpRequest.referer", "http.referer"),
}


class Schema:
    """Turns a neutral access event into one of a store's own form."""

    def __init__(self, name: str, own_fields: Mapping[str, Any]) -> None:
        """Make the schema of a name.

        Args:
            name: One of `SCHEMAS` save "flat", which needs none.
            own_fields: The names of the neutral event; all others are of handlers, and stay.
        """
        self._number = SCHEMAS.index(name) - 1
        table = (_OTEL, _ECS, _GCP, _DATADOG)[self._number]
        own = "" if name == "gcp" else _OWN
        self._places = {field: table.get(field) or _Place(own + field) for field in own_fields}
        self._put = _put_flat if name == "otel" else _put_nested
        self._finish = (_finish_otel, _finish_ecs, _finish_gcp, _finish_datadog)[self._number]

    def apply(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Give an event in the form of the store.

        Args:
            fields: A neutral event.
        """
        put, places = self._put, self._places
        event: dict[str, Any] = {}
        for name, value in fields.items():
            place = places.get(name)
            if place is None:
                event[name] = value
            elif name == "request_headers" or name == "response_headers":  # noqa: PLR1714 -- the fast form
                self._put_headers(event, name, value)
            elif value is not None:
                put(event, place.name, value if place.convert is None else place.convert(value))
        self._finish(event, fields)
        return event

    def _put_headers(self, event: dict[str, Any], name: str, shown: Mapping[str, str]) -> None:
        side = name.partition("_")[0]
        for header, value in shown.items():
            special = _HEADER_FIELDS.get(header, (None,) * 4)[self._number] if side == "request" else None
            if special is not None:
                self._put(event, special, value)
            elif self._number == 0:
                event[f"http.{side}.header.{header}"] = [value]
            else:
                where = event if self._number == 2 else event.setdefault("asgi", {})
                where.setdefault(name, {})[header] = value


def _put_flat(event: dict[str, Any], name: str, value: Any) -> None:
    event[name] = value


def _put_nested(event: dict[str, Any], name: str, value: Any) -> None:
    if name in _KEPT_WHOLE or name.startswith("event."):  # structlog keeps the name "event" for itself
        event[name] = value
        return
    *outer, last = name.split(".")
    place = event
    for part in outer:
        inner = place.get(part)
        if type(inner) is not dict:  # a handler's field of that name gives way
            inner = place[part] = {}
        place = inner
    place[last] = value


def _finish_otel(event: dict[str, Any], fields: Mapping[str, Any]) -> None:
    if "http_version" in fields:
        event["network.protocol.name"] = "http" if "method" in fields else "websocket"
    if "error_type" in fields:
        event["exception.type"] = fields["error_type"]
    elif fields.get("outcome") == "error" and fields.get("status"):
        event["error.type"] = str(fields["status"])


def _finish_ecs(event: dict[str, Any], fields: Mapping[str, Any]) -> None:
    outcome = _ECS_OUTCOMES.get(fields.get("outcome", ""), "failure")
    event |= {"event.kind": "event", "event.category": ["web"], "event.type": ["access"], "event.outcome": outcome}
    client = fields.get("client")
    if client is not None and _is_address(client):
        event["client"]["ip"] = client


def _finish_gcp(event: dict[str, Any], fields: Mapping[str, Any]) -> None:
    if "path" in fields:
        _put_nested(event, "httpRequest.requestUrl", _url(fields))


def _finish_datadog(event: dict[str, Any], fields: Mapping[str, Any]) -> None:
    if "path" in fields:
        _put_nested(event, "http.url", _url(fields))


def _url(fields: Mapping[str, Any]) -> str:
    query = fields.get("query")
    return f"{fields['path']}?{query}" if query else str(fields["path"])


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _flat_envelope(event: Event) -> Event:
    return _ordered(event, {"timestamp": "timestamp", "level": "level", "event": "event"}, {})


def _otel_envelope(event: Event) -> Event:
    names = {"timestamp": "timestamp", "level": "severity_text", "event": "body"}
    level = event.get("level")
    event = _ordered(event, names, {"logger": "otel.scope.name", "exception": "exception.stacktrace"})
    if level in _SEVERITY_NUMBERS:
        event["severity_text"] = str(level).upper()
        event["severity_number"] = _SEVERITY_NUMBERS[level]
    return event


def _ecs_envelope(event: Event) -> Event:
    renamed = {"logger": "log.logger", "exception": "error.stack_trace"}
    renamed |= {"request_id": "http.request.id", "trace_id": "trace.id", "span_id": "span.id"}
    names = {"timestamp": "@timestamp", "level": "log.level", "event": "message"}
    ordered: dict[str, Any] = {new: event[name] for name, new in names.items() if name in event}
    ordered["ecs.version"] = _ECS_VERSION
    for name, value in event.items():
        if name in names:
            continue
        place = renamed.get(name)
        if place is None or place.startswith("log."):
            ordered[place or name] = value
        else:
            _put_nested(ordered, place, value)
    return ordered


def _gcp_envelope(event: Event) -> Event:
    renamed = {"exception": "stack_trace"} | {name: _GCP[name].name for name in ("trace_id", "span_id")}
    event = _ordered(event, {"timestamp": "time", "level": "severity", "event": "message"}, renamed)
    if "severity" in event:
        event["severity"] = str(event["severity"]).upper()
    return event


def _datadog_envelope(event: Event) -> Event:
    if "span_id" in event:
        event["span_id"] = _decimal(event["span_id"])
    ordered = _ordered(
        event,
        {"timestamp": "timestamp", "level": "status", "event": "message"},
        {"trace_id": "dd.trace_id", "span_id": "dd.span_id"},
    )
    for name, place in (("logger", "logger.name"), ("exception", "error.stack"), ("request_id", "http.request_id")):
        if name in ordered:
            _put_nested(ordered, place, ordered.pop(name))
    return ordered


def _ordered(event: Event, first: Mapping[str, str], renamed: Mapping[str, str]) -> dict[str, Any]:
    ordered = {new: event[name] for name, new in first.items() if name in event}
    for name, value in event.items():
        if name not in first:
            ordered[renamed.get(name, name)] = value
    return ordered


ENVELOPES: Final[dict[str, Callable[[Event], Event]]] = {
    "flat": _flat_envelope,
    "otel": _otel_envelope,
    "ecs": _ecs_envelope,
    "gcp": _gcp_envelope,
    "datadog": _datadog_envelope,
}
"""By schema: what all lines have, called by the store's own names and in its order."""
