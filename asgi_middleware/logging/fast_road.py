"""The fast road: an access event written as JSON without structlog's chain, where that chain is our own.

A chain of processors takes an event that anybody may have made, and makes it complete and clean. The access event is
both when it is made. So where `configure_structlog` has set the chain up, and nobody has changed it since, the event
goes straight to the encoder and to the stream; the line is the same as by the chain.

The road closes by itself: when structlog is configured anew, and while its processors are replaced in place, as
``structlog.testing.capture_logs`` does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

import structlog

from asgi_middleware.logging.writing import Lines


class FastRoad:
    """How to write an event at once.

    Attributes:
        level: The lowest level written, as a number.
        schema: The name of the schema of all lines.
        stamp: Gives the time as text.
        dumps: Encodes an event as JSON, with a line break.
        lines: Where the line goes.
    """

    __slots__ = ("_chain", "_last", "dumps", "level", "lines", "schema", "stamp")

    def __init__(
        self,
        chain: list[Any],
        *,
        level: int,
        schema: str,
        stamp: Callable[[], str],
        dumps: Callable[[Any], bytes],
        lines: Lines,
    ) -> None:
        """Serve as long as structlog is configured with `chain`, and that ends as it does now."""
        self._chain: Final = chain
        self._last: Final = chain[-1]
        self.level: Final = level
        self.schema: Final = schema
        self.stamp: Final = stamp
        self.dumps: Final = dumps
        self.lines: Final = lines

    def is_open(self) -> bool:
        """Tell whether structlog's configuration is still ours."""
        chain = self._chain
        return _configured() is chain and len(chain) > 0 and chain[-1] is self._last

    def is_whole(self) -> bool:
        """Tell whether nobody has replaced the processors in place: the cheaper half of `is_open`."""
        chain = self._chain
        return len(chain) > 0 and chain[-1] is self._last


def _configured() -> Any:
    """Give the processors that structlog is configured with."""
    return structlog.get_config()["processors"]


def _configured_at_once() -> Any:
    return _configuration.default_processors


# What `get_config` copies into a dict, at forty times the cost of reading one attribute. It is structlog's own affair,
# so that where it is not as it was, the public function serves.
_configuration: Any = getattr(sys.modules.get("structlog._config"), "_CONFIG", None)
if getattr(_configuration, "default_processors", None) is _configured():
    _configured = _configured_at_once


_road: FastRoad | None = None


def set_road(road: FastRoad | None) -> None:
    """Open a road in place of the last one; None for none."""
    global _road  # noqa: PLW0603 -- one configuration a process, as structlog has
    _road = road


def open_road() -> FastRoad | None:
    """Give the road, where it is open."""
    road = _road
    return road if road is not None and road.is_open() else None
