"""What every server runs to show how WebSockets are refused, and how they end with their token."""

from __future__ import annotations

import json

import anyio
from service_constants import KEY

from asgi_middleware.auth import JWTAuthMiddleware, TicketStore, TokenError, TokenVerifier, WebSocketAuth

ended = []
tickets = TicketStore()
verifier = TokenVerifier(key=KEY, algorithms=["HS256"], audience="tests", leeway=0)


async def echo(scope, receive, send):
    """Echo until the end, and note how that came; a message ``renew <token>`` renews."""
    await receive()
    chat = {"subprotocol": "chat"} if "chat" in scope["subprotocols"] else {}
    await send({"type": "websocket.accept", **chat})
    while (message := await receive())["type"] == "websocket.receive":
        text = message["text"]
        if text.startswith("renew "):
            try:
                await scope["auth"].renew(text.removeprefix("renew "))
                text = "renewed"
            except TokenError as error:
                text = str(error)
        query = scope["query_string"].decode()
        told = {"user": scope["user"].identity, "text": text, "offered": scope["subprotocols"], "query": query}
        await send({"type": "websocket.send", "text": json.dumps(told)})
    ended.append([scope["path"], message["code"], message.get("reason")])


async def talks(scope, receive, send):
    """Send on and on, and never listen."""
    await receive()
    await send({"type": "websocket.accept"})
    try:
        for number in range(1000):
            await send({"type": "websocket.send", "text": str(number)})
            await anyio.sleep(0.05)
    except OSError as error:
        ended.append([scope["path"], type(error).__name__, str(error)])
        raise


def guarded(inner, **options):
    return JWTAuthMiddleware(inner, verifier=verifier, websocket=WebSocketAuth(**options))


APPS = {
    "/deny": guarded(echo),
    "/close": guarded(echo, reject="close"),
    "/accept-close": guarded(echo, reject="accept_close"),
    "/places": guarded(echo, query_parameter="token", tickets=tickets),
    "/first": guarded(echo, first_message=True),
    "/talks": guarded(talks),
}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "websocket":
        await APPS[scope["path"]](scope, receive, send)
        return
    body = json.dumps(ended).encode()
    if scope["path"].startswith("/ticket/"):
        body = (await tickets.issue(verifier.verify(scope["path"].removeprefix("/ticket/")))).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})
