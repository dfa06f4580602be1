"""Tokens as a browser can send them: on a WebSocket only as a subprotocol, on requests also as a cookie."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from browsing import empty_page
from playwright.sync_api import Page
from sites import serving

from asgi_middleware import JWTAuthMiddleware
from asgi_middleware.testing.tokens import TokenIssuer

OPEN = """([url, protocols]) => new Promise(done => {
    const socket = new WebSocket(url, protocols);
    const found = {};
    socket.onopen = () => { found.protocol = socket.protocol; };
    socket.onmessage = event => { found.user = event.data; socket.close(); };
    socket.onclose = event => done({...found, code: event.code, reason: event.reason});
})"""
ISSUER = TokenIssuer()


async def greeting(scope: Any, receive: Any, send: Any) -> None:
    """Tell a WebSocket who is there; serve a page to everybody else."""
    if scope["type"] == "http":
        await empty_page(scope, receive, send)
        return
    await receive()
    subprotocol = "chat" if "chat" in scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": subprotocol})
    await send({"type": "websocket.send", "text": f"{scope['user'].identity} {','.join(scope['subprotocols'])}"})
    await receive()


def guarded(_: Any) -> Any:
    return JWTAuthMiddleware(greeting, exempt=["/page"], leeway=0, **ISSUER.options)


def kubernetes(token: str) -> str:
    return "base64url.bearer.authorization.k8s.io." + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


class TestSubprotocols:
    """The token among the subprotocols: the only header that a page can choose."""

    @pytest.mark.parametrize(
        ("offer", "picked", "for_the_app"),
        [
            pytest.param(lambda token: ["bearer", token], "bearer", "", id="pair"),
            pytest.param(lambda token: ["chat", "bearer", token], "chat", "chat", id="pair-last"),
            pytest.param(lambda token: ["bearer", token, "chat"], "chat", "chat", id="pair-first"),
            pytest.param(lambda token: ["chat", kubernetes(token)], "chat", "chat", id="kubernetes"),
        ],
    )
    def test_both_forms(self, page: Page, offer: Any, picked: str, for_the_app: str) -> None:
        """The socket opens, the subprotocol that comes back is never the token, and the app never sees it."""
        token = ISSUER.token(sub="ada")
        with serving(guarded) as site:
            page.goto(f"{site.origin}/page")
            found = page.evaluate(OPEN, [f"{site.websocket_origin}/ws", offer(token)])
        assert found["user"] == f"ada {for_the_app}"
        assert found["protocol"] == picked

    @pytest.mark.parametrize(
        "offer",
        [
            pytest.param(lambda _: [], id="nothing"),
            pytest.param(lambda _: ["chat"], id="no-token"),
            pytest.param(lambda _: ["bearer"], id="half-a-pair"),
            pytest.param(lambda _: ["bearer", ISSUER.expired(sub="ada")], id="expired"),
            pytest.param(lambda _: ["bearer", ISSUER.forged(sub="ada")], id="forged"),
            pytest.param(lambda token: ["bearer", token, kubernetes(token + "x")], id="two"),
        ],
    )
    def test_refused(self, page: Page, offer: Any) -> None:
        """Without a right token the socket never opens."""
        with serving(guarded) as site:
            page.goto(f"{site.origin}/page")
            found = page.evaluate(OPEN, [f"{site.websocket_origin}/ws", offer(ISSUER.token(sub="ada"))])
        assert found == {"code": 1006, "reason": ""}


def test_closed_at_expiry(page: Page) -> None:
    """A page sees the code and the reason with which its socket is closed when the token ends."""
    with serving(guarded) as site:
        page.goto(f"{site.origin}/page")
        token = ISSUER.token(sub="ada", exp=int(time.time()) + 3)
        waiting = OPEN.replace("socket.close(); };", "};")
        found = page.evaluate(waiting, [f"{site.websocket_origin}/ws", ["bearer", token]])
    assert found["user"].startswith("ada")
    assert (found["code"], found["reason"]) == (4401, "token_expired")
