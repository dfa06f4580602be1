"""Every concern's main path and main refusal, over sockets, around FastAPI, Starlette, Django and a bare app."""

from __future__ import annotations

import gzip
import json
import time
from itertools import pairwise

import brotli
import httpx
import jwt
import pytest
from patience import least
from service_constants import EVENT_PAUSE, EVENTS, KEY, LIMIT, ORIGIN, PAYLOAD
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

APPS = ["bare", "starlette", "fastapi", "django"]
WITH_WEBSOCKETS = ["bare", "starlette", "fastapi"]
HTTP_IMPLEMENTATIONS = ["h11", "httptools"]
WEBSOCKET_IMPLEMENTATIONS = ["websockets-sansio", "wsproto"]


def token(**claims: object) -> str:
    return jwt.encode({"sub": "ada", "aud": "tests", "exp": time.time() + 60, **claims}, KEY, algorithm="HS256")


def bearer(**claims: object) -> dict[str, str]:
    return {"authorization": f"Bearer {token(**claims)}"}


@pytest.fixture(params=APPS)
def server(request, serve):
    return serve(f"apps:{request.param}")


@pytest.fixture(params=WITH_WEBSOCKETS)
def websocket_server(request, serve):
    return serve(f"apps:{request.param}")


def problem(response: httpx.Response, status: int, reason: str) -> dict[str, object]:
    """Check that the response is a refusal of ours, and give its document."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    document = response.json()
    assert document["reason"] == reason
    assert document["request_id"] == response.headers["x-request-id"]
    return document


class TestLogging:
    """One line per request, with one id."""

    def test_one_id_from_the_request_to_every_line(self, server):
        """The client's id comes back, and the app's own log call and the access line carry it."""
        request_id = f"test-{time.monotonic_ns()}"
        with server.client() as client:
            response = client.get("/json", headers={"x-request-id": request_id})
        assert response.headers["x-request-id"] == request_id
        server.wait_for_line(lambda line: line.get("request_id") == request_id and "outcome" in line)
        lines = [line for line in server.log_lines() if line.get("request_id") == request_id]
        assert len(lines) == 2
        own = next(line for line in lines if line["event"] == "working")
        access = next(line for line in lines if "outcome" in line)
        assert own["request_id"] == access["request_id"]
        assert access["outcome"] == "ok"

    def test_an_unsafe_id_is_replaced(self, server):
        """An id with characters that do not belong there is neither echoed nor logged."""
        with server.client() as client:
            response = client.get("/json", headers={"x-request-id": "a{b}\x85c".encode("latin-1")})
        assert len(response.headers["x-request-id"]) == 32
        assert response.headers["x-request-id"].isalnum()


class TestAuth:
    """A token, or a challenge."""

    def test_a_valid_token_passes(self, server):
        """The app sees who it is."""
        with server.client() as client:
            assert client.get("/protected", headers=bearer()).json() == {"user": "ada"}

    def test_no_token_is_a_bare_challenge(self, server):
        """Without credentials the challenge names no error (RFC 6750 3)."""
        with server.client() as client:
            response = client.get("/protected")
        problem(response, 401, response.json()["reason"])
        assert response.headers["www-authenticate"] == 'Bearer realm="api"'

    @pytest.mark.parametrize("claims", [{"exp": 1}, {"aud": "others"}], ids=["expired", "other audience"])
    def test_a_bad_token_is_named_so(self, server, claims):
        """A token that does not hold is `invalid_token`, and nothing of it comes back."""
        sent = bearer(**claims)
        with server.client() as client:
            response = client.get("/protected", headers=sent)
        assert response.status_code == 401
        assert 'error="invalid_token"' in response.headers["www-authenticate"]
        assert sent["authorization"].split(".")[1] not in response.text + str(response.headers)

    @pytest.mark.anyio
    async def test_a_websocket_by_subprotocol(self, websocket_server):
        """A browser's way: the token among the subprotocols, and only the marker comes back."""
        async with connect(
            f"{websocket_server.websocket_url}/ws", subprotocols=["bearer", token()], proxy=None
        ) as client:
            await client.send("hello")
            assert await client.recv() == "ada: hello"
            assert client.subprotocol == "bearer"

    @pytest.mark.anyio
    async def test_a_websocket_by_header(self, websocket_server):
        """A program's way: the Authorization header."""
        async with connect(f"{websocket_server.websocket_url}/ws", additional_headers=bearer(), proxy=None) as client:
            await client.send("hello")
            assert await client.recv() == "ada: hello"

    @pytest.mark.anyio
    async def test_a_websocket_without_a_token_is_denied(self, websocket_server):
        """The handshake is answered with 401 and a challenge, before any accept."""
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"{websocket_server.websocket_url}/ws", proxy=None)
        response = caught.value.response
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == 'Bearer realm="api"'
        assert json.loads(response.body)["status"] == 401


