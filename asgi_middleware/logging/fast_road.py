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
from contextvars import copy_context
from typing import Any, Final

import structlog

from asgi_middleware.logging.context import is_bound
from asgi_middleware.logging.timestamps import Timestamps
from asgi_middleware.logging.writing import Lines


class FastRoad:
    """How to write an event at once.

    Attributes:
        chain: The processors that the road stands for.
        last: The last of them, when the road was made.
        level: The lowest level written, as a number.
        schema: The name of the schema of all lines.
        stamps: Give the time.
        dumps: Encodes an event as JSON, with a line break.
        lines: Where the line goes.
        flat: Whether the schema is the flat one.
    """

    __slots__ = ("chain", "dumps", "flat", "last", "level", "lines", "schema", "stamps")

    def __init__(
        self,
        chain: list[Any],
        *,
        level: int,
        schema: str,
        stamps: Timestamps,
        dumps: Callable[[Any], bytes],
        lines: Lines,
    ) -> None:
        """Serve as long as structlog is configured with `chain`, and that ends as it does now."""
        self.chain: Final = chain
        self.last: Final = chain[-1]
        self.level: Final = level
        self.schema: Final = schema
        self.flat: Final = schema == "flat"
        self.stamps: Final = stamps
        self.dumps: Final = dumps
        self.lines: Final = lines

    def is_clear(self) -> bool:
        """Tell whether nothing is on the road that only the chain would see: replaced processors, bound variables."""
        chain = self.chain
        # One variable is the current Exchange.
        return bool(chain) and chain[-1] is self.last and not (len(copy_context()) > 1 and is_bound())


# What `get_config` copies into a dict, at forty times the cost of reading one attribute. It is structlog's own affair,
# so that where it is not as it was, the public function serves.
_configuration: Any = getattr(sys.modules.get("structlog._config"), "_CONFIG", None)
if getattr(_configuration, "default_processors", None) is not structlog.get_config()["processors"]:
    _configuration = None


_road: FastRoad | None = None


def set_road(road: FastRoad | None) -> None:
    """Open a road in place of the last one; None for none."""
    global _road  # noqa: PLW0603 -- one configuration a process, as structlog has
    _road = road


def open_road() -> FastRoad | None:
    """Give the road, where it is open: where structlog's configuration is still ours."""
    road = _road
    if road is None:
        return None
    chain = road.chain
    configured = structlog.get_config()["processors"] if _configuration is None else _configuration.default_processors
    return road if configured is chain and chain and chain[-1] is road.last else None
