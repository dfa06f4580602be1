"""Exposition: which format, coding and series a scraper asks for. No I/O here.

Facts this module rests on (Prometheus documentation, "Scrape protocol content negotiation"; RFC 9110 12.5):

- The protocol with the highest weight among those supported must be used; where none is, text 0.0.4.
- The version in the answer's Content-Type tells the scraper which parser to use. Only versions written here are known
  to fit what is sent, so a version that a client asks for is never repeated back.
- A weight of 0 means "not acceptable", for formats and for codings alike.
- Media types and their parameters' names are case-insensitive (RFC 9110 8.3.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from asgi_middleware._core.quality import parse_weighted


class Format(NamedTuple):
    """One exposition format.

    Attributes:
        media_type: The type and subtype.
        versions: The versions that a client may name for it; one without a version always fits.
        content_type: The field value of the answer.
    """

    media_type: bytes
    versions: tuple[bytes, ...]
    content_type: bytes


TEXT: Final = Format(b"text/plain", (b"0.0.4",), b"text/plain; version=0.0.4; charset=utf-8")
OPENMETRICS: Final = Format(
    b"application/openmetrics-text",
    (b"1.0.0",),
    b"application/openmetrics-text; version=1.0.0; charset=utf-8",
)


class _Match(NamedTuple):
    """How well a format fits; compared from left to right."""

    specificity: int  # 3 with the version, 2 for the type, 1 for a range of subtypes, 0 for */*
    weight: int
    earliness: int


def negotiate(accept: Sequence[bytes]) -> Format:
    """Choose the format (RFC 9110 12.5.1): the highest weight, then the more specific range, then the earlier.

    Args:
        accept: The values of the Accept field, one item a line; empty for none.
    """
    members = parse_weighted(b",".join(accept))
    fits: dict[Format, _Match] = {}
    for candidate in (TEXT, OPENMETRICS):
        matches = []
        for position, (media_range, weight, parameters) in enumerate(members):
            specificity = _specificity(candidate, media_range, dict(parameters).get(b"version"))
            if specificity is not None:
                matches.append(_Match(specificity, weight, -position))
        if matches:
            # The most specific range decides for a type (12.5.1); of two such, the better.
            fits[candidate] = max(matches)
    best = max(fits, key=lambda each: (fits[each].weight, fits[each].specificity, fits[each].earliness), default=TEXT)
    return best if best in fits and fits[best].weight > 0 else TEXT


def _specificity(candidate: Format, media_range: bytes, version: bytes | None) -> int | None:
    if media_range == candidate.media_type:
        if version is None:
            return 2
        return 3 if version in candidate.versions else None
    if media_range == candidate.media_type.split(b"/", 1)[0] + b"/*":
        return 1
    return 0 if media_range == b"*/*" else None


def accepts_gzip(accept_encoding: Sequence[bytes]) -> bool:
    """Tell whether the client takes gzip (RFC 9110 12.5.3).

    It must be named, or covered by ``*``, with a weight above 0 and not below that of identity.
    """
    weights = {value: weight for value, weight, _ in reversed(parse_weighted(b",".join(accept_encoding)))}
    weight = weights.get(b"gzip", weights.get(b"x-gzip", weights.get(b"*", 0)))
    return weight > 0 and weight >= weights.get(b"identity", 0)


def requested_names(query_string: bytes) -> frozenset[str]:
    """Give the series names of every ``name[]`` in the query; empty means all.

    Bytes that are no UTF-8 name nothing, and are no error.
    """
    pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, errors="replace")
    return frozenset(value for key, value in pairs if key == "name[]")
