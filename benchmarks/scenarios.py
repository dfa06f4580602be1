"""What a subject is measured with: one request, and an app that answers it without doing anything of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class Scenario:
    """One request and its answer.

    Attributes:
        name: The name in the table.
        method: The request's method.
        headers: Headers besides those of a browser.
        without: Names of browser headers that this request lacks.
        request_body: The request's body chunks.
        response_body: The app's body.
        content_type: The app's content type.
        reads_body: Whether the app reads the request's body.
    """

    name: str
    method: str = "GET"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    without: frozenset[bytes] = frozenset()
    request_body: tuple[bytes, ...] = (b"",)
    response_body: bytes = JSON_2K
    content_type: bytes = b"application/json"
    reads_body: bool = False

    def app(self) -> App:
        """Give the bare app of this scenario."""
        headers = [
            (b"content-type", self.content_type),
            (b"content-length", b"%d" % len(self.response_body)),
            (b"cache-control", b"no-cache"),
            (b"x-content-type-options", b"nosniff"),
            (b"server", b"bench"),
        ]
        body = self.response_body
        reads_body = self.reads_body

        async def bare(scope: Any, receive: Any, send: Any) -> None:
            if reads_body:
                while (await receive()).get("more_body"):
                    pass
            # Fresh objects for every request: some peers change the lists they are given.
            await send({"type": "http.response.start", "status": 200, "headers": headers.copy()})
            await send({"type": "http.response.body", "body": body, "more_body": False})

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


ORIGIN = (b"origin", b"https://app.example.com")
SIMPLE = Scenario("GET, 2 KB JSON")
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
