"""A tiny dispatcher in bare ASGI: the first segment of the path chooses the app."""

from collections.abc import Mapping
from typing import Any


class Dispatcher:
    """Hands each connection to the app of its first path segment, with the very scope it came with.

    The apps know their full paths (``/django/sync``), so that their route templates are full ones too.

    Args:
        apps: First path segment -> app.
        front: The app for every other path; it also gets the lifespan.
    """

    def __init__(self, apps: Mapping[str, Any], front: Any) -> None:
        # By this name check_order finds the apps, and looks into them, too (Channels' routers call theirs so).
        self.application_mapping = {**apps, "*": front}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Choose and call."""
        apps = self.application_mapping
        first = "*" if scope["type"] == "lifespan" else scope["path"].removeprefix("/").partition("/")[0]
        await apps.get(first, apps["*"])(scope, receive, send)
