"""Timestamps: the time of an event as text."""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from typing import Any, Final

# Numbers below 1000 in three digits, at a tenth of what formatting them costs.
_THREE: Final = [f"{number:03d}" for number in range(1000)]


class Timestamps:
    """Adds the time in UTC, as ISO 8601 with microseconds; what changes once a second is written once a second."""

    def __init__(self) -> None:
        """Start without a second."""
        self._second = (0, "")

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
        second, text = self._second  # one object, so that threads never see half of a change
        if second != whole:
            text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(whole))
            self._second = (whole, text)
        micro = int((now - whole) * 1_000_000)
        return f"{text}{_THREE[micro // 1000]}{_THREE[micro % 1000]}Z"
