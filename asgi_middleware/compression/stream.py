"""An encoded stream: each chunk goes out as soon as it comes, and the event loop stays free.

Two rules:

1. What goes out must be one valid stream in the order of the app's chunks. Concurrent senders take turns, and a stream
   that was interrupted between encoding and sending is over: whether its last bytes went out, nobody knows.
2. At most about a millisecond of encoding runs on the event loop before a step goes to a thread; after that an eighth
   of it between two such steps. The budget belongs to the response, so that many small chunks block the loop no longer
   than one large chunk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

from asgi_middleware._core.exchange import Exchange
from asgi_middleware._core.types import Message, Send
from asgi_middleware._core.workers import WorkerPool
from asgi_middleware.compression.codecs import Codec, Encoder
from asgi_middleware.compression.figures import CompressionFigures

if TYPE_CHECKING:
    from anyio import Event


def timed(encode: Callable[[bytes], bytes], data: bytes) -> tuple[bytes, float]:
    """Encode, and give the seconds it took beside the result."""
    begun = perf_counter()
    encoded = encode(data)
    return encoded, perf_counter() - begun


def body_of(message: Message) -> bytes:
    """Give the body of a message as bytes: servers, tests and frameworks also pass other buffers, or none."""
    body = message.get("body", b"")
    return body if type(body) is bytes else bytes(body)


class EncodedStream:
    """The send of one response whose body is encoded chunk by chunk.

    Args:
        send: The server's send.
        exchange: Where the figures go.
        codec: The coding.
        live: Whether the stream may stay open for hours.
        inline_size: Bytes to encode before a step goes to a thread; 0 for never.
        pool: The threads.
    """

    __slots__ = (
        "_allowance",
        "_coding",
        "_encoded_size",
        "_encoder",
        "_exchange",
        "_interrupted",
        "_original_size",
        "_pool",
        "_renewal",
        "_seconds",
        "_send",
        "_spent",
        "_taken",
        "_waiting",
    )

    def __init__(
        self, send: Send, exchange: Exchange, codec: Codec, *, live: bool, inline_size: int, pool: WorkerPool
    ) -> None:
        self._send = send
        self._exchange = exchange
        self._coding = codec.coding.decode("ascii")
        self._encoder: Encoder | None = codec.open(live=live)
        self._allowance = inline_size
        self._renewal = max(1, inline_size >> 3)
        self._pool = pool
        self._spent = 0
        self._original_size = 0
        self._encoded_size = 0
        self._seconds = 0.0
        self._interrupted = False
        self._taken = False
        self._waiting: deque[Event] | None = None

    async def open(self, start: Message, first: Message) -> None:
        """Send the head and the first message of the body, with nothing in between."""
        self._taken = True
        try:
            await self._send(start)
            await self._forward(first)
        finally:
            self._pass_turn()

    async def send(self, message: Message) -> None:
        """Send one message of the app after the head.

        Raises:
            ConnectionAbortedError: An earlier call was interrupted, by cancellation for example.
        """
        if self._taken:
            await self._wait_turn()
        self._taken = True
        try:
            await self._forward(message)
        finally:
            self._pass_turn()

    def report(self) -> None:
        """Write the figures so far to the Exchange."""
        self._exchange.compression = CompressionFigures(
            self._coding, self._original_size, self._encoded_size, self._seconds, None
        )

    async def _forward(self, message: Message) -> None:
        encoder = self._encoder
        if message["type"] != "http.response.body" or encoder is None:
            await self._send(message)
            return
        if self._interrupted:
            raise ConnectionAbortedError("the encoded response was interrupted and cannot be continued")
        body = body_of(message)
        more = message.get("more_body", False)
        if more and not body:
            await self._send(message)
            return
        try:
            encoded = await self._step(encoder.feed if more else encoder.finish, body)
            if not more:
                self._encoder = None
                self.report()
            await self._send({**message, "body": encoded, "more_body": more})
        except BaseException:
            self._interrupted = True
            raise

    async def _step(self, encode: Callable[[bytes], bytes], body: bytes) -> bytes:
        self._spent += len(body)
        if self._allowance and self._spent >= self._allowance:
            self._spent = 0
            self._allowance = self._renewal
            encoded, seconds = await self._pool.run(timed, encode, body)
        else:
            encoded, seconds = timed(encode, body)
        self._original_size += len(body)
        self._encoded_size += len(encoded)
        self._seconds += seconds
        return encoded

    async def _wait_turn(self) -> None:
        # Only where an app sends from two tasks at once (a pinger beside a stream); anyio is not loaded before.
        from anyio import Event  # noqa: PLC0415 -- see above

        turn = Event()
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self._pass_turn()
            else:
                self._waiting.remove(turn)
            raise

    def _pass_turn(self) -> None:
        if self._waiting:
            self._waiting.popleft().set()  # the turn stays taken, by the one who waited longest
        else:
            self._taken = False
