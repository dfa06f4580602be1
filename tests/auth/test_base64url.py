"""base64url.decode takes the one canonical spelling and nothing else."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_middleware.auth.base64url import decode


@given(st.binary(max_size=200))
def test_canonical_spelling_round_trips(data):
    """What base64 writes without padding is read back."""
    assert decode(base64.urlsafe_b64encode(data).rstrip(b"=")) == data


@given(st.text("ABCDQgwxyz019-_+/= \n.!\x00", max_size=12).map(str.encode))
def test_whatever_is_read_is_written_the_same(segment):
    """No two spellings give the same bytes."""
    data = decode(segment)
    assert data is None or base64.urlsafe_b64encode(data).rstrip(b"=") == segment


@pytest.mark.parametrize(
    "segment",
    [
        b"YQ==",
        b"YWI=",
        b"YQ=",
        b"=",
        b"A",
        b"AAAAA",
        b"YR",
        b"YWJ",
        b"YW+j",
        b"YW/j",
        b"YW j",
        b"YWJj\n",
        b"\xff\xff",
        b"YQ.",
    ],
)
def test_other_spellings_are_refused(segment):
    """Padding, a lone character, unused bits that are set, foreign characters: all are refused."""
    assert decode(segment) is None
