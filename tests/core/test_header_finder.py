"""Finding headers: any spelling is found, and what is learned stays bounded."""

from asgi_middleware._core.header_finder import HeaderFinder


def test_every_spelling_is_found_again_and_again() -> None:
    """Wanted headers are given in order with lower-case names, whatever their spelling and shape, in every pass."""
    finder = HeaderFinder([b"x-request-id", b"traceparent"])
    headers = [
        (b"Accept", b"1"),
        (b"X-Request-ID", b"2"),
        [b"TRACEPARENT", b"3"],
        (b"accept", b"4"),
        (b"x-request-id", b"5"),
    ]
    for _ in range(3):
        assert finder.find(headers) == [(b"x-request-id", b"2"), (b"traceparent", b"3"), (b"x-request-id", b"5")]
    assert finder.find(iter(headers)) == finder.find(headers)
    assert finder.others == {b"Accept", b"accept"}
    assert finder.find(None) == finder.find([]) == []


def test_what_is_learned_is_bounded() -> None:
    """A client that sends ever new names fills no memory, and hides no wanted header."""
    finder = HeaderFinder([b"x-request-id"])
    for number in range(5000):
        assert finder.find([(b"x-%d" % number, b""), (b"x-request-id", b"1")]) == [(b"x-request-id", b"1")]
    assert finder.find([(b"x" * 65, b"")]) == []
    assert len(finder.others) <= 1024
    assert b"x" * 65 not in finder.others
