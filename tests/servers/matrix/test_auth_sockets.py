"""WebSockets on every server: refused in each way, and ended with their token; by a real client.

What a server makes of each refusal is no choice of ours; the table below says what a client sees.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator

import pytest
from matrix.probing import Probe, token
from matrix.variants import ALL, FOLDER, PYTHON, SELECTED, TARGET, Variant
from websockets.exceptions import ConnectionClosed, InvalidStatus

SERVICE = "matrix.auth_service:app"
# uvicorn's older WebSocket implementation, which the table of the other cases leaves out.
LEGACY = Variant(
    name="uvicorn-h11-asyncio-websockets-legacy",
    server="uvicorn",
    title="h11, asyncio, websockets",
    command=(*PYTHON, str(FOLDER / "serve.py"), "{fd}", TARGET, "http=h11", "loop=asyncio", "ws=websockets"),
)
# Expiry takes seconds: elsewhere than in the environment `servers` one server must do.
VARIANTS = [*(variant for variant in SELECTED if not variant.http2), LEGACY] if ALL else [SELECTED[0]]
NO_DENIAL = {"daphne", "gunicorn"}
NO_REASON = {"daphne"}


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda variant: variant.name)
def auth(request, tmp_path_factory) -> Iterator[Probe]:
    """Give a server that runs the service until its tests are done."""
    variant: Variant = request.param
    folder = tmp_path_factory.mktemp(variant.name)
    with variant.running(folder / "auth.log", target=SERVICE) as server:
        yield Probe(variant, server, folder)


def good(seconds: int = 60) -> str:
    return token(exp=int(time.time()) + seconds)


def refused(auth: Probe, path: str, **options):
    with pytest.raises(InvalidStatus) as caught, auth.websocket(path, **options):
        pass
    return caught.value.response


def closed(client) -> tuple[int, str]:
    try:
        while True:
            client.recv(timeout=6)
    except ConnectionClosed as end:
        frame = end.rcvd
    return (frame.code, frame.reason) if frame else (0, "no close frame")


def ended(auth: Probe, path: str) -> list:
    """Give how the app's last connection there ended, waiting for it."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with auth.client() as client:
            found = [end[1:] for end in client.get("/").json() if end[0] == path]
        if found:
            return found[-1]
        time.sleep(0.05)
    raise AssertionError("the app's connection did not end")


@pytest.mark.parametrize("offered", [None, ["bearer", token(exp=1)]], ids=["nothing", "expired"])
def test_denied(auth, offered):
    """The client sees 401 with challenge and problem document, or a bare 403 where the server offers no denial."""
    response = refused(auth, "/deny", subprotocols=offered)
    if auth.variant.server in NO_DENIAL:
        assert response.status_code == 403
        return
    error = ', error="invalid_token"' if offered else ""
    assert (response.status_code, response.headers["www-authenticate"]) == (401, f'Bearer realm="api"{error}')
    assert response.headers["cache-control"] == "no-store"
    assert json.loads(response.body)["reason"] == ("token_expired" if offered else "credentials_missing")


def test_closed_before_the_accept(auth):
    """A close before the accept is 403 everywhere, whatever its code."""
    assert refused(auth, "/close").status_code == 403


@pytest.mark.parametrize("offered", [None, ["bearer", token(exp=1)], ["chat"]], ids=["nothing", "expired", "chat"])
def test_accepted_to_be_closed(auth, offered):
    """The client learns code and reason."""
    with auth.websocket("/accept-close", subprotocols=offered) as client:
        assert client.subprotocol == (offered[0] if offered else None)
        code, reason = closed(client)
    expected = "token_expired" if offered and len(offered) == 2 else "credentials_missing"
    assert (code, reason) == (4401, "" if auth.variant.server in NO_REASON else expected)


def test_ways_in(auth):
    """Header, both subprotocol forms, query and ticket get in; the app sees no token, and none is sent back."""
    text = good()
    wrapped = "base64url.bearer.authorization.k8s.io." + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    with auth.client() as http:
        ticket = http.get(f"/ticket/{text}").text
    for path, options, picked, offered in [
        ("/places", {"additional_headers": {"Authorization": f"bearer {text}"}}, None, []),
        ("/places", {"subprotocols": ["bearer", text]}, "bearer", []),
        ("/places", {"subprotocols": ["chat", "bearer", text]}, "chat", ["chat"]),
        ("/places", {"subprotocols": [wrapped, "chat"]}, "chat", ["chat"]),
        (f"/places?a=1&token={text}", {}, None, []),
        (f"/places?a=1&ticket={ticket}", {}, None, []),
    ]:
        with auth.websocket(path, **options) as client:
            assert client.subprotocol == picked
            client.send("hello")
            told = json.loads(client.recv(timeout=5))
            query = "a=1" if "?" in path else ""
            assert told == {"user": "ada", "text": "hello", "offered": offered, "query": query}
    again = refused(auth, f"/places?ticket={ticket}")
    assert again.status_code == (403 if auth.variant.server in NO_DENIAL else 401)


def test_first_message(auth):
    """A good first message starts the app, and a bad one is answered with the code."""
    with auth.websocket("/first") as client:
        client.send(json.dumps({"token": good()}))
        client.send("hello")
        assert json.loads(client.recv(timeout=5))["text"] == "hello"
    with auth.websocket("/first") as client:
        client.send(token(exp=1))
        code, reason = closed(client)
    assert (code, reason) == (4401, "" if auth.variant.server in NO_REASON else "token_expired")


def test_closed_at_expiry_while_the_app_waits(auth):
    """At expiry the client gets the code, and the waiting app the disconnect; before that all messages pass."""
    text = good(2)
    with auth.websocket("/deny", subprotocols=["bearer", text]) as client:
        client.send("hello")
        assert json.loads(client.recv(timeout=5))["text"] == "hello"
        code, reason = closed(client)
    assert (code, reason) == (4401, "" if auth.variant.server in NO_REASON else "token_expired")
    assert ended(auth, "/deny") == [4401, "token_expired"]


def test_closed_at_expiry_while_the_app_talks(auth):
    """An app that never listens is closed at expiry, too; its send raises OSError."""
    with auth.websocket("/talks", subprotocols=["bearer", good(2)]) as client:
        code, reason = closed(client)
    assert (code, reason) == (4401, "" if auth.variant.server in NO_REASON else "token_expired")
    assert ended(auth, "/talks") == ["SessionEndedError", "token_expired"]


def test_renewed(auth):
    """A token that is renewed in-band lets the connection live past the old one's end."""
    with auth.websocket("/accept-close", subprotocols=["bearer", good(2)]) as client:
        client.send(f"renew {token(sub='mallory')}")
        assert json.loads(client.recv(timeout=5))["text"] == "subject_changed"
        client.send(f"renew {good(4)}")
        assert json.loads(client.recv(timeout=5))["text"] == "renewed"
        time.sleep(2.2)
        client.send("still here")
        assert json.loads(client.recv(timeout=5))["text"] == "still here"
        assert closed(client)[0] == 4401
