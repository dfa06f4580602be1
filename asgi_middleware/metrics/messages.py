"""What a response message means for the measurement. Pure; defaults as in the ASGI HTTP specification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from asgi_middleware._core.messages import body_size
from asgi_middleware.metrics.labels import CANCELLED, CLIENT_LEFT, INCOMPLETE, NO_RESPONSE, error_label

BEFORE_START: Final = "before_start"
MID_BODY: Final = "mid_body"

# The server reads a file itself ("Path Send" and "Zero Copy Send" extensions): its bytes are not seen here.
_FILES: Final = frozenset({"http.response.pathsend", "http.response.zerocopysend"})


def add_size(total: int | None, kind: str, message: Mapping[str, Any]) -> int | None:
    """Add a message's body bytes to a total; None once there are bytes that only the server sees."""
    if total is None or kind in _FILES:
        return None
    return total + body_size(message)


def phase_of(status: object) -> str:
    """Name the phase in which a client left, by the status sent so far."""
    return BEFORE_START if status is None else MID_BODY


def raised_outcome(raised: BaseException, left: str | None) -> tuple[str, str | None]:
    """Give the ``error_type`` and the phase of leaving for a request that ended by an exception.

    After the client has left, whatever is raised is its consequence. What is no Exception is a cancellation: some
    servers cancel when the client leaves, all do when they stop.
    """
    if left is not None:
        return CLIENT_LEFT, left
    if isinstance(raised, Exception):
        return error_label(raised), None
    return CANCELLED, CANCELLED


def returned_outcome(status: object, left: str | None) -> str:
    """Give the ``error_type`` for an app that returned before its response was complete."""
    if left is not None:
        return CLIENT_LEFT
    return NO_RESPONSE if status is None else INCOMPLETE
