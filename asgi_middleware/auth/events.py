"""What a hook is told: who was let in, who was not, and why."""

from __future__ import annotations

from typing import Literal, TypeAlias

from asgi_middleware._core.types import Scope

Kind: TypeAlias = Literal["admitted", "anonymous", "refused", "renewed", "closed"]


class AuthEvent:
    """One decision of ``JWTAuthMiddleware``, for ``on_event``: audit logs, counters, alarms.

    Attributes:
        kind: "admitted" with a token, "anonymous" without one, "refused", "renewed" (a WebSocket got a new token) or
            "closed" (a WebSocket was ended because its token was).
        reason: The stable reason word of a refusal or a close; else None.
        status: The HTTP status of a refusal, the close code of a close; else None.
        subject: The ``sub`` of the token, where one was verified.
        scope: The connection's scope, without a token or ticket of the URL or the subprotocols. It holds whatever else
            the client sent, the Authorization header and cookies too: do not log it as a whole.
    """

    __slots__ = ("kind", "reason", "scope", "status", "subject")

    def __init__(
        self,
        kind: Kind,
        scope: Scope,
        *,
        reason: str | None = None,
        status: int | None = None,
        subject: str | None = None,
    ) -> None:
        """Note what happened."""
        self.kind = kind
        self.scope = scope
        self.reason = reason
        self.status = status
        self.subject = subject

    def __repr__(self) -> str:
        """Show kind, reason and status: nothing that a client sent."""
        return f"AuthEvent({self.kind!r}, reason={self.reason!r}, status={self.status!r})"
