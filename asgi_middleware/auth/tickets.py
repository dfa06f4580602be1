"""One-time tickets: what a page puts into the URL of a WebSocket instead of its token.

A page that has a token asks for a ticket over HTTP and opens the WebSocket with it. The ticket says nothing, is good
once and for seconds, and so may stand in a log. The token itself never leaves the Authorization header.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Final, Protocol

from asgi_middleware._core.config import Problems
from asgi_middleware.auth.claims import VerifiedToken

_TICKET_BYTES: Final = 24  # 192 bits, which is 32 characters
LONGEST_TICKET: Final = 512


class Tickets(Protocol):
    """Where tickets are kept. Write one of your own where several processes serve one site, over what they share."""

    async def issue(self, token: VerifiedToken) -> str:
        """Give a new ticket for a verified token: letters, digits, hyphens and underscores, not to be guessed."""

    async def redeem(self, ticket: str) -> VerifiedToken | None:
        """Give the token of a ticket, and forget the ticket in the same step; None for one that is not good."""


class TicketsExhaustedError(Exception):
    """A :class:`TicketStore` is full: more tickets are waiting to be redeemed than it was made for."""


class TicketStore:
    """Keeps tickets in the memory of this process: bounded, each for one use.

    A ticket is good in the process that issued it. Behind several workers, keep the connection on one of them or write
    a store of your own with the same two methods (:class:`Tickets`)::

        from asgi_middleware.auth import JWTAuthMiddleware, TicketStore, WebSocketAuth

        tickets = TicketStore()


        async def app(scope, receive, send): ...


        app = JWTAuthMiddleware(
            app,
            key="k" * 32,
            algorithms=["HS256"],
            audience="https://api.example",
            websocket=WebSocketAuth(tickets=tickets),
        )


        async def new_ticket(request):  # POST /ticket, with the token in the Authorization header
            return JSONResponse({"ticket": await tickets.issue(request.auth.token)})

    Args:
        lifetime: Seconds that a ticket is good for, 1 to 300. 30 is enough to open a connection.
        max_tickets: Tickets kept at a time, at least 1; then :meth:`issue` raises.
        max_per_subject: Tickets of one subject kept at a time; then its oldest goes. Keeps one user from using up the
            tickets of all.
        clock: Gives seconds that only grow; for tests.

    Raises:
        ConfigurationError: Options are wrong; all of them are listed.
    """

    __slots__ = ("_by_subject", "_clock", "_kept", "_lifetime", "_max_per_subject", "_max_tickets")

    def __init__(
        self,
        *,
        lifetime: float = 30,
        max_tickets: int = 10_000,
        max_per_subject: int = 16,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        problems = Problems("TicketStore")
        problems.number("lifetime", lifetime, minimum=1, maximum=300)
        problems.integer("max_tickets", max_tickets, minimum=1)
        problems.integer("max_per_subject", max_per_subject, minimum=1)
        problems.callable("clock", clock)
        problems.raise_if_any()
        self._lifetime = lifetime
        self._max_tickets = max_tickets
        self._max_per_subject = max_per_subject
        self._clock = clock
        # In the order of issue, which is that of expiry, too.
        self._kept: dict[str, tuple[float, VerifiedToken]] = {}
        self._by_subject: dict[tuple[str | None, str | None], dict[str, None]] = {}

    def __len__(self) -> int:
        """Count the tickets that are waiting."""
        return len(self._kept)

    def __repr__(self) -> str:
        """Show how many there are, never one of them."""
        return f"<TicketStore of {len(self._kept)} tickets>"

    async def issue(self, token: VerifiedToken) -> str:
        """Give a new ticket for a verified token.

        Args:
            token: What the WebSocket is to have: ``request.auth.token``.

        Raises:
            TicketsExhaustedError: `max_tickets` are waiting.
        """
        now = self._clock()
        self._drop_old(now)
        own = self._by_subject.get((token.issuer, token.subject))
        if own is not None and len(own) >= self._max_per_subject:
            self._take(next(iter(own)))
        if len(self._kept) >= self._max_tickets:
            message = "too many tickets are waiting to be redeemed"
            raise TicketsExhaustedError(message)
        ticket = secrets.token_urlsafe(_TICKET_BYTES)
        self._kept[ticket] = (now + self._lifetime, token)
        self._by_subject.setdefault((token.issuer, token.subject), {})[ticket] = None
        return ticket

    async def redeem(self, ticket: str) -> VerifiedToken | None:
        """Give the token of a ticket and forget the ticket; None for one that is unknown, used or too old."""
        taken = self._take(ticket)
        return None if taken is None or taken[0] <= self._clock() else taken[1]

    def _take(self, ticket: str) -> tuple[float, VerifiedToken] | None:
        taken = self._kept.pop(ticket, None)
        if taken is not None:
            subject = (taken[1].issuer, taken[1].subject)
            own = self._by_subject[subject]
            del own[ticket]
            if not own:
                del self._by_subject[subject]
        return taken

    def _drop_old(self, now: float) -> None:
        while self._kept:
            ticket, (deadline, _) = next(iter(self._kept.items()))
            if deadline > now:
                return
            self._take(ticket)
