"""What a connection brought: its token from whichever place it may be in, and a scope for the app that hides it.

Facts this module rests on:

- What a client chose to send (header, subprotocol, query, ticket) comes before what its browser adds by itself (the
  cookie). Two of the first kind at once are a conflict (RFC 6750 2). A bad one of the first kind is not made good by a
  cookie.
- A token or ticket that was taken out of the URL or the subprotocols must not reach the app, which could log it, or
  pick it as the subprotocol and send it back.
- Responses to a request with the token in its URL must not be stored by shared caches (RFC 6750 2.3).
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from asgi_middleware._core.exchange import listed_headers
from asgi_middleware._core.headers import find_all, header_list, replace
from asgi_middleware._core.types import Message, Scope, Send
from asgi_middleware.auth.cookies import CookieSource, as_token
from asgi_middleware.auth.extraction import (
    ABSENT,
    Found,
    NoToken,
    find_credentials,
    from_query,
    only,
    read_credentials,
    take_parameter,
)
from asgi_middleware.auth.subprotocols import for_closing, hide, read_offer
from asgi_middleware.auth.tickets import LONGEST_TICKET
from asgi_middleware.auth.websocket import WebSocketAuth


class Carried:
    """What one connection brought.

    Attributes:
        scope: A copy of the scope for the app, without the token in the query string or among the subprotocols.
        found: The token, or why there is none.
        ticket: The one-time ticket in the token's place, or None.
        trusted: False where a page that is not ours uses the cookie.
        private: Whether the token was in the URL of a request.
        marker: The subprotocol to accept with where the app picks none.
        closing: The subprotocol to accept with when the connection is accepted only to be closed.
    """

    __slots__ = ("closing", "found", "marker", "private", "scope", "ticket", "trusted")

    def __init__(self, scope: Scope) -> None:
        """Begin with a connection that brought nothing."""
        self.scope = scope
        self.found: Found = NoToken.MISSING
        self.ticket: str | None = None
        self.trusted = True
        self.private = False
        self.marker: str | None = None
        self.closing: str | None = None


class Sources:
    """The places that may hold a token; immutable."""

    __slots__ = ("_cookie", "_http_parameter", "_max_size", "_subprotocol", "_ticket_parameter", "_ws_parameter")

    def __init__(
        self, *, max_size: int, cookie: CookieSource | None, query_parameter: str | None, websocket: WebSocketAuth
    ) -> None:
        """Take the options, each checked before.

        Args:
            max_size: Bytes above which a token is not even looked at.
            cookie: The cookie that may hold it, for requests and WebSockets.
            query_parameter: The query parameter that may hold it, for requests.
            websocket: The further places of a WebSocket.
        """
        self._max_size = max_size
        self._cookie = cookie
        self._http_parameter = (query_parameter or "").encode()
        self._ws_parameter = (websocket.query_parameter or "").encode()
        self._ticket_parameter = b"" if websocket.tickets is None else websocket.ticket_parameter.encode()
        self._subprotocol = websocket.subprotocol

    @property
    def header_only(self) -> bool:
        """Whether a request can bring its token in the Authorization header alone."""
        return self._cookie is None and not self._http_parameter

    def read(self, scope: Scope) -> Carried:
        """Take the token out of a connection."""
        scope, headers = listed_headers(scope)
        carried = Carried(dict(scope))
        credentials = find_credentials(headers)
        found = credentials if isinstance(credentials, NoToken) else read_credentials(credentials, self._max_size)
        if scope["type"] == "websocket":
            found = only(found, self._from_offer(scope, carried))
            found = only(found, self._from_query(scope, carried, self._ws_parameter))
            if self._ticket_parameter:
                found = only(found, self._from_ticket(carried))
        elif self._http_parameter:
            in_url = self._from_query(scope, carried, self._http_parameter)
            carried.private = in_url is not NoToken.MISSING
            found = only(found, in_url)
        if self._cookie is not None and found in ABSENT and carried.ticket is None:
            value, relevant = self._cookie.read(headers)
            if value is not NoToken.MISSING:
                found = value if isinstance(value, NoToken) else as_token(value, self._max_size)
                carried.trusted = self._cookie.trusts(scope, relevant)
        carried.found = found
        return carried

    def _from_offer(self, scope: Scope, carried: Carried) -> Found:
        offer = read_offer(scope, self._max_size)
        carried.closing = for_closing(offer)
        if not (self._subprotocol and offer.carried):
            return NoToken.MISSING
        hide(carried.scope, offer)
        carried.marker = offer.marker
        return offer.found

    def _from_query(self, scope: Scope, carried: Carried, parameter: bytes) -> Found:
        query = scope.get("query_string")
        if not parameter or not query:
            return NoToken.MISSING
        found, rest = from_query(query, parameter, self._max_size)
        _hide_query(carried.scope, rest)
        return found

    def _from_ticket(self, carried: Carried) -> Found:
        values, rest = take_parameter(carried.scope.get("query_string") or b"", self._ticket_parameter)
        if not values:
            return NoToken.MISSING
        _hide_query(carried.scope, rest)
        if len(values) > 1:
            return NoToken.REPEATED
        if not values[0] or len(values[0]) > LONGEST_TICKET or not values[0].isascii():
            return NoToken.MALFORMED
        carried.ticket = values[0].decode("ascii")
        return NoToken.TICKET


def keep_private(send: Send) -> Send:
    """Let shared caches store no response (RFC 6750 2.3, RFC 9111 5.2.2.7)."""

    def send_wrapper(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message = {**message, "headers": _made_private(message.get("headers") or ())}
        return send(message)

    return send_wrapper


def _made_private(headers: Any) -> list[tuple[bytes, bytes]]:
    listed = header_list(headers)
    members = [member.strip() for line in find_all(listed, b"cache-control") for member in line.split(b",")]
    names = {member.partition(b"=")[0].strip().lower() for member in members}
    # `private="set-cookie"` speaks of one header only.
    if b"no-store" in names or any(member.lower() == b"private" for member in members):
        return listed
    kept = [member for member in members if member and member.lower() != b"public"]
    return replace(listed, b"cache-control", b", ".join([*kept, b"private"]))


def _hide_query(scope: dict[str, Any], rest: bytes) -> None:
    scope["query_string"] = rest
    raw_path = scope.get("raw_path")
    if raw_path and b"?" in raw_path:  # some callers leave the query there
        path = raw_path.partition(b"?")[0]
        scope["raw_path"] = path + b"?" + rest if rest else path
