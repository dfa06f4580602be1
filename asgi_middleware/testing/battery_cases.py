"""The cases of the battery, as data: what the server gives, and which app answers.

Every case is legal: whatever goes wrong in one is the class's doing. Each stands here because some published middleware
fails it.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from io import BytesIO
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from asgi_middleware._core.types import ASGIApp
from asgi_middleware.testing import battery_apps as apps
from asgi_middleware.testing.battery_apps import TEXT, body, plain_headers, sends, start
from asgi_middleware.testing.snapshots import OneShot

_NO_KEYS: Final[Mapping[str, Any]] = MappingProxyType({})
_EVERY_EXTENSION: Final = {
    "http.response.trailers": {},
    "http.response.push": {},
    "http.response.pathsend": {},
    "http.response.zerocopysend": {},
    "http.response.early_hint": {},
    "http.response.debug": {},
    "tls": {"tls_version": 0x0304},
    "invented": {"depth": [1, 2]},
}


class Case(NamedTuple):
    """One connection of the battery.

    Attributes:
        name: Shown in violations.
        app: The app for this connection.
        protocol: ``http``, ``websocket``, ``lifespan``, or a type not invented yet.
        method: The method of an http request; empty for the scenario's.
        messages: What the server gives; None for the scenario's request body, or an ordinary conversation.
        scope: Keys of the scope that differ; ``...`` removes a key.
        headers: Request headers beyond those of the scenario.
        fails_at: The number of the message, from 0, at which the server's ``send`` raises OSError; None for never.
        weighed: Whether the response cannot be compressed, so that what is not out is held.
    """

    name: str
    app: ASGIApp
    protocol: str = "http"
    method: str = ""
    messages: tuple[dict[str, Any], ...] | None = None
    scope: Mapping[str, Any] = _NO_KEYS
    headers: tuple[tuple[bytes, bytes], ...] = ()
    fails_at: int | None = None
    weighed: bool = False


def _request(data: bytes, *, more: bool = False, **keys: Any) -> dict[str, Any]:
    return {"type": "http.request", "body": data, "more_body": more, **keys}


_DISCONNECT: Final = {"type": "http.disconnect"}
_DENIAL: Final = (
    {"type": "websocket.http.response.start", "status": 403, "headers": plain_headers(6)},
    {"type": "websocket.http.response.body", "body": b"denied", "more_body": False},
)
_MIXED_CASE: Final = [
    (b"Content-Type", b"text/plain; charset=utf-8"),
    (b"Content-Length", b"%d" % len(TEXT)),
    (b"Vary", b"Cookie"),
    (b"Set-Cookie", b"a=1"),
    (b"Set-Cookie", b"b=2"),
]
_ALREADY_SET: Final = [
    (b"content-type", b"text/plain"),
    (b"vary", b"Accept-Language"),
    (b"x-request-id", b"of-the-app"),
    (b"cache-control", b"no-store"),
    (b"server-timing", b"app;dur=1"),
]
_EVENTS: Final = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]


def _error(kind: type[BaseException] = LookupError) -> Any:
    return lambda: kind("of the app")


def _group() -> BaseException:
    return BaseExceptionGroup("of the app", [GeneratorExit()])


def _starts_with(name: str, app: ASGIApp) -> tuple[Case, ...]:
    return tuple(Case(f"{name} ({method})", app, method=method) for method in ("GET", "HEAD"))


RESPONSES: Final = (
    *_starts_with("a text of known length", apps.plain),
    *_starts_with("a stream in three pieces", apps.stream),
    Case("a response of status 204", sends(start(204, []), body(b""))),
    Case("a streamed empty response of status 204", sends(start(204, []), body(b"", more=True), body(b""))),
    Case("a response of status 304", sends(start(304, [(b"etag", b'"v1"'), (b"vary", b"Cookie")]), body(b""))),
    Case("a streamed empty response of status 304", sends(start(304, []), body(b"", more=True), body(b""))),
    Case("a response of status 404", sends(start(404), body())),
    Case("a response of status 500", sends(start(500), body())),
    Case("a status that is an IntEnum", sends(start(HTTPStatus.NOT_ACCEPTABLE), body())),
    Case("a status without a name", sends(start(299), body())),
    Case("an empty response", sends(start(200, [(b"content-length", b"0")]), body(b""))),
    Case("a response start without headers", sends({"type": "http.response.start", "status": 200}, body())),
    Case("headers in a tuple", sends(start(200, tuple(plain_headers())), body())),
    Case("headers as lists", sends(start(200, [list(pair) for pair in plain_headers()]), body())),
    Case("headers that can be read once", apps.one_shot_headers),
    Case("header names in mixed case", sends(start(200, _MIXED_CASE), body())),
    Case("headers that classes like to set", sends(start(200, _ALREADY_SET), body())),
    Case("server-sent events", sends(start(200, _EVENTS), body(b"data: 1\n\n", more=True), body(b""))),
    Case("headers in Latin-1", sends(start(200, [(b"x-name", b"caf\xe9"), (b"x-empty", b"")]), body())),
    Case("a body message without any key", sends(start(), {"type": "http.response.body"})),
    Case("a body message without more_body", sends(start(), {"type": "http.response.body", "body": TEXT})),
    Case("a body of type memoryview", sends(start(), body(memoryview(TEXT)))),
    Case("a body of type bytearray", sends(start(), body(bytearray(TEXT), more=True), body(bytearray(TEXT)))),
    Case("an empty first piece", sends(start(), body(b"", more=True), body(more=True), body(b""))),
    Case("four mebibytes in 64 pieces", apps.large, weighed=True),
    Case("keys not invented yet", sends(start(x_note=1), body(x_note=2, more=True), body(x_note=3))),
    Case("an encoded response", sends(start(200, [(b"content-encoding", b"br"), (b"vary", b"*")]), body(apps.NOISE))),
    Case("an encoded response in mixed case", sends(start(200, [(b"Content-Encoding", b"br")]), body(apps.NOISE))),
    Case(
        "a part of a response",
        sends(start(206, [(b"content-range", b"bytes 0-2249/9000"), (b"content-length", b"2250")]), body()),
    ),
)

EXTENSIONS: Final = tuple(
    case._replace(scope={"extensions": _EVERY_EXTENSION})
    for case in (
        Case(
            "trailers",
            sends(
                start(trailers=True),
                body(more=True),
                body(),
                {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": True},
                {"type": "http.response.trailers", "headers": [(b"x-end", b"1")]},
            ),
        ),
        Case("early hints", sends({"type": "http.response.early_hint", "links": [b"</a.css>"]}, start(), body())),
        Case("a push", sends(start(), {"type": "http.response.push", "path": "/a.css", "headers": []}, body())),
        Case("a file by path", sends(start(), {"type": "http.response.pathsend", "path": "/dev/null"})),
        Case(
            "a file by descriptor",
            sends(start(), {"type": "http.response.zerocopysend", "file": BytesIO(), "offset": 0, "more_body": False}),
        ),
        Case("debug information", sends({"type": "http.response.debug", "info": {"a": 1}}, start(), body())),
        Case(
            "types not invented yet",
            sends(
                {"type": "http.response.invented", "at": 0},
                start(),
                {"type": "http.response.invented", "at": 1},
                body(more=True),
                {"type": "http.response.invented", "at": 2, "body": b"none"},
                body(b"end"),
                {"type": "http.response.invented", "at": 3},
            ),
        ),
    )
)

REQUESTS: Final = (
    Case("an upload that comes back", apps.echo, method="POST"),
    Case("an upload that comes back while it comes", apps.duplex, method="POST"),
    Case("an upload nobody reads", apps.plain, method="POST"),
    Case("an upload without a body key", apps.echo, method="POST", messages=({"type": "http.request"},)),
    Case("an upload in a bytearray", apps.echo, method="POST", messages=(_request(bytearray(b"ab")),)),  # type: ignore[arg-type]
    Case(
        "an upload with keys and types not invented yet",
        sends(start(), body(), read=True),
        method="POST",
        messages=(_request(b"a", more=True, x_note=1), _request(b"b", x_note={"deep": [1]})),
    ),
    Case(
        "a client that leaves in mid-body",
        sends(read=True),
        method="POST",
        messages=(_request(b"a", more=True), _DISCONNECT),
    ),
    Case("a client that is gone", sends(read=True), messages=(_DISCONNECT, _DISCONNECT)),
    Case("an app that listens while it sends", apps.listener),
    Case("an app that works on after its answer", apps.after_the_end, method="POST"),
    Case("an app that sets a context variable", apps.sets_context),
    Case("an app that reads, then raises", apps.reads_then_raises, method="POST"),
    Case("an app that raises at once", apps.raises(_error())),
    Case("an app that raises a BaseExceptionGroup", apps.raises(_group)),
    Case("an app that raises OSError", apps.raises(_error(ConnectionResetError), start())),
    Case("an app that raises after the start", apps.raises(_error(), start())),
    Case("an app that raises in its stream", apps.raises(_error(), start(), body(more=True))),
    Case("an app that raises after its answer", apps.raises(_error(), start(), body())),
    Case("a send that fails at the start", apps.plain, fails_at=0),
    Case("a send that fails in the stream", apps.stream, fails_at=2),
)

WEBSOCKETS: Final = tuple(
    case._replace(protocol="websocket")
    for case in (
        Case("a conversation", apps.websocket_echo),
        Case("a close by the app", apps.websocket_sends({"type": "websocket.close", "code": 4000, "reason": "over"})),
        Case("a close without code", apps.websocket_sends({"type": "websocket.close"})),
        Case("a refusal by close", apps.websocket_sends({"type": "websocket.close", "code": 1008}, accept=False)),
        Case("a refusal by response", apps.websocket_sends(*_DENIAL, accept=False)),
        Case("types not invented yet", apps.websocket_sends({"type": "websocket.invented", "x": [1]})),
        Case("a client that leaves before accept", apps.websocket_sends(accept=False)),
        Case("an app that raises before accept", apps.websocket_raises(_error(), accept=False)),
        Case("an app that raises after accept", apps.websocket_raises(_error(), accept=True)),
        Case("a send that fails", apps.websocket_echo, fails_at=1),
        Case(
            "a scope with the required keys alone",
            apps.websocket_echo,
            scope=dict.fromkeys(
                (
                    "asgi",
                    "http_version",
                    "scheme",
                    "raw_path",
                    "query_string",
                    "root_path",
                    "client",
                    "server",
                    "state",
                    "subprotocols",
                    "extensions",
                ),
                ...,
            ),
        ),
        Case(
            "a scope with empty keys",
            apps.websocket_echo,
            scope={"query_string": None, "client": None, "extensions": None},
        ),
    )
)

SCOPES: Final = (
    Case(
        "a scope with the required keys alone",
        apps.plain,
        scope=dict.fromkeys(
            ("asgi", "scheme", "raw_path", "root_path", "client", "server", "state", "extensions"), ...
        ),
    ),
    Case("extensions that are None", apps.plain, scope={"extensions": None}),
    Case("a client that is None", apps.plain, scope={"client": None, "server": ("/run/app.sock", None)}),
    Case("ports 0 and as text", apps.plain, scope={"client": ("10.0.0.1", 0), "server": ["app", "80"]}),
    Case("a method in lower case", apps.plain, method="get"),
    Case("a method not invented yet", apps.plain, method="QUERY"),
    Case(
        "a path in absolute form",
        apps.plain,
        scope={"path": "http://api.example/a", "raw_path": b"http://api.example/a"},
    ),
    Case("a path with a line feed", apps.plain, scope={"path": "/a\nb\udce9", "raw_path": b"/a%0Ab%E9"}),
    Case("a query that is not UTF-8", apps.plain, scope={"query_string": b"a=%FF&b=\xff"}),
    Case("a root path", apps.plain, scope={"root_path": "/api", "path": "/api/battery"}),
    *(
        Case(f"http_version {version!r}", apps.plain, scope={"http_version": version})
        for version in ("1", "1.0", "2", "3")
    ),
    Case("keys not invented yet", apps.plain, scope={"invented": {"deep": [1, {"a": 2}]}, "x-user": "somebody"}),
    Case("request headers in mixed case", apps.plain, headers=((b"X-Note", b"1"), (b"Accept", b"*/*"))),
    Case("request headers twice", apps.plain, headers=((b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"x-note", b""))),
    Case("request headers in Latin-1", apps.plain, headers=((b"x-name", b"caf\xe9"), (b"user-agent", b"\xff\xfe"))),
)
HEADER_SHAPES: Final = (
    ("a tuple of tuples", tuple),
    ("a list of lists", lambda pairs: [list(pair) for pair in pairs]),
    ("an iterator", OneShot),
)

LIFESPANS: Final = tuple(
    case._replace(protocol="lifespan")
    for case in (
        Case("a lifespan", apps.lifespan),
        Case("an app without lifespan", apps.raises(_error(ValueError))),
        Case("a start-up that fails", sends({"type": "lifespan.startup.failed", "message": "no database"})),
        Case("a lifespan without state", apps.lifespan, scope={"state": ..., "asgi": ...}),
    )
)
OTHERS: Final = tuple(
    case._replace(protocol="invented", messages=({"type": "invented.begin"},))
    for case in (
        Case("a scope type not invented yet", sends({"type": "invented.answer", "headers": [(b"a", b"b")]})),
        Case("an app that does not know the scope type", apps.raises(_error(ValueError))),
    )
)

CASES: Final = (*RESPONSES, *EXTENSIONS, *REQUESTS, *WEBSOCKETS, *SCOPES, *LIFESPANS, *OTHERS)
PROFILED: Final = (
    Case("a text", apps.plain),
    Case("a stream", apps.stream),
    Case("an upload", apps.echo, method="POST"),
    Case("an app that listens while it sends", apps.listener),
    Case("an app that raises", apps.raises(_error())),
    Case("a conversation", apps.websocket_echo, protocol="websocket"),
    Case("a lifespan", apps.lifespan, protocol="lifespan"),
)
