"""What real servers and test clients give to an app, as data: one profile each.

The ASGI specification leaves much open, and servers differ in all of it: which keys a scope has, whether ``client``
is a tuple or a list, whether the app is called by keyword, whether ``receive`` is a coroutine function. A middleware
that was tried on one server meets the next one in production. A profile plays a server's part towards any app::

    result = await drive(DAPHNE.serve(app), DAPHNE.http_scope(path="/items"))

Facts this module rests on, each found on the named version over real sockets:

- uvicorn 0.54, hypercorn 0.18, daphne 4.2, granian 2.8, gunicorn 27 (``-k asgi``), pyvoy 1.3; Starlette 1.10's
  TestClient, httpx 0.28's ASGITransport, channels 4.3's communicators.
- granian and pyvoy hand the very same ``asgi`` and ``extensions`` dicts to every request of a process.
- granian and pyvoy give a ``receive`` and ``send`` that return awaitables which are not coroutines, so that
  ``asyncio.create_task(receive())`` fails.
- daphne calls the app with the keywords ``scope``, ``receive``, ``send`` and puts both ``text`` and ``bytes`` into
  every ``websocket.receive``, one of them None.
- daphne and pyvoy take a body of type ``bytes`` only; granian needs the ``headers`` key of a response start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from asgi_middleware._core.types import ASGIApp, Receive, Send
from asgi_middleware.testing.driver import http_scope, websocket_scope

__all__ = ["PROFILES", "Profile", "profile"]

_DENIAL: Final[Mapping[str, Any]] = {"websocket.http.response": {}}


class _Awaitable:
    """What servers written in Rust return from ``receive`` and ``send``: to be awaited, but no coroutine."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[], Awaitable[Any]]) -> None:
        self._call = call

    def __await__(self) -> Generator[Any, None, Any]:
        return self._call().__await__()


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """How one server, or test client, treats an app.

    Attributes:
        name: The server's name.
        asgi: The ``asgi`` dict of an http scope; None where the key is absent.
        websocket_asgi: The same for a websocket scope; None where the key is absent.
        lifespan_asgi: The same for a lifespan scope; None where the key is absent.
        extensions: The ``extensions`` of an http scope; None where the key is absent.
        websocket_extensions: The same for a websocket scope.
        absent: Keys that an http scope lacks.
        websocket_absent: Keys that a websocket scope lacks.
        client: What ``client`` is.
        server: What ``server`` is.
        http_version: The ``http_version`` of an http scope.
        shared: Whether ``asgi`` and ``extensions`` are the same objects for every connection.
        keywords: Whether the app is called with keyword arguments.
        plain_callables: Whether ``receive`` and ``send`` return awaitables that are no coroutines.
        both_keys: Whether ``websocket.receive`` carries ``text`` and ``bytes``, one of them None.
        disconnect_reason: Whether ``websocket.disconnect`` carries a ``reason``.
        bytes_only: Whether a body of another type than bytes makes ``send`` raise.
        needs_headers: Whether a response start without ``headers`` makes ``send`` raise.
        websockets: Whether it speaks WebSocket at all.
        lifespan: Whether it runs lifespan at all.
    """

    name: str
    asgi: Mapping[str, Any] | None
    websocket_asgi: Mapping[str, Any] | None
    lifespan_asgi: Mapping[str, Any] | None
    extensions: Mapping[str, Any] | None = None
    websocket_extensions: Mapping[str, Any] | None = None
    absent: frozenset[str] = frozenset()
    websocket_absent: frozenset[str] = frozenset()
    client: tuple[Any, ...] | list[Any] | None = ("127.0.0.1", 50000)
    server: tuple[Any, ...] | list[Any] | None = ("127.0.0.1", 8000)
    http_version: str = "1.1"
    shared: bool = False
    keywords: bool = False
    plain_callables: bool = False
    both_keys: bool = False
    disconnect_reason: bool = False
    bytes_only: bool = False
    needs_headers: bool = False
    websockets: bool = True
    lifespan: bool = True

    def http_scope(self, method: str = "GET", path: str = "/", **keys: Any) -> dict[str, Any]:
        """Build this server's http scope; the arguments are those of :func:`~asgi_middleware.testing.http_scope`."""
        own = {
            "asgi": self._part(self.asgi),
            "extensions": self._part(self.extensions),
            "http_version": self.http_version,
            "client": self._peer(self.client),
            "server": self._peer(self.server),
            **dict.fromkeys(self.absent, ...),
        }
        return http_scope(method, path, **{**own, **keys})

    def websocket_scope(self, path: str = "/", **keys: Any) -> dict[str, Any]:
        """Build this server's websocket scope; arguments as for :func:`~asgi_middleware.testing.websocket_scope`."""
        own = {
            "asgi": self._part(self.websocket_asgi),
            "extensions": self._part(self.websocket_extensions),
            "http_version": self.http_version,
            "client": self._peer(self.client),
            "server": self._peer(self.server),
            **dict.fromkeys(self.websocket_absent, ...),
        }
        return websocket_scope(path, **{**own, **keys})

    def lifespan_scope(self) -> dict[str, Any]:
        """Build this server's lifespan scope. A server without lifespan never calls the app with one."""
        scope: dict[str, Any] = {"type": "lifespan", "asgi": self._part(self.lifespan_asgi)}
        if "state" not in self.absent:
            scope["state"] = {}
        return {key: value for key, value in scope.items() if value is not ...}

    def callables(self, receive: Receive, send: Send) -> tuple[Receive, Send]:
        """Give `receive` and `send` the form that this server's have."""
        if not self.plain_callables:
            return receive, send

        def plain_receive() -> Awaitable[Any]:
            return _Awaitable(receive)

        def plain_send(message: Any) -> Awaitable[None]:
            return _Awaitable(lambda: send(message))

        return plain_receive, plain_send

    def call(self, app: ASGIApp, scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        """Call the app as this server does: by position or by keyword."""
        if self.keywords:
            by_keyword: Any = app
            awaitable: Awaitable[None] = by_keyword(scope=scope, receive=receive, send=send)
            return awaitable
        return app(scope, receive, send)

    def incoming(self, message: dict[str, Any]) -> dict[str, Any]:
        """Give a message to the app the keys that this server's have."""
        if message["type"] == "websocket.receive" and self.both_keys:
            return {"text": None, "bytes": None, **message}
        if message["type"] == "websocket.disconnect" and not self.disconnect_reason:
            return {key: value for key, value in message.items() if key != "reason"}
        return message

    def check(self, message: Mapping[str, Any]) -> None:
        """Raise for a message that this server does not take.

        Raises:
            TypeError: The body is not of type bytes, and this server takes nothing else.
            RuntimeError: The response start has no ``headers``, and this server needs them.
        """
        if self.bytes_only and not isinstance(message.get("body", b""), bytes):
            raise TypeError(f"{self.name} takes a body of type bytes only")
        if self.needs_headers and message["type"].endswith("http.response.start") and "headers" not in message:
            raise RuntimeError(f"{self.name} needs the headers of a response start")

    def serve(self, app: ASGIApp) -> ASGIApp:
        """Put this server's manners around the app, for any driver that itself plays a plain server."""

        async def served(scope: Any, receive: Receive, send: Send) -> None:
            async def adapted_receive() -> Any:
                return self.incoming(await receive())

            async def adapted_send(message: Any) -> None:
                self.check(message)
                await send(message)

            await self.call(app, scope, *self.callables(adapted_receive, adapted_send))

        return served

    def _part(self, value: Mapping[str, Any] | None) -> Any:
        if value is None:
            return ...
        # A profile's own dict is handed out only where the server does the same.
        return (
            value
            if self.shared
            else {key: dict(part) if isinstance(part, dict) else part for key, part in value.items()}
        )

    @staticmethod
    def _peer(value: tuple[Any, ...] | list[Any] | None) -> Any:
        return list(value) if isinstance(value, list) else value


def _versions(spec: str | None) -> dict[str, str]:
    return {"version": "3.0"} if spec is None else {"version": "3.0", "spec_version": spec}


_GRANIAN: Final = Profile(
    name="granian",
    asgi=_versions("2.3"),
    websocket_asgi=_versions("2.3"),
    lifespan_asgi=_versions("2.3"),
    extensions={"http.response.pathsend": {}, "websocket.http.response": {}},
    websocket_extensions={"http.response.pathsend": {}, "websocket.http.response": {}},
    client=("127.0.0.1", "50000"),
    server=("127.0.0.1", "8000"),
    shared=True,
    plain_callables=True,
    needs_headers=True,
)

PROFILES: Final[tuple[Profile, ...]] = (
    Profile(
        name="uvicorn",
        asgi=_versions("2.3"),
        websocket_asgi=_versions("2.4"),
        lifespan_asgi=_versions("2.0"),
        websocket_extensions=_DENIAL,
        disconnect_reason=True,
    ),
    Profile(
        name="hypercorn",
        asgi=_versions("2.1"),
        websocket_asgi=_versions("2.3"),
        lifespan_asgi=_versions("2.0"),
        extensions={},
        websocket_extensions=_DENIAL,
    ),
    Profile(
        name="hypercorn-h2",
        asgi=_versions("2.1"),
        websocket_asgi=_versions("2.3"),
        lifespan_asgi=_versions("2.0"),
        extensions={"http.response.trailers": {}, "http.response.push": {}, "http.response.early_hint": {}},
        websocket_extensions=_DENIAL,
        http_version="2",
    ),
    Profile(
        name="daphne",
        asgi=_versions(None),
        websocket_asgi=_versions(None),
        lifespan_asgi=None,
        lifespan=False,
        absent=frozenset({"state"}),
        websocket_absent=frozenset({"state", "scheme", "http_version"}),
        client=["127.0.0.1", 50000],
        server=["127.0.0.1", 8000],
        keywords=True,
        both_keys=True,
        bytes_only=True,
    ),
    _GRANIAN,
    replace(_GRANIAN, name="granian-http-1.0", http_version="1", websockets=False),
    Profile(
        name="gunicorn",
        asgi=_versions("2.4"),
        websocket_asgi=_versions("2.4"),
        lifespan_asgi=_versions("2.4"),
    ),
    Profile(
        name="pyvoy",
        asgi=_versions("2.5"),
        websocket_asgi=_versions("2.5"),
        lifespan_asgi=_versions("2.5"),
        extensions={"http.response.trailers": {}},
        websocket_extensions={},
        shared=True,
        plain_callables=True,
        bytes_only=True,
        disconnect_reason=True,
    ),
    Profile(
        name="starlette-testclient",
        asgi=None,
        websocket_asgi=None,
        lifespan_asgi=None,
        extensions={"http.response.debug": {}, "http.response.trailers": {}},
        websocket_extensions=_DENIAL,
        websocket_absent=frozenset({"http_version"}),
        client=("testclient", 50000),
        server=["testserver", 80],
        disconnect_reason=True,
    ),
    Profile(
        name="httpx",
        asgi=_versions(None),
        websocket_asgi=None,
        lifespan_asgi=None,
        lifespan=False,
        absent=frozenset({"state"}),
        client=("127.0.0.1", 123),
        server=("testserver", None),
        websockets=False,
    ),
    Profile(
        name="channels-communicator",
        asgi=None,
        websocket_asgi=None,
        lifespan_asgi=None,
        lifespan=False,
        absent=frozenset({"client", "server", "scheme", "raw_path", "root_path", "state"}),
        websocket_absent=frozenset({"client", "server", "scheme", "raw_path", "root_path", "state", "http_version"}),
    ),
)
"""The manners of the common servers and test clients."""


def profile(name: str) -> Profile:
    """Give the profile of that name.

    Raises:
        KeyError: There is none.
    """
    return {each.name: each for each in PROFILES}[name]
