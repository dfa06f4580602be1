"""Sampling: of the requests that went well a part, of the others all.

Facts this module rests on:

- Whether a line is kept is decided at its end, when it is known how the request ended.
- Services that serve one trace should keep the same ones. So the trace id decides: its right-most 56 bits, which are
  random by W3C Trace Context level 2 (3.2.2.5), against a threshold, as OpenTelemetry's consistent probability sampling
  does ("Probability Sampling": kept when R >= T). A service of a lower rate keeps a part of what one of a higher keeps.
- Without a trace the request id decides, by a checksum.
- Whoever counts lines must know what one stands for: ``sampling_rate`` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import random
from typing import Final
from zlib import crc32

from asgi_middleware._core.config import Problems
from asgi_middleware._core.exchange import Exchange
from asgi_middleware.logging.endings import Ending, is_failure

_RANDOM_DIGITS: Final = 14
_ALL: Final = 2**56


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Which access lines are written when not all are.

    Failures are always written: a status of 400 or more, and any outcome but ``ok``.

    Attributes:
        rate: The part of the others that is written, 0 to 1.
        slow_after: Seconds from which on a request counts as slow, and is always written; None for no such rule.
    """

    rate: float
    slow_after: float | None = None

    def check(self, problems: Problems) -> None:
        """Note what is wrong with these options."""
        problems.number("sampling.rate", self.rate, minimum=0, maximum=1)
        problems.number("sampling.slow_after", self.slow_after, minimum=0, optional=True)


class Sampler:
    """A :class:`Sampling` made ready for use."""

    __slots__ = ("_rate", "_slow_after", "_threshold")

    def __init__(self, sampling: Sampling) -> None:
        """Compute the threshold once."""
        self._rate = float(sampling.rate)
        self._threshold = round((1 - sampling.rate) * _ALL)
        self._slow_after = float("inf") if sampling.slow_after is None else sampling.slow_after

    def rate_of(self, ending: Ending, exchange: Exchange) -> float | None:
        """Give what part of its like a line stands for: 1 for one that is always kept; None for one to leave out."""
        return 1.0 if is_failure(ending) else self.rate_of_success(ending.duration, exchange)

    def rate_of_success(self, duration: float, exchange: Exchange) -> float | None:
        """Give the same of a request that is no failure."""
        if duration >= self._slow_after:
            return 1.0
        return self._rate if _randomness(exchange) >= self._threshold else None


def _randomness(exchange: Exchange) -> int:
    trace = exchange._trace  # noqa: SLF001 -- perhaps the ids alone: see there
    if trace is not None:
        trace_id = trace[1] if type(trace) is tuple else trace.trace_id
        return int(trace_id[-_RANDOM_DIGITS:], 16)
    if exchange.request_id is not None:
        return crc32(exchange.request_id.encode()) << 24
    return int(random() * _ALL)  # noqa: S311 -- chance, not a secret
