"""Building heads: what the head of an encoded response says, and that of one which another client would get encoded.

Facts this module rests on:

- An encoded body has another length (RFC 9110 8.6) and no byte ranges that fit the plain one (14.3).
- What depends on the request's headers names them in Vary (12.5.5).
- Names come in any letter case, and the lists belong to the app.
"""

from __future__ import annotations

from asgi_middleware._core.headers import add_vary
from asgi_middleware._core.types import HeaderList
from asgi_middleware.compression.entity_tags import EtagMode, encoded_tag, revalidated_tag, weak
from asgi_middleware.compression.judge import DROPPED, Shape


class Marking:
    """How responses are marked.

    Args:
        etag: How entity tags are.
        vary: The request headers on which a response depends.
    """

    __slots__ = ("etag", "vary", "vary_pair")

    def __init__(self, etag: EtagMode, vary: tuple[bytes, ...]) -> None:
        self.etag: EtagMode = etag
        self.vary = vary
        self.vary_pair = (b"vary", b", ".join(vary))


def varying(headers: HeaderList, shape: Shape, marking: Marking) -> HeaderList:
    """Give the headers with what a response depends on named once in Vary."""
    return add_vary(headers, *marking.vary) if b"vary" in shape.names else [*headers, marking.vary_pair]


def encoded_head(headers: HeaderList, shape: Shape, coding: bytes, length: int | None, marking: Marking) -> HeaderList:
    """Give the headers of the encoded response.

    Args:
        headers: The raw headers, names in any letter case.
        shape: Their shape.
        coding: The content coding.
        length: The length of the encoded body; None where it is not known.
        marking: How encoded responses are marked.
    """
    if shape.plain and length is not None:
        head = [*headers, (b"content-encoding", coding), marking.vary_pair]
        if shape.length_at:
            head[shape.length_at - 1] = (b"content-length", b"%d" % length)
        else:
            head.append((b"content-length", b"%d" % length))
        return head
    head = [(name, value) for name, value in headers if name.lower() not in DROPPED]
    if b"etag" in shape.names:
        head = _retagged(head, coding, marking.etag)
    head.append((b"content-encoding", coding))
    # Transfer-Encoding and Content-Length exclude each other (RFC 9112 6.2).
    if length is not None and b"transfer-encoding" not in shape.names:
        head.append((b"content-length", b"%d" % length))
    return varying(head, shape, marking)


def _retagged(headers: HeaderList, coding: bytes, etag: EtagMode) -> HeaderList:
    head: HeaderList = []
    for name, value in headers:
        tag = encoded_tag(value, etag, coding) if name.lower() == b"etag" else value
        if tag is not None:
            head.append((name, tag))
    return head


def undecided_head(headers: HeaderList, shape: Shape, marking: Marking) -> HeaderList:
    """Give the headers for HEAD where GET could be encoded or not: nothing in them that only one of the two has.

    A field may be left out whose value is known only once the content is made (RFC 9110 9.3.2). Of the tags the weak
    form is right for both.
    """
    head: HeaderList = []
    for name, value in headers:
        field = name.lower()
        if field in DROPPED or (field == b"etag" and marking.etag in {"suffix", "drop"}):
            continue
        head.append((name, weak(value) if field == b"etag" and marking.etag == "weak" else value))
    return varying(head, shape, marking)


def revalidated_head(headers: HeaderList, etag: EtagMode, if_none_match: bytes, coding: bytes | None) -> HeaderList:
    """Give the headers of a 304 with the entity tag in the form that the client sent (see `revalidated_tag`)."""
    return [
        (name, revalidated_tag(value, etag, if_none_match, coding) if name.lower() == b"etag" else value)
        for name, value in headers
    ]
