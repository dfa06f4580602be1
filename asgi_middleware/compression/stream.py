"""An encoded stream: each chunk goes out as soon as it comes, and the event loop stays free.

Two rules:

1. What goes out must be one valid stream in the order of the app's chunks. Concurrent senders take turns, and a stream
   that was interrupted between encoding and sending is over: whether its last bytes went out, nobody knows.
2. At most about a millisecond of encoding runs on the event loop before a step goes to a thread; after that an eighth
   of it between two such steps. The budget belongs to the response, so that many small chunks block the loop no longer
   than one large chunk.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from time import perf_counter

from asgi_middleware._core.exchange import Exchange
from asgi_middleware._core.types import Message, Send
from asgi_middleware._core.workers import WorkerPool
from asgi_middleware.compression.codecs import Codec, Encoder
from asgi_middleware.compression.figures import CompressionFigures
from asgi_middleware.compression.turns import Turns


def timed(encode: Callable[[bytes], bytes], data: bytes) -> tuple[bytes, float]:
    """Encode, and give the seconds it took beside the result."""
    begun = perf_counter()
    encoded = encode(data)
    return encoded, perf_counter() - begun


def body_of(message: Message) -> bytes:
    """Give the body of a message as bytes: servers, tests and frameworks also pass other buffers, or none."""
    body = message.get("body", b"")
    return body if type(body) is bytes else bytes(body)


async def send_both(send: Send, first: Message, second: Message) -> None:
    """Send two messages in a row."""
    await send(first)
    await send(second)


def bodiless(send: Send) -> Send:
    """Wrap send so that no byte of a body passes."""

    def send_bodiless(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.body" and message.get("body"):
            message = {**message, "body": b""}
        return send(message)

    return send_bodiless


async def nothing() -> None:
    """Be awaited in the place of a send that is put off."""


class EncodedStream(Turns):
    """The send of one response whose body is encoded chunk by chunk.

    Args:
        send: The server's send.
        exchange: Where the figures go; None where nobody asks for them.
        codec: The coding.
        live: Whether the stream may stay open for hours.
        inline_size: Bytes to encode before a step goes to a thread.
        pool: The threads.
    """

    __slots__ = (
        "_allowance",
        "_codec",
        "_encoded_size",
        "_encoder",
        "_ended",
        "_exchange",
        "_interrupted",
        "_live",
        "_original_size",
        "_pool",
        "_renewal",
        "_seconds",
        "_send",
        "_spent",
    )

    def __init__(
        self, send: Send, exchange: Exchange | None, codec: Codec, *, live: bool, inline_size: int, pool: WorkerPool
    ) -> None:
        super().__init__()
        self._send = send
        self._exchange = exchange
        self._codec = codec
        self._live = live
        self._encoder: Encoder | None = None
        self._ended = False
        self._allowance = inline_size
        self._renewal = max(1, inline_size >> 3)
        self._pool = pool
        # The first step of some levels alone takes many milliseconds: it counts as much as the budget holds.
        self._spent = inline_size if codec.heavy_start and not live and inline_size < sys.maxsize else 0
        self._original_size = 0
        self._encoded_size = 0
        self._seconds = 0.0
        self._interrupted = False

    async def send(self, message: Message, start: Message | None = None) -> None:
        """Send one message of the app after the head; the first one with the head, and nothing in between.

        Raises:
            ConnectionAbortedError: An earlier call was interrupted, by cancellation for example.
        """
        if self.taken:
            await self.wait()
        self.taken = True
        try:
            if start is not None:
                await self._send(start)
            if self._ended or message["type"] != "http.response.body":
                await self._send(message)
                return
            if self._interrupted:
                raise ConnectionAbortedError("the encoded response was interrupted and cannot be continued")
            body = message.get("body", b"")
            if type(body) is not bytes:
                body = bytes(body)
            more = message.get("more_body", False)
            if more and not body:
                await self._send(message)
                return
            try:
                self._spent += len(body)
                if self._spent < self._allowance:
                    encoded = self._encode(body, more)
                else:
                    self._spent = 0
                    self._allowance = self._renewal
                    encoded = await self._pool.run(self._encode, body, more)
                if self._exchange is not None:
                    self._original_size += len(body)
                    self._encoded_size += len(encoded)
                if not more:
                    self._ended = True
                    self._encoder = None
                    self.report()
                message = message.copy()
                message["body"] = encoded
                message["more_body"] = more
                await self._send(message)
            except BaseException:
                self._interrupted = True
                raise
        finally:
            self.give_up()

    def report(self) -> None:
        """Write the figures so far to the Exchange."""
        if self._exchange is not None:
            coding = self._codec.coding.decode("ascii")
            self._exchange.compression = CompressionFigures(
                coding, self._original_size, self._encoded_size, self._seconds, None
            )

    def _encode(self, data: bytes, more: bool) -> bytes:  # noqa: FBT001 -- threads are given positions
        begun = 0.0 if self._exchange is None else perf_counter()
        encoder = self._encoder
        if encoder is None:
            encoder = self._encoder = self._codec.open(live=self._live)
        encoded = encoder.feed(data) if more else encoder.finish(data)
        if self._exchange is not None:
            self._seconds += perf_counter() - begun
        return encoded
