"""Judging a response by its head: whether it may be encoded, and whether it depends on what the client accepts.

Facts this module rests on:

- Whatever would be encoded for another Accept-Encoding says ``Vary: Accept-Encoding``, encoded or not (RFC 9110
  12.5.5); the 304 and the 206 of it say so as well (15.4.5, 15.3.7). That is judged by the head alone, so that all
  variants agree.
- An encoded body has no byte ranges that fit the plain one (14.3), and is no longer what a digest or a signature covers
  (RFC 9530 2, RFC 9421).
- ``no-transform`` forbids it (RFC 9111 5.2.2.6). A body that has a Content-Encoding keeps it; the value ``identity`` is
  the app's way to say "leave this one".
- An app sends few different sequences of names. What a sequence comes to is worked out once (`Shape`), so that a head
  is judged by the two or three values that matter, which takes half the time of a look at each field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from asgi_middleware._core.headers import header_list
from asgi_middleware._core.types import HeaderList, Message
from asgi_middleware.compression.content_types import ContentTypes, TypeClass
from asgi_middleware.compression.requests import forbids_transform


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
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
_EXCEPTIONS: Final = _COVERED | {b"content-encoding", b"content-range", b"trailer"}
# What an encoded response does not say: the length and the byte ranges of the plain body.
DROPPED: Final = frozenset({b"accept-ranges", b"content-length"})
# With one of these it takes more than another length to make the head of an encoded response.
_ADJUSTED: Final = frozenset({b"accept-ranges", b"etag", b"transfer-encoding", b"vary"})
_BODILESS: Final = frozenset({204, 205})
_ORDINARY: Final = frozenset(range(200, 600)) - {204, 205, 206, 304}
_MOST_SHAPES: Final = 512
_MOST_VALUES: Final = 128
_MOST_LENGTHS: Final = 1024
_LONGEST_VALUE: Final = 128


class Shape:
    """What a sequence of header names comes to, whatever the values are.

    Args:
        names: The names in order, in any letter case.

    Attributes:
        names: The names in lower case.
        plain: Whether of its fields only the length changes when the body is encoded.
        usual: Whether there is one type, at most one length and one Cache-Control, and nothing that forbids encoding.
        type_at: Where Content-Type stands, in a usual head.
        length_at: Which field Content-Length is, counted from 1; 0 for nowhere.
        cache_control_at: The same of Cache-Control.
    """

    __slots__ = ("cache_control_at", "length_at", "names", "plain", "type_at", "usual")

    def __init__(self, names: tuple[bytes, ...]) -> None:
        fields = [name.lower() for name in names]
        self.names = frozenset(fields)
        once = (b"content-type", b"content-length", b"cache-control")
        self.plain = self.names.isdisjoint(_ADJUSTED) and fields.count(b"content-length") <= 1
        self.usual = (
            b"content-type" in self.names
            and self.names.isdisjoint(_EXCEPTIONS)
            and all(fields.count(field) <= 1 for field in once)
        )
        self.type_at = fields.index(b"content-type") if self.usual else 0
        self.length_at, self.cache_control_at = (
            fields.index(field) + 1 if field in self.names else 0 for field in once[1:]
        )


# What is to happen, the shape of the head, and the length that it declares, in digits: None where it declares none.
Judgement = tuple[Verdict, Shape, bytes | None]


def with_listed_headers(message: Message) -> tuple[Message, HeaderList]:
    """Give the start message with headers that can be read more than once, and these."""
    headers = message.get("headers")
    if type(headers) is list:
        return message, headers
    headers = header_list(headers)
    return {**message, "headers": headers}, headers


class Judge:
    """Judges responses by their heads.

    Args:
        content_types: Which types are to be encoded.
        minimum_size: The smallest body to encode, in bytes.
    """

    __slots__ = ("_content_types", "_digits", "_never", "_permitting", "_shapes", "_small", "_smallest", "_usual")

    def __init__(self, content_types: ContentTypes, minimum_size: int) -> None:
        self._content_types = content_types
        self._never, self._usual = content_types.never, content_types.ordinary
        self._smallest = b"%d" % minimum_size
        self._digits = len(self._smallest)
        # The lengths of bodies too small to encode, as they stand in a head: a look-up is a third of comparing them.
        self._small = frozenset(b"%d" % size for size in range(min(minimum_size, _MOST_LENGTHS)))
        self._shapes: dict[tuple[bytes, ...], Shape] = {}
        self._permitting: set[bytes] = set()  # values of Cache-Control seen that do not forbid it

    def judge(self, status: int, headers: HeaderList) -> Judgement:
        """Judge a response by its status and its raw headers; nothing in them is changed."""
        shape = self._shapes.get(tuple([pair[0] for pair in headers]))  # a generator would cost twice as much
        if shape is None:
            shape = self._learn(headers)
        if not shape.usual or (status != 200 and status not in _ORDINARY):
            return self._judge_closely(status, headers, shape)
        content_type = headers[shape.type_at][1]
        if content_type in self._never:
            return _CONTENT_TYPE, shape, None
        cache_control_at = shape.cache_control_at
        if content_type not in self._usual or (
            cache_control_at and headers[cache_control_at - 1][1] not in self._permitting
        ):
            return self._judge_closely(status, headers, shape)
        length_at = shape.length_at
        if not length_at:
            return ENCODE, shape, None
        # Sizes are compared as digits: reading them as numbers costs as much as the look-up above.
        digits = headers[length_at - 1][1]
        if digits in self._small:
            return _TOO_SMALL, shape, digits
        if not digits.isdigit():
            return ENCODE, shape, None
        if len(digits) <= self._digits and (len(digits) < self._digits or digits < self._smallest):
            return _TOO_SMALL, shape, digits
        return ENCODE, shape, digits

    def _learn(self, headers: HeaderList) -> Shape:
        names = tuple([name for name, _ in headers])
        shape = Shape(names)
        if len(self._shapes) >= _MOST_SHAPES:
            self._shapes.clear()
        self._shapes[names] = shape
        return shape

    def _judge_closely(self, status: int, headers: HeaderList, shape: Shape) -> Judgement:
        """Judge a response that is not of the usual kind, or whose values have not been seen."""
        fields: dict[bytes, bytes] = {}
        for name, value in headers:
            field = name.lower()
            fields[field] = b"%b, %b" % (fields[field], value) if field in fields else value
        kind = self._content_types.classify(fields.get(b"content-type"))
        transformable = self._permits(fields.get(b"cache-control", b""))
        exception = _exception(status, kind, fields, transformable=transformable)
        if exception is not None:
            return exception, shape, None
        if not kind.compressible:
            return _CONTENT_TYPE, shape, None
        if not transformable:
            return _NO_TRANSFORM, shape, None
        digits = fields.get(b"content-length")
        if digits is None or not digits.isdigit():
            return (ENCODE_EVENTS if kind.events else ENCODE_LIVE if kind.live else ENCODE), shape, None
        small = (len(digits), digits) < (self._digits, self._smallest)
        return (_TOO_SMALL if small else ENCODE), shape, digits

    def _permits(self, cache_control: bytes) -> bool:
        if forbids_transform(cache_control):
            return False
        if len(cache_control) <= _LONGEST_VALUE:
            if len(self._permitting) >= _MOST_VALUES:
                self._permitting.clear()
            self._permitting.add(cache_control)
        return True


def _announces_cover(trailer: bytes) -> bool:
    """Tell whether a digest or a signature of the plain body will stand behind it (RFC 9110 6.6.2)."""
    return not _COVERED.isdisjoint([name.strip(b" \t").lower() for name in trailer.split(b",")])


def _exception(status: int, kind: TypeClass, fields: dict[bytes, bytes], *, transformable: bool) -> Verdict | None:
    """Judge a response that may have a reason of its own to be left alone."""
    if status in _BODILESS or status < 200:
        return _NO_BODY
    coding = fields.get(b"content-encoding")
    if coding is not None:
        return _OPTED_OUT if coding.strip(b" \t").lower() in {b"", b"identity"} else _ENCODED
    partial = status == 206 or kind.byteranges or b"content-range" in fields
    if not transformable and (partial or status == 304):
        return _NO_TRANSFORM
    if not _COVERED.isdisjoint(fields) or (b"trailer" in fields and _announces_cover(fields[b"trailer"])):
        return _INTEGRITY
    if status == 304:
        return _NOT_MODIFIED if kind.compressible or kind.missing else _NOT_MODIFIED_PLAIN
    if partial:
        return _RANGE if kind.compressible or kind.byteranges else _RANGE_PLAIN
    return None
