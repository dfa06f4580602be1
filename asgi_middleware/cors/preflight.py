"""What a preflight asks for.

Facts this module rests on:

- A preflight (Fetch standard 3.3.2) carries exactly one method. Methods are tokens and case-sensitive; ``GET, DELETE``
  is neither one nor a method.
- ``Access-Control-Request-Headers`` is a list of lower-case names, sorted, each once (4.8). Intermediaries split it
  over lines and add white space and empty elements, which a recipient must put up with (RFC 9110 5.6.1.2), within
  reason.
- All of it comes from a client, may be of any length, and is written back. So its size is bounded, and nothing but
  tokens passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from asgi_middleware._core.headers import is_token

REQUEST_METHOD: Final = b"access-control-request-method"
REQUEST_HEADERS: Final = b"access-control-request-headers"

_LONGEST_METHOD: Final = 64
_LONGEST_HEADERS: Final = 1024
_MOST_EMPTY_ELEMENTS: Final = 16


def requested_method(values: Sequence[bytes]) -> bytes | None:
    """Give the method that is asked for, or None where the header is not one method."""
    if len(values) != 1:
        return None
    method = values[0].strip(b" \t")
    return method if len(method) <= _LONGEST_METHOD and is_token(method) else None


def requested_headers(values: Sequence[bytes]) -> tuple[bytes, ...] | None:
    """Give the lower-case names that are asked for, each once and in order, or None where the header is malformed."""
    if not values:
        return ()
    if sum(map(len, values)) > _LONGEST_HEADERS:
        return None
    elements = [element.strip(b" \t").lower() for value in values for element in value.split(b",")]
    names = tuple(dict.fromkeys(filter(None, elements)))
    if elements.count(b"") > _MOST_EMPTY_ELEMENTS or not all(map(is_token, names)):
        return None
    return names
