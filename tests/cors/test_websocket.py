"""WebSocketOriginMiddleware: which pages may open a WebSocket, and how the others are refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware._core.exchange import enter
from asgi_middleware.cors import OriginSet, WebSocketOriginMiddleware
from asgi_middleware.cors.websocket import _is_same
from asgi_middleware.testing.driver import drive, http, lifespan, websocket, websocket_scope, websocket_script

pytestmark = pytest.mark.anyio

APP = "https://app.example.com"
DENIAL = {"extensions": {"websocket.http.response": {}}}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Accept a WebSocket; answer a request."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})


def headers(origins: list[str], hosts: list[str]) -> list[tuple[bytes, bytes]]:
    """Give the headers of a handshake."""
    return [
        *((b"host", host.encode()) for host in hosts),
        *((b"origin", origin.encode("latin-1")) for origin in origins),
    ]


HOST = ["api.example.com"]
LISTED = {"allow_origins": [APP, "https://*.example.org", "http://localhost:*"]}
HANDSHAKES: list[tuple[dict[str, Any], list[str], list[str], str, bool, str]] = [
    # options, Origin, Host, scheme, allowed, reason
    (LISTED, [APP], HOST, "wss", True, "origin_allowed"),
    (LISTED, ["https://a.b.example.org"], HOST, "wss", True, "origin_allowed"),
    (LISTED, ["http://localhost:5173"], HOST, "ws", True, "origin_allowed"),
    (LISTED, ["https://evil.test"], HOST, "wss", False, "origin_not_allowed"),
    (LISTED, ["https://api.example.com.evil.test"], HOST, "wss", False, "origin_not_allowed"),
    (LISTED, ["wss://app.example.com"], HOST, "wss", False, "origin_not_allowed"),
    (LISTED, [f"{APP}/"], HOST, "wss", False, "origin_not_allowed"),
    (LISTED, [f"{APP}, {APP}"], HOST, "wss", False, "origin_not_allowed"),
    (LISTED, ["null"], HOST, "wss", False, "origin_not_allowed"),
    (LISTED, [""], HOST, "wss", False, "origin_not_allowed"),
    (LISTED, ["https://" + "a" * 70_000], HOST, "wss", False, "origin_not_allowed"),
    (LISTED, [APP, APP], HOST, "wss", False, "malformed_origin"),
    (LISTED, [APP, "https://evil.test"], HOST, "wss", False, "malformed_origin"),
    ({"allow_origins": ["null"]}, ["null"], HOST, "wss", True, "origin_allowed"),
    # without an Origin
    ({}, [], HOST, "wss", True, "no_origin"),
    ({"allow_missing": False}, [], HOST, "wss", False, "no_origin"),
    # the app's own pages
    ({}, ["https://api.example.com"], HOST, "wss", True, "same_origin"),
    ({}, ["https://api.example.com"], HOST, "ws", True, "same_origin"),  # behind a proxy that ends TLS
    ({}, ["http://api.example.com"], HOST, "ws", True, "same_origin"),
    ({}, ["http://api.example.com"], HOST, "wss", False, "origin_not_allowed"),  # a page that anybody could rewrite
    ({}, ["https://api.example.com"], ["API.example.COM"], "wss", True, "same_origin"),
    ({}, ["https://api.example.com"], ["api.example.com:443"], "wss", True, "same_origin"),
    ({}, ["http://api.example.com"], ["api.example.com:80"], "ws", True, "same_origin"),
    ({}, ["https://api.example.com"], ["api.example.com:80"], "ws", False, "origin_not_allowed"),
    ({}, ["https://api.example.com:8443"], ["api.example.com:8443"], "wss", True, "same_origin"),
    ({}, ["https://api.example.com:8443"], HOST, "wss", False, "origin_not_allowed"),
    ({}, ["https://api.example.com"], ["api.example.com:8443"], "wss", False, "origin_not_allowed"),
    ({}, ["http://[::1]:8000"], ["[::1]:8000"], "ws", True, "same_origin"),
    ({}, ["http://localhost:8000"], ["localhost:8000"], "ws", True, "same_origin"),
    ({}, ["http://127.0.0.1:8000"], ["localhost:8000"], "ws", False, "origin_not_allowed"),
    ({}, ["https://evil@api.example.com"], HOST, "wss", False, "origin_not_allowed"),
    ({}, ["https://evil@api.example.com"], ["evil@api.example.com"], "wss", False, "origin_not_allowed"),
    ({}, ["chrome-extension://api.example.com"], HOST, "wss", False, "origin_not_allowed"),
    ({}, ["null"], ["null"], "wss", False, "origin_not_allowed"),
    ({}, ["https://api.example.com"], [], "wss", False, "origin_not_allowed"),
    ({}, ["https://api.example.com"], [*HOST, *HOST], "wss", False, "origin_not_allowed"),
    ({}, ["https://api.example.com"], [""], "wss", False, "origin_not_allowed"),
    ({}, ["https://api.example.com"], ["api.example.com" * 9000], "wss", False, "origin_not_allowed"),
    ({**LISTED, "same_origin": False}, ["https://api.example.com"], HOST, "wss", False, "origin_not_allowed"),
]


class TestHandshake:
    @pytest.mark.parametrize(
        ("options", "origins", "hosts", "scheme", "allowed", "reason"), HANDSHAKES, ids=range(len(HANDSHAKES))
    )
    async def test_decision(
        self, options: dict[str, Any], origins: list[str], hosts: list[str], scheme: str, allowed: bool, reason: str
    ) -> None:
        """A handshake is allowed for listed origins, the app's own pages and clients that are no browsers [27, 29]."""
        scope, exchange = enter(websocket_scope(headers=headers(origins, hosts), scheme=scheme, **DENIAL))
        result = await drive(WebSocketOriginMiddleware(app, **options), scope, websocket_script([]))
        assert result.accepted is allowed
        assert exchange.cors == reason
        if not allowed:
            assert result.status == 403
            assert result.json()["reason"] == reason
            assert exchange.refusal is not None

    async def test_mixed_case_names(self) -> None:
        """Header names count in any case [19]."""
        given = [(b"Host", b"api.example.com"), (b"Origin", b"https://evil.test")]
        assert not (await websocket(WebSocketOriginMiddleware(app), headers=given)).accepted

    async def test_one_shot_headers(self) -> None:
        """Headers that can be read once are still there for the app."""
        seen: list[Any] = []

        async def reading(scope: Any, receive: Any, send: Any) -> None:
            seen.extend(scope["headers"])
            await app(scope, receive, send)

        given = headers([APP], HOST)
        await drive(
            WebSocketOriginMiddleware(reading, **LISTED),
            websocket_scope() | {"headers": iter(given)},
            websocket_script([]),
        )
        assert seen == given


