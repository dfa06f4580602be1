"""The few header fields that matter here, found in one pass over a raw list, in any spelling of their names."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from asgi_middleware._core.types import RawHeaders

Fields = dict[bytes, bytes]
"""Lower-case name to value; the values of a repeated name are joined by commas (RFC 9110 5.3)."""

# What a request asks of its response.
ASKED: Final = frozenset({b"accept-encoding", b"available-dictionary", b"cache-control", b"sec-fetch-site"})
CREDENTIALS: Final = frozenset({b"authorization", b"cookie"})
# What the app may have to see differently, and what that depends on.
CHANGED: Final = frozenset(
    {b"accept-encoding", b"if-match", b"if-none-match", b"if-range", b"if-unmodified-since", b"range"}
)


def read_fields(headers: RawHeaders, names: Collection[bytes]) -> Fields:
    """Give the fields of the lower-case `names`."""
    fields: Fields = {}
    for name, value in headers:
        field = name.lower()
        if field in names:
            fields[field] = b"%b, %b" % (fields[field], value) if field in fields else value
    return fields
