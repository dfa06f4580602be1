"""The service in Channels: Django answers HTTP, a consumer answers WebSockets."""

from __future__ import annotations

from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path
from services import django_service
from services.common import Calls, Layer, work_in

from asgi_middleware import stack
from asgi_middleware.integrations.channels import record_routes

TRIO = False


class Echo(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        work_in("socket", self.scope)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=f"{self.scope['user'].identity}: {text_data}")
        await self.close()


def build(layers: list[Layer], calls: Calls) -> Any:
    """Build the service with the layers within the router of protocols: one stack for each."""
    django = django_service.build(layers, calls)
    rooms = URLRouter([path("<room>", Echo.as_asgi())])
    websockets = record_routes(URLRouter([path("ws/", rooms)]))
    return ProtocolTypeRouter({"http": django, "websocket": stack(websockets, *layers)})
