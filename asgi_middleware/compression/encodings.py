"""Reading the option ``encodings``, which both directions have."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from asgi_middleware._core.config import Problems


def known_codings(encodings: Iterable[str], known: Collection[str], problems: Problems) -> tuple[str, ...]:
    """Read `encodings`, each once; what is not among the known codings is noted."""
    listed = problems.strings("encodings", encodings)
    if not listed and not problems:
        problems.add("encodings", encodings, "names no coding", fix="list at least 'gzip'", code="no_coding")
    fix = f"list some of {', '.join(map(repr, known))}, in lower case"
    for coding in listed:
        if coding not in known:
            problems.add("encodings", coding, "is no coding that is known here", fix=fix, code="unknown_coding")
    return tuple(dict.fromkeys(listed))
