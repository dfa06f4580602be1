"""Inflation: all codings of one body undone, a bounded step at a time, within bounds that no body can leave.

Facts this module rests on:

- Nothing about a body's size can be known before it is inflated. Fields that tell it are the sender's word.
- The best honest ratios are not far from those of bombs: logs that repeat reach 290 with gzip, 6,000 with zstd, 13,000
  with brotli. So the bound that holds by default is one on bytes; a ratio is for who knows the bodies.
- A body can keep a decoder busy and give nothing: thousands of empty members, or a coding inside a coding that inflates
  to megabytes of empty blocks. So a step ends when its work is done, whether it gives anything or not; a member counts
  as some bytes; and what one coding hands to the next may not run ahead of what comes out in the end. An honest encoder
  makes a body smaller, or hardly larger.
"""

from __future__ import annotations

from typing import Final

from asgi_middleware.compression.inflate import PIECE, Inflater, TrailingDataError, WindowTooLargeError

# Input is handed over in slices: a decoder may copy what it cannot take yet.
_SLICE: Final = 16 * 1024
# A decoder's call counts as so many bytes of work, which is what it costs to begin a member.
_CALL: Final = 512
# A further member counts as so many bytes of the body, from the thousandth on.
_PART: Final = 256
_FREE_PARTS: Final = 1000
# How far the bytes between two codings may run ahead of the body.
_AHEAD: Final = 1024 * 1024
# What several decoders may hold together to look back at, whatever the bound: twice what brotli's encoders ask for.
_ANY_WINDOWS: Final = 8 * 1024 * 1024
# Up to this size a body may have any ratio.
_ANY_RATIO: Final = 1024 * 1024

UNBOUNDED: Final = 1 << 62

MALFORMED: Final = "malformed_encoded_body"
TRUNCATED: Final = "truncated_encoded_body"
TOO_LARGE: Final = "inflated_body_too_large"
RATIO: Final = "inflation_ratio_too_high"


class InflationError(Exception):
    """A body that cannot be inflated, or must not be.

    Attributes:
        reason: `MALFORMED`, `TRUNCATED`, `TOO_LARGE` or `RATIO`.
    """

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        self.reason = reason
        super().__init__(reason)


class Inflation:
    """One body on its way through its inflaters. It is not safe for two callers at a time.

    Args:
        inflaters: In the order in which the codings are undone.
        errors: What their libraries raise on malformed data.
        max_size: The most bytes that may come out.
        max_ratio: The most bytes that may come out for each that goes in; None for any.

    Attributes:
        hungry: Whether all that can come out of what went in has come out.
        work: The work of the latest step: bytes that went in and out of its inflaters, and a charge for each call.
    """

    __slots__ = (
        "_at",
        "_between",
        "_body",
        "_errors",
        "_given",
        "_inflaters",
        "_max_ratio",
        "_max_size",
        "_taken",
        "hungry",
        "work",
    )

    def __init__(
        self,
        inflaters: tuple[Inflater, ...],
        errors: tuple[type[Exception], ...],
        *,
        max_size: int,
        max_ratio: float | None,
    ) -> None:
        self._inflaters = inflaters
        self._errors: tuple[type[Exception], ...] = (TrailingDataError, *errors)
        self._max_size = max_size
        self._max_ratio = max_ratio
        self._body: bytes = b""
        self._at = 0
        self._taken = 0
        self._given = 0
        self._between = 0
        self.hungry = True
        self.work = 0

    @property
    def memory(self) -> int:
        """The most bytes that its decoders hold, where that is much."""
        return sum([inflater.window + inflater.tables for inflater in self._inflaters])

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the encoded body; only when it is hungry."""
        self._body = data
        self._at = 0
        self._taken += len(data)
        self.hungry = False

    def step(self) -> bytes:
        """Give the next piece, or nothing: then it is hungry, or has worked enough for one step.

        Raises:
            InflationError: The body is malformed, or inflates to more than it may.
        """
        try:
            piece, between = self._step()
        except WindowTooLargeError as error:
            raise InflationError(TOO_LARGE) from error
        except self._errors as error:
            raise InflationError(MALFORMED) from error
        self._given += len(piece)
        self._between += between
        self._check()
        return piece

    def finish(self) -> None:
        """Check that the encoded body may end here.

        Raises:
            InflationError: Something is missing.
        """
        for inflater in self._inflaters:
            if not inflater.ended:
                raise InflationError(TRUNCATED)

    def _step(self) -> tuple[bytes, int]:
        """Give the next piece, and the bytes that went from one coding to the next."""
        inflaters = self._inflaters
        last = len(inflaters) - 1
        work = 0
        between = 0
        piece = b""
        while work < PIECE:
            # The innermost one that still has something goes on; where none has, the outermost one gets more.
            data: bytes | memoryview = b""
            number = last
            while number >= 0 and inflaters[number].hungry:
                number -= 1
            if number < 0:
                data = self._slice()
                if not data:
                    self.hungry = True
                    break
                number = 0
            while True:
                piece = inflaters[number].inflate(data)
                work += len(data) + len(piece) + _CALL
                if number == last or not piece:
                    break
                between += len(piece)
                data = piece
                number += 1
            if piece:
                self.hungry = not self._body
                for inflater in inflaters:
                    if not inflater.hungry:
                        self.hungry = False
                break
        self.work = work
        return piece, between

    def _slice(self) -> bytes | memoryview:
        body = self._body
        at = self._at
        if len(body) - at <= _SLICE:
            self._body = b""
            return memoryview(body)[at:] if at else body
        self._at = at + _SLICE
        return memoryview(body)[at : at + _SLICE]

    def _check(self) -> None:
        """Compare what has come out with the bounds.

        Raises:
            InflationError: It is more than it may be.
        """
        size = self._given
        for inflater in self._inflaters:
            if inflater.parts > _FREE_PARTS:
                size += (inflater.parts - _FREE_PARTS) * _PART
        if size > self._max_size or self._between - self._given * (len(self._inflaters) - 1) > _AHEAD:
            raise InflationError(TOO_LARGE)
        if len(self._inflaters) > 1:
            windows = sum([inflater.window for inflater in self._inflaters])
            if windows > max(self._max_size, _ANY_WINDOWS):
                raise InflationError(TOO_LARGE)
        if self._max_ratio is not None and size > max(_ANY_RATIO, self._max_ratio * self._taken):
            raise InflationError(RATIO)
