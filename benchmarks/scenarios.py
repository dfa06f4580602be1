"""What a subject is measured with: one request, and an app that answers it without doing anything of its own."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

App = Callable[[Any, Any, Any], Awaitable[None]]

BROWSER_HEADERS = [
    (b"host", b"api.example.com"),
    (b"connection", b"keep-alive"),
    (b"sec-ch-ua", b'"Chromium";v="156", "Not A Brand";v="24"'),
    (b"sec-ch-ua-mobile", b"?0"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0"),
    (b"accept", b"application/json, text/plain, */*"),
    (b"sec-fetch-site", b"same-site"),
    (b"sec-fetch-mode", b"cors"),
    (b"sec-fetch-dest", b"empty"),
    (b"referer", b"https://app.example.com/"),
    (b"accept-encoding", b"gzip, deflate, br, zstd"),
    (b"accept-language", b"en-GB,en;q=0.9"),
]
JSON_2K = b"[" + b",".join(b'{"id":%d,"name":"item %d","price":%d.5}' % (n, n * 7, n % 90) for n in range(50)) + b"]"


MORE_HEADERS = [
    (b"cookie", b"session=0123456789abcdef; theme=dark"),
    (b"dnt", b"1"),
    (b"priority", b"u=1, i"),
    (b"pragma", b"no-cache"),
    (b"x-forwarded-for", b"203.0.113.7, 10.0.0.3"),
    (b"x-forwarded-host", b"api.example.com"),
    (b"x-forwarded-proto", b"https"),
    (b"via", b"1.1 proxy"),
]


class Exchanged(Protocol):
    """What :func:`measure.measure` needs of a scenario."""

    @property
    def name(self) -> str:
        """The name in the table."""

    @property
    def waits(self) -> bool:
        """Whether subjects may wait for something: then an event loop runs."""

    @property
    def sent(self) -> int:
        """How many messages the app sends."""

    def app(self) -> App:
        """Give the bare app of this scenario."""

    def request(self) -> Callable[[App], Coroutine[Any, Any, None]]:
        """Give a function that makes one request to an app, as a coroutine that never really waits."""


@dataclass(frozen=True)
class Scenario:
    """One HTTP request and its answer.

    Attributes:
        name: The name in the table.
        method: The request's method.
        headers: Headers besides those of a browser.
        without: Names of browser headers that this request lacks.
        request_body: The request's body chunks.
        response_body: The app's body.
        chunks: How many messages the body goes out in; more than one carry no Content-Length.
        content_type: The app's content type.
        reads_body: Whether the app reads the request's body.
        waits: Whether subjects may wait for something: then an event loop runs.
    """

    name: str
    method: str = "GET"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    without: frozenset[bytes] = frozenset()
    request_body: tuple[bytes, ...] = (b"",)
    response_body: bytes = JSON_2K
    chunks: int = 1
    content_type: bytes = b"application/json"
    reads_body: bool = False
    waits: bool = False

    @property
    def sent(self) -> int:
        """How many messages the app sends: the head, and the chunks."""
        return 1 + self.chunks

    def app(self) -> App:
        """Give the bare app of this scenario."""
        headers = [
            (b"content-type", self.content_type),
            (b"cache-control", b"no-cache"),
            (b"x-content-type-options", b"nosniff"),
            (b"server", b"bench"),
        ]
        if self.chunks == 1:
            headers.insert(1, (b"content-length", b"%d" % len(self.response_body)))
        size = -(-len(self.response_body) // self.chunks)
        *first, last = (self.response_body[at : at + size] for at in range(0, len(self.response_body), size))
        reads_body = self.reads_body

        async def bare(scope: Any, receive: Any, send: Any) -> None:
            if reads_body:
                while (await receive()).get("more_body"):
                    pass
            # Fresh objects for every request: some peers change the lists they are given.
            await send({"type": "http.response.start", "status": 200, "headers": headers.copy()})
            for chunk in first:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": last, "more_body": False})

        return bare

    def request(self) -> Callable[[App], Coroutine[Any, Any, None]]:
        """Give a function that makes one request to an app, as a coroutine that never really waits."""
        headers = [*(pair for pair in BROWSER_HEADERS if pair[0] not in self.without), *self.headers]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "https",
            "path": "/api/items/42",
            "raw_path": b"/api/items/42",
            "query_string": b"page=2",
            "root_path": "",
            "headers": headers,
            "client": ("203.0.113.7", 40000),
            "server": ("127.0.0.1", 8000),
            "state": {},
        }
        last = len(self.request_body) - 1
        messages = [
            {"type": "http.request", "body": chunk, "more_body": position < last}
            for position, chunk in enumerate(self.request_body)
        ]

        async def request(app: App) -> None:
            script = iter(messages)

            async def receive() -> Any:
                return next(script, {"type": "http.disconnect"})

            async def send(message: Any) -> None:
                return None

            await app(scope.copy(), receive, send)

        return request


@dataclass(frozen=True)
class Echo:
    """One WebSocket session that sends every message back.

    Attributes:
        name: The name in the table.
        messages: How many messages the client sends.
        headers: Headers besides those of a browser.
        waits: As for HTTP.
        stays: Whether the client stays, silent, after its messages, instead of leaving.
    """

    name: str
    messages: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    waits: bool = False
    stays: bool = False

    @property
    def sent(self) -> int:
        """How many messages the app sends: the accept, and the echoes."""
        return 1 + self.messages

    def app(self) -> App:
        """Give an app that accepts and echoes."""

        async def bare(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": message["text"]})

        return bare

    def request(self) -> Callable[[App], Coroutine[Any, Any, None]]:
        """Give a function that holds one session, as a coroutine that waits for nothing, unless the client stays."""
        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "wss",
            "path": "/ws",
            "raw_path": b"/ws",
            "query_string": b"",
            "root_path": "",
            "headers": [*BROWSER_HEADERS, *self.headers],
            "subprotocols": [],
            "client": ("203.0.113.7", 40000),
            "server": ("127.0.0.1", 8000),
            "state": {},
            "extensions": {"websocket.http.response": {}},
        }
        messages = [
            {"type": "websocket.connect"},
            *({"type": "websocket.receive", "text": f"message {number}"} for number in range(self.messages)),
        ]

        async def request(app: App) -> None:
            script = iter(messages)

            async def receive() -> Any:
                message = next(script, None)
                if message is None and self.stays:
                    await asyncio.get_running_loop().create_future()
                return message or {"type": "websocket.disconnect", "code": 1000}

            async def send(message: Any) -> None:
                return None

            await app(scope.copy(), receive, send)

        return request


ORIGIN = (b"origin", b"https://app.example.com")
SIMPLE = Scenario("GET, 2 KB JSON")
WITH_ID = Scenario("GET, id given", headers=((b"x-request-id", b"0123456789abcdef0123456789abcdef"),))
IMAGE = Scenario("GET, 50 KB PNG", response_body=b"x" * 50_000, content_type=b"image/png")
JSON_50K = b"[%s]" % b",".join(
    b'{"id":%d,"name":"item %d","price":%d.%d}' % (n, n * 7919 % 10_007, n * 104_729 % 997, n % 90) for n in range(1170)
)
TWENTY_HEADERS = Scenario("GET, 20 headers", headers=tuple(MORE_HEADERS))
LARGE = Scenario("GET, 50 KB JSON", response_body=JSON_50K)
STREAM = Scenario("GET, 50 KB in 20 chunks", response_body=JSON_50K, chunks=20)
NO_ENCODING = Scenario("GET, no Accept-Encoding", without=frozenset({b"accept-encoding"}))
SMALL = Scenario("GET, 100 B", response_body=b"x" * 100)
CROSS_ORIGIN = Scenario("GET, allowed Origin", headers=(ORIGIN,))
PREFLIGHT = Scenario(
    "preflight",
    method="OPTIONS",
    headers=(
        ORIGIN,
        (b"access-control-request-method", b"PUT"),
        (b"access-control-request-headers", b"content-type"),
    ),
)
UPLOAD = Scenario(
    "POST, 2 KB",
    method="POST",
    headers=((b"content-length", b"2048"), (b"content-type", b"application/json")),
    request_body=(b"x" * 2048,),
    reads_body=True,
)
_ENCODED = gzip.compress(JSON_50K[:2047] + b"]", mtime=0)
ENCODED_UPLOAD = Scenario(
    "POST, 2 KB JSON in gzip",
    method="POST",
    headers=(
        (b"content-length", b"%d" % len(_ENCODED)),
        (b"content-type", b"application/json"),
        (b"content-encoding", b"gzip"),
    ),
    request_body=(_ENCODED,),
    reads_body=True,
)
UPLOAD_IN_CHUNKS = Scenario(
    "POST, 64 KB in 16 chunks",
    method="POST",
    headers=((b"content-length", b"65536"), (b"content-type", b"application/octet-stream")),
    request_body=(b"x" * 4096,) * 16,
    reads_body=True,
)
ECHO = Echo("WebSocket, 10 echoes", messages=10)
LONG_ECHO = Echo("WebSocket, 1000 echoes", messages=1000)


@dataclass(frozen=True)
class Routed(Scenario):
    """A request to the eighth of 17 routes of a Starlette router, for classes that name the route."""

    def app(self) -> App:
        """Give the router alone, without Starlette's own middleware."""
        router: App = starlette_of(super().app()).router
        return router

    def request(self) -> Callable[[App], Coroutine[Any, Any, None]]:
        """Give the request as Starlette makes it: with the application in the scope."""
        request = super().request()
        starlette = starlette_of(super().app())

        async def with_application(app: App) -> None:
            async def started(scope: Any, receive: Any, send: Any) -> None:
                scope["app"] = starlette
                await app(scope, receive, send)

            await request(started)

        return with_application


def starlette_of(endpoint: App) -> Any:
    """Give a Starlette application of 17 routes that all lead to `endpoint`."""
    from starlette.applications import Starlette  # noqa: PLC0415 -- only the rows about routes need it
    from starlette.routing import Mount, Route  # noqa: PLC0415

    class Endpoint:
        """An object is taken for an ASGI app, a function for a handler."""

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await endpoint(scope, receive, send)

    routes = [Route(f"/api/{name}/{{id:int}}", Endpoint()) for name in "abcdefg"]
    routes.append(Route("/api/items/{id:int}", Endpoint()))
    routes += [Route(f"/api/{name}/{{id:int}}", Endpoint()) for name in "hijklmno"]
    return Starlette(routes=[*routes, Mount("/static", Endpoint())])


ROUTED = Routed("GET, Starlette route")
