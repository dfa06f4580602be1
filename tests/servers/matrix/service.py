"""The service that every server of the matrix runs: a bare app with a route for each case, within the whole stack."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from urllib.parse import parse_qs

import anyio
import structlog
from service_constants import ETAG, EVENT_PAUSE, EVENTS, KEY, ORIGIN, PAYLOAD, UPLOAD_LIMIT

from asgi_middleware import (
    CompressionMiddleware,
    CORSMiddleware,
    JWTAuthMiddleware,
    LoggingMiddleware,
    MetricsEndpoint,
    ProblemDetailsMiddleware,
    PrometheusMiddleware,
    RequestBodyLimitMiddleware,
    layer,
    stack,
)
from asgi_middleware.auth import WebSocketAuth
from asgi_middleware.logging import configure_structlog, correlation_id
from asgi_middleware.problems import Refusal

PATIENCE = 8.0
CHUNKS = 100
PAUSE = 0.03
JSON = [(b"content-type", b"application/json")]
TEXT = [(b"content-type", b"text/plain")]

configure_structlog(json=True)
log = structlog.get_logger("app")
FILE = Path(tempfile.mkdtemp(prefix="asgi-middleware-")) / "file"
FILE.write_bytes(b"a file " * 1000)
started = False


async def answer(send, status, body=b"", headers=JSON, **keys):
    await send({"type": "http.response.start", "status": status, "headers": headers, **keys})
    await send({"type": "http.response.body", "body": body})


async def drained(receive):
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    return size


async def context(scope, receive, send):
    """Tell what the request's context holds, then leave something in it."""
    seen = structlog.contextvars.get_contextvars()
    size = await drained(receive) if scope["method"] == "POST" else 0
    report = {"id": correlation_id.get(), "bound": seen.get("left_behind"), "size": size}
    structlog.contextvars.bind_contextvars(left_behind=correlation_id.get())
    log.info("working", asked_by=report["id"])
    await answer(send, 200, json.dumps(report).encode())


async def payload(scope, receive, send):
    await answer(send, 200, json.dumps(PAYLOAD).encode())


async def events(scope, receive, send):
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for number in range(EVENTS):
        if number:
            await anyio.sleep(EVENT_PAUSE)
        await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def upload(scope, receive, send):
    size = await drained(receive)
    if size is not None:
        await answer(send, 200, b'{"size":%d}' % size)


async def protected(scope, receive, send):
    await answer(send, 200, json.dumps({"user": scope["user"].identity}).encode())


async def no_content(scope, receive, send):
    await answer(send, 204, headers=[])


async def not_modified(scope, receive, send):
    await answer(send, 304, headers=[(b"etag", ETAG.encode())])


async def hint(scope, receive, send):
    offered = "http.response.early_hint" in (scope.get("extensions") or {})
    if offered:
        await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload; as=style"]})
    await answer(send, 200, b"offered" if offered else b"not offered", TEXT)


async def trailers(scope, receive, send):
    offered = "http.response.trailers" in (scope.get("extensions") or {})
    await answer(send, 200, b"offered" if offered else b"not offered", TEXT, **({"trailers": True} if offered else {}))
    if offered:
        await send({"type": "http.response.trailers", "headers": [(b"x-digest", b"of the body")]})


async def file(scope, receive, send):
    if "http.response.pathsend" not in (scope.get("extensions") or {}):
        await answer(send, 200, b"not offered", TEXT)
        return
    headers = [*TEXT, (b"content-length", b"%d" % FILE.stat().st_size)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.pathsend", "path": str(FILE)})


async def waits(scope, receive, send):
    """Answer only when the client has left, that is: never."""
    with anyio.move_on_after(PATIENCE):
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    await answer(send, 200)


async def endless(scope, receive, send):
    """Send on and on, and never ask whether anyone still listens."""
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})
    for _ in range(CHUNKS):
        await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
        await anyio.sleep(PAUSE)
    await send({"type": "http.response.body", "body": b""})


async def endless_listening(scope, receive, send):
    """Send on and on, and stop when the client leaves, as frameworks' streaming responses do."""
    async with anyio.create_task_group() as tasks:

        async def listen():
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

        tasks.start_soon(listen)
        await endless(scope, receive, send)
        tasks.cancel_scope.cancel()


class SoldOutError(Exception):
    """An exception of the app's own that has an answer of its own."""


async def sold_out(scope, receive, send):
    raise SoldOutError


async def fails(scope, receive, send):
    raise RuntimeError("a secret of the handler")


async def fails_late(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})
    await send({"type": "http.response.body", "body": b"the beginning", "more_body": True})
    raise RuntimeError("a secret of the handler")


async def tells(scope, receive, send):
    """Tell how the server presents itself and whether it ran the app's start-up."""
    report = {
        "extensions": sorted(scope.get("extensions") or {}),
        "http_version": scope.get("http_version"),
        "query": parse_qs(scope.get("query_string", b"").decode("latin-1")),
        "started": started,
    }
    await answer(send, 200, json.dumps(report).encode())


async def any_path(scope, receive, send):
    await answer(send, 200, json.dumps({"path": scope["path"]}).encode())


async def echo(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": f"{scope['user'].identity}: {message['text']}"})


async def ws_refuses(scope, receive, send):
    await receive()
    await send({"type": "websocket.close", "code": 4003, "reason": "not you"})


async def ws_closes(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await receive()
    await send({"type": "websocket.close", "code": 4000, "reason": "done"})


async def ws_fails(scope, receive, send):
    await receive()
    raise RuntimeError("a secret of the handler")


# Accepts and closes at once: the one refusal whose reason a browser's page can read.
ws_accept_close = JWTAuthMiddleware(
    echo, key=KEY, algorithms=["HS256"], audience="tests", websocket=WebSocketAuth(reject="accept_close")
)

ROUTES = {
    "/open/context": context,
    "/open/json": payload,
    "/open/events": events,
    "/open/upload": upload,
    "/open/204": no_content,
    "/open/304": not_modified,
    "/open/hint": hint,
    "/open/trailers": trailers,
    "/open/file": file,
    "/open/waits": waits,
    "/open/endless": endless,
    "/open/endless-listening": endless_listening,
    "/open/sold-out": sold_out,
    "/open/fails": fails,
    "/open/fails-late": fails_late,
    "/open/tells": tells,
    "/protected": protected,
    "/ws": echo,
    "/open/ws-accept-close": ws_accept_close,
    "/open/ws-refuses": ws_refuses,
    "/open/ws-closes": ws_closes,
    "/open/ws-fails": ws_fails,
}


async def lifespan(receive, send):
    global started  # noqa: PLW0603 -- one service per process
    await receive()
    started = True
    log.info("startup")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    log.info("shutdown")
    await send({"type": "lifespan.shutdown.complete"})


async def service(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    else:
        await ROUTES.get(scope["path"], any_path)(scope, receive, send)


app = stack(
    service,
    LoggingMiddleware,
    PrometheusMiddleware,
    MetricsEndpoint,
    layer(CORSMiddleware, allow_origins=[ORIGIN], allow_headers=["authorization", "content-type"]),
    layer(RequestBodyLimitMiddleware, max_body_size=UPLOAD_LIMIT),
    layer(JWTAuthMiddleware, key=KEY, algorithms=["HS256"], audience="tests", exempt=["/open/**"]),
    CompressionMiddleware,
    layer(ProblemDetailsMiddleware, handlers={SoldOutError: Refusal(409, "sold_out")}),
)
