"""The profiles: the same keys and types as the test clients in this process, and the manners of the servers."""

from __future__ import annotations

import inspect
import sys
import warnings
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import httpx
import pytest

from asgi_middleware.testing import PROFILES, Profile, drive, profile
from asgi_middleware.testing.driver import http_script, websocket_script

pytestmark = pytest.mark.anyio


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """Answer anything."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def shape(scope: dict[str, Any]) -> dict[str, Any]:
    """Give what a scope looks like: its keys, and the types of those that differ between servers."""
    known = {"aws.event", "aws.context"}
    return {
        "keys": set(scope) - known,
        "asgi": scope.get("asgi"),
        "extensions": scope.get("extensions"),
        "client": type(scope.get("client")),
        "server": type(scope.get("server")),
    }


@pytest.fixture
def channels_testing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give channels' test clients; their package imports daphne too, for a live server that nobody needs here."""
    if find_spec("daphne") is None:
        daphne: Any = ModuleType("daphne.testing")
        daphne.DaphneProcess = object
        monkeypatch.setitem(sys.modules, "daphne", ModuleType("daphne"))
        monkeypatch.setitem(sys.modules, "daphne.testing", daphne)
    return import_module("channels.testing")


class TestAgainstTheRealOnes:
    """A profile is what the named client does, checked against the client itself."""

    def test_starlettes_test_client(self) -> None:
        """The scopes of Starlette's TestClient, http and websocket."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # which of two client packages it stands on does not matter here
            from starlette.testclient import TestClient
        scopes = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scopes.append(scope)
            await plain(scope, receive, send)

        client = TestClient(app)
        client.get("/")
        with client.websocket_connect("/"):
            pass
        ours = profile("starlette-testclient")
        assert shape(ours.http_scope()) == shape(scopes[0])
        assert shape(ours.websocket_scope()) == shape(scopes[1])

    async def test_httpx(self) -> None:
        """The scope of httpx's ASGITransport."""
        scopes = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scopes.append(scope)
            await plain(scope, receive, send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as client:
            await client.get("/")
        assert shape(profile("httpx").http_scope()) == shape(scopes[0])

    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_channels(self, anyio_backend: str, channels_testing: Any) -> None:
        """The scopes of channels' communicators."""
        ours = profile("channels-communicator")
        theirs = channels_testing.HttpCommunicator(plain, "GET", "/")
        await theirs.get_response()
        assert shape(ours.http_scope()) == shape(theirs.scope)
        websocket = channels_testing.WebsocketCommunicator(plain, "/")
        await websocket.connect()
        assert shape(ours.websocket_scope()) == shape(websocket.scope)
        await websocket.wait()


class TestManners:
    """How a profile treats the app."""

    async def test_an_app_is_served(self) -> None:
        """Every profile serves a plain app, http and websocket."""
        for each in PROFILES:
            result = await drive(each.serve(plain), each.http_scope(), http_script(b""))
            assert result.status == 200
            if each.websockets:
                result = await drive(each.serve(plain), each.websocket_scope(), websocket_script([]))
                assert result.accepted

    async def test_daphne_calls_by_keyword(self) -> None:
        """An app with other parameter names fails on daphne, and on no other."""

        async def app(s: Any, r: Any, w: Any) -> None:
            await plain(s, r, w)

        failed = []
        for each in PROFILES:
            result = await drive(each.serve(app), each.http_scope(), raise_exceptions=False)
            if isinstance(result.exception, TypeError):
                failed.append(each.name)
        assert failed == ["daphne"]

    async def test_servers_in_rust_give_plain_awaitables(self) -> None:
        """On granian and pyvoy what receive and send return is awaited, but is no coroutine."""
        plainly = set()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            waiting = receive()
            if not inspect.iscoroutine(waiting):
                plainly.add(scope["server"])
            await waiting
            await plain(scope, receive, send)

        for each in PROFILES:
            await drive(each.serve(app), each.http_scope(server=each.name))
        assert plainly == {"granian", "granian-http-1.0", "pyvoy"}

    async def test_messages_have_the_servers_keys(self) -> None:
        """Daphne gives both keys of a WebSocket message, and like others no reason with a disconnect."""
        got: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            got.extend([await receive() for _ in range(3)])

        daphne = profile("daphne")
        await drive(daphne.serve(app), daphne.websocket_scope(), websocket_script(["a"]))
        assert got[1] == {"type": "websocket.receive", "text": "a", "bytes": None}
        assert got[2] == {"type": "websocket.disconnect", "code": 1000}

    @pytest.mark.parametrize(
        ("name", "message", "error"),
        [
            ("daphne", {"type": "http.response.body", "body": memoryview(b"a")}, TypeError),
            ("pyvoy", {"type": "http.response.body", "body": bytearray(b"a")}, TypeError),
            ("granian", {"type": "http.response.start", "status": 200}, RuntimeError),
        ],
    )
    async def test_a_server_refuses_what_it_cannot_take(
        self, name: str, message: dict[str, Any], error: type[Exception]
    ) -> None:
        """A message that the server does not take makes send raise, as it would there."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(message)

        server = profile(name)
        with pytest.raises(error, match=name):
            await drive(server.serve(app), server.http_scope())
        uvicorn = profile("uvicorn")
        assert (await drive(uvicorn.serve(app), uvicorn.http_scope())).sent == [message]

    def test_shared_dicts(self) -> None:
        """Granian and pyvoy hand the same dicts to every request; the others do not."""

        def shares(each: Profile) -> bool:
            first, second = each.http_scope(), each.http_scope()
            return any(first.get(key) is not None and first[key] is second[key] for key in ("asgi", "extensions"))

        assert {each.name for each in PROFILES if shares(each)} == {"granian", "granian-http-1.0", "pyvoy"}

    def test_lifespan(self) -> None:
        """Daphne and two clients run no lifespan; TestClient's scope for it is the smallest."""
        assert {each.name for each in PROFILES if not each.lifespan} == {"daphne", "httpx", "channels-communicator"}
        assert profile("starlette-testclient").lifespan_scope() == {"type": "lifespan", "state": {}}
        assert profile("uvicorn").lifespan_scope()["asgi"] == {"version": "3.0", "spec_version": "2.0"}

    def test_an_unknown_name(self) -> None:
        """A profile that does not exist is a KeyError."""
        with pytest.raises(KeyError):
            profile("apache")
