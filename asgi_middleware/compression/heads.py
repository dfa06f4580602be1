"""Response heads: whether a response may be encoded, and what its head says then.

Facts this module rests on:

- Whatever would be encoded for another Accept-Encoding says ``Vary: Accept-Encoding``, encoded or not (RFC 9110
  12.5.5); the 304 and the 206 of it say so as well (15.4.5, 15.3.7). That is judged by the head alone, so that all
  variants agree.
- An encoded body has another length (8.6), no byte ranges that fit the plain one (14.3), and is no longer what a digest
  or a signature covers (RFC 9530 2, RFC 9421).
- ``no-transform`` forbids it (RFC 9111 5.2.2.6). A body that has a Content-Encoding keeps it; the value ``identity`` is
  the app's way to say "leave this one".
- Names come in any letter case, ``headers`` may be missing or be read once only, and belong to the app.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from asgi_middleware._core.headers import add_vary
from asgi_middleware._core.types import HeaderList
from asgi_middleware.compression.content_types import ContentTypes, TypeClass
from asgi_middleware.compression.entity_tags import EtagMode, encoded_tag, revalidated_tag
from asgi_middleware.compression.requests import forbids_transform


class Verdict(NamedTuple):
    """What is to happen with a response, judged by its head.

    Attributes:
        vary: Whether it depends on Accept-Encoding.
        reason: Why it is not to be encoded; None where it is.
        live: Whether it is an open-ended stream, whose head must not wait for the body.
        file: Whether its body could still be a file that the server is to send by its path.
    """

    vary: bool
    reason: str | None
    live: bool = False
    file: bool = True


ENCODE: Final = Verdict(vary=True, reason=None)
ENCODE_LIVE: Final = Verdict(vary=True, reason=None, live=True)
ENCODE_EVENTS: Final = Verdict(vary=True, reason=None, live=True, file=False)
_NO_BODY: Final = Verdict(vary=False, reason="status")
_NOT_MODIFIED: Final = Verdict(vary=True, reason="not_modified")
_NOT_MODIFIED_PLAIN: Final = Verdict(vary=False, reason="not_modified")
_RANGE: Final = Verdict(vary=True, reason="range")
_RANGE_PLAIN: Final = Verdict(vary=False, reason="range")
_ENCODED: Final = Verdict(vary=False, reason="encoded")
_OPTED_OUT: Final = Verdict(vary=False, reason="opted_out")
_NO_TRANSFORM: Final = Verdict(vary=False, reason="no_transform")
_INTEGRITY: Final = Verdict(vary=False, reason="integrity")
_CONTENT_TYPE: Final = Verdict(vary=False, reason="content_type")
_TOO_SMALL: Final = Verdict(vary=False, reason="too_small")

_COVERED: Final = frozenset(
    {b"content-digest", b"repr-digest", b"digest", b"content-md5", b"signature", b"signature-input"}
)
_EXCEPTIONS: Final = _COVERED | {b"content-encoding", b"content-range"}
_DROPPED: Final = frozenset({b"content-length", b"accept-ranges"})
_ACCEPT_ENCODING: Final = b"Accept-Encoding"
_VARY: Final = (b"vary", _ACCEPT_ENCODING)
_LONGEST_LENGTH: Final = 19

# An app sends few different values.
_forbids_transform = lru_cache(maxsize=128)(forbids_transform)

Fields = dict[bytes, bytes]


def fields_of(headers: HeaderList) -> Fields:
    """Give a look-up of response headers: lower-case name to value, the values of a repeated name joined by commas."""
    # Two C calls serve for what most apps send: names in lower case, none twice.
    fields = dict(headers)
    if len(fields) == len(headers) and b"a".join(fields).islower():
        return fields
    fields = {}
    for name, value in headers:
        field = name.lower()
        fields[field] = b"%b, %b" % (fields[field], value) if field in fields else value
    return fields


def judge(status: int, fields: Fields, content_types: ContentTypes, minimum_size: int) -> tuple[Verdict, int | None]:
    """Judge a response by its head.

    Args:
        status: Its status.
        fields: The look-up of its headers.
        content_types: Which types are to be encoded.
        minimum_size: The smallest body to encode, in bytes.

    Returns:
        The verdict, and the length that the head declares: None where it declares none.
    """
    kind = content_types.classify(fields.get(b"content-type"))
    if status != 200 or kind.byteranges or not _EXCEPTIONS.isdisjoint(fields):
        exception = _exception(status, kind, fields)
        if exception is not None:
            return exception, None
    if not kind.compressible:
        return _CONTENT_TYPE, None
    if b"cache-control" in fields and _forbids_transform(fields[b"cache-control"]):
        return _NO_TRANSFORM, None
    digits = fields.get(b"content-length")
    if digits is None or not digits.isdigit() or len(digits) > _LONGEST_LENGTH:
        return (ENCODE_EVENTS if kind.events else ENCODE_LIVE if kind.live else ENCODE), None
    length = int(digits)
    return (_TOO_SMALL if length < minimum_size else ENCODE), length


def _exception(status: int, kind: TypeClass, fields: Fields) -> Verdict | None:
    """Judge a response that may have a reason of its own to be left alone."""
    if status in {204, 205} or status < 200:
        return _NO_BODY
    coding = fields.get(b"content-encoding")
    if coding is not None:
        return _OPTED_OUT if coding.strip(b" \t").lower() in {b"", b"identity"} else _ENCODED
    if _forbids_transform(fields.get(b"cache-control", b"")):
        return _NO_TRANSFORM
    if not _COVERED.isdisjoint(fields):
        return _INTEGRITY
    if status == 304:
        return _NOT_MODIFIED if kind.compressible or kind.missing else _NOT_MODIFIED_PLAIN
    if status == 206 or kind.byteranges or b"content-range" in fields:
        return _RANGE if kind.compressible or kind.byteranges else _RANGE_PLAIN
    return None


def varying(headers: HeaderList, fields: Fields) -> HeaderList:
    """Give the headers with Accept-Encoding named once in Vary."""
    return add_vary(headers, _ACCEPT_ENCODING) if b"vary" in fields else [*headers, _VARY]


def encoded_head(headers: HeaderList, fields: Fields, coding: bytes, etag: EtagMode, length: int | None) -> HeaderList:
    """Give the headers of the encoded response.

    Args:
        headers: The app's raw headers, names in any letter case. Read only.
        fields: Their look-up.
        coding: The content coding.
        etag: How to mark the entity tag.
        length: The length of the encoded body; None where it is not known.
    """
    head = [(name, value) for name, value in headers if name.lower() not in _DROPPED]
    head.append((b"content-encoding", coding))
    # Transfer-Encoding and Content-Length exclude each other (RFC 9112 6.2).
    if length is not None and b"transfer-encoding" not in fields:
        head.append((b"content-length", b"%d" % length))
    if b"etag" in fields:
        head = _retagged(head, coding, etag)
    return varying(head, fields)


def revalidated_head(
    headers: HeaderList, etag: EtagMode, if_none_match: bytes, coding: bytes | None, codings: Iterable[bytes]
) -> HeaderList:
    """Give the headers of a 304 with the entity tag in the form that the client sent (see `revalidated_tag`)."""
    return [
        (name, revalidated_tag(value, etag, if_none_match, coding, codings) if name.lower() == b"etag" else value)
        for name, value in headers
    ]


def _retagged(headers: HeaderList, coding: bytes, etag: EtagMode) -> HeaderList:
    head: HeaderList = []
    for name, value in headers:
        tag = encoded_tag(value, etag, coding) if name.lower() == b"etag" else value
        if tag is not None:
            head.append((name, tag))
    return head
