"""What the app sees, as messages and through the frameworks."""

import subprocess
import sys
import textwrap

import fastapi
import litestar
import pytest
from litestar.response import Response as LitestarResponse
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute

from asgi_middleware._core.exchange import Exchange
from asgi_middleware.auth import AnonymousUser, JWTAuth, JWTAuthMiddleware, JWTUser, TokenVerifier
from asgi_middleware.testing import drive, http, http_scope, websocket
from asgi_middleware.testing.tokens import TokenIssuer

pytestmark = pytest.mark.anyio
ISSUER = TokenIssuer()
VERIFIER = TokenVerifier(**ISSUER.options)


def verified(**claims):
    return VERIFIER.verify(ISSUER.token(**claims))


@pytest.mark.parametrize(
    ("claims", "identity", "shown"),
    [
        ({"sub": "u1"}, "u1", "u1"),
        ({"sub": "u1", "name": "Alice A."}, "u1", "Alice A."),
        ({"sub": "u1", "preferred_username": "alice"}, "u1", "alice"),
        ({"sub": "u1", "name": "", "preferred_username": "alice"}, "u1", "alice"),
        ({"sub": "u1", "name": ["x"]}, "u1", "u1"),
        ({"sub": None}, "", ""),
    ],
)
def test_the_user(claims, identity, shown):
    """The identity is the sub claim, under all the names that frameworks use; the name is for showing."""
    user = JWTUser(verified(**claims))
    assert {user.identity, user.id, user.pk, user.username, user.get_username(), str(user)} == {identity}
    assert user.display_name == shown
    assert (user.is_authenticated, user.is_anonymous, user.is_active) == (True, False, True)
    assert repr(user) == "<JWTUser>"


def test_nobody():
    """The anonymous user has the same attributes, empty."""
    user = AnonymousUser()
    assert {user.identity, user.display_name, user.username, user.get_username(), str(user)} == {""}
    assert (user.id, user.pk) == (None, None)
    assert (user.is_authenticated, user.is_anonymous, user.is_active) == (False, True, False)
    assert repr(user) == "<AnonymousUser>"


def test_the_grants():
    """Scopes are a list of its own, claims are read-only, the expiry is a number, and the repr says nothing."""
    token = verified(scope="read write", email="alice@example.org", exp=4102444800)
    auth = JWTAuth(token)
    assert auth.scopes == ["read", "write"]
    assert auth.scopes is not JWTAuth(token).scopes
    assert auth.claims["email"] == "alice@example.org"
    assert (auth.expires_at, auth.issuer) == (4102444800, ISSUER.issuer)
    with pytest.raises(TypeError):
        auth.claims["sub"] = "root"
    assert repr(auth) == "JWTAuth(VerifiedToken(expires_at=4102444800))"


def test_no_grants():
    """Without a token there are no scopes, no claims and no expiry."""
    auth = JWTAuth()
    assert (auth.scopes, dict(auth.claims), auth.expires_at, auth.issuer, auth.token) == ([], {}, None, None, None)
    assert repr(auth) == "JWTAuth()"


async def test_the_scope_is_a_copy(app):
    """The server's scope is as it was; the app's has the user, the grants and the Exchange, which names the subject."""
    headers = [ISSUER.authorization(scope="read")]
    scope = http_scope(headers=headers)
    before = repr(scope)
    await drive(JWTAuthMiddleware(app, **ISSUER.options), scope)
    assert repr(scope) == before
    inner = app.calls[0]
    assert inner is not scope
    assert set(inner) - set(scope) == {"user", "auth", "asgi_middleware"}
    assert all(inner[key] is scope[key] for key in scope)
    assert inner["asgi_middleware"].subject == "alice"


async def test_an_exchange_of_an_outer_class_is_used(app):
    """The subject and the refusal are written to the record that is there, and a follower sees the inner scope."""
    exchange = Exchange()
    scope = http_scope(headers=[ISSUER.authorization()])
    scope["asgi_middleware"] = exchange
    exchange.follow(scope)
    await drive(JWTAuthMiddleware(app, **ISSUER.options), scope)
    assert exchange.subject == "alice"
    assert exchange.scope is app.calls[0]
    assert app.calls[0] is not scope
    assert "user" not in scope


async def test_a_mounted_second_guard_decides_for_itself(app):
    """A guard inside a guard checks the token again and may ask for more."""
    inner = JWTAuthMiddleware(app, **ISSUER.options, required_scopes=("admin",))
    outer = JWTAuthMiddleware(inner, **ISSUER.options)
    assert (await http(outer, headers=[ISSUER.authorization()])).status == 403
    assert (await http(outer, headers=[ISSUER.authorization(scope="admin")])).status == 200


async def test_two_requests_at_once_keep_their_users(app):
    """One instance serves several users without mixing them."""
    guarded = JWTAuthMiddleware(app, **ISSUER.options)
    for name in ("a", "b", "a"):
        await http(guarded, headers=[ISSUER.authorization(sub=name)])
    assert [scope["user"].identity for scope in app.calls] == ["a", "b", "a"]


