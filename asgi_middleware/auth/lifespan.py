"""Lifespan: keys that come over the network are fetched before the first request needs them."""

from __future__ import annotations

from asgi_middleware._core.types import Message, Receive, Send
from asgi_middleware.auth.verifier import TokenVerifier


def warming(receive: Receive, verifier: TokenVerifier) -> Receive:
    """Warm the verifier up when the server starts, before the app does its own start-up.

    A provider that cannot be reached keeps nothing from starting: the keys are fetched when they are first needed.
    """

    async def receive_wrapper() -> Message:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await verifier.warm_up()
        return message

    return receive_wrapper


def closing(send: Send, verifier: TokenVerifier) -> Send:
    """Close what the verifier holds open when the app has shut down."""

    async def send_wrapper(message: Message) -> None:
        if message["type"] in {"lifespan.shutdown.complete", "lifespan.shutdown.failed", "lifespan.startup.failed"}:
            await verifier.aclose()
        await send(message)

    return send_wrapper
