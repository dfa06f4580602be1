"""What the names of a request's headers come to, whatever the values are.

Clients send few different sequences of names. So what a sequence comes to is worked out once, and a request is read by
one look-up and the two or three values that matter; one without Accept-Encoding by the look-up alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from asgi_middleware.compression.fields import ASKED, CREDENTIALS, Fields

# Longer heads than browsers and proxies send are not remembered, so that all of them take 3 MB at most.
_MOST: Final = 512
_MOST_NAMES: Final = 64
_LONGEST: Final = 2048

_ACCEPT: Final = b"accept-encoding"
_SITE: Final = b"sec-fetch-site"

Asked = tuple[bytes, ...]
"""What a request says of how it may be answered: the kind of its shape, and the values of the fields that matter."""


class RequestShape:
    """What a sequence of header names comes to.

    Args:
        names: The names in order, in any letter case.

    Attributes:
        asks: Whether there is an Accept-Encoding.
        credentialed: Whether there are credentials.
    """

    __slots__ = ("_accept_at", "_fields", "_kind", "_places", "_site_at", "_usual", "asks", "credentialed")

    def __init__(self, names: Sequence[bytes]) -> None:
        fields = [name.lower() for name in names]
        self.asks = _ACCEPT in fields
        self.credentialed = not CREDENTIALS.isdisjoint(fields)
        self._places = [place for place, field in enumerate(fields) if field in ASKED]
        self._places.sort(key=fields.__getitem__)
        self._fields = [fields[place] for place in self._places]
        # Two requests of one kind differ in the values alone.
        self._kind = b",".join(self._fields) + (b"!" if self.credentialed else b"")
        # A browser's two fields, or the one of other clients, which is read twice then: faster than a list of any.
        self._usual = self._fields in ([_ACCEPT], [_ACCEPT, _SITE])
        self._accept_at, self._site_at = (self._places[0], self._places[-1]) if self._usual else (0, 0)

    def read(self, headers: Sequence[Any]) -> Asked:
        """Give what headers of this shape ask."""
        if self._usual:
            return self._kind, headers[self._accept_at][1], headers[self._site_at][1]
        return (self._kind, *[headers[place][1] for place in self._places])

    def fields(self, asked: Asked) -> Fields:
        """Give the fields that matter, from what headers of this shape ask."""
        fields: Fields = {}
        for field, value in zip(self._fields, asked[1:], strict=False):
            fields[field] = b"%b, %b" % (fields[field], value) if field in fields else value
        return fields


class RequestShapes(dict[tuple[bytes, ...], RequestShape]):
    """The shapes that have been seen, by the names in order: a bounded memory."""

    __slots__ = ()

    def learn(self, headers: Sequence[Any]) -> RequestShape:
        """Give the shape of headers that are not among them."""
        names = tuple([name for name, _ in headers])
        shape = RequestShape(names)
        if len(names) <= _MOST_NAMES and sum(map(len, names)) <= _LONGEST:
            if len(self) >= _MOST:
                self.clear()
            self[names] = shape
        return shape
