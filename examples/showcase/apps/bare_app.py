"""The bare ASGI app, without any framework: server-sent events, a chat, a WebSocket that lives as long as its token."""

# ruff: noqa: ARG001 - an ASGI app takes scope, receive and send, whether it uses them or not

import asyncio
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from asgi_middleware.auth import TokenError

ROOM = Path(__file__).with_name("room.html").read_bytes()
INTERVAL = 0.5
"""Seconds between two events."""

stopping = asyncio.Event()
"""Set when the server is asked to stop: a stream has no end of its own."""

members: set[Any] = set()
"""The ``send`` of everyone in the chat."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Choose by type and path, as every framework does underneath."""
    handler = ROUTES.get((scope["type"], scope["path"]))
    if handler is None:
        await not_found(scope, receive, send)
        return
    scope["asgi_middleware"].route = scope["path"]  # no router here to tell log and metrics which route this is
    await handler(scope, receive, send)


async def me(scope: Any, receive: Any, send: Any) -> None:
    """Say who the token is for."""
    answer = {"framework": "none", "user": scope["user"].identity, "scopes": list(scope["auth"].scopes)}
    await respond(send, 200, b"application/json", json.dumps(answer).encode())


async def room(scope: Any, receive: Any, send: Any) -> None:
    """Serve the page of the chat."""
    await respond(send, 200, b"text/html; charset=utf-8", ROOM)


async def fail(scope: Any, receive: Any, send: Any) -> None:
    """Raise what nobody catches."""
    raise RuntimeError("this text stays in the log")


async def events(scope: Any, receive: Any, send: Any) -> None:
    """Send an event twice a second until the client leaves or the server stops."""
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    number = 0
    while not stopping.is_set():
        number += 1
        data = json.dumps({"number": number, "time": time.time()})
        event = f"id: {number}\nevent: tick\ndata: {data}\n\n".encode()
        await send({"type": "http.response.body", "body": event, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(INTERVAL):
                while (await receive())["type"] != "http.disconnect":
                    pass
                return
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def chat(scope: Any, receive: Any, send: Any) -> None:
    """Pass each text on to everyone in the room."""
    user = scope["user"].identity
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    members.add(send)
    try:
        await tell(f"* {user} came in; {len(members)} here")
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text"):
                await tell(f"{user}: {message['text']}")
    finally:
        members.discard(send)
    await tell(f"* {user} left; {len(members)} here")


async def tell(text: str) -> None:
    """Send `text` to everyone, one after the other; who is just leaving is left out.

    A reader that stalls holds up the room. That is good enough here; a real chat gives each member a queue of its own.
    """
    for send in tuple(members):
        with suppress(OSError, RuntimeError):
            await send({"type": "websocket.send", "text": text})


async def session(scope: Any, receive: Any, send: Any) -> None:
    """Repeat each text, and take a newer token in a message; JWTAuthMiddleware closes when the token ends."""
    auth = scope["auth"]

    async def say(kind: str, **more: object) -> None:
        with suppress(OSError):  # closed meanwhile; the next receive says so
            text = json.dumps({"type": kind, **more, "seconds_left": round(auth.expires_at - time.time(), 1)})
            await send({"type": "websocket.send", "text": text})

    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    await say("hello", user=scope["user"].identity)
    while (message := await receive())["type"] == "websocket.receive":
        kind, _, text = (message.get("text") or "").partition(" ")
        if kind != "token":
            await say("echo", text=message.get("text"))
            continue
        try:
            await auth.renew(text)
        except TokenError as error:
            await say("token_refused", reason=error.reason)
        else:
            await say("renewed")


async def not_found(scope: Any, receive: Any, send: Any) -> None:
    """Answer 404, or close a WebSocket before it is accepted."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": "no such room"})
        return
    await respond(send, 404, b"text/plain", b"Not Found")


async def respond(send: Any, status: int, content_type: bytes, body: bytes) -> None:
    """Send a whole response."""
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


ROUTES = {
    ("http", "/bare/me"): me,
    ("http", "/bare/room"): room,
    ("http", "/bare/fail"): fail,
    ("http", "/bare/events"): events,
    ("websocket", "/bare/chat"): chat,
    ("websocket", "/bare/session"): session,
}
