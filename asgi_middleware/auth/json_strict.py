"""JSON objects, read so that two readers cannot see two different values (RFC 8259, RFC 7515 4, RFC 7519 4).

Python's ``json`` takes more than the standard: the last of two equal member names, ``NaN``, numbers that become
infinite, UTF-16, lone surrogates. In a token each of these is a place where a gateway and a service may disagree.
"""

from __future__ import annotations

import json
from math import isinf
from typing import Any, Final, NoReturn

# RFC 8259 9 lets a reader set a limit. No claim is nested like this, and whoever walks a value needs its depth bounded.
_DEEPEST: Final = 64
_WHITE_SPACE: Final = " \t\r\n"


def parse_object(data: bytes) -> dict[str, Any] | None:
    """Give the JSON object that `data` holds, or None.

    Refused: anything but UTF-8, a byte order mark, anything but an object, equal member names at any depth, ``NaN`` and
    infinities in any spelling, lone surrogates, nesting deeper than 64, numbers beyond what the interpreter reads.

    ::

        assert parse_object(b'{"a": 1}') == {"a": 1}
        assert parse_object(b'{"a": 1, "a": 2}') is None
    """
    try:
        text = data.decode()
        if text[:1] != "{":
            text = text.lstrip(_WHITE_SPACE)
        value, end = _read(text)
        if (end != len(text) and text[end:].strip(_WHITE_SPACE)) or type(value) is not dict:
            return None
        if "\\" in text and "\\u" in text:
            # An escape can spell half a surrogate pair, which UTF-8 itself cannot carry.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    # A value cannot be nested deeper than it has brackets.
    if text.count("[") + text.count("{") > _DEEPEST and _is_deeper(value, _DEEPEST):
        return None
    return value


def _is_deeper(value: Any, deepest: int) -> bool:
    level = [value]
    for _ in range(deepest):
        inner: list[Any] = []
        for container in level:
            inner.extend(
                item
                for item in (container.values() if type(container) is dict else container)
                if type(item) is dict or type(item) is list
            )
        if not inner:
            return False
        level = inner
    return True


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


# Not ``decode``, which looks for white space at both ends by a pattern: none is there in a token.
_read: Final = json.JSONDecoder(
    object_pairs_hook=_unique_members, parse_float=_finite, parse_constant=_no_constant
).raw_decode
