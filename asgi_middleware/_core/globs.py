"""Paths with wildcards, compiled: ``*`` for text within one segment, ``**`` for any number of segments.

The expressions are held against whatever a client sends, so each takes time in proportion to the length of the path.
What stands between two wildcards need only be found where it comes first, because the wildcard after it takes all the
rest. So such a part is an atomic group, which is not tried again: with a plain ``[^/]*`` for every ``*``, two
wildcards cost the square of the length, three its cube.
"""

from __future__ import annotations

import re


def compile_path(path: str) -> re.Pattern[str]:
    """Give the expression for a path with wildcards; it is to match the whole of a path."""
    parts: list[str] = []
    run: list[str] = []
    after_any = False
    for segment in path[1:].split("/"):
        if segment == "**":
            if run:
                text = "".join(run)
                parts.append(f"(?>(?:/[^/]++)*?{text}(?=/|\\Z))" if after_any else text)
            after_any, run = True, []
        else:
            run.append(_compile_segment(segment))
    if not after_any:
        parts += run
    elif run:
        parts.append(f"(?:/[^/]++)*{''.join(run)}")
    else:
        parts.append("(?:/.*)?")
    return re.compile("".join(parts), re.DOTALL)


def _compile_segment(segment: str) -> str:
    if segment == "*":
        return "/[^/]++"
    head, *middle = map(re.escape, segment.split("*"))
    if not middle:
        return f"/{head}"
    tail = middle.pop()
    return "".join((f"/{head}", *(f"(?>[^/]*?{text})" for text in middle), f"[^/]*{tail}" if tail else "[^/]*+"))
