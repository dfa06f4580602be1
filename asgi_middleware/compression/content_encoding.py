"""Content-Encoding of a request: which codings have been applied, in which order.

Facts this module rests on:

- The codings stand in the order in which they were applied, so that they are undone from the right (RFC 9110 8.4).
- Names are compared without regard to case. ``x-gzip`` means gzip (8.4.1.3), ``identity`` means nothing (12.5.3).
- Several lines are one list, with empty elements to be ignored (5.3, 5.6.1.2).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

FIELD: Final = b"content-encoding"

_SAME: Final = {b"x-gzip": b"gzip"}
_NOTHING: Final = (b"", b"identity")


def applied_codings(values: Iterable[bytes]) -> tuple[bytes, ...]:
    """Give the names of the codings in the order in which they were applied, in lower case, without ``identity``.

    Args:
        values: Those of all lines of the field, in order.
    """
    members = (member.strip(b" \t").lower() for value in values for member in value.split(b","))
    return tuple(_SAME.get(member, member) for member in members if member not in _NOTHING)
