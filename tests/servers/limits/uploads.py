"""A limit of 1 MB around an app that reads everything."""

from __future__ import annotations

from asgi_middleware import RequestBodyLimitMiddleware


async def reads(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


app = RequestBodyLimitMiddleware(reads, max_body_size=1_000_000)
