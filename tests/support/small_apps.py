"""Two small apps that several tests of the logging room wrap."""

from typing import Any

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Answer with five bytes."""
    await send(START)
    await send({"type": "http.response.body", "body": b"hello"})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Send every message of a WebSocket back."""
    await receive()
    await send({"type": "websocket.accept", "subprotocol": "chat"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
