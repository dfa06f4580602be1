"""Fields that matter: found in any spelling, read by the shape of the head, remembered within bounds."""

from hypothesis import given
from hypothesis import strategies as st

from asgi_middleware.compression.fields import ASKED, CREDENTIALS, read_fields
from asgi_middleware.compression.request_shapes import RequestShape, RequestShapes
from asgi_middleware.compression.requests import spellings

NAMES = [
    b"accept-encoding",
    b"Accept-Encoding",
    b"ACCEPT-ENCODING",
    b"sec-fetch-site",
    b"Sec-Fetch-Site",
    b"cache-control",
    b"available-dictionary",
    b"Cookie",
    b"authorization",
    b"accept",
    b"x-own",
]
HEADS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([b"a", b"b", b""])), max_size=8)


def slowly_read(headers, wanted):
    fields = {}
    for name, value in headers:
        field = name.lower()
        if field in wanted:
            fields[field] = fields[field] + b", " + value if field in fields else value
    return fields


@given(headers=HEADS)
def test_finds_what_a_slow_search_finds(headers):
    """For any list, the fields that matter come out under their lower-case names, repeated ones joined in order."""
    assert read_fields(headers, {b"accept-encoding", b"cookie"}) == slowly_read(
        headers, [b"accept-encoding", b"cookie"]
    )


@given(headers=HEADS)
def test_a_shape_reads_what_a_slow_search_finds(headers):
    """For any list, the shape of the names leads to the same fields."""
    shape = RequestShape([name for name, _ in headers])
    expected = slowly_read(headers, ASKED)
    assert shape.fields(shape.read(headers)) == expected
    assert shape.asks == (b"accept-encoding" in expected)
    assert shape.credentialed == bool(slowly_read(headers, CREDENTIALS))


@given(one=HEADS, other=HEADS)
def test_heads_that_ask_the_same_mean_the_same(one, other):
    """What is remembered of one head never answers for another that differs in a field that matters."""

    def asked_and_meant(headers):
        shape = RequestShape([name for name, _ in headers])
        meant = (slowly_read(headers, ASKED), bool(slowly_read(headers, CREDENTIALS)))
        return shape.read(headers), meant

    (asked, meant), (asked_by_other, meant_by_other) = asked_and_meant(one), asked_and_meant(other)
    assert asked != asked_by_other or meant == meant_by_other


@given(letters=st.tuples(*[st.sampled_from(letter + letter.upper()) for letter in "if-match"]))
def test_every_spelling_is_among_the_spellings(letters):
    """A name in letters of any case is found, and no other name is."""
    found = spellings(b"if-match", b"range")
    assert "".join(letters).encode() in found
    assert len(found) == 2**7 + 2**5


def test_the_memory_of_shapes_is_bounded():
    """Ever new names, many names and long names cannot fill the memory, and all are read."""
    shapes = RequestShapes()
    for number in range(2000):
        assert shapes.learn([(b"x-%d" % number, b""), (b"accept-encoding", b"gzip")]).asks
    assert 0 < len(shapes) <= 512
    shapes.clear()
    assert shapes.learn([(b"y" * 5000, b""), (b"accept-encoding", b"gzip")]).asks
    assert shapes.learn([*[(b"", b"")] * 500, (b"accept-encoding", b"gzip")]).asks
    assert len(shapes) == 0
