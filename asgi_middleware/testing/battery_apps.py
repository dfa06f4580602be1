# ruff: noqa: ARG001 -- an ASGI app takes scope, receive and send, whether it uses them or not
"""The apps of the battery: small, legal, and each fond of one corner of the specification.

Every app builds its messages anew, and keeps its hands off what it gets.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

import anyio
import anyio.lowlevel

from asgi_middleware._core.types import ASGIApp, Receive, Send
from asgi_middleware.testing.snapshots import OneShot

TEXT: Final = b"conformance is what stays when nobody looks. " * 50
"""A body that a compressor would take: 2 250 bytes."""

NOISE: Final = random.Random(20).randbytes(1 << 16)  # noqa: S311 -- incompressible bytes, no secret
"""A body that no compressor makes smaller: 64 KiB."""

app_variable: ContextVar[str] = ContextVar("asgi_middleware_testing_app", default="")
"""What an app sets, to see whether it is visible outside."""


def plain_headers(length: int = len(TEXT)) -> list[tuple[bytes, bytes]]:
    """Give the headers of an ordinary text response."""
    return [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % length), (b"etag", b'"v1"')]


def start(status: int = 200, headers: Any = None, **keys: Any) -> dict[str, Any]:
    """Give a response start."""
    chosen = [(b"content-type", b"text/plain; charset=utf-8")] if headers is None else headers
    return {"type": "http.response.start", "status": status, "headers": chosen, **keys}


def body(data: Any = TEXT, *, more: bool = False, **keys: Any) -> dict[str, Any]:
    """Give a body message."""
    return {"type": "http.response.body", "body": data, "more_body": more, **keys}


def sends(*messages: dict[str, Any], read: bool = False) -> ASGIApp:
    """Make an app that sends `messages`, fresh copies every time; with `read` it takes the request body first."""

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        if read:
            await read_body(receive)
        for message in messages:
            copy = dict(message)
            if type(copy.get("headers")) is list:
                copy["headers"] = list(copy["headers"])
            await send(copy)

    return app


async def read_body(receive: Receive) -> bytes:
    """Take the whole request body."""
    pieces: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(pieces)
        pieces.append(bytes(message.get("body", b"")))
        if not message.get("more_body", False):
            return b"".join(pieces)


async def echo(scope: Any, receive: Receive, send: Send) -> None:
    """Answer with the request body, its length counted."""
    data = await read_body(receive)
    await send(start(201, plain_headers(len(data))))
    await send(body(data))


async def duplex(scope: Any, receive: Receive, send: Send) -> None:
    """Answer while the request body still comes, piece by piece."""
    await send(start(200, [(b"content-type", b"text/plain")]))
    while True:
        message = await receive()
        if message["type"] == "http.request":
            await send(body(bytes(message.get("body", b"")), more=True))
        if message["type"] != "http.request" or not message.get("more_body", False):
            break
    await send(body(b""))


async def plain(scope: Any, receive: Receive, send: Send) -> None:
    """Answer with a text of known length, without reading the request."""
    await send(start(200, plain_headers()))
    await send(body())


async def stream(scope: Any, receive: Receive, send: Send) -> None:
    """Answer in three pieces and an empty end."""
    await send(start(200, [(b"content-type", b"text/plain"), (b"cache-control", b"no-cache")]))
    for _ in range(3):
        await send(body(more=True))
    await send({"type": "http.response.body"})


async def large(scope: Any, receive: Receive, send: Send) -> None:
    """Answer with four mebibytes in 64 pieces."""
    await send(start(200, [(b"content-type", b"application/octet-stream")]))
    for _ in range(64):
        await send(body(NOISE, more=True))
    await send(body(b""))


async def one_shot_headers(scope: Any, receive: Receive, send: Send) -> None:
    """Answer with headers that can be read once."""
    await send(start(200, OneShot(plain_headers())))
    await send(body())


async def listener(scope: Any, receive: Receive, send: Send) -> None:
    """Stream while a sibling task waits for the client to leave, as frameworks do."""
    gone = anyio.Event()

    async def listen() -> None:
        for _ in range(100):  # a class that never lets the client go must not keep the battery for ever
            if (await receive())["type"] == "http.disconnect":
                break
        gone.set()

    async with anyio.create_task_group() as group:
        group.start_soon(listen)
        await anyio.lowlevel.checkpoint()
        await send(start(200))
        await send(body(more=True))
        await send(body(b"end"))
        await gone.wait()


async def after_the_end(scope: Any, receive: Receive, send: Send) -> None:
    """Answer, then work on, then see the client leave."""
    await plain(scope, receive, send)
    await read_body(receive)
    await receive()


async def sets_context(scope: Any, receive: Receive, send: Send) -> None:
    """Set a context variable, which an outer class may read afterwards."""
    app_variable.set(scope["path"])
    await plain(scope, receive, send)


def raises(make: Callable[[], BaseException], *before: dict[str, Any]) -> ASGIApp:
    """Make an app that sends `before`, then raises."""
    sending = sends(*before)

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await sending(scope, receive, send)
        raise make()

    return app


async def reads_then_raises(scope: Any, receive: Receive, send: Send) -> None:
    """Take the body, then raise."""
    await read_body(receive)
    raise LookupError("of the app")


async def websocket_echo(scope: Any, receive: Receive, send: Send) -> None:
    """Accept, send back what comes, until the client leaves."""
    message = await receive()
    await send({"type": "websocket.accept", "subprotocol": "chat", "headers": [(b"x-app", b"1")], "x-note": 1})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        if message.get("text") is not None:
            await send({"type": "websocket.send", "text": message["text"], "x-note": 2})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"], "text": None})


def websocket_sends(*messages: dict[str, Any], accept: bool = True) -> ASGIApp:
    """Make an app that takes the connect, accepts, and sends `messages`."""

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        if accept:
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        for message in messages:
            await send(dict(message))

    return app


def websocket_raises(make: Callable[[], BaseException], *, accept: bool) -> ASGIApp:
    """Make an app that raises before or after it accepts."""
    opening = websocket_sends(accept=accept)

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await opening(scope, receive, send)
        raise make()

    return app


async def lifespan(scope: Any, receive: Receive, send: Send) -> None:
    """Start up and shut down, with something kept in the state."""
    await receive()
    await send({"type": "lifespan.startup.complete", "x-note": 1})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
