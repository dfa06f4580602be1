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

from asgi_middleware._core.headers import HeaderIndex, is_token

_B64TOKEN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"


class NoToken(StrEnum):
    """Why there is no token to verify."""

    MISSING = "credentials_missing"
    OTHER_SCHEME = "scheme_not_supported"
    REPEATED = "credentials_repeated"
    MALFORMED = "credentials_malformed"
    TOO_LARGE = "token_too_large"


Found: TypeAlias = bytes | NoToken
"""A token that is still to be verified, or why there is none."""

# No credentials of ours: an optional path goes on without a user, any other is answered with the bare challenge.
ABSENT: Final = frozenset({NoToken.MISSING, NoToken.OTHER_SCHEME})


def from_header(headers: HeaderIndex, max_size: int) -> Found:
    """Read the bearer token of the Authorization header.

    Args:
        headers: The request's header look-up.
        max_size: Bytes above which a token is not even looked at.
    """
    value = headers.get(b"authorization")
    if value is None:
        return NoToken.MISSING
    if b"authorization" in headers.repeated:
        return NoToken.REPEATED
    scheme, _, rest = value.partition(b" ")
    if scheme != b"Bearer" and scheme.lower() != b"bearer":
        return NoToken.OTHER_SCHEME if is_token(scheme) else NoToken.MALFORMED
    if len(rest) > max_size:
        return NoToken.TOO_LARGE
    return as_b64token(rest.strip(b" "))


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
    kept: list[bytes] = []
    values: list[bytes] = []
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        if name == parameter or unquote_to_bytes(name.replace(b"+", b" ")) == parameter:
            values.append(value)
        else:
            kept.append(pair)
    rest = b"&".join(kept)
    if not values:
        return NoToken.MISSING, query
    if len(values) > 1:
        return NoToken.REPEATED, rest
    if len(values[0]) > max_size:
        return NoToken.TOO_LARGE, rest
    return as_b64token(unquote_to_bytes(values[0])), rest


def only(*found: Found) -> Found:
    """Give the one token among what several places hold; two places in use at once are a conflict (RFC 6750 2)."""
    used = [one for one in found if one is not NoToken.MISSING]
    if not used:
        return NoToken.MISSING
    return used[0] if len(used) == 1 else NoToken.REPEATED
