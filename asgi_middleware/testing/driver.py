"""Drive an ASGI app with real messages, and collect what it sends.

The driver plays the server: it builds a scope as servers do, feeds ``receive``, and records every message that comes
out. It knows no client library and no framework, works on asyncio and trio, and stops a hanging app after a time-out::

    result = await http(app, "POST", "/items", body=[b"first", b"second"])
    assert result.status == 201
    assert result.json() == {"id": 1}

What it must not do is help: messages are handed over as they are, and an exception of the app comes out of the call.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import anyio
import anyio.lowlevel

from asgi_middleware._core.types import ASGIApp
from asgi_middleware.testing.result import Result, ends

__all__ = [
    "DEFAULT_TIMEOUT",
    "Result",
    "drive",
    "http",
    "http_scope",
    "http_script",
    "lifespan",
    "websocket",
    "websocket_scope",
    "websocket_script",
]

DEFAULT_TIMEOUT = 5.0


def http_scope(
    method: str = "GET",
    path: str = "/",
    *,
    headers: Iterable[tuple[bytes, bytes]] = (),
    query_string: bytes = b"",
    **keys: Any,
) -> dict[str, Any]:
    """Build an ``http`` scope with every key that a server gives.

    Args:
        method: The method as it would arrive.
        path: The decoded path.
        headers: Raw headers: lower-case (name, value) byte pairs. Nothing is added to them.
        query_string: The raw query without the question mark.
        **keys: Further or replaced keys; the value ``...`` removes the key.
    """
    own = {"method": method, "extensions": {}, "query_string": query_string, **keys}
    return _scope("http", "http", path, headers, own)


def websocket_scope(
    path: str = "/",
    *,
    headers: Iterable[tuple[bytes, bytes]] = (),
    subprotocols: Iterable[str] = (),
    query_string: bytes = b"",
    denial_response: bool = True,
    **keys: Any,
) -> dict[str, Any]:
    """Build a ``websocket`` scope with every key that a server gives.

    Args:
        path: The decoded path.
        headers: Raw headers: lower-case (name, value) byte pairs. Nothing is added to them.
        subprotocols: What the client offers.
        query_string: The raw query without the question mark.
        denial_response: Whether the server announces the denial response extension.
        **keys: Further or replaced keys; the value ``...`` removes the key.
    """
    extensions: dict[str, Any] = {"websocket.http.response": {}} if denial_response else {}
    own = {"subprotocols": list(subprotocols), "extensions": extensions, "query_string": query_string, **keys}
    return _scope("websocket", "ws", path, headers, own)


def _scope(
    kind: str, scheme: str, path: str, headers: Iterable[tuple[bytes, bytes]], own: dict[str, Any]
) -> dict[str, Any]:
    scope: dict[str, Any] = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": scheme,
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "root_path": "",
        "headers": list(headers),
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
        **own,
    }
    return {key: value for key, value in scope.items() if value is not ...}


async def drive(
    app: ASGIApp,
    scope: dict[str, Any],
    messages: Iterable[dict[str, Any]] = ({"type": "http.request", "body": b"", "more_body": False},),
    *,
    timeout: float = DEFAULT_TIMEOUT,
    raise_exceptions: bool = True,
) -> Result:
    """Run the app once over a script of incoming messages.

    When the script is used up, ``receive`` waits until the app has ended its answer, then gives ``http.disconnect`` or
    ``websocket.disconnect``, as servers do.

    Args:
        app: Any ASGI app.
        scope: The scope to give, as it is.
        messages: What ``receive`` gives, in order.
        timeout: Seconds before a hanging app fails the call.
        raise_exceptions: Whether what the app raises comes out; else it stands in the result.

    Raises:
        TimeoutError: The app did not return in time.
    """
    result = Result(scope)
    script = iter(messages)
    ended = anyio.Event()
    last = "websocket.disconnect" if scope["type"] == "websocket" else "http.disconnect"

    async def receive() -> dict[str, Any]:
        for message in script:
            result.received += 1
            return message
        await ended.wait()
        result.received += 1
        return {"type": last, "code": 1000, "reason": ""} if scope["type"] == "websocket" else {"type": last}

    async def send(message: dict[str, Any]) -> None:
        await anyio.lowlevel.checkpoint()
        result.sent.append(message)
        if ends(message):
            ended.set()

    with anyio.fail_after(timeout):
        try:
            await app(scope, receive, send)
        except Exception as error:
            result.exception = error
            if raise_exceptions:
                raise
    return result


async def http(
    app: ASGIApp,
    method: str = "GET",
    path: str = "/",
    *,
    headers: Iterable[tuple[bytes, bytes]] = (),
    body: bytes | Iterable[bytes] = b"",
    timeout: float = DEFAULT_TIMEOUT,
    raise_exceptions: bool = True,
    **scope_keys: Any,
) -> Result:
    """Make one HTTP request.

    Args:
        app: Any ASGI app.
        method: The method.
        path: The decoded path.
        headers: Raw request headers; nothing is added, no Content-Length either.
        body: The whole body, or its chunks, one ``http.request`` message each.
        timeout: Seconds before a hanging app fails the call.
        raise_exceptions: Whether what the app raises comes out; else it stands in the result.
        **scope_keys: As for :func:`http_scope`.
    """
    scope = http_scope(method, path, headers=headers, **scope_keys)
    return await drive(app, scope, http_script(body), timeout=timeout, raise_exceptions=raise_exceptions)


def http_script(body: bytes | Iterable[bytes]) -> list[dict[str, Any]]:
    """Give what an app receives of a request with this body: one message, or one for each chunk."""
    chunks = [body] if isinstance(body, bytes) else list(body) or [b""]
    return [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks, start=1)
    ]


async def websocket(
    app: ASGIApp,
    path: str = "/",
    *,
    headers: Iterable[tuple[bytes, bytes]] = (),
    messages: Iterable[str | bytes] = (),
    subprotocols: Iterable[str] = (),
    timeout: float = DEFAULT_TIMEOUT,
    raise_exceptions: bool = True,
    **scope_keys: Any,
) -> Result:
    """Open one WebSocket, send `messages`, then leave with code 1000.

    Args:
        app: Any ASGI app.
        path: The decoded path.
        headers: Raw handshake headers.
        messages: What the client sends: text as str, binary as bytes.
        subprotocols: What the client offers.
        timeout: Seconds before a hanging app fails the call.
        raise_exceptions: Whether what the app raises comes out; else it stands in the result.
        **scope_keys: As for :func:`websocket_scope`.
    """
    scope = websocket_scope(path, headers=headers, subprotocols=subprotocols, **scope_keys)
    script = websocket_script(messages)
    return await drive(app, scope, script, timeout=timeout, raise_exceptions=raise_exceptions)


def websocket_script(messages: Iterable[str | bytes]) -> list[dict[str, Any]]:
    """Give what an app receives of a client that connects, sends `messages`, and leaves with code 1000."""
    return [
        {"type": "websocket.connect"},
        *({"type": "websocket.receive", "text" if isinstance(data, str) else "bytes": data} for data in messages),
        {"type": "websocket.disconnect", "code": 1000, "reason": ""},
    ]


async def lifespan(app: ASGIApp, *, timeout: float = DEFAULT_TIMEOUT, raise_exceptions: bool = True) -> Result:
    """Run one start-up and shut-down."""
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    script = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    return await drive(app, scope, script, timeout=timeout, raise_exceptions=raise_exceptions)
