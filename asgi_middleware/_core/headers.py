"""Raw header lists: look up, replace, merge. Reads any legal shape, never changes its input, returns new lists.

Facts this module rests on:

- Headers are an iterable of two-item iterables of bytes. Servers give lists of tuples; tests and apps give tuples,
  generators and lists of lists (ASGI HTTP specification, "HTTP connection scope" and "Response Start").
- Request header names *should* arrive in lower case, but need not. Response header names come in any case: Django
  sends ``Content-Type``. So names are compared without regard to case, with exact lower case as the fast road.
- ``headers`` may be missing from ``http.response.start``.
- Order among lines of one name carries meaning and is kept (RFC 9110 5.3).
- The lists belong to whoever made them. An app may send one constant list for ever; an outer wrapper may change the
  list it gets. So nothing here is changed in place, and nothing shared is handed out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from asgi_middleware._core.types import HeaderList, RawHeaders

_TOKEN_CHARACTERS = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# field-value = VCHAR, SP, HTAB and obs-text (RFC 9110 5.5): everything but the control characters.
_NOT_FIELD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# 19 digits hold 2**63 - 1; a longer number is no size that any peer could mean.
_LONGEST_CONTENT_LENGTH = 19


def header_list(raw: RawHeaders | None) -> HeaderList:
    """Give a fresh list of (name, value) tuples of bytes, whatever the shape that came. Names keep their case."""
    if raw is None:
        return []
    return [
        (name, value) if type(name) is bytes and type(value) is bytes else (bytes(name), bytes(value))
        for name, value in raw
    ]


def find(headers: RawHeaders, name: bytes) -> bytes | None:
    """Give the first value of a lower-case `name`, compared without regard to case, or None."""
    for key, value in headers:
        if key == name or (len(key) == len(name) and key.lower() == name):
            return bytes(value)
    return None


def find_all(headers: RawHeaders, name: bytes) -> list[bytes]:
    """Give every value of a lower-case `name` in order, compared without regard to case."""
    return [bytes(value) for key, value in headers if key == name or (len(key) == len(name) and key.lower() == name)]


def without(headers: RawHeaders, names: Collection[bytes]) -> HeaderList:
    """Give the headers without the lines of the lower-case `names`."""
    return [(key, value) for key, value in headers if key not in names and key.lower() not in names]


def replace(headers: RawHeaders, name: bytes, value: bytes) -> HeaderList:
    """Give the headers with exactly one line of the lower-case `name`, at the end."""
    size = len(name)  # most names differ in length, which costs less to see than their lower case
    kept = [(key, kept) for key, kept in headers if len(key) != size or key.lower() != name]
    kept.append((name, value))
    return kept


def add_vary(headers: RawHeaders, *members: bytes) -> HeaderList:
    """Give the headers with each of `members` named once in ``Vary`` (RFC 9110 12.5.5).

    What the app put there stays, in its order and spelling; several lines become one; ``*`` already means everything,
    so that nothing is added to it. `members` are written as given and compared without regard to case.
    """
    kept: HeaderList = []
    listed: list[bytes] = []
    for key, value in headers:
        if key == b"vary" or key.lower() == b"vary":
            listed.extend(member for member in (part.strip(b" \t") for part in value.split(b",")) if member)
        else:
            kept.append((key, value))
    seen = {member.lower() for member in listed}
    if b"*" in seen:
        kept.append((b"vary", b"*"))
        return kept
    unique: dict[bytes, bytes] = {}
    for member in (*listed, *members):
        unique.setdefault(member.lower(), member)
    kept.append((b"vary", b", ".join(unique.values())))
    return kept


def is_token(value: bytes) -> bool:
    """Tell whether `value` is a token (RFC 9110 5.6.2)."""
    return bool(value) and not value.translate(None, _TOKEN_CHARACTERS)


def is_field_value(value: bytes) -> bool:
    """Tell whether `value` can be sent as a header value: no control character but HTAB (RFC 9110 5.5)."""
    return _NOT_FIELD_VALUE.search(value) is None


def parse_content_length(values: Sequence[bytes]) -> int | None:
    """Read all Content-Length values of one message (RFC 9110 8.6).

    ``int()`` would take ``+5``, ``-5``, ``5_0`` and digits of other scripts; the grammar is ASCII digits only. A
    repeated but identical value counts once, whether as several lines or as a list in one line.

    Args:
        values: The raw values in order; empty when there is no such header.

    Returns:
        The number of bytes, or None when the header is absent.

    Raises:
        ValueError: The value is malformed, or two values differ.
    """
    if not values:
        return None
    first = values[0]
    if len(values) == 1 and first.isdigit() and len(first) <= _LONGEST_CONTENT_LENGTH:
        return int(first)
    found: set[int] = set()
    for value in values:
        for member in value.split(b","):
            digits = member.strip(b" \t")
            if not digits.isdigit():
                message = "malformed Content-Length"
                raise ValueError(message)
            # Too long to be a size, but a number all the same: larger than any limit.
            significant = digits.lstrip(b"0")
            short = len(significant) <= _LONGEST_CONTENT_LENGTH
            found.add(int(significant or b"0") if short else 10**_LONGEST_CONTENT_LENGTH)
    if len(found) > 1:
        message = "conflicting Content-Length values"
        raise ValueError(message)
    return found.pop()
