"""What a message carries, and which one is the last."""

from typing import Any

import pytest

from asgi_middleware._core.messages import body_size, ends_response, size_of


class TestBodySize:
    @pytest.mark.parametrize(
        ("message", "size"),
        [
            ({}, 0),
            ({"body": None}, 0),
            ({"body": b""}, 0),
            ({"body": b"abc"}, 3),
            ({"body": bytearray(b"abcd")}, 4),
            ({"body": memoryview(b"abcde")}, 5),
            ({"body": memoryview(b"abcdefgh").cast("i")}, 8),
        ],
        ids=range(7),
    )
    def test_size(self, message: dict[str, Any], size: int) -> None:
        """Any bytes-like body is counted in bytes; a missing one is empty [B11]."""
        assert body_size({"type": "http.request", **message}) == size


def test_size_of():
    """Data that stands elsewhere in a message is counted the same way."""
    assert [size_of(data) for data in (None, b"", b"abc", bytearray(b"ab"))] == [0, 0, 3, 2]


@pytest.mark.parametrize(
    ("message", "without", "promised"),
    [
        ({"type": "http.response.body"}, True, False),
        ({"type": "http.response.body", "more_body": True}, False, False),
        ({"type": "http.response.zerocopysend", "file": 1}, True, False),
        ({"type": "http.response.zerocopysend", "file": 1, "more_body": True}, False, False),
        ({"type": "http.response.pathsend", "path": "/x"}, True, False),
        ({"type": "http.response.trailers", "headers": []}, False, True),
        ({"type": "http.response.trailers", "headers": [], "more_trailers": True}, False, False),
        ({"type": "http.response.start", "status": 200}, False, False),
        ({"type": "http.response.early_hint"}, False, False),
        ({"type": "http.response.debug"}, False, False),
        ({"type": "something.new"}, False, False),
    ],
    ids=range(11),
)
def test_ends_response(message: dict[str, Any], without: bool, promised: bool) -> None:
    """A response ends with its last body message, or with its last trailers where the start promised them [T10]."""
    assert ends_response(message) is without
    assert ends_response(message, trailers=True) is promised
