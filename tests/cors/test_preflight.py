"""Which request is a preflight, and what it asks for."""

import pytest

from asgi_middleware._core.headers import index_headers
from asgi_middleware.cors.preflight import is_preflight, requested_headers, requested_method

ORIGIN = (b"origin", b"https://app.example.com")
METHOD = (b"access-control-request-method", b"PUT")


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("OPTIONS", [ORIGIN, METHOD], True),
        ("OPTIONS", [ORIGIN], False),
        ("OPTIONS", [METHOD], False),
        ("options", [ORIGIN, METHOD], False),
        ("GET", [ORIGIN, METHOD], False),
    ],
    ids=range(5),
)
def test_is_preflight(method: str, headers: list[tuple[bytes, bytes]], expected: bool) -> None:
    """OPTIONS, Origin and Access-Control-Request-Method together make one, and nothing less [1]."""
    assert is_preflight(method, index_headers(headers)) is expected


@pytest.mark.parametrize(
    ("values", "method"),
    [
        ((b"PUT",), b"PUT"),
        ((b" put\t",), b"put"),
        ((b"A" * 64,), b"A" * 64),
        ((b"A" * 65,), None),
        ((b"GET, PUT",), None),
        ((b"GET", b"PUT"), None),
        ((b"",), None),
        ((), None),
    ],
    ids=range(8),
)
def test_requested_method(values: tuple[bytes, ...], method: bytes | None) -> None:
    """One token of bounded length is a method, in its own case [3]."""
    assert requested_method(values) == method


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ((), ()),
        ((b"",), ()),
        ((b"X-A, x-b",), (b"x-a", b"x-b")),
        ((b"x-b", b"x-a,x-b"), (b"x-b", b"x-a")),
        ((b"x" * 1024,), (b"x" * 1024,)),
        ((b"x" * 1025,), None),
        ((b"x" * 1000, b"x" * 25), None),
        ((b"," * 15,), ()),
        ((b"," * 16,), None),
        ((b"a b",), None),
        ((b"a;b",), None),
    ],
    ids=range(11),
)
def test_requested_headers(values: tuple[bytes, ...], names: tuple[bytes, ...] | None) -> None:
    """Names come lower-case, each once and in order, from all lines, within bounds [4]."""
    assert requested_headers(values) == names
