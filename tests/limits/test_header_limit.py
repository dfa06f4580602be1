"""HeaderLimitMiddleware: 431 and 414, at the limit and one over it, on HTTP and WebSocket."""

from typing import Any

import pytest

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware._core.exchange import enter
from asgi_middleware.limits import HeaderLimitMiddleware
from asgi_middleware.testing.driver import drive, http, http_scope, lifespan, websocket

pytestmark = pytest.mark.anyio

LIMITS = {"max_header_bytes": 100, "max_header_count": 4, "max_field_bytes": 50, "max_target_bytes": 20}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer, accept, or start."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
    else:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def field(size: int, name: bytes = b"x") -> tuple[bytes, bytes]:
    """Make a field of `size` bytes, separators included."""
    return name, b"v" * (size - len(name) - 4)


CASES: list[tuple[list[tuple[bytes, bytes]], dict[str, Any], str | None]] = [
    ([], {}, None),
    ([field(50)], {}, None),
    ([field(51)], {}, "header_field_too_large"),
    ([field(50), field(50)], {}, None),
    ([field(50), field(50), field(5)], {}, "headers_too_large"),
    ([field(25)] * 4, {}, None),
    ([field(5)] * 5, {}, "too_many_headers"),
    ([], {"path": "/" + "x" * 19}, None),
    ([], {"path": "/" + "x" * 20}, "target_too_long"),
    ([], {"path": "/x", "query_string": b"q" * 17}, None),
    ([], {"path": "/x", "query_string": b"q" * 18}, "target_too_long"),
    ([], {"path": "/ä", "raw_path": b"/%C3%A4" + b"x" * 14}, "target_too_long"),
    ([], {"path": "/" + "ä" * 9, "raw_path": None}, None),
    ([], {"path": "/" + "ä" * 10, "raw_path": None}, "target_too_long"),
    ([], {"path": "/\ud800", "raw_path": None}, None),
    ([], {"path": "/", "query_string": ...}, None),
]


@pytest.mark.parametrize(("headers", "keys", "reason"), CASES, ids=range(len(CASES)))
class TestTable:
    async def test_http(self, headers: list[Any], keys: dict[str, Any], reason: str | None) -> None:
        """What is within the limits passes, and what is one byte over is refused with its reason [H1]."""
        scope, exchange = enter(http_scope(headers=headers, **keys))
        result = await drive(HeaderLimitMiddleware(app, **LIMITS), scope)  # type: ignore[arg-type]
        if reason is None:
            assert result.status == 204
            return
        assert (result.status, result.json()["reason"]) == (414 if reason == "target_too_long" else 431, reason)
        assert result.header(b"connection") == b"close"
        assert exchange.refusal is not None
        assert exchange.refusal.reason == reason

    async def test_websocket(self, headers: list[Any], keys: dict[str, Any], reason: str | None) -> None:
        """A handshake is refused alike, by a denial response or a close [H1]."""
        limited = HeaderLimitMiddleware(app, **LIMITS)  # type: ignore[arg-type]
        path = keys.get("path", "/")
        rest = {key: value for key, value in keys.items() if key != "path"}
        result = await websocket(limited, path, headers=headers, **rest)
        assert result.accepted is (reason is None)
        if reason is not None:
            assert result.status in {414, 431}
            result = await websocket(limited, path, headers=headers, denial_response=False, **rest)
            assert (result.close_code, result.close_reason) == (1008, reason)


async def test_no_limits() -> None:
    """With None everywhere everything passes."""
    limited = HeaderLimitMiddleware(app, **dict.fromkeys(LIMITS))  # type: ignore[arg-type]
    headers = [(b"x", b"v" * 100_000)] * 200
    assert (await http(limited, path="/" + "x" * 100_000, headers=headers)).status == 204


async def test_lifespan() -> None:
    """Other scopes pass."""
    assert (await lifespan(HeaderLimitMiddleware(app))).types == ["lifespan.startup.complete"]


async def test_an_iterator() -> None:
    """Headers that can be read once are refused or passed on whole."""
    seen = []

    async def counting(scope: Any, receive: Any, send: Any) -> None:
        seen.append(len([*scope["headers"]]))
        await app(scope, receive, send)

    for count, status in ((2, 204), (5, 431)):
        scope = http_scope()
        scope["headers"] = iter([field(5)] * count)
        assert (await drive(HeaderLimitMiddleware(counting, **LIMITS), scope)).status == status  # type: ignore[arg-type]
    assert seen == [2]


async def test_all_fields_may_have_less_than_one() -> None:
    """Where all fields together may have less than a single one, that holds."""
    limited = HeaderLimitMiddleware(app, max_header_bytes=40, max_field_bytes=50)
    assert (await http(limited, headers=[field(40)])).status == 204
    assert (await http(limited, headers=[field(41)])).json()["reason"] == "headers_too_large"


@pytest.mark.parametrize("option", LIMITS)
@pytest.mark.parametrize("value", [0, -1, True, "1", 1.5])
def test_wrong(option: str, value: Any) -> None:
    """A wrong option is an error at construction."""
    with pytest.raises(ConfigurationError) as caught:
        HeaderLimitMiddleware(app, **{option: value})
    assert [problem.option for problem in caught.value.problems] == [option]
