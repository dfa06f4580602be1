"""An encoded request body that is inflated whole before the app is called, so that its length is known.

Facts this module rests on:

- What comes out is kept, and what a decoder holds comes to it: 6.5 MB for what brotli's encoders make by default, 2 MB
  for zstd's level 3. So where both would go beyond the bound, only the encoded body is kept from there on. Once all of
  it is known to be good, it is inflated again while the app reads it.
- Memory of the heap stays with the process when it is freed, and the next window may come on top of it. Maps go back to
  the system at once.
- An honest encoder makes a body smaller, or hardly larger. So what was sent may not run ahead of what came out.
- A client may send its body byte by byte. Each piece as an object of its own would take two hundred times as much.
"""

from __future__ import annotations

from collections import deque
from mmap import mmap
from typing import TYPE_CHECKING, Final

from asgi_middleware.compression.encoded_body import EncodedBody
from asgi_middleware.compression.inflate import PIECE
from asgi_middleware.compression.inflation import TOO_LARGE, UNBOUNDED, InflationError

if TYPE_CHECKING:
    from asgi_middleware._core.types import Message, Receive
    from asgi_middleware._core.workers import WorkerPool
    from asgi_middleware.compression.inflation_plans import Plan

_REQUEST: Final = "http.request"
# Up to this size a body is kept whatever its decoder holds.
_ALWAYS_KEPT: Final = 128 * 1024
# By so many bytes may an encoded body run ahead of what came out: two codings may each wait for a block of 128 KiB.
_OVERHEAD: Final = 512 * 1024
_BLOCK: Final = 16 * PIECE


class Store:
    """Bytes that are kept to be read once, piece by piece.

    Attributes:
        size: How many were added.
    """

    __slots__ = ("_blocks", "_few", "_taken", "size")

    def __init__(self) -> None:
        self._few = bytearray()  # all of them, up to one piece: most bodies are small
        self._blocks: deque[mmap] = deque()
        self._taken = 0
        self.size = 0

    def add(self, data: bytes) -> None:
        """Append some bytes."""
        if self.size + len(data) <= PIECE:
            self._few += data
            self.size += len(data)
            return
        if self._few:
            few, self._few, self.size = self._few, bytearray(), 0
            self._write(few)
        self._write(data)

    def take(self) -> tuple[bytes, bool]:
        """Take the next piece out, and tell whether there is more."""
        if not self._blocks:
            return bytes(self._few), False
        at = self._taken % _BLOCK
        piece = self._blocks[0][at : at + min(PIECE, self.size - self._taken)]
        self._taken += len(piece)
        if not self._taken % _BLOCK:
            self._blocks.popleft()
        return piece, self._taken < self.size

    def _write(self, data: bytes | bytearray) -> None:
        at = 0
        while at < len(data):
            room = -self.size % _BLOCK
            if not room:
                self._blocks.append(mmap(-1, _BLOCK))
                room = _BLOCK
            part = data[at : at + room]
            self._blocks[-1].write(part)
            at += len(part)
            self.size += len(part)


class BufferedBody:
    """The receive of one request whose body is inflated before the app sees it.

    Args:
        receive: The server's receive.
        plan: How its codings are undone.
        pool: The threads.

    Attributes:
        size: How many bytes have come out.
        receive: What the app is to receive with, once all of it is inflated.
    """

    __slots__ = ("_body", "_encoded", "_max_size", "_plan", "_pool", "_server", "_unread", "receive", "size")

    def __init__(self, receive: Receive, plan: Plan, pool: WorkerPool) -> None:
        self._server = receive
        self._plan = plan
        self._pool = pool
        self._max_size = plan.max_size
        # What was sent so far, where it may have to be inflated again.
        self._encoded = Store() if plan.wide and plan.max_size < UNBOUNDED else None
        self._body = EncodedBody(receive if self._encoded is None else self._receive_and_keep, plan, pool)
        self._unread: Store | None = None  # what the app or the second inflation has yet to read
        self.size = 0
        self.receive: Receive = self._receive_kept

    @property
    def ended(self) -> bool:
        """Whether nothing of the encoded body is left to receive."""
        return self._body.ended

    async def inflate(self) -> bool:
        """Inflate all of it; False where the client has left before its end.

        Raises:
            InflationError: The body is malformed, or inflates to more than it may.
        """
        inflated: Store | None = Store()
        more = True
        while more:
            message = await self._body.read()
            kind = message["type"]
            if kind == "http.disconnect":
                return False
            if kind != _REQUEST:
                continue
            piece, more = message["body"], message["more_body"]
            self.size += len(piece)
            if inflated is not None:
                inflated.add(piece)
                if more and self._is_too_much_to_keep():
                    inflated = None
        if inflated is not None:
            self._unread = inflated
        else:
            self._unread = self._encoded
            self.receive = EncodedBody(self._receive_kept, self._plan, self._pool).read
        self._encoded = None
        return True

    def _is_too_much_to_keep(self) -> bool:
        if self._encoded is None or self.size <= _ALWAYS_KEPT:
            return False
        return self.size + self._encoded.size + self._body.memory > self._max_size

    async def _receive_and_keep(self) -> Message:
        """Receive a message of the encoded body; all before it has been inflated by now."""
        encoded = self._encoded
        if encoded is None:  # the body is over
            return await self._server()
        if encoded.size > self.size + _OVERHEAD:
            raise InflationError(TOO_LARGE)
        message = await self._server()
        body = message.get("body")
        if body:
            encoded.add(body)
            if encoded.size > self._max_size + _OVERHEAD:
                self._body.ended = not message.get("more_body", False)
                raise InflationError(TOO_LARGE)
        return message

    async def _receive_kept(self) -> Message:
        if self._unread is None:
            return await self._server()
        body, more = self._unread.take()
        if not more:
            self._unread = None
        return {"type": _REQUEST, "body": body, "more_body": more}
