"""Over sockets: a real server, real clients, the main ways in and the main refusals."""

import asyncio
import socket
import threading

import httpx
import hypercorn.asyncio
import hypercorn.config
import pytest
import websockets
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from uvicorn_thread import START_TIMEOUT, UvicornThread
from websockets.asyncio.client import connect

from asgi_middleware.auth import JWTAuthMiddleware, Rule, WebSocketAuth
from asgi_middleware.testing.tokens import TokenIssuer

pytestmark = pytest.mark.anyio
ISSUER = TokenIssuer("RS256")


@pytest.fixture
def anyio_backend():
    """Real servers run on asyncio."""
    return "asyncio"


def app(reject):
    async def me(request):
        return JSONResponse({"user": request.user.identity, "raw": request.headers.get("authorization", "")[:6]})

    async def socket(websocket):
        await websocket.accept()
        query = websocket.url.query
        await websocket.send_json([websocket.user.identity, websocket.scope["subprotocols"], query])
        await websocket.close()

    inner = Starlette(
        routes=[
            *(Route(path, me, methods=["GET", "POST"]) for path in ("/me", "/health", "/admin")),
            WebSocketRoute("/ws", socket),
        ]
    )
    return JWTAuthMiddleware(
        inner,
        **ISSUER.options,
        exempt=("/health",),
        rules=(Rule("/admin", scopes=("admin",)),),
        websocket=WebSocketAuth(query_parameter="token", reject=reject),
    )


class HypercornThread:
    """hypercorn in a thread; its socket listens before it starts, so that no client comes too early."""

    def __init__(self, target, _ws):
        self.target = target
        self.started = threading.Event()
        self.thread = threading.Thread(target=asyncio.run, args=[self.serve()])

    async def serve(self):
        self.loop = asyncio.get_running_loop()
        self.stop = asyncio.Event()
        self.started.set()
        await hypercorn.asyncio.serve(self.target, self.config, shutdown_trigger=self.stop.wait)

    def __enter__(self):
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        self.config = hypercorn.config.Config.from_mapping(bind=[f"fd://{listener.detach()}"], errorlog=None)
        self.thread.start()
        assert self.started.wait(START_TIMEOUT)
        return port

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join()


SERVERS = [
    pytest.param(UvicornThread, "websockets-sansio", id="uvicorn-sansio"),
    pytest.param(UvicornThread, "wsproto", id="uvicorn-wsproto"),
    pytest.param(HypercornThread, None, id="hypercorn"),
]


@pytest.mark.parametrize(("server", "ws"), SERVERS[::2])
async def test_http(server, ws):
    """A token gets in; without one, with a forged one and with too little the answer is the right challenge."""
    with server(app("deny"), ws) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            good = {"authorization": f"bearer {ISSUER.token(sub='u1')}"}
            forged = {"authorization": f"Bearer {ISSUER.forged()}"}
            assert (await client.get("/me", headers=good)).json() == {"user": "u1", "raw": "bearer"}
            assert (await client.get("/health")).json() == {"user": "", "raw": ""}
            for path, headers, status, value in [
                ("/me", {}, 401, 'Bearer realm="api"'),
                ("/health%2F", {}, 401, 'Bearer realm="api"'),
                ("/health%3F/x", {}, 401, 'Bearer realm="api"'),
                ("/me", {"authorization": "Basic YTpi"}, 401, 'Bearer realm="api"'),
                ("/me", forged, 401, 'Bearer realm="api", error="invalid_token"'),
                ("/me", {"authorization": "Bearer"}, 400, 'Bearer realm="api", error="invalid_request"'),
                ("/admin", good, 403, 'Bearer realm="api", error="insufficient_scope", scope="admin"'),
                ("//admin", {}, 401, 'Bearer realm="api", scope="admin"'),
            ]:
                answer = await client.get(f"http://127.0.0.1:{port}{path}", headers=headers)
                assert (answer.status_code, answer.headers["www-authenticate"]) == (status, value)
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["status"] == status
            head = await client.head("/me")
            assert (head.status_code, head.content) == (401, b"")


@pytest.mark.parametrize(("server", "ws"), SERVERS[::2])
@pytest.mark.parametrize("pause", [0, 0.05])
async def test_a_refused_upload(server, ws, pause):
    """A client that is still sending sees the 401, and its connection or its next one works."""

    async def content():
        for _ in range(4):
            await asyncio.sleep(pause)
            yield b"x" * 50_000

    with server(app("deny"), ws) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            for headers in ({}, {"content-length": "200000"}):
                assert (await client.post("/me", content=content(), headers=headers)).status_code == 401
                assert (await client.get("/health")).status_code == 200


@pytest.mark.parametrize(("server", "ws"), SERVERS)
async def test_websocket_ways_in(server, ws):
    """Header, subprotocol pair and query reach the app, which sees no token."""
    with server(app("deny"), ws) as port:
        url = f"ws://127.0.0.1:{port}/ws"
        token = ISSUER.token(sub="u1")
        async with connect(url, additional_headers={"Authorization": f"Bearer {token}"}, proxy=None) as client:
            assert client.subprotocol is None
            assert await client.recv() == '["u1",[],""]'
        async with connect(url, subprotocols=["bearer", token, "chat"], proxy=None) as client:
            assert client.subprotocol == "bearer"
            assert await client.recv() == '["u1",["chat"],""]'
        async with connect(f"{url}?a=1&token={token}", proxy=None) as client:
            assert await client.recv() == '["u1",[],"a=1"]'


@pytest.mark.parametrize(("server", "ws"), SERVERS)
async def test_websocket_refusals(server, ws):
    """Deny answers 401 with the challenge, close a bare 403, accept_close the code and the reason."""
    offered = ["bearer", ISSUER.expired()]
    with server(app("deny"), ws) as port:
        with pytest.raises(websockets.InvalidStatus) as caught:
            await connect(f"ws://127.0.0.1:{port}/ws", subprotocols=offered, proxy=None)
        assert caught.value.response.status_code == 401
        assert caught.value.response.headers["www-authenticate"] == 'Bearer realm="api", error="invalid_token"'
    with server(app("close"), ws) as port:
        with pytest.raises(websockets.InvalidStatus) as caught:
            await connect(f"ws://127.0.0.1:{port}/ws", subprotocols=offered, proxy=None)
        assert caught.value.response.status_code == 403
    with server(app("accept_close"), ws) as port:
        async with connect(f"ws://127.0.0.1:{port}/ws", subprotocols=offered, proxy=None) as client:
            assert client.subprotocol == "bearer"
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await client.recv()
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4401, "token_expired")
