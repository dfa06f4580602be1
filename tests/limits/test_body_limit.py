"""What a Content-Length declares, what counts as body, and how the rest of a refused one is taken in."""

from typing import Any

import anyio
import pytest

from asgi_middleware.limits.body_limit import KnownLengths, declared_length, drain, waits_for_continue

pytestmark = pytest.mark.anyio


class TestKnownLengths:
    @pytest.mark.parametrize(
        ("value", "length"),
        [(b"0", 0), (b"10", 10), (b"0010", 10), (b"11", -1), (b"9" * 18, -1), (b"0" * 19, -1)]
        + [(value, -1) for value in (b"", b"+5", b"-5", b"1_0", b"5, 5", b"\xb2", b" 5", b"0x5")],
        ids=range(14),
    )
    def test_value(self, value: bytes, length: int) -> None:
        """A plain length within the limit is given, now and when it comes again; for anything else -1 [B6]."""
        known = KnownLengths(10)
        assert [known[value], known[value]] == [length, length]

    def test_none(self) -> None:
        """Where no length may go the short way, none does."""
        assert KnownLengths(-1)[b"0"] == -1

    def test_bounded(self) -> None:
        """Whatever clients declare, the table stays small, and right."""
        known = KnownLengths(1_000_000)
        assert [known[b"%d" % length] for length in range(3_000)] == list(range(3_000))
        assert len(known) == 1_024


class TestDeclaredLength:
    @pytest.mark.parametrize(
        ("headers", "length"),
        [
            ([], None),
            ([(b"content-length", b"0")], 0),
            ([(b"transfer-encoding", b"chunked")], None),
            ([(b"content-length", b"7"), (b"content-length", b"7")], 7),
            ([(b"content-length", b"7, 7")], 7),
            ([(b"content-length", b"99999999999999999999")], 10**19),
            ([(b"content-length", b"3"), (b"transfer-encoding", b"chunked")], None),
        ],
        ids=range(7),
    )
    def test_value(self, headers: list[tuple[bytes, bytes]], length: int | None) -> None:
        """The declared length is read strictly, and means nothing beside Transfer-Encoding [B5, B6]."""
        assert declared_length(headers) == length

    @pytest.mark.parametrize("other", [[], [(b"transfer-encoding", b"chunked")]], ids=["alone", "chunked"])
    @pytest.mark.parametrize(
        "value", [b"", b"+5", b"-5", b"1_0", b"abc", b"5, 6", b"\xb2", b"5;", b"0x5", b"1e3", b"5 5"]
    )
    def test_malformed(self, value: bytes, other: list[tuple[bytes, bytes]]) -> None:
        """What is not ASCII digits is an error, also where it would not count [B6]."""
        with pytest.raises(ValueError, match="Content-Length"):
            declared_length([(b"content-length", value), *other])


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ([], False),
        ([(b"expect", b"100-continue")], True),
        ([(b"Expect", b"100-Continue")], True),
        ([(b"expect", b"x")], False),
    ],
    ids=range(4),
)
def test_waits_for_continue(headers: list[tuple[bytes, bytes]], waits: bool) -> None:
    """Expect: 100-continue is seen in any case [B8]."""
    assert waits_for_continue(headers) is waits


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
