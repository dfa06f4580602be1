"""The messages of the answer in place of the app's, where a limit was hit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgi_middleware._core.exchange import exchange_of
from asgi_middleware._core.messages import HTTP_1, ends_response

if TYPE_CHECKING:
    from asgi_middleware._core.refusals import Refusal
    from asgi_middleware._core.types import ASGIApp, Message, Scope


def messages_of(refusal: Refusal, scope: Scope) -> list[Message]:
    """Give the messages of a refusal that ends the connection, with the request id where there is one."""
    exchange = exchange_of(scope)
    request_id = None if exchange is None else exchange.request_id
    return [*refusal.messages(scope, request_id=request_id, close_connection=True)]


async def collect(app: ASGIApp, scope: Scope) -> list[Message]:
    """Give the messages of an answer that an ASGI app makes; it is told that there is no body to read.

    Raises:
        ValueError: It gave no complete response.
    """
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, send)
    if (
        len(messages) < 2
        or messages[0]["type"] != "http.response.start"
        or any(message["type"] != "http.response.body" for message in messages[1:])
        or not ends_response(messages[-1])
    ):
        message = "no complete response of http.response.start and http.response.body"
        raise ValueError(message)
    start, *parts = messages
    if scope.get("http_version", "1.1") in HTTP_1:
        headers = [pair for pair in start.get("headers", ()) if pair[0].lower() != b"connection"]
        start = {**start, "headers": [*headers, (b"connection", b"close")]}
    body = b"".join([bytes(part.get("body") or b"") for part in parts])  # in one, for its last byte may be held back
    return [start, {"type": "http.response.body", "body": body, "more_body": False}]
