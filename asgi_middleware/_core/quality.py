"""Weighted lists: the value of Accept and Accept-Encoding (RFC 9110 12.4.2, 12.5).

::

    weight = OWS ";" OWS "q=" qvalue
    qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )

Weights are whole thousandths, so that comparing them is exact. A member that breaks the grammar is ignored alone: a
client's typing error must not decide for the whole list, and never becomes a 4xx.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from asgi_middleware._core.headers import is_token

_QVALUE = re.compile(rb"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
# Split at commas and semicolons that stand outside a quoted-string (RFC 9110 5.6.4). An unclosed quote opens none.
_MEMBER = re.compile(rb'(?:[^",]|"(?:[^"\\]|\\.)*"|")+')
_PART = re.compile(rb'(?:[^";]|"(?:[^"\\]|\\.)*"|")+')
FULL_WEIGHT = 1000
LONGEST_VALUE = 2048  # bytes; real lists stay far below
MOST_QUOTES = 32  # each unclosed one costs a pass over the rest; real lists have none


class Weighted(NamedTuple):
    """One member of a weighted list.

    Attributes:
        value: The coding or media range, in lower case.
        weight: Thousandths, 0 ("not acceptable") to 1000; 1000 where none is given.
        parameters: The other parameters in order, names in lower case, values as sent without their quotes.
    """

    value: bytes
    weight: int
    parameters: tuple[tuple[bytes, bytes], ...]


def parse_weighted(value: bytes) -> list[Weighted]:
    """Read a weighted list in the client's order; malformed and empty members are left out.

    Args:
        value: The raw field value. Several lines of one field are joined with a comma before (RFC 9110 5.3). A value of
            more than 2,048 bytes or 32 quotation marks is not read at all.
    """
    if len(value) > LONGEST_VALUE or value.count(b'"') > MOST_QUOTES:
        return []
    members = []
    for raw in _MEMBER.findall(value):
        member = _parse_member(raw.strip(b" \t"))
        if member is not None:
            members.append(member)
    return members


def _parse_member(raw: bytes) -> Weighted | None:
    name, *rest = [part.strip(b" \t") for part in _PART.findall(raw)] or [b""]
    if not all(is_token(part) for part in name.split(b"/", 1)):
        return None
    weight = FULL_WEIGHT
    parameters: list[tuple[bytes, bytes]] = []
    for part in rest:
        if not part:
            continue
        key, equals, text = part.partition(b"=")
        key = key.lower()
        if not equals or not is_token(key):
            return None
        if key == b"q":
            if _QVALUE.fullmatch(text) is None:
                return None
            whole, _, fraction = text.partition(b".")
            weight = int(whole) * FULL_WEIGHT + int(fraction.ljust(3, b"0") or b"0")
        elif text.startswith(b'"'):
            if len(text) < 2 or not text.endswith(b'"'):
                return None
            parameters.append((key, re.sub(rb"\\(.)", rb"\1", text[1:-1])))
        elif is_token(text):
            parameters.append((key, text))
        else:
            return None
    return Weighted(name.lower(), weight, tuple(parameters))
