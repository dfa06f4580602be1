"""Real sites: an app behind uvicorn, in a thread of the test's own process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn


@dataclass
class Site:
    """A real uvicorn in a thread, on a port that the system picked; remembers every request that reached it."""

    port: int
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def websocket_origin(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def methods(self, path: str) -> list[str]:
        """Give the methods of all requests to `path`, in order."""
        return [method for method, found, _ in self.seen if found == path]


@contextmanager
def serving(make: Callable[[Site], Any]) -> Iterator[Site]:
    """Serve an app until the block ends; it is made when the port is known."""
    listening = socket.create_server(("127.0.0.1", 0))
    site = Site(listening.getsockname()[1])
    inner = make(site)

    async def remembering(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
            site.seen.append((scope.get("method", "WEBSOCKET"), scope["path"], headers))
        await inner(scope, receive, send)

    config = uvicorn.Config(remembering, log_level="critical", timeout_graceful_shutdown=2, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield site
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()