class TestRefusal:
    EVIL = headers(["https://evil.test"], HOST)

    async def test_denial_response(self) -> None:
        """Where the server announces it, the refusal is a problem document with 403, after the connect [28]."""
        result = await websocket(WebSocketOriginMiddleware(app), headers=self.EVIL, **DENIAL)
        assert result.types == ["websocket.http.response.start", "websocket.http.response.body"]
        assert result.received == 1
        assert result.header(b"content-type") == b"application/problem+json"

    @pytest.mark.parametrize("code", [1008, 4003])
    async def test_close(self, code: int) -> None:
        """Elsewhere it is a close before the accept, and nothing that the server does not know [28]."""
        result = await websocket(WebSocketOriginMiddleware(app, close_code=code), headers=self.EVIL, extensions={})
        assert result.sent == [{"type": "websocket.close", "code": code, "reason": "origin_not_allowed"}]

    async def test_the_app_is_not_called(self) -> None:
        """The app never sees a refused handshake."""

        async def never(scope: Any, receive: Any, send: Any) -> None:
            raise AssertionError

        assert not (await websocket(WebSocketOriginMiddleware(never), headers=self.EVIL)).accepted


class TestTransparency:
    async def test_other_scopes(self) -> None:
        """Requests of other origins and lifespan pass with the very objects that came."""
        seen = []

        async def noting(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope)
            if scope["type"] == "lifespan":
                await receive()
            else:
                await app(scope, receive, send)

        middleware = WebSocketOriginMiddleware(noting)
        answered = await http(middleware, headers=TestRefusal.EVIL)
        started = await lifespan(middleware)
        opened = await websocket(middleware)
        assert answered.status == 200
        assert [scope is result.scope for scope, result in zip(seen, (answered, started, opened), strict=True)] == [
            True
        ] * 3

    async def test_shared_set(self) -> None:
        """The set of CORSMiddleware serves here too."""
        origins = OriginSet([APP])
        assert (
            await websocket(WebSocketOriginMiddleware(app, allow_origins=origins), headers=headers([APP], HOST))
        ).accepted


@pytest.mark.parametrize(
    ("options", "option", "code"),
    [
        ({"allow_origins": "*"}, "allow_origins", "wildcard_with_credentials"),
        ({"allow_origins": OriginSet("*")}, "allow_origins", "wildcard_with_credentials"),
        ({"allow_origins": APP}, "allow_origins", "string_for_list"),
        ({"allow_origins": ["wss://app.example.com"]}, "allow_origins", "origin_websocket_scheme"),
        ({"same_origin": False}, "allow_origins", "no_origins"),
        ({"same_origin": 1}, "same_origin", "not_a_bool"),
        ({"allow_missing": "no"}, "allow_missing", "not_a_bool"),
        ({"close_code": 1000}, "close_code", "out_of_range"),
        ({"close_code": 5000}, "close_code", "out_of_range"),
        ({"close_code": "1008"}, "close_code", "not_an_integer"),
    ],
    ids=range(10),
)
def test_wrong_options(options: dict[str, Any], option: str, code: str) -> None:
    """A wrong option is one problem with its code and fix."""
    with pytest.raises(ConfigurationError) as caught:
        WebSocketOriginMiddleware(app, **options)
    assert [(problem.option, problem.code) for problem in caught.value.problems] == [(option, code)]


@given(st.text(alphabet="ab.:[]@/#?1 \\", max_size=20), st.sampled_from(["http", "https"]), st.booleans())
def test_same_origin_is_exact(host: str, scheme: str, secure: bool) -> None:
    """An origin is the app's own only if it is the scheme and the very Host; no Host makes another one pass."""
    origin = f"{scheme}://{host}"
    same = _is_same(origin.encode(), host.encode(), secure=secure)
    plain = bool(host) and not set(host) & set("@/#?[] \\") and ".." not in host
    if same:
        assert plain or host.startswith("[")
        assert not (secure and scheme == "http")
    assert not _is_same(f"{scheme}://evil.test".encode(), host.encode(), secure=secure)
