"""A real identity provider: discovery and key set over HTTP, JWT access tokens (RFC 9068), rotation of its keys."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
import httpx
import pytest
import websockets
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from fastapi import FastAPI, Request, WebSocket
from sites import Site, serving

from asgi_middleware import JWTAuthMiddleware
from asgi_middleware.auth import KeySet, TokenVerifier

AUDIENCE = "urn:example:api"
ALGORITHMS = ["RS256", "ES256", "EdDSA"]
PROVIDER = Path(__file__).parent / "provider" / "provider.mjs"


class Provider:
    """The provider, as a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.issuer: str = self._line()["issuer"]

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        # Between our own lines the provider says what a service should not leave as it is.
        line = next(line for line in self._process.stdout if line.startswith("{"))
        found: dict[str, Any] = json.loads(line)
        return found

    def command(self, word: str) -> None:
        """Have it do something, and wait until it is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        assert self._line() == {"done": word}

    def token(self, algorithm: str = "RS256", scope: str = "read") -> str:
        """Get an access token by the client credentials grant."""
        response = httpx.post(
            f"{self.issuer}/token",
            data={"grant_type": "client_credentials", "scope": scope},
            auth=(f"service-{algorithm}", "a%20secret%20that%20only%20tests%20know"),
            trust_env=False,
        )
        token: str = response.raise_for_status().json()["access_token"]
        return token


@pytest.fixture
def provider() -> Iterator[Provider]:
    """Start the provider on a port that the system picks."""
    with subprocess.Popen(
        [shutil.which("node") or "node", str(PROVIDER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield Provider(process)
        finally:
            process.kill()


def verifier(provider: Provider) -> TokenVerifier:
    keys = KeySet(discover=provider.issuer, loopback_http=True)
    return TokenVerifier(keys=keys, algorithms=ALGORITHMS, audience=AUDIENCE, issuer=provider.issuer, profile="rfc9068")


def fastapi_app() -> Any:
    app = FastAPI()

    @app.get("/who")
    async def who(request: Request) -> dict[str, Any]:
        return {"user": request.user.identity, "scopes": sorted(request.auth.scopes)}

    @app.websocket("/ws")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_json({"user": socket.user.identity, "scopes": sorted(socket.auth.scopes)})
        await socket.close()

    return app


def django_app() -> Any:
    def who(request: HttpRequest) -> HttpResponse:
        scope = request.scope  # type: ignore[attr-defined]
        return JsonResponse({"user": scope["user"].identity, "scopes": sorted(scope["auth"].scopes)})

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=(path("who", who),), SECRET_KEY="for tests alone")
        django.setup()
    return get_asgi_application()


@contextmanager
def guarded(provider: Provider, make: Callable[[], Any]) -> Iterator[Site]:
    with serving(lambda _: JWTAuthMiddleware(make(), verifier=verifier(provider))) as site:
        yield site


def ask(site: Site, token: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"}
    return httpx.get(f"{site.origin}/who", headers=headers, trust_env=False, timeout=10)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("make", [fastapi_app, django_app])
def test_http(provider: Provider, make: Callable[[], Any], algorithm: str) -> None:
    """An access token of the provider opens the door of a FastAPI and of a Django app, by every kind of key."""
    with guarded(provider, make) as site:
        response = ask(site, provider.token(algorithm, "read write"))
        assert response.json() == {"user": f"service-{algorithm}", "scopes": ["read", "write"]}
        assert ask(site, provider.token(algorithm)[:-4] + "AAAA").status_code == 401


def test_websocket(provider: Provider) -> None:
    """It opens a WebSocket, as a subprotocol."""

    async def talk(site: Site) -> Any:
        offered = ["bearer", provider.token()]
        async with websockets.connect(f"{site.websocket_origin}/ws", subprotocols=offered, proxy=None) as socket:  # type: ignore[arg-type]
            return json.loads(await socket.recv())

    with guarded(provider, fastapi_app) as site:
        assert asyncio.run(talk(site)) == {"user": "service-RS256", "scopes": ["read"]}


def test_rotation(provider: Provider) -> None:
    """A new key is found without a restart; a retired one stops to count once the key set is fetched again."""
    with guarded(provider, fastapi_app) as site:
        old = provider.token()
        assert ask(site, old).status_code == 200
        provider.command("rotate")
        new = provider.token()
        assert new.split(".")[0] != old.split(".")[0]
        assert ask(site, new).status_code == 200
        assert ask(site, old).status_code == 200
        provider.command("retire")
    with guarded(provider, fastapi_app) as site:
        assert ask(site, new).status_code == 200
        assert ask(site, old).status_code == 401


def test_gone(provider: Provider) -> None:
    """Known keys go on to count while the provider is away; a service that starts then says 503 and when to retry."""
    token = provider.token()
    with guarded(provider, fastapi_app) as site:
        assert ask(site, token).status_code == 200
        provider._process.kill()
        assert ask(site, token).status_code == 200
    with guarded(provider, fastapi_app) as site:
        refused = ask(site, token)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
