"""``python -m asgi_middleware demo``: a small app behind the whole stack, to be asked with curl.

It has a key of its own for each run and listens on the loopback address.
"""

from __future__ import annotations

import json
import secrets
import socket
import sys
import time
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asgi_middleware._core.types import ASGIApp, Receive, Scope, Send

_AUDIENCE = "demo"
_ALGORITHM = "HS256"
_ORIGIN = "https://app.example"
_PAGE = """\
asgi-middleware: eight classes around a small app. The terminal shows a log line for each request.

  curl -i {url}/me
  curl -i {url}/me -H 'authorization: Bearer {token}'
  curl -i {url}/me -H 'origin: {origin}'
  curl -i {url}/fail
  curl -i {url}/list --compressed
  curl -i {url}/list -d @a-file-over-10-kilobytes
  curl {url}/metrics
"""


def run(host: str, port: int) -> int:
    """Serve the demo until Ctrl-C; give the exit status."""
    try:
        uvicorn = import_module("uvicorn")  # by name: nothing here depends on a server
    except ImportError:
        sys.stderr.write("The demo needs a server: python -m pip install uvicorn\n")
        return 2
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        sys.stderr.write(f"Cannot listen on {host} port {port}: {error.strerror}. --port 0 takes any free one.\n")
        return 1
    from asgi_middleware.logging import configure_structlog  # noqa: PLC0415 -- the other commands do not log

    configure_structlog()
    url = f"http://{host}:{listener.getsockname()[1]}"
    app = make_app(url, secrets.token_hex(32))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    sys.stderr.write(f"Open {url}/ or ask it with curl; Ctrl-C stops it.\n")
    with listener, suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    return 0


def make_app(url: str, key: str) -> ASGIApp:
    """Make the demo.

    Args:
        url: Where it listens, for its page.
        key: What its tokens are signed with.
    """
    # Not at the top: the other commands load no concern.
    import jwt  # noqa: PLC0415

    from asgi_middleware import (  # noqa: PLC0415
        CompressionMiddleware,
        CORSMiddleware,
        JWTAuthMiddleware,
        LoggingMiddleware,
        MetricsEndpoint,
        ProblemDetailsMiddleware,
        PrometheusMiddleware,
        RequestBodyLimitMiddleware,
        add_fields,
        layer,
        stack,
    )

    async def demo(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"  # no lifespan, no WebSockets here  # noqa: S101
        path = scope["path"]
        if path == "/":
            claims = {"sub": "ada", "aud": _AUDIENCE, "exp": int(time.time()) + 3600}
            token = jwt.encode(claims, key, _ALGORITHM)
            await _answer(send, 200, "text/plain; charset=utf-8", _PAGE.format(url=url, token=token, origin=_ORIGIN))
        elif path == "/me":
            name = scope["user"].identity
            add_fields(greeted=name)
            await _answer(send, 200, "application/json", json.dumps({"hello": name}))
        elif path == "/list":
            while (await receive()).get("more_body", False):
                pass
            await _answer(send, 200, "application/json", json.dumps([{"id": number} for number in range(500)]))
        elif path == "/fail":
            raise RuntimeError("the client does not see this text")
        else:
            await _answer(send, 404, "text/plain", "not found\n")

    return stack(
        demo,
        layer(LoggingMiddleware, exclude_paths=["/metrics"]),
        PrometheusMiddleware,
        MetricsEndpoint,
        layer(CORSMiddleware, allow_origins=[_ORIGIN], allow_headers=["authorization"]),
        layer(RequestBodyLimitMiddleware, max_body_size=10_000),
        layer(JWTAuthMiddleware, key=key, algorithms=[_ALGORITHM], audience=_AUDIENCE, exempt=["/", "/fail", "/list"]),
        CompressionMiddleware,
        ProblemDetailsMiddleware,
    )


async def _answer(send: Any, status: int, content_type: str, text: str) -> None:
    headers = [(b"content-type", content_type.encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
