"""The few header fields that matter here, found in one pass over a raw list, in any spelling of their names.

Servers give request names in lower case, nearly always. So spellings are learned once, and a pass asks one set for most
names. That takes half the time of a look-up of all headers, and three fifths of a table that answers for every name
(`HeaderNames`).
"""

from __future__ import annotations

from typing import Final

from asgi_middleware._core.types import RawHeaders

Fields = dict[bytes, bytes]
"""Lower-case name to value; the values of a repeated name are joined by commas (RFC 9110 5.3)."""

_MOST: Final = 1024
_LONGEST: Final = 64


class Names:
    """Names of header fields that matter, with the spellings seen so far, bounded.

    Args:
        names: The names, in lower case.

    Attributes:
        noted: Spelling to lower-case name, of those that matter.
        others: The spellings of names that do not.
    """

    __slots__ = ("_names", "noted", "others")

    def __init__(self, *names: bytes) -> None:
        self._names = frozenset(names)
        self.noted = {name: name for name in names}
        self.others: set[bytes] = set()

    def read(self, headers: RawHeaders) -> Fields:
        """Give the fields that matter."""
        noted, others = self.noted, self.others
        fields: Fields = {}
        for name, value in [pair for pair in headers if pair[0] not in others]:  # most of them are others
            field = noted[name] if name in noted else self.learn(name)
            if field:
                fields[field] = b"%b, %b" % (fields[field], value) if field in fields else value
        return fields

    def learn(self, name: bytes) -> bytes:
        """Learn a spelling; give its lower-case name if it is one that matters, else nothing."""
        field = name.lower()
        if field not in self._names:
            if len(self.others) >= _MOST:
                self.others.clear()
            if len(name) <= _LONGEST:
                self.others.add(name)
            return b""
        if len(self.noted) < _MOST:  # that many spellings are sent only to fill the memory
            self.noted[name] = field
        return field


# What a request asks of its response.
ASKED: Final = Names(b"accept-encoding", b"available-dictionary", b"cache-control", b"sec-fetch-site")
CREDENTIALS: Final = Names(b"authorization", b"cookie")
# What the app may have to see differently.
CHANGED: Final = Names(b"accept-encoding", b"if-match", b"if-none-match", b"if-range", b"range")
