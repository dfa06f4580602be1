"""An app that reads everything: within a limit of 1 MB, and at ``/private`` behind a token that no upload has."""

from __future__ import annotations

from service_constants import KEY

from asgi_middleware import JWTAuthMiddleware, RequestBodyLimitMiddleware


async def reads(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


limited = RequestBodyLimitMiddleware(reads, max_body_size=1_000_000)
guarded = JWTAuthMiddleware(reads, key=KEY, algorithms=["HS256"], audience="tests", issuer=None)


async def app(scope, receive, send):
    if scope["type"] == "http":
        await (guarded if scope["path"] == "/private" else limited)(scope, receive, send)
