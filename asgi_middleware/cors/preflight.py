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
from typing import Final, TypeAlias

from asgi_middleware._core.headers import is_token
from asgi_middleware._core.types import RawHeaders

REQUEST_METHOD: Final = b"access-control-request-method"
REQUEST_HEADERS: Final = b"access-control-request-headers"
_REQUEST_PRIVATE_NETWORK: Final = b"access-control-request-private-network"

LONGEST_METHOD: Final = 64
LONGEST_HEADERS: Final = 1024
_MOST_EMPTY_ELEMENTS: Final = 16


def requested_method(values: Sequence[bytes]) -> bytes | None:
    """Give the method that is asked for, or None where the header is not one method."""
    if len(values) != 1:
        return None
    method = values[0].strip(b" \t")
    return method if len(method) <= LONGEST_METHOD and is_token(method) else None


def requested_headers(values: Sequence[bytes]) -> tuple[bytes, ...] | None:
    """Give the lower-case names that are asked for, each once and in order, or None where the header is malformed."""
    if not values:
        return ()
    if sum(map(len, values)) > LONGEST_HEADERS:
        return None
    elements = [element.strip(b" \t").lower() for value in values for element in value.split(b",")]
    names = tuple(dict.fromkeys(filter(None, elements)))
    if elements.count(b"") > _MOST_EMPTY_ELEMENTS or not all(map(is_token, names)):
        return None
    return names


Preflight: TypeAlias = tuple[Sequence[bytes], Sequence[bytes], bool]
"""What a preflight asks for: the values of all ``Access-Control-Request-Method`` lines, of which a browser
sends one; those of all ``Access-Control-Request-Headers`` lines; and whether it asks for
``Access-Control-Allow-Private-Network``, as old Chromium versions do."""


def read_preflight(headers: RawHeaders) -> Preflight | None:
    """Read what an OPTIONS request asks for; None where it is no preflight. The origin was found before."""
    methods: list[bytes] = []
    asked: list[bytes] = []
    private_network = False
    for name, value in headers:
        size = len(name)
        if size == 29:
            if name.lower() == REQUEST_METHOD:
                methods.append(value)
        elif size == 30:
            if name.lower() == REQUEST_HEADERS:
                asked.append(value)
        elif size == 38 and name.lower() == _REQUEST_PRIVATE_NETWORK:
            private_network = value == b"true"
    return (methods, asked, private_network) if methods else None
