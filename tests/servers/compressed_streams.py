"""Streams of time stamps within the compression class: the reader of one sees how long it was on its way."""

import json
import time

import anyio

from asgi_middleware import CompressionMiddleware

EVENTS = 4
PAUSE = 0.06
WHOLE = json.dumps([{"id": number, "name": f"item {number}"} for number in range(10_000)]).encode()


async def stamps(scope, receive, send):
    if scope["type"] != "http":
        while scope["type"] == "lifespan" and (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/whole":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": WHOLE})
        return
    kind = {"/events": b"text/event-stream", "/lines": b"application/x-ndjson"}.get(scope["path"], b"text/html")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    for _ in range(EVENTS):
        # `monotonic` is the same clock for all processes of a machine.
        line = b"data: %d\n\n" % time.monotonic_ns()
        await send({"type": "http.response.body", "body": line, "more_body": True})
        await anyio.sleep(PAUSE)
    await send({"type": "http.response.body", "body": b""})


app = CompressionMiddleware(stamps)
# The widest window, and every body a little longer than it must be.
heavy = CompressionMiddleware(stamps, zstd_level=22, breach_padding=300)
