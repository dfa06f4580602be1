"""Which request is a preflight."""

import pytest

from asgi_middleware._core.preflight import is_preflight
from asgi_middleware.testing import http_scope, websocket_scope

ORIGIN = (b"origin", b"https://app.example.com")
METHOD = (b"access-control-request-method", b"PUT")


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("OPTIONS", [ORIGIN, METHOD], True),
        ("OPTIONS", [(b"Origin", b"null"), (b"Access-Control-Request-Method", b"PUT")], True),
        ("OPTIONS", [ORIGIN], False),
        ("OPTIONS", [METHOD], False),
        ("OPTIONS", [ORIGIN, (b"access-control-request-headers", b"authorization")], False),
        ("OPTIONS", [], False),
        ("options", [ORIGIN, METHOD], False),
        ("GET", [ORIGIN, METHOD], False),
    ],
    ids=range(8),
)
def test_is_preflight(method: str, headers: list[tuple[bytes, bytes]], expected: bool) -> None:
    """OPTIONS, Origin and Access-Control-Request-Method together make one, and nothing less."""
    assert is_preflight(http_scope(method, headers=headers), headers) is expected


def test_a_websocket_is_none() -> None:
    """A WebSocket's handshake is no preflight, whatever stands in its scope."""
    headers = [ORIGIN, METHOD]
    scope = websocket_scope(headers=headers, method="OPTIONS")
    assert not is_preflight(scope, headers)
