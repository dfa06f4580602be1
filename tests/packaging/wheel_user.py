"""What a stranger does with the wheel: all six classes around a bare ASGI app, one request through them.

Runs in an empty environment, where nothing is installed but the wheel and what it depends on (test_wheel_alone.py).
"""

import asyncio
import gzip
import sys
import time
from importlib.metadata import version
from typing import Any

import jwt

import asgi_middleware
from asgi_middleware import (
    CompressionMiddleware,
    CORSMiddleware,
    JWTAuthMiddleware,
    LoggingMiddleware,
    PrometheusMiddleware,
    RequestBodyLimitMiddleware,
)

KEY = "a key for this test only, 32 bytes or more"
ORIGIN = "https://app.example"
PAGE = b"<p>hello</p>" * 1000


async def page(scope: Any, receive: Any, send: Any) -> None:
    """Answer a page that is worth compressing."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": PAGE})


app: Any = page
app = CompressionMiddleware(app, minimum_size=500)
app = JWTAuthMiddleware(app, key=KEY, algorithms=["HS256"], audience="wheel")
app = RequestBodyLimitMiddleware(app, max_body_size=1024)
app = CORSMiddleware(app, allow_origins=[ORIGIN])
app = PrometheusMiddleware(app)
app = LoggingMiddleware(app)


async def request(*headers: tuple[bytes, bytes]) -> tuple[int, dict[bytes, bytes], bytes]:
    """Send one GET through all six classes."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": list(headers),
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start = next(message for message in sent if message["type"] == "http.response.start")
    body = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    return start["status"], dict(start["headers"]), body


def check(condition: object, what: str) -> None:
    """Stop with ``what`` unless the condition holds."""
    if not condition:
        sys.exit(f"wrong: {what}")


def main() -> None:
    """One request that passes, one that is refused."""
    token = jwt.encode({"sub": "ada", "aud": "wheel", "exp": int(time.time()) + 60}, KEY, algorithm="HS256").encode()
    browser = [(b"host", b"shop.example"), (b"origin", ORIGIN.encode()), (b"accept-encoding", b"gzip")]

    status, headers, body = asyncio.run(request(*browser, (b"authorization", b"Bearer " + token)))
    check(status == 200, f"status {status}")
    check(headers.get(b"content-encoding") == b"gzip" and gzip.decompress(body) == PAGE, "compressed page")
    check(headers.get(b"access-control-allow-origin") == ORIGIN.encode(), "CORS header")
    check(headers.get(b"x-request-id"), "request id")

    status, headers, _ = asyncio.run(request(*browser))
    check(status == 401, f"status without a token {status}")
    check(headers.get(b"www-authenticate", b"").startswith(b"Bearer"), "challenge")
    check(headers.get(b"access-control-allow-origin") == ORIGIN.encode(), "CORS header on the refusal")

    check(asgi_middleware.__version__ == version("asgi-middleware"), "version")
    check("site-packages" in asgi_middleware.__file__, "imported from the wheel")


if __name__ == "__main__":
    main()
