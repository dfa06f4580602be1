"""Negotiation: whether whoever asks reads a page or a document (RFC 9110 12.5.1).

Facts this module rests on:

- Browsers ask for a page by ``text/html`` with full weight, and for the rest by ``*/*`` with less. Their scripts
  (``fetch``), and most programs, send ``*/*`` or nothing.
- The most specific range that matches a media type gives its weight.
- An error is answered in any case: where nothing is acceptable, no 406 takes its place (RFC 9110 12.4.1).

So a page goes to those who prefer ``text/html`` to JSON; all others get the document.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from asgi_middleware._core.quality import parse_weighted

_PAGE: Final = (b"text/html", b"text/*", b"*/*")
_DOCUMENTS: Final = (
    (b"application/problem+json", b"application/*", b"*/*"),
    (b"application/json", b"application/*", b"*/*"),
)


def prefers_page(values: Iterable[bytes]) -> bool:
    """Tell whether HTML is preferred to JSON.

    Args:
        values: The raw values of the ``Accept`` lines.
    """
    weights: dict[bytes, int] = {}
    for member in parse_weighted(b",".join(values)):
        if not member.parameters:  # a parameter asks for a variant that there is not
            weights.setdefault(member.value, member.weight)
    return _weight(weights, _PAGE) > max(_weight(weights, ranges) for ranges in _DOCUMENTS)


def _weight(weights: dict[bytes, int], ranges: tuple[bytes, ...]) -> int:
    for name in ranges:
        if name in weights:
            return weights[name]
    return 0
