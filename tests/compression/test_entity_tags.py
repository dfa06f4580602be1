"""Entity tags: the three ways to mark an encoded response, and the way back."""

import pytest

from asgi_middleware.compression.entity_tags import encoded_tag, revalidated_tag, without_suffixes


@pytest.mark.parametrize(
    ("tag", "mode", "expected"),
    [
        (b'"abc"', "weak", b'W/"abc"'),
        (b'W/"abc"', "weak", b'W/"abc"'),
        (b'""', "weak", b'W/""'),
        (b'"abc"', "suffix", b'"abc-br"'),
        (b'W/"abc"', "suffix", b'W/"abc-br"'),
        (b'""', "suffix", b'"-br"'),
        (b"abc", "suffix", b"W/abc"),
        (b'"abc"', "drop", None),
        (b'"abc"', "keep", b'"abc"'),
    ],
)
def test_encoded_tag(tag, mode, expected):
    """Each mode marks the tag in its way; what is no tag does not stay the same either [H4]."""
    assert encoded_tag(tag, mode, b"br") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'"abc-br"', b'"abc"'),
        (b'W/"abc-gzip"', b'W/"abc"'),
        (b'"a-zstd", W/"b-br","c"', b'"a", W/"b","c"'),
        (b'"abc"', b'"abc"'),
        (b'"abc-brr"', b'"abc-brr"'),
        (b'"abc-br-gzip"', b'"abc-br"'),
        (b"*", b"*"),
        (b"", b""),
    ],
)
def test_without_suffixes(value, expected):
    """One suffix comes off each tag of a list, and nothing else changes [H4]."""
    assert without_suffixes(value) == expected


@pytest.mark.parametrize(
    ("mode", "named", "coding", "expected"),
    [
        ("weak", b'"abc"', b"br", b'"abc"'),
        ("weak", b'W/"abc"', b"br", b'W/"abc"'),
        ("weak", b'W/"abc"', None, b'W/"abc"'),
        ("weak", b'"abc", W/"abc"', b"br", b'W/"abc"'),
        ("weak", b'"abc", W/"abc"', None, b'"abc"'),
        ("weak", b"*", b"br", b'"abc"'),
        ("weak", b'"other"', b"br", b'"abc"'),
        ("suffix", b'"abc-gzip"', b"br", b'"abc-gzip"'),
        ("suffix", b'"abc-gzip", "abc-br"', b"br", b'"abc-br"'),
        ("suffix", b'W/"abc-br"', b"br", b'W/"abc-br"'),
        ("suffix", b'"abc-dcz"', b"zstd", b'"abc-dcz"'),
        ("suffix", b'"abc-dcz"', None, b'"abc-dcz"'),
        ("suffix", b'"abc-br"', None, b'"abc-br"'),
        ("suffix", b'"abc-br", "abc"', None, b'"abc"'),
        ("suffix", b'"abc"', b"br", b'"abc"'),
        ("drop", b'W/"abc"', b"br", b'"abc"'),
        ("keep", b'W/"abc"', b"br", b'"abc"'),
    ],
)
def test_revalidated_tag(mode, named, coding, expected):
    """A 304 repeats the form that the client holds; of several, the one that it would get now [H4]."""
    assert revalidated_tag(b'"abc"', mode, named, coding) == expected
