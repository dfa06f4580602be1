"""An encoded request body, read by an app that sees it inflated.

Three rules:

1. Nothing is inflated before the app asks for it, and never more than one piece ahead of what it has taken.
2. About a millisecond of inflating runs on the event loop before a step goes to a thread; after that an eighth of it
   between two such steps. The budget belongs to the body, so that an app that reads on and on blocks nobody.
3. An inflater has one user at a time. A step whose caller was cancelled is finished by its thread, and its piece goes
   to whoever asks next: nothing is lost, and nothing is used by two.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from asgi_middleware._core.exchange import exchange_of
from asgi_middleware._core.lingering import drain, holding_back
from asgi_middleware._core.takeover import Takeover, drop
from asgi_middleware.compression.errors import DecompressionError
from asgi_middleware.compression.inflate import PIECE
from asgi_middleware.compression.inflation import InflationError
from asgi_middleware.compression.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from asgi_middleware._core.refusals import Refusal
    from asgi_middleware._core.types import Message, Receive, Scope, Send
    from asgi_middleware._core.workers import WorkerPool
    from asgi_middleware.compression.inflation import Inflation
    from asgi_middleware.compression.inflation_plans import Plan

_DISCONNECT: Final = "http.disconnect"


class Step:
    """One step that is done once, however often and by whomever it is called."""

    __slots__ = ("_error", "_lock", "_piece", "_step")

    def __init__(self, step: Callable[[], bytes]) -> None:
        self._step: Callable[[], bytes] | None = step
        self._lock = threading.Lock()
        self._piece = b""
        self._error: Exception | None = None

    def __call__(self) -> bytes:
        """Do the step, or wait for the thread that is at it; give its piece.

        Raises:
            InflationError: The step did.
        """
        with self._lock:
            step, self._step = self._step, None
            if step is not None:
                try:
                    self._piece = step()
                except Exception as error:  # noqa: BLE001 -- it is raised to whoever asks for the piece
                    self._error = error
        if self._error is not None:
            raise self._error
        return self._piece


class EncodedBody(Turns):
    """The receive of one request whose body is encoded.

    Args:
        receive: The server's receive.
        plan: How its codings are undone.
        pool: The threads.

    Attributes:
        ended: Whether nothing of the encoded body is left to receive.
    """

    __slots__ = (
        "_allowance",
        "_broken",
        "_declared_size",
        "_inflation",
        "_pool",
        "_receive",
        "_renewal",
        "_spent",
        "_unfinished",
        "ended",
    )

    def __init__(self, receive: Receive, plan: Plan, pool: WorkerPool) -> None:
        super().__init__()
        self._receive = receive
        self._inflation: Inflation | None = plan.begin()  # None when the body is over
        self._declared_size = plan.declared_size
        self._allowance = plan.inline_work
        self._renewal = max(0, (plan.inline_work >> 3) - PIECE)
        self._spent = 0
        self._pool = pool
        self._broken: str | None = None
        self.ended = False
        self._unfinished: Step | None = None

    @property
    def memory(self) -> int:
        """The most bytes that its decoders hold, where that is much."""
        return 0 if self._inflation is None else self._inflation.memory

    async def read(self) -> Message:  # noqa: PLR0912 -- every call of a function costs each piece of a body
        """Give the next message, its body inflated.

        Raises:
            InflationError: The body is malformed, or inflates to more than it may. So does every further call.
        """
        if self.taken:
            await self.wait()
        self.taken = True
        try:
            while (inflation := self._inflation) is not None:
                if self._broken is not None:
                    raise InflationError(self._broken)  # noqa: TRY301 -- as the first time
                if self._unfinished is None and inflation.hungry:
                    if self.ended:
                        return self._last(inflation, b"")
                    message = await self._receive()
                    if message["type"] != "http.request":
                        if message["type"] == _DISCONNECT:
                            self._inflation = None
                        return message
                    self._feed(inflation, message)
                    continue
                if self._unfinished is None and self._spent < self._allowance:
                    piece = inflation.step()
                    self._spent += inflation.work
                else:
                    piece = await self._step_elsewhere(inflation)
                if piece:
                    if self.ended and inflation.hungry:
                        return self._last(inflation, piece)
                    return {"type": "http.request", "body": piece, "more_body": True}
            return await self._receive()
        except InflationError as error:
            self._broken = error.reason
            raise
        finally:
            self.give_up()

    def _feed(self, inflation: Inflation, message: Message) -> None:
        self.ended = not message.get("more_body", False)
        body = message.get("body")
        if body:
            body = body if type(body) is bytes else bytes(body)
            if self._declared_size is not None:
                self._weigh(self._declared_size(body))
            inflation.feed(body)

    def _weigh(self, size: int | None) -> None:
        """Send every step to a thread unless the whole body is known to be small."""
        self._declared_size = None
        if size is None or size >= self._allowance:
            self._allowance = self._renewal = 0

    def _last(self, inflation: Inflation, piece: bytes) -> Message:
        inflation.finish()
        self._inflation = None
        return {"type": "http.request", "body": piece, "more_body": False}

    async def drain(self) -> None:
        """Take and drop what is left of a body that cannot be inflated."""
        if not self.ended:
            await drain(self._receive)

    async def _step_elsewhere(self, inflation: Inflation) -> bytes:
        if self._unfinished is None:
            self._unfinished = Step(inflation.step)
        piece = await self._pool.run(self._unfinished)
        self._unfinished = None
        self._spent = 0
        self._allowance = self._renewal
        return piece


class GuardedBody:
    """The receive and the send of an app, from which a request is taken away when its body cannot be inflated.

    Args:
        body: The body.
        refusals: The answers by reason.
        scope: The request's scope.
        send: The server's send.

    Attributes:
        taken: The request's taking away; None while it is the app's.
    """

    __slots__ = ("_body", "_last", "_refusals", "_scope", "_send", "_start", "taken")

    def __init__(self, body: EncodedBody, refusals: Mapping[str, Refusal], scope: Scope, send: Send) -> None:
        self._body = body
        self._refusals = refusals
        self._scope = scope
        self._send = send
        self._start: Message | None = None
        self._last: Message | None = None  # whether it ends the response is looked at only when that matters
        self.taken: Takeover | None = None

    async def receive(self) -> Message:
        """Give the next message, its body inflated; the client's leaving where it could not be."""
        if self.taken is None:
            try:
                return await self._body.read()
            except InflationError as error:
                if self.taken is None:  # two tasks of the app may have asked
                    await self._take(self._refusals[error.reason])
        return {"type": _DISCONNECT}

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message of the app, as long as the request is the app's."""
        if self.taken is not None and self.taken.muted:
            return drop(message)
        if message["type"] == "http.response.start":
            self._start = message
        else:
            self._last = message
        return self._send(message)

    async def _take(self, refusal: Refusal) -> None:
        scope = self._scope
        taken = self.taken = Takeover(refusal, scope, start=self._start, last=self._last, error=DecompressionError)
        if taken.answers:
            exchange = exchange_of(scope)
            request_id = None if exchange is None else exchange.request_id
            # The connection may live on: the codings of a body are not its framing.
            messages: list[Message] = [*refusal.messages(scope, request_id=request_id)]
            if not self._body.ended:
                messages[1:] = holding_back(messages[1])
            await taken.answer(messages, self._send, before_last=self._body.drain)
