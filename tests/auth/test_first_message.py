"""A token in the first message: accepted, asked, and only then the app [3.5]."""

import json

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_middleware._core import deadlines
from asgi_middleware._core.exchange import Exchange
from asgi_middleware.auth import JWTAuthMiddleware, TokenVerifier, WebSocketAuth
from asgi_middleware.auth.extraction import NoToken, as_b64token
from asgi_middleware.auth.first_message import read_message
from asgi_middleware.testing import drive, websocket, websocket_scope
from asgi_middleware.testing.tokens import TokenIssuer

pytestmark = pytest.mark.anyio
ISSUER = TokenIssuer()
GOOD = ISSUER.token(sub="alice")
ACCEPT = {"type": "websocket.accept", "subprotocol": None, "headers": []}


def guard(app, *, optional=(), **options):
    return JWTAuthMiddleware(
        app, **ISSUER.options, optional=optional, websocket=WebSocketAuth(first_message=True, **options)
    )


@pytest.fixture
def echo():
    """An app that accepts, echoes and keeps its scope."""
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        assert await receive() == {"type": "websocket.connect"}
        await send({"type": "websocket.accept", "subprotocol": "x", "headers": [(b"a", b"b")]})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        await send({"type": "websocket.close"})

    app.scopes = scopes
    return app


@pytest.mark.parametrize("message", [GOOD, json.dumps({"type": "auth", "token": GOOD}), f' {{"token":"{GOOD}"}}'])
async def test_the_app_starts_after_the_token(message, echo):
    """The token is the app's no message; all that follows is, and the app's accept is swallowed."""
    result = await websocket(guard(echo), messages=[message, "one", "two"])
    assert result.sent[0] == ACCEPT
    assert [sent.get("text") for sent in result.sent[1:-1]] == ["one", "two"]
    assert result.types.count("websocket.accept") == 1
    assert echo.scopes[0]["user"].identity == "alice"
    assert "websocket.http.response" not in echo.scopes[0]["extensions"]
    assert "websocket.http.response" in result.scope["extensions"]


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        (ISSUER.forged(), 4401, "signature_invalid"),
        (ISSUER.expired(), 4401, "token_expired"),
        ("", 4401, "credentials_malformed"),
        ("a b", 4401, "credentials_malformed"),
        (b"\x00", 4401, "credentials_malformed"),
        (GOOD.encode(), 4401, "credentials_malformed"),
        ("{", 4401, "credentials_malformed"),
        ("{}", 4401, "credentials_malformed"),
        ('{"token": 5}', 4401, "credentials_malformed"),
        ('{"token": "a", "token": "b"}', 4401, "credentials_malformed"),
        ('{"token": "\\ud800"}', 4401, "credentials_malformed"),
        ("\ud800", 4401, "credentials_malformed"),
        ("{\ud800", 4401, "credentials_malformed"),
        ("caf\u00e9", 4401, "credentials_malformed"),
        ("a" * 9000, 4401, "token_too_large"),
        ("a" * 90_000, 4401, "token_too_large"),
        (json.dumps({"token": "a" * 9000}), 4401, "token_too_large"),
        (json.dumps({"more": "a" * 10_000, "token": GOOD}), 4401, "token_too_large"),
        (f"[{GOOD!r}]", 4401, "credentials_malformed"),
    ],
)
async def test_bad_first_messages_close(message, code, reason, echo):
    """One message, text, of bounded size, and good; else the close says why and the app does not run."""
    scope = websocket_scope(headers=[])
    scope["asgi_middleware"] = Exchange()
    body = {"text": message} if isinstance(message, str) else {"bytes": message}
    script = [{"type": "websocket.connect"}, {"type": "websocket.receive", **body}]
    result = await drive(guard(echo), scope, script)
    assert result.sent == [ACCEPT, {"type": "websocket.close", "code": code, "reason": reason}]
    assert echo.scopes == []
    assert scope["asgi_middleware"].refusal.reason == reason


