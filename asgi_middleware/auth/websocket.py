"""How a WebSocket brings its token, and how it is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from asgi_middleware._core.config import Problems
from asgi_middleware._core.refusals import Refusal
from asgi_middleware._core.types import Receive, Send

_POLICY_VIOLATION: Final = 1008
_FIRST_PRIVATE: Final = 3000
_LAST_PRIVATE: Final = 4999
_MODES: Final = ("deny", "close", "accept_close")


@dataclass(frozen=True, kw_only=True)
class WebSocketAuth:
    """How a WebSocket brings its token, and how it is refused. The Authorization header is always read.

    A page in a browser sees neither the status of a denied handshake nor the code of a close before the accept: its
    ``CloseEvent`` says 1006 for both. Where the page must know why, use ``reject="accept_close"``::

        from asgi_middleware.auth import WebSocketAuth

        websocket = WebSocketAuth(query_parameter="token", reject="accept_close")

    Args:
        subprotocol: Also read the token among the subprotocols, as the pair ``bearer, <token>`` or in the Kubernetes
            form. It is never sent back, and the app does not see it. On by default: it is the safe way for browsers.
        query_parameter: Also read the token from this query parameter; None (the default) for not at all, because URLs
            end up in logs (RFC 9700 4.3.2). The app gets the query string without it.
        reject: ``"deny"`` (the default) answers the handshake with 400, 401 or 403 where the server can, else closes
            it; ``"close"`` always closes before the accept, which servers turn into a bare 403; ``"accept_close"``
            accepts and closes at once with code and reason, which is the one way that a browser's page can read. The
            app never runs.
        close_code: The close code in place of 400 and 401: 3000 to 4999, or 1008. 4401 is 401 in the private range.
        forbidden_code: The close code in place of 403, in the same range.

    Raises:
        ConfigurationError: Options are wrong; all of them are listed.
    """

    subprotocol: bool = True
    query_parameter: str | None = None
    reject: Literal["deny", "close", "accept_close"] = "deny"
    close_code: int = 4401
    forbidden_code: int = 4403

    def __post_init__(self) -> None:
        """Check the fields."""
        problems = Problems("WebSocketAuth")
        problems.boolean("subprotocol", self.subprotocol)
        name = self.query_parameter
        if name is not None and not (isinstance(name, str) and name):
            problems.add(
                "query_parameter", name, "is not a name", fix='write a name such as "token", or None', code="not_a_name"
            )
        problems.one_of("reject", self.reject, _MODES)
        for option, code in (("close_code", self.close_code), ("forbidden_code", self.forbidden_code)):
            if code != _POLICY_VIOLATION:
                problems.integer(option, code, minimum=_FIRST_PRIVATE, maximum=_LAST_PRIVATE)
        problems.raise_if_any()


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
    await send({"type": "websocket.close", "code": refusal.close_code, "reason": refusal.close_reason})
