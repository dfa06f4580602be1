"""How a WebSocket brings its token, how it is refused, and how long it lives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from asgi_middleware._core.config import Problems
from asgi_middleware._core.refusals import Refusal
from asgi_middleware._core.types import Receive, Send
from asgi_middleware.auth.tickets import Tickets

_POLICY_VIOLATION: Final = 1008
_FIRST_PRIVATE: Final = 3000
_LAST_PRIVATE: Final = 4999
_MODES: Final = ("deny", "close", "accept_close")


@dataclass(frozen=True, kw_only=True)
class WebSocketAuth:
    """How a WebSocket brings its token, how it is refused, and when it ends. The Authorization header is always read.

    A page in a browser sees neither the status of a denied handshake nor the code of a close before the accept: its
    ``CloseEvent`` says 1006 for both. Where the page must know why, use ``reject="accept_close"``::

        from asgi_middleware.auth import WebSocketAuth

        websocket = WebSocketAuth(reject="accept_close", recheck_interval=60)

    Args:
        subprotocol: Also read the token among the subprotocols, as the pair ``bearer, <token>`` or in the Kubernetes
            form. It is never sent back, and the app does not see it. On by default: it is the safe way for browsers.
        query_parameter: Also read the token from this query parameter; None (the default) for not at all, because URLs
            end up in logs (RFC 9700 4.3.2). The app gets the query string without it.
        tickets: Also take a one-time ticket from the query parameter `ticket_parameter`; a :class:`TicketStore`, or
            None.
        ticket_parameter: The name of that parameter.
        first_message: Where nothing else brings a token, accept the connection and take the token from its first text
            message, raw or as ``{"token": "..."}``. The app starts only when it is good. What the app says in its own
            accept (subprotocol, headers) cannot be honoured any more.
        first_message_timeout: Seconds to wait for it, 1 to 60.
        max_unauthenticated: Connections that may wait for it at a time; more are refused with 503.
        reject: ``"deny"`` (the default) answers the handshake with 400, 401 or 403 where the server can, else closes
            it; ``"close"`` always closes before the accept, which servers turn into a bare 403; ``"accept_close"``
            accepts and closes at once with code and reason, which is the one way that a browser's page can read. The
            app never runs.
        close_code: The close code in place of 400 and 401, and at expiry: 3000 to 4999, or 1008. 4401 is 401 in the
            private range.
        forbidden_code: The close code in place of 403, in the same range.
        timeout_code: The close code for a first message that does not come, in the same range.
        close_on_expiry: Close a connection when its token expires, unless ``scope["auth"].renew()`` brought a newer
            one. Without it a connection lives for as long as it likes.
        recheck_interval: Seconds between two looks at the revocation store for a connection that lives on, at least 1;
            None (the default) for none. One failing look is forgiven, two in a row end the connection.

    Raises:
        ConfigurationError: Options are wrong; all of them are listed.
    """

    subprotocol: bool = True
    query_parameter: str | None = None
    tickets: Tickets | None = None
    ticket_parameter: str = "ticket"
    first_message: bool = False
    first_message_timeout: float = 10
    max_unauthenticated: int = 1000
    reject: Literal["deny", "close", "accept_close"] = "deny"
    close_code: int = 4401
    forbidden_code: int = 4403
    timeout_code: int = 4408
    close_on_expiry: bool = True
    recheck_interval: float | None = None

    def __post_init__(self) -> None:
        """Check the fields."""
        problems = Problems("WebSocketAuth")
        for option in ("subprotocol", "first_message", "close_on_expiry"):
            problems.boolean(option, getattr(self, option))
        check_parameter("query_parameter", self.query_parameter, problems)
        check_parameter("ticket_parameter", self.ticket_parameter or b"", problems)
        if self.tickets is not None and not callable(getattr(self.tickets, "redeem", None)):
            fix = "pass TicketStore(), or an object with the same methods"
            problems.add("tickets", self.tickets, "cannot redeem tickets", fix=fix, code="not_tickets")
        if self.tickets is not None and self.ticket_parameter == self.query_parameter:
            problems.add(
                "ticket_parameter",
                self.ticket_parameter,
                "is also the name of query_parameter",
                fix="give the two different names",
                code="parameter_twice",
            )
        problems.number("first_message_timeout", self.first_message_timeout, minimum=1, maximum=60)
        problems.integer("max_unauthenticated", self.max_unauthenticated, minimum=1)
        problems.one_of("reject", self.reject, _MODES)
        for option in ("close_code", "forbidden_code", "timeout_code"):
            code = getattr(self, option)
            if code != _POLICY_VIOLATION:
                problems.integer(option, code, minimum=_FIRST_PRIVATE, maximum=_LAST_PRIVATE)
        problems.number("recheck_interval", self.recheck_interval, minimum=1, optional=True)
        problems.raise_if_any()


def check_parameter(option: str, name: object, problems: Problems) -> None:
    """Check the name of a query parameter, or None."""
    if name is not None and not (isinstance(name, str) and name):
        problems.add(option, name, "is not a name", fix='write a name such as "token", or None', code="not_a_name")


async def close(refusal: Refusal, receive: Receive, send: Send, *, accept: bool, subprotocol: str | None) -> None:
    """Refuse a WebSocket by a close frame instead of a denial response.

    Args:
        refusal: Gives code and reason.
        receive: The server's receive; ``websocket.connect`` is taken from it first.
        send: The server's send.
        accept: Accept the handshake before the close, so that a browser's page sees code and reason.
        subprotocol: What to accept with; a browser that offered subprotocols wants one picked.
    """
    connect = await receive()
    if connect["type"] != "websocket.connect":
        return  # the client is gone already
    if accept:
        await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": []})
    await send(close_message(refusal))


def close_message(refusal: Refusal) -> dict[str, object]:
    """Give the close frame's message."""
    return {"type": "websocket.close", "code": refusal.close_code, "reason": refusal.close_reason}
