"""What the options come to, as a response needs them, and what the responses of one instance share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final, Literal

from asgi_middleware._core.types import HeaderList, Message, RawHeaders, Scope
from asgi_middleware._core.workers import WorkerPool
from asgi_middleware.compression.agreement import Agreement, Agreements
from asgi_middleware.compression.cache import BodyCache
from asgi_middleware.compression.codecs import Codec
from asgi_middleware.compression.fields import CHANGED, read_fields
from asgi_middleware.compression.heads import Marking, revalidated_head, varying
from asgi_middleware.compression.judge import Judge, Shape

Predicate = Callable[[Scope, int, HeaderList], bool]
Pathsend = Literal["forward", "siblings", "encode"]
PATHSEND_MODES: Final = ("forward", "siblings", "encode")


class LiveMemory:
    """What the encoders of open-ended streams hold together, and may hold at most. Safe for several event loops."""

    __slots__ = ("_left", "_lock")

    def __init__(self, limit: int) -> None:
        """Set the limit, in bytes."""
        self._left = limit
        self._lock = Lock()

    def take(self, codec: Codec) -> bool:
        """Count one more stream, if it fits."""
        with self._lock:
            if self._left < codec.live_memory:
                return False
            self._left -= codec.live_memory
            return True

    def give_back(self, codec: Codec) -> None:
        """Count one less."""
        with self._lock:
            self._left += codec.live_memory


@dataclass(frozen=True, slots=True)
class Policy:
    """The options.

    Attributes:
        judge: Judges a response by its start message.
        marking: How responses are marked.
        live_memory: What the open-ended streams hold.
        agreements: How to encode for each client.
    """

    minimum_size: int
    judge: Judge
    marking: Marking
    predicate: Predicate | None
    pathsend: Pathsend
    cache: BodyCache | None
    pool: WorkerPool
    live_memory: LiveMemory
    agreements: Agreements

    def plain_start(
        self, message: Message, shape: Shape, reason: str, agreed: Agreement | str, asked: RawHeaders
    ) -> Message:
        """Give the start message of a response that stays as it is, but depends on what the client accepts.

        Args:
            message: The app's start message, its headers a list.
            shape: The shape of those headers.
            reason: Why it stays as it is.
            agreed: How this client's responses are encoded, or why not.
            asked: The request's raw headers.
        """
        headers = message["headers"]
        if reason == "not_modified":
            if_none_match = read_fields(asked, CHANGED).get(b"if-none-match")
            if if_none_match is not None:
                coding = None if isinstance(agreed, str) else agreed.codec.coding
                headers = revalidated_head(headers, self.marking.etag, if_none_match, coding)
        start: Message = message.copy()
        start["headers"] = varying(headers, shape, self.marking)
        return start
