"""The client: targets, headers, bodies, WebSockets, and the manners of a server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asgi_middleware.testing import Client, profile

pytestmark = pytest.mark.anyio


async def mirror(scope: Any, receive: Any, send: Any) -> None:
    """Answer with what the app was given."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0], "headers": scope["headers"]})
        await send({"type": "websocket.send", "text": (await receive())["text"]})
        return
    message = await receive()
    given = {
        "method": scope["method"],
        "path": scope["path"],
        "raw_path": scope["raw_path"].decode() if "raw_path" in scope else None,
        "query": scope["query_string"].decode(),
        "headers": [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]],
        "body": message["body"].decode(),
        "more": message["more_body"],
    }
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(given).encode()})


async def test_get() -> None:
    """The target is split into decoded path, raw path and query."""
    given = (await Client(mirror).get("/caf%C3%A9?a=1&b=%20")).json()
    assert given["method"] == "GET"
    assert (given["path"], given["raw_path"], given["query"]) == ("/caf\xe9", "/caf%C3%A9", "a=1&b=%20")
    assert given["headers"] == [["host", "testserver"]]


async def test_post_json() -> None:
    """JSON has its content type and its length."""
    given = (await Client(mirror).post("/", json={"a": None})).json()
    assert given["body"] == '{"a": null}'
    assert given["headers"] == [["host", "testserver"], ["content-type", "application/json"], ["content-length", "11"]]
    assert (await Client(mirror).post("/", json=None)).json()["body"] == "null"


async def test_post_chunks() -> None:
    """A body in chunks has no length, and comes in several messages."""
    given = (await Client(mirror).post("/", body=[b"a", b"b"])).json()
    assert (given["body"], given["more"]) == ("a", True)
    assert given["headers"] == [["host", "testserver"]]


async def test_headers() -> None:
    """Those of the request win over the client's, and both over its own; repeated ones stay."""
    client = Client(mirror, headers={"Authorization": "Bearer a", "X-A": "1"})
    given = (await client.get("/", headers=[("X-A", "2"), (b"x-a", b"\xff"), ("host", "other")])).json()
    assert given["headers"] == [["authorization", "Bearer a"], ["x-a", "2"], ["x-a", "\xff"], ["host", "other"]]


async def test_websocket() -> None:
    """A conversation with headers and subprotocols."""
    result = await Client(mirror).websocket("/ws?a=1", messages=["hi"], headers={"X-A": "1"}, subprotocols=["chat"])
    assert result.accepted
    assert result.messages == ["hi"]
    assert result.headers == [(b"host", b"testserver"), (b"x-a", b"1")]


async def test_lifespan() -> None:
    """Start-up and shut-down."""
    assert (await Client(mirror).lifespan()).types == ["lifespan.startup.complete"]


async def test_a_servers_manners() -> None:
    """With a profile the scope is that server's."""
    client = Client(mirror, profile=profile("channels-communicator"))
    assert (await client.get("/a", raw_path=...)).json()["raw_path"] is None


async def test_scope_keys() -> None:
    """Keys of the scope can be replaced and removed."""
    assert (await Client(mirror).request("QUERY", "/", raw_path=b"/other")).json()["raw_path"] == "/other"


async def test_exceptions() -> None:
    """What the app raises comes out, or stands in the result."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await Client(app).get()
    assert isinstance((await Client(app, raise_exceptions=False).get()).exception, LookupError)
