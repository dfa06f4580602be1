"""Where the token is: the Authorization header, and the query parameter where that is enabled.

Facts this module rests on:

- ``credentials = auth-scheme [ 1*SP ( token68 / ... ) ]``; the scheme is compared without regard to case (RFC 9110
  11.1, 11.4). ``b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`` (RFC 6750 2.1).
- A request may carry its token in one way only; more than one is ``invalid_request`` (RFC 6750 2, 3.1).
- Another scheme is not our business: its text is not read as a token, and the answer is the challenge without an error.
- Names in a query string may be spelled with percent-escapes, and the next reader decodes them. So names are compared
  after decoding, when reading and when stripping alike.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

from asgi_middleware._core.headers import is_token
from asgi_middleware._core.types import RawHeaders

_B64TOKEN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"
_NAME_LENGTH: Final = len(b"authorization")
_PREFIX: Final = len(b"Bearer ")
_LONGEST_SCHEME: Final = 64


class NoToken(StrEnum):
    """Why there is no token to verify."""

    MISSING = "credentials_missing"
    OTHER_SCHEME = "scheme_not_supported"
    REPEATED = "credentials_repeated"
    MALFORMED = "credentials_malformed"
    TOO_LARGE = "token_too_large"
    TICKET = "ticket_invalid"


Found: TypeAlias = bytes | NoToken
"""A token that is still to be verified, or why there is none."""

# No credentials of ours: an optional path goes on without a user, any other is answered with the bare challenge.
ABSENT: Final = frozenset({NoToken.MISSING, NoToken.OTHER_SCHEME})


def find_credentials(headers: RawHeaders) -> bytes | NoToken:
    """Find the one Authorization header among raw headers, in whatever letter case its name is.

    Args:
        headers: Raw headers: (name, value) byte pairs.
    """
    credentials = None
    for name, value in headers:
        if len(name) == _NAME_LENGTH and name.lower() == b"authorization":
            if credentials is not None:
                return NoToken.REPEATED
            credentials = value
    return NoToken.MISSING if credentials is None else credentials


def read_credentials(credentials: bytes, max_size: int) -> Found:
    """Read the token of an Authorization header.

    ::

        assert read_credentials(b"bearer a.b.c", 99) == b"a.b.c"

    Args:
        credentials: The header's value.
        max_size: Bytes above which a token is not even looked at.
    """
    scheme = credentials[:_PREFIX]
    if scheme.lower().rstrip(b" ") != b"bearer":
        scheme = credentials[:_LONGEST_SCHEME].partition(b" ")[0]
        return NoToken.OTHER_SCHEME if is_token(scheme) else NoToken.MALFORMED
    if len(credentials) - _PREFIX > max_size:  # before it is copied
        return NoToken.TOO_LARGE
    return as_b64token(credentials[_PREFIX:].strip(b" "))


def as_b64token(value: bytes) -> Found:
    """Give `value` when it is a b64token (RFC 6750 2.1)."""
    bare = value.rstrip(b"=")
    return NoToken.MALFORMED if not bare or bare.translate(None, _B64TOKEN) else value


def from_query(query: bytes, parameter: bytes, max_size: int) -> tuple[Found, bytes]:
    """Read the token of a query parameter; give it and the query string without it.

    ::

        assert from_query(b"room=1&token=a.b.c", b"token", 99) == (b"a.b.c", b"room=1")

    Args:
        query: The raw query string.
        parameter: The parameter's name, decoded.
        max_size: Bytes above which a token is not even looked at.
    """
    values, rest = take_parameter(query, parameter)
    if not values:
        return NoToken.MISSING, rest
    if len(values) > 1:
        return NoToken.REPEATED, rest
    if len(values[0]) > max_size:
        return NoToken.TOO_LARGE, rest
    return as_b64token(unquote_to_bytes(values[0])), rest


def take_parameter(query: bytes, parameter: bytes) -> tuple[list[bytes], bytes]:
    """Give the raw values of a query parameter, and the query string without it."""
    kept: list[bytes] = []
    values: list[bytes] = []
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        if name == parameter or unquote_to_bytes(name.replace(b"+", b" ")) == parameter:
            values.append(value)
        else:
            kept.append(pair)
    return values, b"&".join(kept) if values else query


def only(*found: Found) -> Found:
    """Give the one token among what several places hold; two places in use at once are a conflict (RFC 6750 2)."""
    used = [one for one in found if one is not NoToken.MISSING]
    if not used:
        return NoToken.MISSING
    return used[0] if len(used) == 1 else NoToken.REPEATED
