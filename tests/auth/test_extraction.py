"""Where the token is looked for, and what counts as one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_middleware.auth.extraction import NoToken, as_b64token, find_credentials, from_query, only, read_credentials

SIZE = 100


def header(*values, name=b"authorization"):
    credentials = find_credentials([(b"host", b"x"), *((name, value) for value in values), (b"x-longer-names", b"x")])
    return credentials if isinstance(credentials, NoToken) else read_credentials(credentials, SIZE)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"Bearer a.b.c", b"a.b.c"),
        (b"bearer a.b.c", b"a.b.c"),
        (b"BEARER a.b.c", b"a.b.c"),
        (b"bEaReR   a.b.c", b"a.b.c"),
        (b"Bearer a.b.c ", b"a.b.c"),
        (b"Bearer opaque-_~+/0==", b"opaque-_~+/0=="),
        (b"Bearer " + b"a" * SIZE, b"a" * SIZE),
        (b"Bearer " + b"a" * (SIZE + 1), NoToken.TOO_LARGE),
        (b"Bearer", NoToken.MALFORMED),
        (b"Bearer ", NoToken.MALFORMED),
        (b"Bearer   ", NoToken.MALFORMED),
        (b"Bearer ==", NoToken.MALFORMED),
        (b"Bearer a=b", NoToken.MALFORMED),
        (b"Bearer a b", NoToken.MALFORMED),
        (b"Bearer a,b", NoToken.MALFORMED),
        (b"Bearer \ta.b.c", NoToken.MALFORMED),
        (b'Bearer "a.b.c"', NoToken.MALFORMED),
        (b"Bearer a.b.c, Basic eA==", NoToken.MALFORMED),
        (b"Bearer \xc3\xa9", NoToken.MALFORMED),
        (b"Bearer a\x00", NoToken.MALFORMED),
        (b"Bearer\ta.b.c", NoToken.MALFORMED),
        (b"", NoToken.MALFORMED),
        (b" Bearer a.b.c", NoToken.MALFORMED),
        (b"Be\xc3\xa4rer a.b.c", NoToken.MALFORMED),
        (b"Basic a.b.c", NoToken.OTHER_SCHEME),
        (b"a.b.c", NoToken.OTHER_SCHEME),
        (b"Bearers a.b.c", NoToken.OTHER_SCHEME),
        (b"DPoP a.b.c", NoToken.OTHER_SCHEME),
        (b'Digest username="x"', NoToken.OTHER_SCHEME),
    ],
)
def test_the_authorization_header(value, expected):
    """One scheme in any letter case, one b64token; another scheme is never read as a token (RFC 6750 2.1)."""
    found = header(value)
    assert found == expected
    assert type(found) is type(expected)


def test_no_header_is_no_credentials():
    """Without the header there is no token."""
    assert header() is NoToken.MISSING


def test_two_headers_are_a_conflict():
    """Two Authorization headers are refused, also when they are equal or of two schemes."""
    assert header(b"Bearer a.b.c", b"Bearer a.b.c") is NoToken.REPEATED
    assert header(b"Basic eA==", b"Bearer a.b.c") is NoToken.REPEATED


def test_header_names_come_in_any_case():
    """A server need not lower the names."""
    assert header(b"Bearer a.b.c", name=b"AUTHORIZATION") == b"a.b.c"
    assert find_credentials([(b"Authorization", b"Bearer a"), (b"authorization", b"Bearer b")]) is NoToken.REPEATED


@given(st.binary(max_size=40))
def test_any_header_is_a_token_or_a_reason(value):
    """No bytes raise, and what comes out as a token follows the grammar."""
    for given_value in (value, b"Bearer " + value):
        found = header(given_value)
        assert isinstance(found, NoToken) or as_b64token(found) == found


@pytest.mark.parametrize(
    ("query", "found", "rest"),
    [
        (b"", NoToken.MISSING, b""),
        (b"a=1&b=2", NoToken.MISSING, b"a=1&b=2"),
        (b"token=a.b.c", b"a.b.c", b""),
        (b"a=1&token=a.b.c&b=%20", b"a.b.c", b"a=1&b=%20"),
        (b"token=a%2Eb.c", b"a.b.c", b""),
        (b"%74oken=a.b.c", b"a.b.c", b""),
        (b"Token=a.b.c", NoToken.MISSING, b"Token=a.b.c"),
        (b"mytoken=a.b.c", NoToken.MISSING, b"mytoken=a.b.c"),
        (b"token=a&token=a", NoToken.REPEATED, b""),
        (b"token=a&x=1&%74%6f%6b%65%6e=b", NoToken.REPEATED, b"x=1"),
        (b"token=", NoToken.MALFORMED, b""),
        (b"token", NoToken.MALFORMED, b""),
        (b"token=a+b", b"a+b", b""),
        (b"token=a%20b", NoToken.MALFORMED, b""),
        (b"token=%zz", NoToken.MALFORMED, b""),
        (b"token=" + b"a" * 101, NoToken.TOO_LARGE, b""),
        (b"a=1&&token=x&", b"x", b"a=1&&"),
        (b"a=1;token=x", NoToken.MISSING, b"a=1;token=x"),
    ],
)
def test_the_query_parameter(query, found, rest):
    """The parameter is found under any spelling of its name, once, and taken out of the query string."""
    assert from_query(query, b"token", SIZE) == (found, rest)


def test_two_places_are_a_conflict():
    """A token in two places is refused even where both are equal; one place counts whatever it holds (RFC 6750 2)."""
    assert only(NoToken.MISSING, NoToken.MISSING) is NoToken.MISSING
    assert only(b"a", NoToken.MISSING) == b"a"
    assert only(NoToken.MISSING, NoToken.MALFORMED) is NoToken.MALFORMED
    assert only(b"a", b"a") is NoToken.REPEATED
    assert only(NoToken.OTHER_SCHEME, b"a") is NoToken.REPEATED
