"""Plans: which inflaters undo the codings of a request, and how much of that may run on the event loop."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, NamedTuple

from asgi_middleware.compression.inflate import DECODABLE, Coding, make_coding, missing_inflater
from asgi_middleware.compression.inflation import UNBOUNDED, Inflation

_log: Final = logging.getLogger("asgi_middleware.compression")

_INLINE_NANOSECONDS: Final = 1_000_000


class Plan(NamedTuple):
    """How one sequence of codings is undone.

    Attributes:
        codings: In the order in which they are undone.
        errors: What their libraries raise on malformed data.
        max_size: The most bytes that may come out.
        max_ratio: The most bytes that may come out for each that goes in; None for any.
        wide: Whether a decoder may hold megabytes to look back at.
        inline_work: The work to do on the event loop before a step goes to a thread.
        declared_size: Gives the size of a body from its beginning, or None where it does not tell. Where there is such
            a function, a step may work far more than it gives, and only bodies that are known to be small stay on the
            event loop.
    """

    codings: tuple[Coding, ...]
    errors: tuple[type[Exception], ...]
    max_size: int
    max_ratio: float | None
    wide: bool
    inline_work: int
    declared_size: Callable[[bytes], int | None] | None

    def begin(self) -> Inflation:
        """Begin one body."""
        inflaters = tuple([coding.begin() for coding in self.codings])
        return Inflation(inflaters, self.errors, max_size=self.max_size, max_ratio=self.max_ratio)


def make_plan(
    codings: tuple[Coding, ...], *, max_size: int, max_ratio: float | None, thread_minimum_size: int | None
) -> Plan:
    """Plan how codings are undone.

    Args:
        codings: In the order in which they are undone.
        max_size: The most bytes that may come out.
        max_ratio: The most bytes that may come out for each that goes in; None for any.
        thread_minimum_size: The work to do on the event loop; None for a millisecond's worth, 0 for any.
    """
    work = thread_minimum_size
    if work is None:
        work = _INLINE_NANOSECONDS // sum(coding.cost for coding in codings)
    declared_size: Callable[[bytes], int | None] | None = None
    if work and any(coding.declared_size for coding in codings):
        # Of a body inside another nothing is known before that is undone.
        declared_size = codings[0].declared_size if len(codings) == 1 else _unknown
    errors = tuple({coding.error for coding in codings})
    wide = any(coding.wide for coding in codings)
    return Plan(codings, errors, max_size, max_ratio, wide, work or UNBOUNDED, declared_size)


def _unknown(_: bytes) -> None:
    return None


def make_codings(names: tuple[str, ...], max_size: int) -> dict[bytes, Coding]:
    """Make the codings in order; what is missing is logged in one line each."""
    codings: dict[bytes, Coding] = {}
    for name in names:
        coding = make_coding(name, max_size)
        if coding is None:
            # Nobody asked for the defaults by name: that one is absent is worth knowing, not a warning.
            _log.log(logging.INFO if names == DECODABLE else logging.WARNING, "%s", missing_inflater(name))
        else:
            codings[name.encode("ascii")] = coding
    return codings
