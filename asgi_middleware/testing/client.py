"""A small test client over the driver: requests in, results out, no network and no client library."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias
from urllib.parse import unquote

from asgi_middleware._core.types import ASGIApp
from asgi_middleware.testing import driver
from asgi_middleware.testing.profiles import Profile
from asgi_middleware.testing.result import Result

__all__ = ["Client", "Headers"]

Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]
"""Request headers: a mapping of str, or pairs of str or bytes for repeated names and bytes that are no text."""


class Client:
    """Make requests to an ASGI app, on asyncio or trio.

    It is no browser: it keeps no cookies, follows no redirects and adds no headers but ``host``, ``content-type`` for
    JSON, and ``content-length`` for a body given whole::

        client = Client(app, headers={"authorization": "Bearer ..."})
        result = await client.post("/items?dry=1", json={"name": "tea"})
        assert result.status == 201
        assert result.json() == {"id": 1}

    Args:
        app: Any ASGI app.
        headers: Sent with every request and handshake.
        profile: The server whose manners are played; None for a plain one.
        timeout: Seconds before a hanging app fails the call.
        raise_exceptions: Whether what the app raises comes out; else it stands in the result.
    """

    __slots__ = ("_app", "_headers", "_manners", "_profile")

    def __init__(
        self,
        app: ASGIApp,
        *,
        headers: Headers = (),
        profile: Profile | None = None,
        timeout: float = driver.DEFAULT_TIMEOUT,
        raise_exceptions: bool = True,
    ) -> None:
        self._app = app if profile is None else profile.serve(app)
        self._headers = _raw(headers)
        self._profile = profile
        self._manners: dict[str, Any] = {"timeout": timeout, "raise_exceptions": raise_exceptions}

    async def request(
        self,
        method: str,
        target: str = "/",
        *,
        headers: Headers = (),
        body: bytes | Iterable[bytes] = b"",
        json: Any = ...,
        **scope_keys: Any,
    ) -> Result:
        """Make one HTTP request.

        Args:
            method: The method.
            target: The path, percent-encoded, and the query behind a question mark.
            headers: Further headers.
            body: The body whole, or its chunks, each a message of its own and without a ``content-length``.
            json: What to send as JSON in place of `body`.
            **scope_keys: Further or replaced keys of the scope; the value ``...`` removes the key.
        """
        own = [(b"host", b"testserver")]
        if json is not ...:
            body = json_module.dumps(json).encode()
            own.append((b"content-type", b"application/json"))
        if isinstance(body, bytes) and body:
            own.append((b"content-length", b"%d" % len(body)))
        make = driver.http_scope if self._profile is None else self._profile.http_scope
        path, keys = _target(target)
        scope = make(method, path, headers=self._joined(own, headers), **{**keys, **scope_keys})
        return await driver.drive(self._app, scope, driver.http_script(body), **self._manners)

    async def get(self, target: str = "/", *, headers: Headers = (), **scope_keys: Any) -> Result:
        """Make a GET request; see :meth:`request`."""
        return await self.request("GET", target, headers=headers, **scope_keys)

    async def post(
        self,
        target: str = "/",
        *,
        headers: Headers = (),
        body: bytes | Iterable[bytes] = b"",
        json: Any = ...,
        **scope_keys: Any,
    ) -> Result:
        """Make a POST request; see :meth:`request`."""
        return await self.request("POST", target, headers=headers, body=body, json=json, **scope_keys)

    async def websocket(
        self,
        target: str = "/",
        *,
        headers: Headers = (),
        messages: Iterable[str | bytes] = (),
        subprotocols: Iterable[str] = (),
        **scope_keys: Any,
    ) -> Result:
        """Open a WebSocket, send `messages`, leave with code 1000.

        Args:
            target: The path, percent-encoded, and the query behind a question mark.
            headers: Further headers of the handshake.
            messages: What the client sends: text as str, binary as bytes.
            subprotocols: What the client offers.
            **scope_keys: Further or replaced keys of the scope; the value ``...`` removes the key.
        """
        make = driver.websocket_scope if self._profile is None else self._profile.websocket_scope
        path, keys = _target(target)
        own = [(b"host", b"testserver")]
        given = {"headers": self._joined(own, headers), "subprotocols": subprotocols, **keys, **scope_keys}
        script = driver.websocket_script(messages)
        return await driver.drive(self._app, make(path, **given), script, **self._manners)

    async def lifespan(self) -> Result:
        """Run one start-up and shut-down."""
        return await driver.lifespan(self._app, **self._manners)

    def _joined(self, own: list[tuple[bytes, bytes]], headers: Headers) -> list[tuple[bytes, bytes]]:
        """Join the headers: those of the request win over the client's, and both over its own."""
        joined: list[tuple[bytes, bytes]] = []
        for part in (_raw(headers), self._headers, own):
            named = {name for name, _ in joined}
            joined = [pair for pair in part if pair[0] not in named] + joined
        return joined


def _raw(headers: Headers) -> list[tuple[bytes, bytes]]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return [(_bytes(name).lower(), _bytes(value)) for name, value in pairs]


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")


def _target(target: str) -> tuple[str, dict[str, Any]]:
    path, _, query = target.partition("?")
    return unquote(path), {"raw_path": path.encode(), "query_string": query.encode()}