class TestCORS:
    """Headers for those on the list."""

    def test_an_allowed_origin(self, server):
        """The answer may be read, and caches are told what it depends on."""
        with server.client() as client:
            response = client.get("/json", headers={"origin": ORIGIN})
        assert response.headers["access-control-allow-origin"] == ORIGIN
        assert "origin" in response.headers["vary"].lower()

    def test_another_origin(self, server):
        """The answer goes out without any CORS header."""
        with server.client() as client:
            response = client.get("/json", headers={"origin": "https://evil.example"})
        assert response.status_code == 200
        assert not [name for name in response.headers if name.startswith("access-control-")]

    def test_a_preflight_needs_no_token(self, server):
        """A preflight to a protected route is answered by CORS, not by auth."""
        headers = {
            "origin": ORIGIN,
            "access-control-request-method": "GET",
            "access-control-request-headers": "authorization",
        }
        with server.client() as client:
            response = client.options("/protected", headers=headers)
            refused = client.options("/protected", headers=headers | {"origin": "https://evil.example"})
        assert response.status_code == 204
        assert response.headers["access-control-allow-headers"] == "authorization"
        assert refused.status_code == 403
        assert "access-control-allow-origin" not in refused.headers

    def test_a_refusal_can_be_read(self, server):
        """A 401 of the class inside carries CORS headers, so that the page's script sees the status."""
        with server.client() as client:
            response = client.get("/protected", headers={"origin": ORIGIN})
        assert response.status_code == 401
        assert response.headers["access-control-allow-origin"] == ORIGIN


class TestCompression:
    """Coded for those who can read it."""

    @pytest.mark.parametrize(("coding", "decode"), [("gzip", gzip.decompress), ("br", brotli.decompress)])
    def test_codings(self, server, coding, decode):
        """The decoded bytes are the app's, the length is that of the coded ones."""
        with server.client() as client, client.stream("GET", "/json", headers={"accept-encoding": coding}) as response:
            raw = b"".join(response.iter_raw())
        assert response.headers["content-encoding"] == coding
        assert int(response.headers["content-length"]) == len(raw)
        assert json.loads(decode(raw)) == PAYLOAD

    def test_zstd(self, server):
        """The same with zstd."""
        try:
            from compression import zstd
        except ImportError:
            from backports import zstd

        with server.client() as client, client.stream("GET", "/json", headers={"accept-encoding": "zstd"}) as response:
            raw = b"".join(response.iter_raw())
        assert response.headers["content-encoding"] == "zstd"
        assert json.loads(zstd.decompress(raw)) == PAYLOAD

    def test_identity(self, server):
        """Who accepts no coding gets none, and caches are told."""
        with server.client() as client:
            response = client.get("/json", headers={"accept-encoding": "identity"})
        assert "content-encoding" not in response.headers
        assert "accept-encoding" in response.headers["vary"].lower()

    @pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
    def test_events_arrive_one_by_one(self, server, coding):
        """Each event can be decoded while the next one is still to come."""

        def late():
            arrivals = []
            with (
                server.client() as client,
                client.stream("GET", "/stream", headers={"accept-encoding": coding}) as response,
            ):
                assert response.headers["content-encoding"] == coding
                text = ""
                for part in response.iter_text():
                    text += part
                    arrivals.extend([time.monotonic()] * (text.count("\n\n") - len(arrivals)))
            assert text == "".join(f"data: {number}\n\n" for number in range(EVENTS))
            return EVENT_PAUSE - min(later - earlier for earlier, later in pairwise(arrivals))

        assert least(late, EVENT_PAUSE / 2) < EVENT_PAUSE / 2


