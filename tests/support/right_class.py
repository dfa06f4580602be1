"""A middleware class without faults, to be broken one step at a time."""

from typing import Any


class Base:
    """A right class; the broken ones change one step."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        await self.serve(scope, receive, send)

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            await self.send(message, send)

        await self.app(scope, receive, sending)

    async def send(self, message: Any, send: Any) -> None:
        await send(message)
