"""What a Content-Length declares."""

import pytest

from asgi_middleware.limits.body_limit import KnownLengths, declared_length

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
