"""JSON objects, read so that two readers cannot see two different values (RFC 8259, RFC 7515 4, RFC 7519 4).

Python's ``json`` takes more than the standard: the last of two equal member names, ``NaN``, numbers that become
infinite, UTF-16, lone surrogates. In a token each of these is a place where a gateway and a service may disagree.
"""

from __future__ import annotations

import json
from math import isinf
from typing import Any, Final, NoReturn


def parse_object(data: bytes) -> dict[str, Any] | None:
    """Give the JSON object that `data` holds, or None.

    Refused: anything but UTF-8, a byte order mark, anything but an object, equal member names at any depth, ``NaN`` and
    infinities in any spelling, lone surrogates, nesting or numbers beyond what the interpreter reads.

    ::

        assert parse_object(b'{"a": 1}') == {"a": 1}
        assert parse_object(b'{"a": 1, "a": 2}') is None
    """
    try:
        value = _DECODER.decode(data.decode("utf-8"))
        if b"\\u" in data:
            # An escape can spell half a surrogate pair, which UTF-8 itself cannot carry.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        return None
    return value if type(value) is dict else None


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        message = "equal member names"
        raise ValueError(message)
    return members


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        message = "a number without end"
        raise ValueError(message)
    return number


def _no_constant(_text: str) -> NoReturn:
    message = "no JSON value"
    raise ValueError(message)


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique_members, parse_float=_finite, parse_constant=_no_constant)
