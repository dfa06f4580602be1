"""Lingering close: what follows a head, what is held back, and how the rest of a refused body is taken in."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from asgi_middleware._core.lingering import body_follows, drain, holding_back

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("headers", "follows"),
    [
        (None, False),
        ([], False),
        ([(b"host", b"a"), (b"content-length", b"5")], True),
        ([(b"Content-Length", b"5")], True),
        ([(b"content-length", b"0")], False),
        ([(b"content-length", b"000")], False),
        ([(b"content-length", b"+5")], False),
        ([(b"content-length", b"")], False),
        ([(b"content-length", b"5"), (b"content-length", b"x")], False),
        ([(b"transfer-encoding", b"chunked")], True),
        ([(b"Transfer-Encoding", b"gzip, chunked")], True),
        ([(b"transfer-encoding", b"chunked"), (b"content-length", b"0")], True),
        ([(b"content-length", b"5"), (b"expect", b"100-continue")], False),
        ([(b"Expect", b"100-Continue"), (b"transfer-encoding", b"chunked")], False),
        ([(b"content-length", b"5"), (b"expect", b"x")], True),
        (((b"content-length", b"5"),), True),
    ],
    ids=range(16),
)
def test_body_follows(headers: Any, follows: bool) -> None:
    """A body follows that is announced and not held back; a malformed length announces nothing [B6, B8]."""
    assert body_follows(headers) is follows


@pytest.mark.parametrize("body", [b"", b"x", b"text"])
def test_holding_back(body: bytes) -> None:
    """The last byte is what waits; what else the message says stands in both parts."""
    message = {"type": "http.response.body", "body": body, "more_body": False, "x": 1}
    first, last = holding_back(message)
    assert first == {"type": "http.response.body", "body": body[:-1], "more_body": True, "x": 1}
    assert last == {"type": "http.response.body", "body": body[-1:], "more_body": False, "x": 1}


def chunks_of(size: int, *, more: bool = True) -> Any:
    """Make a receive that gives chunks without ever waiting."""
    taken: list[int] = []

    async def receive() -> dict[str, Any]:
        taken.append(size)
        return {"type": "http.request", "body": b"x" * size, "more_body": more}

    return receive, taken


class TestDrain:
    async def test_ends_with_the_body(self) -> None:
        """The last message of the body ends it."""
        receive, taken = chunks_of(10, more=False)
        await drain(receive, max_bytes=1000, timeout=5)
        assert taken == [10]

    async def test_ends_with_the_client(self) -> None:
        """A client that leaves ends it."""
        calls = []

        async def receive() -> dict[str, Any]:
            calls.append(1)
            return {"type": "http.disconnect"}

        await drain(receive, max_bytes=1000, timeout=5)
        assert calls == [1]

    async def test_bounded_by_bytes(self) -> None:
        """No more than max_bytes are taken, but for the message that reaches them."""
        receive, taken = chunks_of(300)
        await drain(receive, max_bytes=1000, timeout=5)
        assert sum(taken) == 1200

    async def test_bounded_by_time(self) -> None:
        """A client that sends nothing more does not hold it."""

        async def receive() -> dict[str, Any]:
            await anyio.sleep_forever()
            raise AssertionError

        with anyio.fail_after(5):
            await drain(receive, max_bytes=1000, timeout=0.01)

    async def test_bounded_by_time_without_waiting(self) -> None:
        """Empty messages that are always at hand do not hold it either."""
        receive, taken = chunks_of(0)
        with anyio.fail_after(5):
            await drain(receive, max_bytes=1000, timeout=0.01)
        assert taken
