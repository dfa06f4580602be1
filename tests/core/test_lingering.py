"""Lingering close: what follows a head, what is held back, and how the rest of a refused body is taken in."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import anyio
import pytest

from asgi_middleware._core import lingering
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
        ([(b"content-length", b"5"), (b"expect", b"x, 100-continue")], False),
        (((b"content-length", b"5"),), True),
    ],
    ids=range(17),
)
def test_body_follows(headers: Any, follows: bool) -> None:
    """A body follows that is announced and not held back; a malformed length announces nothing [B6, B8]."""
    for version in ("1.1", "1.0", "1"):
        assert body_follows({"method": "POST", "http_version": version, "headers": headers}) is follows
    assert body_follows({"headers": headers}) is follows


@pytest.mark.parametrize("version", ["2", "3"])
@pytest.mark.parametrize(
    ("method", "headers", "follows"),
    [
        ("POST", [], True),
        ("patch", None, True),
        ("PUT", [(b"host", b"a")], True),
        ("GET", [], False),
        ("head", [], False),
        ("OPTIONS", [], False),
        ("DELETE", [], False),
        ("DELETE", [(b"content-length", b"5")], True),
        ("GET", [(b"content-length", b"5")], True),
        ("POST", [(b"content-length", b"0")], False),
        ("POST", [(b"content-length", b"x")], False),
        ("POST", [(b"expect", b"100-continue")], False),
    ],
)
def test_body_follows_unannounced(version: str, method: str, headers: Any, follows: bool) -> None:
    """Since HTTP/2 a body need not be announced (RFC 9113 8.1)."""
    assert body_follows({"method": method, "http_version": version, "headers": headers}) is follows


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

    @pytest.mark.parametrize(("silent", "seconds"), [(60, 0.01), (0.01, 60)], ids=["in all", "in silence"])
    async def test_bounded_by_time(self, silent: float, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
        """A client that sends nothing more waits for the answer: it holds nobody, neither for long nor in silence."""
        monkeypatch.setattr(lingering, "SILENT_SECONDS", silent)

        async def receive() -> dict[str, Any]:
            await anyio.sleep_forever()
            raise AssertionError

        with anyio.fail_after(5):
            await drain(receive, max_bytes=1000, timeout=seconds)

    async def test_not_silent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every message begins the silence anew."""
        monkeypatch.setattr(lingering, "SILENT_SECONDS", 1.0)
        taken: list[int] = []

        async def receive() -> dict[str, Any]:
            await anyio.sleep(0.3)
            taken.append(1)
            return {"type": "http.request", "body": b"x", "more_body": len(taken) < 5}

        with anyio.fail_after(15):
            await drain(receive, max_bytes=1000, timeout=60)
        assert len(taken) == 5

    async def test_ends_with_an_exception(self) -> None:
        """A receive that raises has no more to give; the answer that has begun is completed all the same."""

        async def receive() -> dict[str, Any]:
            raise RuntimeError("a class outside allows no more")

        await drain(receive, max_bytes=1000, timeout=5)

    async def test_bounded_by_time_whatever_is_swallowed(self) -> None:
        """A receive that goes on in spite of a cancellation ends nothing, but then the time is over all the same."""

        async def receive() -> dict[str, Any]:
            with suppress(asyncio.CancelledError):  # as asyncio.wait_for of Python 3.11 may
                await anyio.sleep(0.2)
            return {"type": "http.request", "body": b"x", "more_body": True}

        with anyio.fail_after(5):
            await drain(receive, max_bytes=1000, timeout=0.1)

    async def test_lets_a_cancellation_through(self) -> None:
        """Who cancels the request ends it here too."""

        async def receive() -> dict[str, Any]:
            scope.cancel()
            await anyio.sleep_forever()
            raise AssertionError

        with anyio.CancelScope() as scope:
            await drain(receive, max_bytes=1000, timeout=60)
            pytest.fail("the cancellation is lost")
        assert scope.cancelled_caught

    async def test_bounded_by_time_without_waiting(self) -> None:
        """Empty messages that are always at hand do not hold it either."""
        receive, taken = chunks_of(0)
        with anyio.fail_after(5):
            await drain(receive, max_bytes=1000, timeout=0.01)
        assert taken
