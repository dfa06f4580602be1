"""One WebSocket from its handshake to its end: let in, asked for its token, refused, and followed while it lives."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import cast

from asgi_middleware._core.exchange import enter, exchange_of
from asgi_middleware._core.refusals import Refusal
from asgi_middleware._core.types import ASGIApp, Message, Receive, Scope, Send
from asgi_middleware.auth.claims import VerifiedToken
from asgi_middleware.auth.errors import Reason, TokenError
from asgi_middleware.auth.extraction import NoToken
from asgi_middleware.auth.first_message import Waiting, ask, begin_again
from asgi_middleware.auth.guard import Guard, Verdict, report
from asgi_middleware.auth.policy import NOTHING, Demand, Need
from asgi_middleware.auth.session import Session, SessionEndedError, Upkeep
from asgi_middleware.auth.sources import Carried
from asgi_middleware.auth.subject import auth_with
from asgi_middleware.auth.subprotocols import choose
from asgi_middleware.auth.websocket import WebSocketAuth, close, close_message


class SocketGuard:
    """What one middleware does with WebSockets."""

    __slots__ = ("_guard", "_options", "_roles_claim", "_upkeep", "_waiting")

    def __init__(self, guard: Guard, options: WebSocketAuth, roles_claim: tuple[str, ...] | None) -> None:
        """Take the guard that decides, and the options.

        Args:
            guard: Decides about tokens.
            options: The options for WebSockets.
            roles_claim: Where a token's roles are.
        """
        self._guard = guard
        self._options = options
        self._roles_claim = roles_claim
        self._waiting = Waiting()
        self._upkeep = Upkeep(
            guard.verifier,
            guard.answers,
            options.close_on_expiry,
            options.recheck_interval if guard.verifier.rechecks else None,
            guard.tell,
            report,
        )

    async def __call__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard one WebSocket."""
        carried = Carried(scope)
        demand = NOTHING
        wants_message = False
        try:
            carried = self._guard.sources.read(scope)
            demand = self._guard.demand(scope, ())
            wants_message = (
                self._options.first_message and demand.need is Need.TOKEN and carried.found is NoToken.MISSING
            )
            inner, refusal, _ = (carried.scope, None, False) if wants_message else await self._judge(carried, demand)
        # Not being able to decide must not open the door, nor look like a fault of the app.
        except Exception as error:  # noqa: BLE001
            wants_message = False
            inner, refusal = carried.scope, self._guard.for_failure(error)
        if refusal is not None:
            carried.scope = inner
            await self._refuse(cast("Refusal", refusal), carried, receive, send)
            return
        marker = carried.marker
        if wants_message:
            inner = await self._ask(carried, demand, receive, send)
            if inner is None:
                return
            receive, send = begin_again(inner, receive, send)
            marker = None
        try:
            session = self._follow(carried.scope, inner, demand, ends=(receive, send), marker=marker)
        except Exception as error:  # noqa: BLE001 -- as above
            await self._refuse(self._guard.for_failure(error), carried, receive, send)
            return
        if session is not None and self._upkeep.is_needed:
            receive, send = session.receive, session.send
        elif marker is not None:
            send = _choosing(send, marker)
        del carried  # the token's text is not kept for as long as the connection lives
        try:
            await app(inner, receive, send)
        except (SessionEndedError, ExceptionGroup) as error:
            if session is None or session.over is None or not _is_end(error):
                raise
        finally:
            if session is not None:
                await session.finish()

    async def _judge(self, carried: Carried, demand: Demand) -> Verdict:
        guard = self._guard
        found = carried.found
        if demand is NOTHING:
            return guard.anonymous(carried.scope)
        try:
            if found is NoToken.TICKET:
                redeemed = await self._redeem(carried)
                if redeemed is not None:
                    return guard.admitted(carried.scope, demand, redeemed)
            if isinstance(found, NoToken):
                return guard.refused(carried.scope, demand, found)
            if not carried.trusted:
                return guard.invalid(carried.scope, demand, guard.answers.origin)
            token = guard.verifier.verify_now(found)
            if token is None:
                token = await guard.verifier.verify_async(found)
        except TokenError as error:
            return guard.invalid(carried.scope, demand, guard.answers.for_error(error))
        return guard.admitted(carried.scope, demand, token)

    async def _redeem(self, carried: Carried) -> VerifiedToken | None:
        tickets, ticket = self._options.tickets, carried.ticket
        if tickets is None or ticket is None:
            return None
        token = await tickets.redeem(ticket)
        if token is None:
            return None
        verifier = self._guard.verifier
        if verifier.valid_until(token) <= verifier.clock():
            raise TokenError(Reason.EXPIRED)
        if verifier.rechecks:
            await verifier.recheck(token)
        return token

    async def _ask(self, carried: Carried, demand: Demand, receive: Receive, send: Send) -> Scope | None:
        """Accept a connection and judge its first message; give the app's scope, or None when that is the end."""
        guard = self._guard
        if self._waiting.count >= self._options.max_unauthenticated:
            await self._refuse(guard.answers.crowded, carried, receive, send)
            return None
        self._waiting.count += 1
        try:
            found = await ask(
                receive,
                send,
                subprotocol=carried.closing,
                seconds=self._options.first_message_timeout,
                max_size=guard.verifier.max_token_size,
            )
            if found is None:
                return None
            carried.found = found
            inner, refusal, _ = await self._judge(carried, demand)
        except TimeoutError:
            inner, refusal = carried.scope, guard.answers.timeout
        except OSError:  # the client is gone
            return None
        except Exception as error:  # noqa: BLE001 -- as above
            inner, refusal = carried.scope, guard.for_failure(error)
        finally:
            self._waiting.count -= 1
        if refusal is None:
            return inner
        said = cast("Refusal", refusal)
        guard.tell("refused", inner, refusal=said)
        _note(inner, said)
        await send(close_message(said))
        return None

    def _follow(
        self, scope: Scope, inner: Scope, demand: Demand, *, ends: tuple[Receive, Send], marker: str | None
    ) -> Session | None:
        """Begin to follow a connection that came with a token; None for one without."""
        token = inner["auth"].token
        if token is None:
            return None
        session = Session(
            self._upkeep, scope=scope, exchange=enter(inner)[1], token=token, demand=demand, ends=ends, marker=marker
        )
        inner["auth"] = auth_with(self._roles_claim, session)(token)
        session.begin()
        return session

    async def _refuse(self, refusal: Refusal, carried: Carried, receive: Receive, send: Send) -> None:
        self._guard.tell("refused", carried.scope, refusal=refusal)
        mode = self._options.reject
        if mode == "deny":
            await refusal.send(carried.scope, receive, send)
            return
        _note(carried.scope, refusal)
        await close(refusal, receive, send, accept=mode == "accept_close", subprotocol=carried.closing)


def _note(scope: Scope, refusal: Refusal) -> None:
    exchange = exchange_of(scope)
    if exchange is not None:
        exchange.refusal = refusal


def _is_end(error: Exception) -> bool:
    """Tell whether nothing but the end of the connection was raised; task groups wrap what their tasks raise."""
    return not isinstance(error, ExceptionGroup) or error.split(SessionEndedError)[1] is None


def _choosing(send: Send, marker: str) -> Send:
    def send_wrapper(message: Message) -> Awaitable[None]:
        return send(choose(message, marker))

    return send_wrapper
