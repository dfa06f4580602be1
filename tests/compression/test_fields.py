"""Fields that matter: found in any spelling, learned once, bounded."""

from hypothesis import given
from hypothesis import strategies as st

from asgi_middleware.compression.fields import Names

NAMES = [
    b"content-type",
    b"Content-Type",
    b"CONTENT-TYPE",
    b"cOnTeNt-TyPe",
    b"ETag",
    b"vary",
    b"Vary",
    b"x-own",
    b"X-Own",
]


def respelled(name, number):
    return b"".join(
        bytes([letter]).upper() if number >> place & 1 else bytes([letter]) for place, letter in enumerate(name)
    )


@given(headers=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([b"a", b"b"])), max_size=8))
def test_finds_what_a_slow_search_finds(headers):
    """For any list, the fields that matter come out under their lower-case names, repeated ones joined in order."""
    names = Names(b"content-type", b"etag", b"vary")
    expected = {}
    for name, value in headers:
        field = name.lower()
        if field in {b"content-type", b"etag", b"vary"}:
            expected[field] = expected[field] + b", " + value if field in expected else value
    for _ in range(2):  # learning and knowing
        assert names.read(headers) == expected


def test_the_memory_is_bounded():
    """Ever new names, and ever new spellings of one name, cannot fill the memory, and none is missed."""
    names = Names(b"accept-encoding", b"range")
    for number in range(3000):
        assert names.read([(b"x-%d" % number, b"")]) == {}
        headers = [(respelled(b"accept-encoding", number), b"gzip"), (b"Range", b"x")]
        assert names.read(headers) == {b"accept-encoding": b"gzip", b"range": b"x"}
    assert names.read([(b"y" * 5000, b"")]) == {}
    assert len(names.others) <= 1024
    assert len(names.noted) <= 1024
    assert max(map(len, names.others)) <= 64
