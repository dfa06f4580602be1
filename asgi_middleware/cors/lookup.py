"""Origins that are known at run time only: a function decides, and its answers are remembered for a while.

Whatever is not a plain True is a no: an exception, a missing answer, a value that only looks true.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, TypeAlias

from asgi_middleware._core.config import Problems
from asgi_middleware._core.headers import find_all
from asgi_middleware._core.types import Scope
from asgi_middleware.cors.origins import split_origin

OriginFunction: TypeAlias = Callable[[str, Any], bool | Awaitable[bool]]

_LOGGER: Final = logging.getLogger("asgi_middleware.cors")
_LONGEST_VARY: Final = 512  # bytes of the headers that an answer is remembered for


@dataclass(frozen=True, kw_only=True)
class OriginLookup:
    """A function that decides about origins, and how long its answers hold.

    It is asked about origins that the list does not have, and only about well-formed ones: never about ``null``. It may
    be async; one that is not must not block. When it raises, the answer is no, and the error is logged.

    With a `ttl` the answer for one origin is remembered. The function then gets a scope with nothing in it but ``type``
    and the headers that `vary` names, because the answer is given to every request that is alike in these::

        from asgi_middleware.cors import OriginLookup


        async def is_customer(origin, scope): ...


        lookup = OriginLookup(func=is_customer, ttl=30, vary=["x-tenant"])

    Args:
        func: Takes the origin as str and the scope, and gives True for yes.
        ttl: Seconds for which an answer holds, a yes and a no alike; 0 asks every time. 30 by default.
        max_entries: How many answers are remembered; then all are forgotten. A client chooses what is asked.
        vary: The request headers that the answer depends on besides ``Origin``. They go into ``Vary``.

    Source: Fetch standard 3.3.6; RFC 9110 12.5.5.
    """

    func: OriginFunction
    ttl: float = 30
    max_entries: int = 1024
    vary: Iterable[str] = ()


def read_lookup(problems: Problems, value: object) -> tuple[OriginLookup | None, tuple[str, ...]]:
    """Read `allow_origin_func`: a function or an OriginLookup; with the names for ``Vary``, as they were written."""
    option = "allow_origin_func"
    if value is None:
        return None, ()
    if not isinstance(value, OriginLookup):
        return (OriginLookup(func=value, ttl=0), ()) if problems.callable(option, value) else (None, ())  # type: ignore[arg-type]
    problems.callable(f"{option}.func", value.func)
    problems.number(f"{option}.ttl", value.ttl, minimum=0)
    problems.integer(f"{option}.max_entries", value.max_entries, minimum=1)
    names = problems.strings(f"{option}.vary", value.vary)
    good = tuple(name for name in names if problems.header_name(f"{option}.vary", name))
    return value, good


class OriginAsker:
    """Asks the function, and remembers."""

    __slots__ = ("_answers", "_func", "_max_entries", "_ttl", "_vary")

    def __init__(self, lookup: OriginLookup, vary: Iterable[str]) -> None:
        self._func = lookup.func
        self._ttl = lookup.ttl
        self._max_entries = lookup.max_entries
        self._vary = tuple(name.lower().encode("ascii") for name in vary)
        self._answers: dict[tuple[bytes, ...], tuple[float, bool]] = {}

    async def ask(self, origin: bytes, scope: Scope) -> bool | None:
        """Give the function's answer about an origin; None where it failed."""
        if split_origin(origin) is None:
            return False
        if not self._ttl:
            return await self._ask(origin, scope)
        headers = scope.get("headers") or ()
        relevant = [(name, value) for name in self._vary for value in find_all(headers, name)]
        if sum(len(value) for _, value in relevant) > _LONGEST_VARY:
            return False
        # Names too: two headers may swap their values.
        key = (origin, *(part for pair in relevant for part in pair))
        answers = self._answers
        known = answers.get(key)
        now = monotonic()
        if known is not None and now < known[0]:
            return known[1]
        answer = await self._ask(origin, {"type": scope["type"], "headers": relevant})
        if answer is not None:
            if len(answers) >= self._max_entries:
                answers.clear()
            answers[key] = (monotonic() + self._ttl, answer)
        return answer

    async def _ask(self, origin: bytes, scope: Scope) -> bool | None:
        try:
            answer: Any = self._func(origin.decode("ascii"), scope)
            if inspect.isawaitable(answer):
                answer = await answer
        except Exception:
            _LOGGER.exception("allow_origin_func raised; the origin is not allowed")
            return None
        return answer is True
