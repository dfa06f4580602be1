"""Tracebacks for logs: no values of local variables, and no text of an exception that could pass for a log line."""

from __future__ import annotations

from traceback import TracebackException
from typing import Final

from asgi_middleware.logging.cleaning import clean_text

_MOST_FRAMES: Final = -50  # the innermost ones
_LONGEST_LINE: Final = 2_000
_LONGEST: Final = 32_000
_SENTENCES: Final = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)


def format_exception(error: BaseException) -> str:
    """Write an exception with its causes as clean text of several lines.

    Local variables hold passwords and tokens and are never shown. The message and the notes of an exception may quote
    the request: their further lines are indented, so that none of them begins like a line of the log.

    Args:
        error: Any exception.
    """
    try:
        report = TracebackException.from_exception(error, limit=_MOST_FRAMES, compact=True)
        _indent_notes(report)
        parts = list(report.format())
    except Exception:  # noqa: BLE001 -- an exception may be broken itself: its __str__, its __cause__
        parts = [f"{type(error).__qualname__}: <unprintable exception>"]
    lines = [clean_text(line, _LONGEST_LINE) for part in parts for line in _own_lines(part)]
    text = "\n".join(lines)
    if len(text) > _LONGEST:
        half = _LONGEST // 2
        text = f"{text[:half]}\n    …(+{len(text) - _LONGEST})\n    {text[-half:]}"
    return text


def _own_lines(part: str) -> list[str]:
    """Split one part of a report; only its first line may stand at the margin."""
    if part.strip("\n") in _SENTENCES:
        return ["", part.strip("\n"), ""]
    first, *rest = part.rstrip("\n").split("\n")
    return [first, *(line if line.startswith(" ") else f"    {line}" for line in rest)]


def _indent_notes(report: TracebackException) -> None:
    """Indent the notes of an exception and its relatives: each of their lines would be a part of its own."""
    waiting = [report]
    while waiting:  # comes to an end: a report has no circles, even where the exceptions have
        one = waiting.pop()
        notes = one.__notes__
        if notes is not None:
            one.__notes__ = [
                "\n".join(f"    {line}" for line in str(note).split("\n"))
                for note in (notes if isinstance(notes, list | tuple) else ())
            ]
        waiting.extend(related for related in (one.__cause__, one.__context__) if related is not None)
        waiting.extend(one.exceptions or ())


def error_type(error: BaseException) -> str:
    """Name an exception's class with its module, without the module for a built-in one."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
