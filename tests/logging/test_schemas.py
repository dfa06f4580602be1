"""Schemas: the access event and every other line in the names, the nesting and the units of a log store.

The lists below are copied from the stores' public documents, each named above its list.
"""

import io
import json
import logging
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog
from small_apps import echo, hello

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware._core.exchange import add_fields, timing
from asgi_middleware.logging import FIELDS, SCHEMAS, LoggingMiddleware, configure_structlog
from asgi_middleware.logging.schemas import Schema
from asgi_middleware.testing import http, websocket

Lines = list[MutableMapping[str, Any]]

# OpenTelemetry semantic conventions 1.44, attribute registry: http, url, network, client, user, user_agent, error,
# exception; metric http.server.request.duration (unit s). https://opentelemetry.io/docs/specs/semconv/registry/
OTEL = {
    "http.request.method": str,
    "http.request.method_original": str,
    "http.request.body.size": int,
    "http.response.body.size": int,
    "http.response.status_code": int,
    "http.route": str,
    "http.server.request.duration": float,
    "url.path": str,
    "url.query": str,
    "url.scheme": str,
    "network.protocol.name": str,
    "network.protocol.version": str,
    "client.address": str,
    "user.id": str,
    "user_agent.original": str,
    "error.type": str,
    "exception.type": str,
    "exception.stacktrace": str,
}
OTEL_TEMPLATES = ("http.request.header.", "http.response.header.")  # values are arrays of strings
# OpenTelemetry, "Trace Context in non-OTLP Log Formats", and this library's own two.
OTEL_TOP = {"trace_id", "span_id", "parent_span_id", "request_id"}

# Elastic Common Schema 9.0, field reference. https://www.elastic.co/docs/reference/ecs/ecs-field-reference
ECS = {
    "@timestamp": str,
    "log.level": str,
    "log.logger": str,
    "message": str,
    "ecs.version": str,
    "client.address": str,
    "client.ip": str,
    "destination.bytes": int,
    "error.stack_trace": str,
    "error.type": str,
    "event.category": list,
    "event.duration": int,
    "event.kind": str,
    "event.outcome": str,
    "event.reason": str,
    "event.type": list,
    "http.request.body.bytes": int,
    "http.request.id": str,
    "http.request.method": str,
    "http.request.referrer": str,
    "http.response.body.bytes": int,
    "http.response.status_code": int,
    "http.version": str,
    "source.bytes": int,
    "span.id": str,
    "trace.id": str,
    "url.path": str,
    "url.query": str,
    "url.scheme": str,
    "user.id": str,
    "user_agent.original": str,
}
# ECS logging specification 1.x: the first fields, in this order, not nested. https://github.com/elastic/ecs-logging
ECS_FIRST = ["@timestamp", "log.level", "message", "ecs.version"]

# Cloud Logging API v2, LogEntry.HttpRequest; JSON form of int64 and Duration is a string.
# https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#HttpRequest
GCP_REQUEST = {
    "requestMethod": str,
    "requestUrl": str,
    "requestSize": str,
    "status": int,
    "responseSize": str,
    "userAgent": str,
    "remoteIp": str,
    "referer": str,
    "latency": str,
    "protocol": str,
}
# "Structured logging": special JSON fields. https://cloud.google.com/logging/docs/structured-logging
GCP_TOP = {"severity", "message", "time", "httpRequest", "stack_trace"}
GCP_TRACE = {"logging.googleapis.com/trace", "logging.googleapis.com/spanId"}

# Datadog, Log Management, "Default Standard Attributes"; dd.* from "Correlate Logs and Traces".
# https://docs.datadoghq.com/standard-attributes/
DATADOG = {
    "duration": int,
    "error.kind": str,
    "error.stack": str,
    "http.method": str,
    "http.referer": str,
    "http.request_id": str,
    "http.status_code": int,
    "http.url": str,
    "http.url_details.path": str,
    "http.url_details.scheme": str,
    "http.useragent": str,
    "http.version": str,
    "logger.name": str,
    "network.bytes_read": int,
    "network.bytes_written": int,
    "network.client.ip": str,
    "usr.id": str,
}
DATADOG_TOP = {"dd.trace_id", "dd.span_id"}

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HEADERS = [(b"x-request-id", b"abc"), (b"user-agent", b"curl"), (b"referer", b"/from"), (b"accept", b"*/*")]
OPTIONS: dict[str, Any] = {"request_headers": ["user-agent", "referer", "accept"], "response_headers": ["content-type"]}


