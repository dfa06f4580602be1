"""A token in the first message of a WebSocket: for clients that can choose neither headers nor subprotocols.

Facts this module rests on:

- The connection must be accepted before anything can come over it. So somebody who has shown nothing holds a
  connection: for a bounded time, with one bounded message, and only so many of them at once.
- The app starts afterwards and expects the beginning: it gets a ``websocket.connect`` and its accept goes nowhere. A
  denial response is no longer possible, so that the extension is not announced to it.
- A text message need not be text that can be encoded: JSON can spell half a surrogate pair. Such is no token.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final

from asgi_middleware._core.deadlines import Alarm
from asgi_middleware._core.types import Message, Receive, Send
from asgi_middleware.auth.extraction import Found, NoToken, as_b64token
from asgi_middleware.auth.json_strict import parse_object

_MEMBER: Final = "token"
_AROUND: Final = 1024  # characters of JSON around the token
_EXTENSION: Final = "websocket.http.response"


class Waiting:
    """How many connections wait for their first message."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        """Start with none."""
        self.count = 0


async def ask(receive: Receive, send: Send, *, subprotocol: str | None, seconds: float, max_size: int) -> Found | None:
    """Accept a connection and give the token of its first message; None when the client left or did not speak in time.

    Args:
        receive: The server's receive, with the ``websocket.connect`` still in it.
        send: The server's send.
        subprotocol: What to accept with.
        seconds: How long to wait.
        max_size: Bytes above which a token is not even looked at.

    Raises:
        TimeoutError: Nothing came in time.
    """
    if (await receive())["type"] != "websocket.connect":
        return None
    await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": []})
    alarm = Alarm()
    alarm.start(seconds)
    try:
        message = await alarm.wait(receive)
    finally:
        alarm.stop()
    if message is None:
        raise TimeoutError
    if message["type"] != "websocket.receive":
        return None
    text = message.get("text")
    return NoToken.MALFORMED if text is None else read_message(text, max_size)


def read_message(text: str, max_size: int) -> Found:
    """Read the token of a first message: the token and nothing else, or a JSON object with a member ``token``.

    ::

        assert read_message('{"type": "auth", "token": "a.b.c"}', 99) == b"a.b.c"
    """
    if len(text) > max_size + _AROUND:
        return NoToken.TOO_LARGE
    token: Any = text
    if text.lstrip(" \t\r\n").startswith("{"):
        members = parse_object(text.encode("utf-8", "surrogatepass"))
        token = None if members is None else members.get(_MEMBER)
    if type(token) is not str or not token.isascii():
        return NoToken.MALFORMED
    return NoToken.TOO_LARGE if len(token) > max_size else as_b64token(token.encode("ascii"))


def begin_again(inner: dict[str, Any], receive: Receive, send: Send) -> tuple[Receive, Send]:
    """Give the ends for an app that starts on an accepted connection.

    Args:
        inner: The scope that the app will get, our own copy; it loses the denial response.
        receive: The server's receive.
        send: The server's send.
    """
    extensions = inner.get("extensions")
    if extensions and _EXTENSION in extensions:
        inner["extensions"] = {name: value for name, value in extensions.items() if name != _EXTENSION}
    begun = False
    accepted = False

    async def receive_wrapper() -> Message:
        nonlocal begun
        if begun:
            return await receive()
        begun = True
        return {"type": "websocket.connect"}

    def send_wrapper(message: Message) -> Awaitable[None]:
        nonlocal accepted
        if not accepted and message["type"] == "websocket.accept":
            accepted = True
            return _nothing()
        return send(message)

    return receive_wrapper, send_wrapper


async def _nothing() -> None:
    return None
