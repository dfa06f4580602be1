"""Servers should give the names of request headers in lower case, but need not (ASGI HTTP specification)."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

import asgi_middleware
from asgi_middleware.logging import CorrelationIdMiddleware
from asgi_middleware.metrics import MetricsEndpoint
from asgi_middleware.testing import Result, http, http_scope, websocket
from asgi_middleware.testing.tokens import TokenIssuer

pytestmark = pytest.mark.anyio

Headers = list[tuple[bytes, bytes]]
Spelling = Callable[[bytes], bytes]

ISSUER = TokenIssuer()
TOKEN = (b"authorization", f"Bearer {ISSUER.token(sub='ada')}".encode())
ORIGIN = (b"origin", b"https://a.example")
ORIGINS: dict[str, Any] = {"allow_origins": ["https://a.example"]}
SMALL: dict[str, Any] = {"max_body_size": 10}


def odd(name: bytes) -> bytes:
    """Give a spelling that no table would hold from the start."""
    return bytes(letter if at % 3 else letter ^ 0x20 if letter > 0x60 else letter for at, letter in enumerate(name))


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Read the request, and answer with something to encode."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"text/plain"), (b"etag", b'"one"')]
    known = any(name.lower() == b"if-none-match" and value == b'"one"' for name, value in scope["headers"])
    await send({"type": "http.response.start", "status": 304 if known else 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if known else b"text " * 400})


def seen(result: Result) -> list[Any]:
    """Give what went out, without what differs by chance or by the clock."""
    by_chance = {b"date", b"age"}
    return [
        {**message, "headers": sorted(pair for pair in message["headers"] if pair[0] not in by_chance)}
        if "headers" in message
        else message
        for message in result.sent
    ]


ROWS: list[tuple[str, dict[str, Any], Headers, dict[str, Any]]] = [
    ("CORSMiddleware", ORIGINS, [ORIGIN], {}),
    ("CORSMiddleware", ORIGINS, [ORIGIN, (b"access-control-request-method", b"GET")], {"method": "OPTIONS"}),
    ("CompressionMiddleware", {}, [(b"accept-encoding", b"gzip")], {}),
    (
        "CompressionMiddleware",
        {"etag": "suffix"},
        [(b"accept-encoding", b"gzip"), (b"if-none-match", b'"one-gzip"')],
        {},
    ),
    ("DecompressionMiddleware", {}, [(b"content-encoding", b"unknown")], {"method": "POST"}),
    (
        "DecompressionMiddleware",
        {"buffer": True},
        [(b"content-encoding", b"gzip")],
        {"method": "POST", "body": b"no gzip"},
    ),
    ("JWTAuthMiddleware", ISSUER.options, [TOKEN], {}),
    ("RequestBodyLimitMiddleware", SMALL, [(b"content-length", b"11")], {"method": "POST", "body": b"12345678901"}),
    ("RequestBodyLimitMiddleware", SMALL, [(b"content-length", b"11")], {"method": "GET", "body": b"12345678901"}),
    (
        "RequestBodyLimitMiddleware",
        {**SMALL, "require_content_length": True},
        [(b"transfer-encoding", b"chunked")],
        {"method": "POST", "body": b"123"},
    ),
    ("HeaderLimitMiddleware", {"max_field_bytes": 64}, [(b"cookie", b"x" * 80)], {}),
    (
        "MetricsEndpoint",
        {"registry": CollectorRegistry()},
        [(b"accept", b"application/openmetrics-text")],
        {"path": "/metrics"},
    ),
    ("CorrelationIdMiddleware", {}, [(b"x-request-id", b"abc")], {}),
    ("LoggingMiddleware", {}, [(b"x-request-id", b"abc")], {}),
    ("ProblemDetailsMiddleware", {}, [(b"accept", b"text/html")], {"path": "/raises"}),
]


def wrap(name: str, options: dict[str, Any]) -> Any:
    """Make the class around the app."""
    further = {"CorrelationIdMiddleware": CorrelationIdMiddleware, "MetricsEndpoint": MetricsEndpoint}
    return (further.get(name) or getattr(asgi_middleware, name))(raising, **options)


async def raising(scope: Any, receive: Any, send: Any) -> None:
    """Serve; but raise under one path."""
    if scope.get("path") == "/raises":
        raise ValueError
    await app(scope, receive, send)


@pytest.mark.parametrize("spelling", [bytes.title, bytes.upper, odd], ids=["title", "upper", "odd"])
@pytest.mark.parametrize(
    ("name", "options", "headers", "request_"), ROWS, ids=[f"{row[0]}-{at}" for at, row in enumerate(ROWS)]
)
async def test_of_request_headers(
    name: str, options: dict[str, Any], headers: Headers, request_: dict[str, Any], spelling: Spelling
) -> None:
    """A request header is understood in any letter case, by every class that goes by one [asgi 9]."""

    async def asked(given: Headers) -> list[Any]:
        return seen(await http(wrap(name, options), headers=given, raise_exceptions=False, **request_))

    usual = await asked(headers)
    assert await asked([(spelling(key), value) for key, value in headers]) == usual
    assert await asked(headers[:-1]) != usual


@pytest.mark.parametrize("spelling", [bytes.title, bytes.upper, odd], ids=["title", "upper", "odd"])
async def test_of_websocket_headers(spelling: Spelling) -> None:
    """So is the Origin of a WebSocket."""
    wrapped = asgi_middleware.WebSocketOriginMiddleware(app, allow_origins=["https://a.example"])
    for origin, accepted in ((b"https://a.example", True), (b"https://evil.example", False)):
        result = await websocket(wrapped, headers=[(spelling(b"origin"), origin)])
        assert (result.sent[0]["type"] == "websocket.accept") is accepted


async def test_of_an_encoded_body() -> None:
    """A body is inflated whatever the case of its Content-Encoding."""
    bodies: list[bytes] = []

    async def reads(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        bodies.append(message["body"])

    wrapped = asgi_middleware.DecompressionMiddleware(reads)
    await http(wrapped, "POST", headers=[(odd(b"content-encoding"), b"gzip")], body=gzip.compress(b"hello"))
    assert bodies == [b"hello"]


@pytest.mark.parametrize("name", [b"content-length", b"Content-Length", odd(b"transfer-encoding"), b"x-other"])
async def test_of_what_a_clock_runs_for(name: bytes) -> None:
    """A body is timed whatever the case of the header that tells of it; where none does, nothing is."""
    received: list[Any] = []

    async def server_receive() -> Any:
        raise AssertionError

    async def looks(scope: Any, receive: Any, send: Any) -> None:
        received.append(receive)

    wrapped = asgi_middleware.BodyTimeoutMiddleware(looks)
    await wrapped(http_scope(headers=[(name, b"1")]), server_receive, server_receive)
    assert (received[0] is server_receive) is (name == b"x-other")
