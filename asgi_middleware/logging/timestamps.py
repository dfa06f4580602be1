"""Timestamps: the time of an event as text."""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from typing import Any, Final

# Numbers below 1000 in three digits, at a tenth of what formatting them costs.
THREE_DIGITS: Final = [f"{number:03d}" for number in range(1000)]


class Timestamps:
    """Adds the time in UTC, as ISO 8601 with microseconds; what changes once a second is written once a second."""

    __slots__ = ("second",)

    def __init__(self) -> None:
        """Start without a second."""
        self.second = (0, "")  # one object, so that threads never see half of a change

    def __call__(
        self,
        logger: Any,  # noqa: ARG002 -- the signature of a structlog processor
        method_name: str,  # noqa: ARG002 -- the same
        event_dict: MutableMapping[str, Any],
    ) -> MutableMapping[str, Any]:
        """Add the time to an event."""
        event_dict["timestamp"] = self.now()
        return event_dict

    def now(self) -> str:
        """Give the time."""
        # A float holds microseconds until the year 2255; integers of nanoseconds cost twice as much to divide.
        now = time.time()
        whole = int(now)
        second, text = self.second
        if second != whole:
            text = self.turn(whole)
        micro = int((now - whole) * 1_000_000)
        return f"{text}{THREE_DIGITS[micro // 1000]}{THREE_DIGITS[micro % 1000]}Z"

    def turn(self, whole: int) -> str:
        """Give a second as text, up to the point, and keep it."""
        text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(whole))
        self.second = (whole, text)
        return text
