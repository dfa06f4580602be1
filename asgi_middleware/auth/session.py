"""A WebSocket that lives as long as its token: closed at expiry, renewed in-band, looked at again for revocation.

Facts this module rests on:

- Nothing of ASGI ends a connection from the outside. What waits must be woken, and it waits in the server's
  ``receive``. The close is sent beside that wait: servers answer it with the disconnect that the app waits for. Some
  hold the close back for as long as a ``receive`` is pending; so the wait is broken a second later, not before.
- An app that never receives, because it only sends, is closed at the same moment: the close does not need it.
- After the close the app's ``send`` raises ``OSError``, as ASGI 2.4 has it for a client that is gone, and its
  ``receive`` gives the disconnect. A message that the client sent after the expiry is not delivered.
- Clocks may be set while a connection lives, and a suspended machine does not count seconds. So what is left is
  measured again every few minutes.
- An idle connection costs this record: no task, and no timer of the event loop of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Protocol

from asgi_middleware._core.deadlines import Alarm
from asgi_middleware._core.exchange import Exchange
from asgi_middleware._core.refusals import Refusal
from asgi_middleware._core.types import Message, Receive, Scope, Send
from asgi_middleware.auth.challenge import Answers
from asgi_middleware.auth.claims import VerifiedToken
from asgi_middleware.auth.errors import Reason, TokenError, Unavailable
from asgi_middleware.auth.events import Kind
from asgi_middleware.auth.jobs import Job, start
from asgi_middleware.auth.policy import Demand
from asgi_middleware.auth.subprotocols import choose
from asgi_middleware.auth.verifier import TokenVerifier
from asgi_middleware.auth.websocket import close_message

_LONGEST_SLEEP: Final = 300.0
# Seconds after the close at which a pending receive is broken, and for which an app that has returned waits for the
# close to be sent.
_GRACE: Final = 1.0
_SETTLE: Final = 3.0
_FORGIVEN: Final = 1


class Tell(Protocol):
    """Tells the hook of a middleware what happened."""

    def __call__(
        self, kind: Kind, scope: Scope, *, token: VerifiedToken | None = None, refusal: Refusal | None = None
    ) -> None:
        """Tell it."""


class SessionEndedError(ConnectionAbortedError):
    """The WebSocket was closed because its token is no longer good; the app's ``send`` raises this."""


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What all sessions of one middleware share.

    Attributes:
        verifier: Verifies a newer token and knows of revocations.
        answers: The closes.
        close_on_expiry: Whether to close at expiry.
        recheck_interval: Seconds between two looks at revocations, or None.
        tell: Is told of renewals and closes.
        report: Is told of errors of our own.
    """

    verifier: TokenVerifier
    answers: Answers
    close_on_expiry: bool
    recheck_interval: float | None
    tell: Tell
    report: Callable[[Exception], None]

    @property
    def is_needed(self) -> bool:
        """Whether a connection has to be followed at all."""
        return self.close_on_expiry or self.recheck_interval is not None


class Session(Alarm):
    """One WebSocket with a verified token.

    Attributes:
        token: The token that it lives by.
        over: Why it was closed, or None.
    """

    __slots__ = (
        "_demand",
        "_ended",
        "_exchange",
        "_failures",
        "_job",
        "_marker",
        "_receive",
        "_recheck_at",
        "_renewals",
        "_renewed",
        "_scope",
        "_send",
        "_upkeep",
        "over",
        "token",
    )

    def __init__(
        self,
        upkeep: Upkeep,
        *,
        scope: Scope,
        exchange: Exchange,
        token: VerifiedToken,
        demand: Demand,
        ends: tuple[Receive, Send],
        marker: str | None,
    ) -> None:
        """Take the connection over.

        Args:
            upkeep: What all sessions share.
            scope: The scope for the hook: without the token in the URL or the subprotocols, and without a subject.
            exchange: The connection's record.
            token: The verified token.
            demand: What a token must grant here.
            ends: The server's receive and send.
            marker: The subprotocol to accept with where the app picks none.
        """
        super().__init__()
        self._upkeep = upkeep
        self._scope = scope
        self._exchange = exchange
        self.token = token
        self._demand = demand
        self._receive, self._send = ends
        self._marker = marker
        self._ended = False
        self._failures = 0
        self._job: Job | None = None
        self._recheck_at = 0.0
        self._renewals = self._renewed = 0  # how many were asked for, and the number of the one that counts
        self.over: Refusal | None = None

    def begin(self) -> None:
        """Start to watch the token; to be called when the app starts."""
        interval = self._upkeep.recheck_interval
        if interval is not None:
            self._recheck_at = monotonic() + interval
        if self._upkeep.is_needed:
            self._arm()

    async def finish(self) -> None:
        """Stop to watch; to be called when the app has ended, in whatever way."""
        self._ended = True
        self.stop()
        job = self._job
        if job is not None:
            self._job = None
            await job.settle(_SETTLE if self.over is not None else 0)

    async def receive(self) -> Message:
        """Give the client's next message, or the disconnect when the token is no longer good."""
        if self.over is None:
            message = await self.wait(self._receive)
            if self.over is None:
                if message["type"] == "websocket.disconnect":  # type: ignore[index]  # None only after the end
                    self._ended = True
                return message
        over: Any = self.over
        return {"type": "websocket.disconnect", "code": over.close_code, "reason": over.close_reason}

    def send(self, message: Message) -> Awaitable[None]:
        """Pass the app's message on.

        Raises:
            SessionEndedError: The token is no longer good.
        """
        if self.over is not None:
            raise SessionEndedError(self.over.close_reason)
        kind = message["type"]
        if kind != "websocket.send":
            if kind in {"websocket.close", "websocket.http.response.start"}:
                self._ended = True
            elif self._marker is not None:
                message = choose(message, self._marker)
        return self._send(message)

    async def renew(self, text: bytes | str) -> VerifiedToken:
        """Verify a newer token and live by it; see ``JWTAuth.renew``. Of two at once the one asked for later counts."""
        self._check_open()
        self._renewals += 1
        number = self._renewals
        verifier = self._upkeep.verifier
        token = verifier.verify_now(text)
        if token is None:
            token = await verifier.verify_async(text)
            self._check_open()
        old = self.token
        if token.subject is None or (token.issuer, token.subject) != (old.issuer, old.subject):
            raise TokenError(Reason.SUBJECT)
        if self._demand.asks and self._demand.lacking(token) is not None:
            raise TokenError(Reason.SCOPE)
        if number < self._renewed:  # its verification took longer
            return self.token
        self._renewed = number
        self.token = token
        if self._upkeep.is_needed:
            self._arm()
        self._upkeep.tell("renewed", self._scope, token=token)
        return token

    def fire(self) -> None:
        """Look at the clock: end the connection, look at revocations, or sleep on."""
        if self.over is not None:
            self.ring()
        elif not self._ended:
            try:
                self._look()
            # Not being able to tell must not let a connection live for ever.
            except Exception as error:  # noqa: BLE001
                self._upkeep.report(error)
                self._end(self._upkeep.answers.unavailable)

    def _look(self) -> None:
        upkeep = self._upkeep
        if upkeep.close_on_expiry and upkeep.verifier.valid_until(self.token) <= upkeep.verifier.clock():
            self._end(upkeep.answers.for_token(Reason.EXPIRED))
            return
        interval = upkeep.recheck_interval
        if interval is not None and self._recheck_at <= monotonic():
            self._recheck_at = monotonic() + interval
            if self._job is None:
                self._job = start(self._recheck)
        self._arm()

    def _arm(self) -> None:
        upkeep = self._upkeep
        seconds = _LONGEST_SLEEP
        if upkeep.close_on_expiry:
            seconds = min(seconds, upkeep.verifier.valid_until(self.token) - upkeep.verifier.clock())
        if upkeep.recheck_interval is not None:
            seconds = min(seconds, self._recheck_at - monotonic())
        self.start(max(seconds, 0.0))

    def _end(self, refusal: Refusal) -> None:
        self.over = refusal
        self._exchange.refusal = refusal
        self.start(_GRACE)
        if self._job is not None:  # a look at revocations, which has nothing to say any more
            self._job.cancel()
        self._job = start(self._close)
        self._upkeep.tell("closed", self._scope, token=self.token, refusal=refusal)

    async def _close(self) -> None:
        refusal: Any = self.over
        with suppress(Exception):  # the client may be gone, and each server says so in its own way
            await self._send(close_message(refusal))

    async def _recheck(self) -> None:
        token = self.token
        failure: Refusal | None = None
        is_revoked = False
        answers = self._upkeep.answers
        try:
            await self._upkeep.verifier.recheck(token)
        except TokenError as error:
            failure, is_revoked = answers.for_error(error), True
        except Unavailable as error:
            failure = answers.for_error(error)
        except Exception as error:  # noqa: BLE001 -- as in fire
            self._upkeep.report(error)
            failure = answers.unavailable
        if self.over is not None:  # a store may answer in spite of the cancellation
            return
        self._job = None
        if self._ended or token is not self.token:
            return
        self._failures = 0 if failure is None else self._failures + 1
        if failure is not None and (is_revoked or self._failures > _FORGIVEN):
            self._end(failure)

    def _check_open(self) -> None:
        if self.over is not None or self._ended:
            message = "the WebSocket has ended"
            raise SessionEndedError(message)