class TestLimits:
    """Too large is too large, whoever says so."""

    def test_within_the_limit(self, server):
        """A body of exactly the limit passes."""
        with server.client() as client:
            assert client.post("/upload", content=b"x" * LIMIT).json() == {"size": LIMIT}

    def test_by_content_length(self, server):
        """A declared length over the limit is refused before the app runs."""
        with server.client() as client:
            problem(client.post("/upload", content=b"x" * (LIMIT + 1)), 413, "body_too_large")

    def test_by_counting(self, server):
        """A chunked body is counted, and the client reads the 413."""

        def chunks():
            for _ in range(30):
                yield b"x" * 1000

        with server.client() as client:
            problem(client.post("/upload", content=chunks()), 413, "body_too_large")


class TestProblems:
    """An exception nobody handled."""

    def test_is_a_problem_document(self, server, request):
        """The client learns the request id and nothing of the exception; the access line is an error."""
        with server.client() as client:
            response = client.get("/boom")
        assert response.status_code == 500
        assert "secret" not in response.text
        line = server.wait_for_line(lambda line: line.get("request_id") == response.headers["x-request-id"])
        assert line["outcome"] == "error"
        if "bare" in request.node.name:
            problem(response, 500, "internal_error")


class TestMetrics:
    """What was counted."""

    def test_routes_not_paths(self, server, request):
        """The scrape names the template and the status, and never a path."""
        with server.client() as client:
            client.get("/items/12345")
            client.get("/items/67890")
            text = client.get("/metrics").text
        assert "http_server_request_duration_seconds_count" in text
        assert "12345" not in text
        if "bare" not in request.node.name:
            assert 'http_route="/items/' in text

    def test_refusals_are_named(self, server):
        """The reason of a refusal is a label."""
        with server.client() as client:
            client.post("/upload", content=b"x" * (LIMIT + 1))
            assert "body_too_large" in client.get("/metrics").text


class TestProtocols:
    """The same service on uvicorn's other protocol implementations."""

    @pytest.mark.parametrize("implementation", HTTP_IMPLEMENTATIONS)
    def test_keep_alive_does_not_bleed(self, serve, implementation):
        """A large upload and a second request on one connection have each their own id [law 36]."""
        server = serve("apps:bare", http=implementation, loop="asyncio")
        with server.client() as client:
            first = client.post("/upload", content=b"x" * LIMIT, headers={"x-request-id": "first-request"})
            second = client.get("/json")
        assert first.headers["x-request-id"] == "first-request"
        line = server.wait_for_line(lambda line: line.get("request_id") == second.headers["x-request-id"])
        assert line["request_id"] != "first-request"

    @pytest.mark.anyio
    @pytest.mark.parametrize("implementation", WEBSOCKET_IMPLEMENTATIONS)
    async def test_websocket_implementations(self, serve, implementation):
        """Token by subprotocol and denial work on each of them."""
        server = serve("apps:bare", ws=implementation)
        async with connect(f"{server.websocket_url}/ws", subprotocols=["bearer", token()], proxy=None) as client:
            await client.send("hello")
            assert await client.recv() == "ada: hello"
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"{server.websocket_url}/ws", proxy=None)
        assert caught.value.response.status_code == 401
