"""The driver: what it gives to an app, what it records, and when it gives up."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from asgi_middleware.testing import drive, http, http_scope, lifespan, websocket, websocket_scope

pytestmark = pytest.mark.anyio


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Answer with two headers of one name and a body in pieces."""
    headers = [(b"Content-Type", b"application/json"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"a": ', "more_body": True})
    await send({"type": "http.response.body", "body": b"1}"})


class TestScopes:
    """What a scope looks like."""

    def test_an_http_scope_is_complete(self) -> None:
        """Every key that servers give is there, with the types of the specification."""
        scope = http_scope("POST", "/caf\xe9", headers=[(b"a", b"1")], query_string=b"q=1")
        assert scope["type"] == "http"
        assert (scope["method"], scope["path"], scope["query_string"]) == ("POST", "/caf\xe9", b"q=1")
        assert scope["raw_path"] == "/caf\xe9".encode()
        assert scope["headers"] == [(b"a", b"1")]
        assert scope["asgi"]["version"] == "3.0"
        assert (scope["state"], scope["extensions"], scope["root_path"]) == ({}, {}, "")

    def test_a_websocket_scope_announces_the_denial_response(self) -> None:
        """The denial response is announced, unless it is switched off."""
        assert "websocket.http.response" in websocket_scope()["extensions"]
        assert websocket_scope(denial_response=False)["extensions"] == {}
        assert websocket_scope(subprotocols=("a", "b"))["subprotocols"] == ["a", "b"]

    def test_keys_can_be_replaced_and_removed(self) -> None:
        """A key given as ``...`` is left out; any other value is taken as it is."""
        assert "client" not in http_scope(client=...)
        assert http_scope(client=None)["client"] is None
        assert "scheme" not in websocket_scope(scheme=...)

    def test_scopes_share_nothing(self) -> None:
        """Two scopes have no list or dict in common."""
        first, second = http_scope(), http_scope()
        assert all(first[key] is not second[key] for key in ("headers", "state", "extensions", "asgi"))


class TestHTTP:
    """One request."""

    async def test_a_result_reads_the_answer(self) -> None:
        """Status, headers in any letter case, body in pieces and as JSON."""
        result = await http(answer)
        assert result.status == 201
        assert result.header(b"content-type") == b"application/json"
        assert result.header_all(b"set-cookie") == [b"a=1", b"b=2"]
        assert result.header(b"x-none") is None
        assert result.chunks == [b'{"a": ', b"1}"]
        assert result.json() == {"a": 1}
        assert result.started
        assert result.complete
        assert result.types == ["http.response.start", "http.response.body", "http.response.body"]

    async def test_the_body_comes_in_its_chunks(self) -> None:
        """Each chunk is one message; after the last, receive gives the disconnect once the answer is complete."""
        got: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            got.extend([await receive(), await receive()])
            await answer(scope, receive, send)
            got.append(await receive())

        result = await http(app, "POST", body=[b"a", b"b"])
        assert got == [
            {"type": "http.request", "body": b"a", "more_body": True},
            {"type": "http.request", "body": b"b", "more_body": False},
            {"type": "http.disconnect"},
        ]
        assert result.received == 3

    async def test_an_app_without_answer(self) -> None:
        """Nothing sent is nothing recorded."""

        async def app(scope: Any, receive: Any, send: Any) -> None: ...

        result = await http(app)
        assert (result.status, result.headers, result.body, result.started, result.complete) == (
            None,
            [],
            b"",
            False,
            False,
        )

    async def test_messages_are_handed_over_as_they_are(self) -> None:
        """The recorded message is the very object, right or wrong."""
        message = {"type": "http.response.start", "status": "201", "headers": None}

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(message)

        assert (await http(app)).sent[0] is message

    async def test_an_exception_comes_out(self) -> None:
        """What the app raises comes out, or stands in the result."""
        error = LookupError("of the app")

        async def app(scope: Any, receive: Any, send: Any) -> None:
            raise error

        with pytest.raises(LookupError) as caught:
            await http(app)
        assert caught.value is error
        assert (await http(app, raise_exceptions=False)).exception is error

    async def test_a_hanging_app_is_given_up(self) -> None:
        """An app that does not return in time fails the call."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await receive()  # waits for an answer that never comes

        with pytest.raises(TimeoutError):
            await http(app, timeout=0.01)

    async def test_send_lets_others_run(self) -> None:
        """Each send is a point at which other tasks run, as with a server."""
        turns: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await answer(scope, receive, send)
            turns.append("app")

        async def other() -> None:
            turns.append("other")

        async with anyio.create_task_group() as group:
            group.start_soon(other)
            await http(app)
        assert turns == ["other", "app"]


class TestWebSocket:
    """One WebSocket."""

    async def test_a_conversation(self) -> None:
        """Connect, messages as text or bytes, then a disconnect with code 1000."""
        got: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            got.append(await receive())
            await send({"type": "websocket.accept", "headers": [(b"x-a", b"1")]})
            got.extend([await receive() for _ in range(3)])
            await send({"type": "websocket.send", "text": "hi"})
            await send({"type": "websocket.send", "bytes": b"\xff", "text": None})

        result = await websocket(app, messages=["a", b"b"])
        assert got == [
            {"type": "websocket.connect"},
            {"type": "websocket.receive", "text": "a"},
            {"type": "websocket.receive", "bytes": b"b"},
            {"type": "websocket.disconnect", "code": 1000, "reason": ""},
        ]
        assert result.accepted
        assert result.messages == ["hi", b"\xff"]
        assert result.headers == [(b"x-a", b"1")]
        assert (result.close_code, result.close_reason, result.status) == (None, None, None)

    async def test_a_close(self) -> None:
        """Code and reason of the app's close; 1000 and none where it names none."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "websocket.close", **scope["state"]})

        result = await websocket(app, state={"code": 4001, "reason": "over"})
        assert (result.accepted, result.close_code, result.close_reason) == (False, 4001, "over")
        result = await websocket(app)
        assert (result.close_code, result.close_reason) == (1000, "")

    async def test_a_denial(self) -> None:
        """A denial response has its status, headers and body in the result."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "websocket.http.response.start", "status": 403, "headers": [(b"a", b"1")]})
            await send({"type": "websocket.http.response.body", "body": b"no"})

        result = await websocket(app)
        assert (result.status, result.body, result.header(b"a"), result.complete) == (403, b"no", b"1", True)


async def test_lifespan() -> None:
    """Start-up, then shut-down."""
    got: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(2):
            message = await receive()
            got.append(message["type"])
            await send({"type": f"{message['type']}.complete"})

    result = await lifespan(app)
    assert got == ["lifespan.startup", "lifespan.shutdown"]
    assert result.types == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_any_script() -> None:
    """`drive` takes any scope and any messages, also of types not invented yet."""
    got: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        got.append(await receive())

    await drive(app, {"type": "invented"}, [{"type": "invented.begin"}])
    assert got == [{"type": "invented.begin"}]
