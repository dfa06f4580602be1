"""An encoded request body that is inflated whole before the app is called, so that its length is known.

Facts this module rests on:

- What comes out is kept, and a decoder's window comes to it: 4 MB for what brotli's encoders make by default, 2 MB for
  zstd's level 3. So where both would go beyond the bound, only the encoded body is kept from there on. Once all of it
  is known to be good, it is inflated again while the app reads it. That happens to honest bodies of more than half the
  bound or so; a bomb never gets there.
- A client may send its body byte by byte. Each piece as an object of its own would take two hundred times as much.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from asgi_middleware.compression.encoded_body import EncodedBody
from asgi_middleware.compression.inflate import PIECE
from asgi_middleware.compression.inflation import TOO_LARGE, UNBOUNDED, InflationError

if TYPE_CHECKING:
    from asgi_middleware._core.types import Message, Receive
    from asgi_middleware._core.workers import WorkerPool
    from asgi_middleware.compression.inflation_plans import Plan

_REQUEST: Final = "http.request"
# Up to this size a body is kept whatever its decoder holds, and so much longer than the bound it may be when encoded.
_LITTLE: Final = 256 * 1024


class Blocks:
    """Bytes to be read again, in blocks of 64 KiB or more.

    Attributes:
        size: How many were added.
    """

    __slots__ = ("_begun", "_full", "size")

    def __init__(self) -> None:
        self._full: deque[bytes] = deque()
        self._begun = bytearray()
        self.size = 0

    def add(self, data: bytes) -> None:
        """Append some bytes."""
        self.size += len(data)
        if len(data) >= PIECE and not self._begun:
            self._full.append(data)
            return
        self._begun += data
        if len(self._begun) >= PIECE:
            self._fill()

    def next(self) -> Message:
        """Take the next block out, as a message; the last one says so."""
        if self._begun:
            self._fill()
        body = self._full.popleft() if self._full else b""
        return {"type": _REQUEST, "body": body, "more_body": bool(self._full)}

    def _fill(self) -> None:
        self._full.append(bytes(self._begun))
        self._begun = bytearray()


class BufferedBody:
    """The receive of one request whose body is inflated before the app sees it.

    Args:
        receive: The server's receive.
        plan: How its codings are undone.
        pool: The threads.

    Attributes:
        receive: What the app is to receive with, once all is inflated.
    """

    __slots__ = ("_body", "_encoded", "_from_server", "_most", "_plan", "_pool", "_stored", "receive")

    def __init__(self, receive: Receive, plan: Plan, pool: WorkerPool) -> None:
        self._from_server = receive
        self._plan = plan
        self._pool = pool
        self._most = plan.max_size
        # The encoded body, for plans that may need it again.
        self._encoded = Blocks() if plan.wide and plan.max_size < UNBOUNDED else None
        self._body = EncodedBody(receive if self._encoded is None else self._record, plan, pool)
        self._stored: Blocks | None = None
        self.receive: Receive = self._from_store

    @property
    def ended(self) -> bool:
        """Whether nothing of the encoded body is left to receive."""
        return self._body.ended

    async def inflate(self) -> int | None:
        """Inflate all of it.

        Returns:
            Its size; None where the client has left before its end.

        Raises:
            InflationError: The body is malformed, or inflates to more than it may.
        """
        body, encoded = self._body, self._encoded
        inflated: Blocks | None = Blocks()
        size, more = 0, True
        while more:
            message = await body.read()
            if message["type"] != _REQUEST:
                return None
            size += len(message["body"])
            more = message["more_body"]
            if inflated is not None:
                inflated.add(message["body"])
                if encoded is not None and size > _LITTLE and size + encoded.size + body.window > self._most:
                    inflated = None
        self._stored, self._encoded = encoded if inflated is None else inflated, None
        if inflated is None:
            self.receive = EncodedBody(self._from_store, self._plan, self._pool).read
        return size

    async def _record(self) -> Message:
        """Receive a message of the encoded body, and keep what it brings."""
        message = await self._from_server()
        encoded = self._encoded
        if encoded is not None and message["type"] == _REQUEST:
            body = message.get("body")
            if body:
                encoded.add(body if type(body) is bytes else bytes(body))
                if encoded.size > self._most + _LITTLE and message.get("more_body", False):
                    raise InflationError(TOO_LARGE)  # no honest encoder makes a body larger
        return message

    async def _from_store(self) -> Message:
        if self._stored is None:
            return await self._from_server()
        message = self._stored.next()
        if not message["more_body"]:
            self._stored = None
        return message