async def full(scope: Any, receive: Any, send: Any) -> None:
    """Answer with all that an event may have."""
    exchange = scope["asgi_middleware"]
    exchange.subject, exchange.route, exchange.cors = "alice", "/items/{id}", "allowed"
    add_fields(tenant="acme")
    with timing("db"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"hello"})
    raise ValueError


def flat(event: MutableMapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give nested members by their dotted names."""
    for name, value in event.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


async def event_of(schema: str, lines: Lines) -> dict[str, Any]:
    """Give a full event in a schema."""
    wrapped = LoggingMiddleware(full, schema=schema, **OPTIONS)
    headers = [*HEADERS, (b"traceparent", TRACE)]
    await http(
        wrapped, "POST", "/items/7", query_string=b"a=1", headers=headers, scheme="https", raise_exceptions=False
    )
    assert wrapped.failures == 0
    event = dict(lines[-1])
    assert event.pop("event") == "http.request"
    assert event.pop("log_level") == "error"
    assert event["tenant"] == "acme"
    del event["tenant"]
    return event


@pytest.mark.anyio
class TestAccessEvent:
    async def test_otel(self, lines: Lines) -> None:
        """OpenTelemetry: dotted attributes, durations in seconds [3.4]."""
        event = await event_of("otel", lines)
        for name, value in event.items():
            if name.startswith(OTEL_TEMPLATES):
                assert type(value) is list
            elif name not in OTEL_TOP and not name.startswith("asgi."):
                assert type(value) is OTEL[name] or (name == "exception.stacktrace" and isinstance(value, str)), name
        assert event["http.request.header.accept"] == ["*/*"]
        assert event["http.response.header.content-type"] == ["text/plain"]
        assert event["error.type"] == event["exception.type"] == "ValueError"
        assert 0 < event["http.server.request.duration"] < 5
        assert event["network.protocol.name"] == "http"
        assert (event["trace_id"], event["request_id"]) == (TRACE[3:35].decode(), "abc")
        assert event["asgi.outcome"] == "error"

    async def test_ecs(self, lines: Lines) -> None:
        """ECS: nested fields, durations in nanoseconds, outcomes by its own words [3.4]."""
        event = dict(flat(await event_of("ecs", lines)))
        for name, value in event.items():
            if not name.startswith("asgi."):
                assert isinstance(value, ECS[name]), name
        assert event["event.outcome"] == "failure"
        assert event["client.ip"] == "127.0.0.1"
        assert event["trace.id"] == TRACE[3:35].decode()
        assert 1_000 < event["event.duration"] < 5_000_000_000
        assert event["http.request.referrer"] == "/from"

    async def test_gcp(self, lines: Lines) -> None:
        """Cloud Logging: `httpRequest` with a latency that ends in s, and sizes as text [3.4]."""
        event = await event_of("gcp", lines)
        request = event["httpRequest"]
        for name, value in request.items():
            assert type(value) is GCP_REQUEST[name], name
        assert set(event) - GCP_TOP - GCP_TRACE <= set(FIELDS)
        assert request["latency"].endswith("s")
        assert 0 < float(request["latency"][:-1]) < 5
        assert (request["requestUrl"], request["responseSize"], request["protocol"]) == (
            "/items/7?a=1",
            "5",
            "HTTP/1.1",
        )
        assert event["logging.googleapis.com/trace"] == TRACE[3:35].decode()
        assert event["request_headers"] == {"accept": "*/*"}

    async def test_datadog(self, lines: Lines) -> None:
        """Datadog: nested attributes, durations in nanoseconds, span ids as decimal numbers [3.4]."""
        event = await event_of("datadog", lines)
        top = {name: event.pop(name) for name in DATADOG_TOP}
        for name, value in flat(event):
            if not name.startswith("asgi."):
                assert isinstance(value, DATADOG[name]), name
        assert top["dd.trace_id"] == TRACE[3:35].decode()
        assert top["dd.span_id"].isdecimal()
        assert event["http"]["url"] == "/items/7?a=1"
        assert event["http"]["useragent"] == "curl"
        assert 1_000 < event["duration"] < 5_000_000_000

    @pytest.mark.parametrize("schema", SCHEMAS[1:])
    async def test_websocket(self, schema: str, lines: Lines) -> None:
        """A WebSocket's event has the same place for the same thing, and nothing is lost."""
        await websocket(LoggingMiddleware(echo), messages=["hi"])
        wrapped = LoggingMiddleware(echo, schema=schema)
        await websocket(wrapped, messages=["hi"])
        assert wrapped.failures == 0
        neutral, event = lines
        found = str(dict(flat(event)))
        for name in ("close_code", "closed_by", "sent_messages"):
            assert str(neutral[name]) in found

    @pytest.mark.parametrize("schema", SCHEMAS[1:])
    def test_every_field_has_a_place(self, schema: str) -> None:
        """No two fields of one event share a place, and none is lost."""
        values: dict[str, Any] = dict.fromkeys(FIELDS, 7) | {"span_id": "0a", "client": "::1", "outcome": "refused"}
        for name in ("request_headers", "response_headers"):
            values[name] = {"accept": "x"}
        for name in ("received_bytes", "sent_bytes"):  # of a WebSocket, which has no body
            del values[name]
        event = dict(flat(Schema(schema, FIELDS).apply(values)))
        assert len(event) >= len(values)


def test_unknown_schema() -> None:
    """A name that is none of them is told."""
    with pytest.raises(ConfigurationError):
        LoggingMiddleware(hello, schema="splunk")
    with pytest.raises(ConfigurationError):
        configure_structlog(schema="splunk")


LEVELS = {
    "flat": ("level", "warning"),
    "otel": ("severity_text", "WARNING"),
    "ecs": ("log.level", "warning"),
    "gcp": ("severity", "WARNING"),
    "datadog": ("status", "warning"),
}
TIMES = {"flat": "timestamp", "otel": "timestamp", "ecs": "@timestamp", "gcp": "time", "datadog": "timestamp"}
MESSAGES = {"flat": "event", "otel": "body", "ecs": "message", "gcp": "message", "datadog": "message"}


@pytest.mark.anyio
@pytest.mark.usefixtures("logging_state")
@pytest.mark.parametrize("schema", SCHEMAS)
async def test_all_lines(schema: str) -> None:
    """Time, level, message and ids of every line, access line or not, have the store's names and come first."""
    stream = io.StringIO()
    configure_structlog(stream=stream, schema=schema)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        structlog.get_logger().warning("native")
        logging.getLogger("shop").warning("standard")
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body"})

    await http(LoggingMiddleware(app, schema=schema), headers=HEADERS)
    written = [json.loads(line) for line in stream.getvalue().splitlines()]
    name, value = LEVELS[schema]
    for line, message in zip(written, ("native", "standard", "http.request"), strict=True):
        assert list(line)[:3] == [TIMES[schema], name, MESSAGES[schema]]
        assert (line[name], line[MESSAGES[schema]]) == (value, message)
        assert (
            dict(flat(line))[
                "http.request.id" if schema == "ecs" else "http.request_id" if schema == "datadog" else "request_id"
            ]
            == "abc"
        )
    if schema == "ecs":
        assert all(list(line)[:4] == ECS_FIRST for line in written)
    if schema == "otel":
        # Log data model, "Displaying Severity": WARN is 13 to 16.
        assert {line["severity_number"] for line in written} == {13}
    assert "shop" in str(written[1])


@pytest.mark.usefixtures("logging_state")
@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ("otel", "exception.stacktrace"),
        ("ecs", "error.stack_trace"),
        ("gcp", "stack_trace"),
        ("datadog", "error.stack"),
    ],
)
def test_tracebacks_of_all_lines(schema: str, place: str) -> None:
    """A traceback stands where the store looks for it, with its line breaks."""
    stream = io.StringIO()
    configure_structlog(stream=stream, schema=schema)
    try:
        raise ValueError
    except ValueError:
        structlog.get_logger().exception("failed")
    line = dict(flat(json.loads(stream.getvalue())))
    assert line[place].startswith("Traceback (most recent call last):\n")