async def test_nothing_in_time(echo, monkeypatch):
    """Who does not speak in time is closed with a code of its own."""
    monkeypatch.setattr(deadlines, "TICK", 0.004)
    options = WebSocketAuth(first_message=True)
    object.__setattr__(options, "first_message_timeout", 0.02)
    guarded = JWTAuthMiddleware(echo, **ISSUER.options, websocket=options)
    sent = []
    script = iter([{"type": "websocket.connect"}])

    async def receive():
        return next(script, None) or await anyio.sleep_forever()

    async def send(message):
        sent.append(message)

    with anyio.fail_after(2):
        await guarded(websocket_scope(), receive, send)
    assert sent == [ACCEPT, {"type": "websocket.close", "code": 4408, "reason": "authentication_timeout"}]
    assert echo.scopes == []


async def test_who_leaves_is_sent_nothing(echo):
    """A client that leaves before it spoke, or before the accept, gets no close."""
    gone = {"type": "websocket.disconnect", "code": 1006}
    assert (await drive(guard(echo), websocket_scope(), [{"type": "websocket.connect"}, gone])).sent == [ACCEPT]
    assert (await drive(guard(echo), websocket_scope(), [gone])).sent == []

    async def send(message):
        raise OSError

    script = iter([{"type": "websocket.connect"}])

    async def receive():
        return next(script)

    await guard(echo)(websocket_scope(), receive, send)
    assert echo.scopes == []


async def test_who_waits_is_counted(echo):
    """More than max_unauthenticated connections do not wait at a time; the others are refused with 503."""
    guarded = guard(echo, max_unauthenticated=1)
    speak = anyio.Event()
    script = iter([{"type": "websocket.connect"}])

    async def receive():
        for message in script:
            return message
        if not speak.is_set():
            await speak.wait()
            return {"type": "websocket.receive", "text": GOOD}
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(message):
        pass

    async with anyio.create_task_group() as group:
        group.start_soon(guarded, websocket_scope(), receive, send)
        await anyio.wait_all_tasks_blocked()
        result = await websocket(guarded, messages=[GOOD])
        assert (result.status, result.json()["reason"]) == (503, "too_many_unauthenticated")
        assert (await websocket(guarded, headers=[ISSUER.authorization()])).accepted
        speak.set()
    assert (await websocket(guarded, messages=[GOOD])).accepted
    assert len(echo.scopes) == 3


async def test_a_token_elsewhere_is_not_asked_for_again(echo):
    """The first message is the app's where the handshake brought a token, good or bad, and on optional paths."""
    result = await websocket(guard(echo), headers=[ISSUER.authorization()], messages=["hello"])
    assert result.sent[0]["subprotocol"] == "x"
    assert result.sent[1]["text"] == "hello"
    assert (await websocket(guard(echo), subprotocols=["bearer", ISSUER.forged()], messages=[GOOD])).status == 401
    assert (await websocket(guard(echo), headers=[(b"authorization", b"Basic YTpi")], messages=[GOOD])).status == 401
    result = await websocket(guard(echo, optional=["/"]), messages=["hello"])
    assert result.sent[1]["text"] == "hello"


async def test_a_browser_that_offers_subprotocols_gets_one(echo):
    """What is accepted before the app can choose picks the first that the client offered."""
    result = await websocket(guard(echo), subprotocols=["chat", "x"], messages=[GOOD])
    assert result.sent[0]["subprotocol"] == "chat"
    assert echo.scopes[0]["subprotocols"] == ["chat", "x"]


async def test_an_error_of_ours_closes(echo, monkeypatch, caplog):
    """Where the token cannot be judged the connection closes, and the log has no text of the error."""

    def broken(*_):
        raise RuntimeError("secret")

    monkeypatch.setattr(TokenVerifier, "verify_now", broken)
    result = await websocket(guard(echo), messages=[GOOD])
    assert result.sent == [ACCEPT, {"type": "websocket.close", "code": 1011, "reason": "authentication_unavailable"}]
    assert echo.scopes == []
    assert "secret" not in caplog.text


@given(st.text(max_size=80))
def test_any_text_is_a_token_or_a_reason(text):
    """No text raises, and what comes out as a token follows the grammar."""
    for message in (text, f'{{"token": "{text}"}}', json.dumps({"token": text})):
        found = read_message(message, 100)
        assert isinstance(found, NoToken) or as_b64token(found) == found
