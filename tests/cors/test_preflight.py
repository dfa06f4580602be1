"""What a preflight asks for."""

import pytest

from asgi_middleware.cors.preflight import requested_headers, requested_method


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
