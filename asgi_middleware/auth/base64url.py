"""Base64url without padding, read strictly (RFC 4648 5, RFC 7515 2 and appendix C).

Facts this module rests on:

- A JWS segment has no padding, no white space and no line breaks (RFC 7515 2). Lenient readers skip such characters.
- The last character may carry unused bits. RFC 4648 3.5 lets a reader demand that they are zero. Only then has a value
  one spelling: otherwise the same signature can be written in several ways, and a list of revoked tokens is passed by.
"""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64
from typing import Final

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# The two characters that differ change places, so that one pass translates, and what is foreign stays foreign.
_TO_STANDARD: Final = bytes.maketrans(b"-_+/=", b"+/-__")
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_PADDING: Final = (b"", None, b"==", b"=")
# The last characters whose unused bits are zero, by the number of characters in the last group.
_LAST: Final = (_ALPHABET, b"", b"AQgw", b"AEIMQUYcgkosw048")


def decode(segment: bytes) -> bytes | None:
    """Give the bytes behind `segment`, or None unless it is the one canonical spelling of them.

    ::

        assert decode(b"aGVsbG8") == b"hello"
        assert decode(b"aGVsbG8=") is None
    """
    group = len(segment) % 4
    if not group:
        padded = segment.translate(_TO_STANDARD)
    else:
        padding = _PADDING[group]
        if padding is None or segment[-1] not in _LAST[group]:
            return None
        padded = segment.translate(_TO_STANDARD) + padding
    try:
        return a2b_base64(padded, strict_mode=True)
    except Error:
        return None


def encode(data: bytes) -> bytes:
    """Give the canonical spelling of `data`, without padding.

    ::

        assert encode(b"hello") == b"aGVsbG8"
    """
    return b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=")
