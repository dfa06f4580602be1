r"""Cleaning: what a stranger wrote becomes text that can be written on one line of any log.

A path, a header or a query may hold anything. Facts this module rests on:

- A line break or an escape sequence that reaches a log forges lines or drives the reader's terminal (CWE-117).
- JSON encoders do not help: they leave DEL, the C1 controls, U+2028 and U+2029 as they are; some raise on a lone
  surrogate and on an integer of more than 64 bits.
- Bidirectional controls make a line read as something else than it is (CVE-2021-42574).

So everything of that kind is written as its escape, ``\x1b`` or ``\u202e``. The result is plain text; what looks
like an escape in the original looks the same here.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

# C0, DEL and C1; Arabic letter mark; zero width space; bidirectional marks, embeddings, overrides and isolates; line
# and paragraph separators; invisible operators; byte order mark and interlinear annotations; tags; lone surrogates.
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff]"
)
_SMALLEST: Final = -(2**63)
_LARGEST: Final = 2**64 - 1
_DEEPEST: Final = 4
_MOST_MEMBERS: Final = 64

# What structlog keeps for itself or takes as a parameter, and attributes of a LogRecord: `extra` may not hold those.
_KEPT_NAMES: Final = frozenset(
    {
        *(
            "event",
            "exc_info",
            "exception",
            "level",
            "logger",
            "method_name",
            "self",
            "stack",
            "stacklevel",
            "timestamp",
        ),
        *("asctime", "message", *logging.makeLogRecord({}).__dict__),
    }
)


class CleanText(str):
    """Text of several lines that is clean already: a traceback."""

    __slots__ = ()


def clean_text(text: str, limit: int) -> str:
    """Give `text` without anything that could break out of its place, cut to `limit` characters.

    What was cut off is told by a marker behind it: ``…(+120)``.

    Args:
        text: Any string.
        limit: The most characters kept, at least 1.
    """
    if len(text) > limit:
        return f"{_escape(text[:limit])[:limit]}…(+{len(text) - limit})"
    return text if text.isprintable() else _escape(text)


def clean_value(value: Any, limit: int, depth: int = 0) -> Any:
    """Give a value that every JSON encoder takes: numbers, bools, None, clean text, and small containers of them.

    An object of another type becomes its ``str``; an integer beyond 64 bits and a float that is no number become
    text, too.

    Args:
        value: Anything.
        limit: The most characters of one text.
        depth: How deep inside containers the value stands.
    """
    kind = type(value)
    if kind is str:
        return clean_text(value, limit)
    if value is None or kind is bool or kind is CleanText:
        return value
    if kind is int:
        return value if _SMALLEST <= value <= _LARGEST else clean_text(_digits(value), limit)
    if kind is float:
        return value if value - value == 0.0 else str(value)
    if depth < _DEEPEST and isinstance(value, Mapping):
        members = list(value.items())[:_MOST_MEMBERS]
        return {clean_text(_text(key), limit): clean_value(item, limit, depth + 1) for key, item in members}
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [clean_value(item, limit, depth + 1) for item in list(value)[:_MOST_MEMBERS]]
    return clean_text(_text(value), limit)


def free_name(name: object, taken: Collection[str]) -> str:
    """Give a field name that is clean and collides with nothing; a name that is taken gets the prefix ``app_``.

    Args:
        name: The name that a handler chose.
        taken: The names that the event uses itself.
    """
    text = clean_text(_text(name), 128)
    if not text or text in taken or text in _KEPT_NAMES or text.startswith("_"):
        return f"app_{text}"
    return text


def _escape(text: str) -> str:
    return _UNSAFE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _digits(value: int) -> str:
    # str() of an integer refuses more than 4300 digits (CPython, int max str digits).
    return hex(value) if value.bit_length() > 10_000 else str(value)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 -- a broken __str__ must not cost the line
        return f"<unprintable {type(value).__name__}>"
