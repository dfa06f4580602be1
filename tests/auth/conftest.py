"""What the auth tests share: an issuer, an app that tells what it saw, and the clock."""

import time

import pytest

from asgi_middleware.testing.tokens import TokenIssuer


@pytest.fixture(scope="session")
def issuer():
    """An HS256 issuer."""
    return TokenIssuer()


@pytest.fixture(scope="session")
def rsa_issuer():
    """An RS256 issuer."""
    return TokenIssuer("RS256")


@pytest.fixture
def now():
    """The current second."""
    return int(time.time())


@pytest.fixture
def app():
    """An app that answers 200, or accepts and closes with 1000; `calls` holds the scopes that reached it."""
    calls = []

    async def answer(scope, receive, send):
        calls.append(scope)
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok", "more_body": False})
        elif scope["type"] == "websocket":
            assert (await receive())["type"] == "websocket.connect"
            await send({"type": "websocket.accept", **answer.accept})
            await send({"type": "websocket.close", "code": 1000, "reason": "bye"})

    answer.calls = calls
    answer.accept = {}
    return answer