def starlette_app():
    @requires("admin")
    async def admin(request):
        return JSONResponse({"user": request.user.display_name})

    async def me(request):
        return JSONResponse({"user": request.user.identity, "scopes": request.auth.scopes})

    @requires("admin")
    async def socket(websocket):
        await websocket.accept()
        await websocket.send_text(websocket.user.identity)
        await websocket.close()

    return Starlette(routes=[Route("/admin", admin), Route("/me", me), WebSocketRoute("/ws", socket)])


def fastapi_app():
    app = fastapi.FastAPI()

    @app.get("/me")
    async def me(request: fastapi.Request):
        return {"user": request.user.identity, "scopes": request.auth.scopes}

    @app.get("/admin")
    @requires("admin")
    def admin(request: fastapi.Request):
        return {"user": request.user.display_name}

    @app.websocket("/ws")
    async def socket(websocket: fastapi.WebSocket):
        await websocket.accept()
        await websocket.send_text(websocket.user.identity)
        await websocket.close()

    return app


def litestar_app():
    @litestar.get("/me", sync_to_thread=False)
    def me(request: litestar.Request) -> dict:
        return {"user": request.user.identity, "scopes": request.auth.scopes}

    @litestar.get("/admin", sync_to_thread=False)
    def admin(request: litestar.Request) -> LitestarResponse:
        allowed = "admin" in request.auth.scopes
        return LitestarResponse({"user": request.user.display_name}, status_code=200 if allowed else 403)

    @litestar.websocket("/ws")
    async def socket(socket: litestar.WebSocket) -> None:
        await socket.accept()
        await socket.send_text(socket.user.identity)
        await socket.close()

    return litestar.Litestar([me, admin, socket], openapi_config=None)


@pytest.fixture
def anyio_backend():
    """Framework apps of one process run on asyncio here; both loops are covered by the other files."""
    return "asyncio"


@pytest.mark.parametrize("make", [starlette_app, fastapi_app, litestar_app], ids=["starlette", "fastapi", "litestar"])
async def test_frameworks(make):
    """request.user, request.auth and requires() work; a refused request does not reach the framework."""
    guarded = JWTAuthMiddleware(make(), **ISSUER.options)
    headers = [(b"host", b"api.example"), ISSUER.authorization(sub="u1", scope="read admin", name="Alice")]
    assert (await http(guarded, path="/me", headers=headers)).json() == {"user": "u1", "scopes": ["read", "admin"]}
    assert (await http(guarded, path="/admin", headers=headers)).json() == {"user": "Alice"}
    assert (await http(guarded, path="/admin", headers=[headers[0], ISSUER.authorization()])).status == 403
    assert (await http(guarded, path="/me", headers=headers[:1])).status == 401
    result = await websocket(
        guarded, "/ws", headers=headers[:1], subprotocols=["bearer", ISSUER.token(sub="u1", scope="admin")]
    )
    assert result.sent[0].get("subprotocol") == "bearer"
    assert result.messages == ["u1"]


@pytest.mark.parametrize("make", [starlette_app, fastapi_app], ids=["starlette", "fastapi"])
async def test_add_middleware(make):
    """The framework's own way of adding works too."""
    app = make()
    app.add_middleware(JWTAuthMiddleware, **ISSUER.options)
    assert (await http(app, path="/me", headers=[ISSUER.authorization()])).status == 200
    assert (await http(app, path="/me")).status == 401


CHANNELS = """
    import anyio
    import django
    from django.conf import settings

    settings.configure(
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        SECRET_KEY="x" * 50,
        USE_TZ=True,
    )
    django.setup()
    from channels.auth import AuthMiddlewareStack
    from channels.generic.websocket import AsyncWebsocketConsumer

    from asgi_middleware.auth import JWTAuthMiddleware
    from asgi_middleware.testing import websocket
    from asgi_middleware.testing.tokens import TokenIssuer

    class Consumer(AsyncWebsocketConsumer):
        async def connect(self):
            await self.accept()
            await self.send(text_data=f"{self.scope['user'].identity} {self.scope['user'].is_authenticated}")
            await self.close()

    issuer = TokenIssuer()

    async def main():
        for app in (Consumer.as_asgi(), AuthMiddlewareStack(Consumer.as_asgi())):
            guarded = JWTAuthMiddleware(app, **issuer.options, optional=("/open",))
            for path, offered in (("/", ["bearer", issuer.token(sub="u1")]), ("/open", [])):
                print((await websocket(guarded, path, subprotocols=offered, raise_exceptions=False)).messages)

    anyio.run(main)
"""


def test_channels():
    """A Channels consumer sees the user, also with Channels' own AuthMiddleware inside, which cannot replace it."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(CHANNELS)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.stdout.splitlines() == ["['u1 True']", "[' False']"] * 2, found.stderr
