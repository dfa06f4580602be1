"""A token among the WebSocket subprotocols: the only header that a browser's ``WebSocket`` lets a page choose.

Two forms are in use:

- the pair ``bearer, <token>``: ``new WebSocket(url, ["bearer", token])``;
- one value ``base64url.bearer.authorization.k8s.io.<base64url of the token>``, as the Kubernetes API server takes it.

Facts this module rests on:

- A server picks one of the offered subprotocols, or none (RFC 6455 4.2.2). What it picks is sent back in clear: that
  must never be the token.
- A browser that offered subprotocols fails the connection when the server picks none. So the marker of the pair is
  picked in the app's place where the app picks none; the app's own choice stays.
- The app must not see the token there either: an app that picks the first one offered would send it back.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from asgi_middleware._core.headers import find, find_all, header_list, is_token, replace, without
from asgi_middleware._core.types import Message, Scope
from asgi_middleware.auth.base64url import decode
from asgi_middleware.auth.extraction import Found, NoToken, as_b64token

MARKER: Final = "bearer"
KUBERNETES_PREFIX: Final = "base64url.bearer.authorization.k8s.io."
_HEADER: Final = b"sec-websocket-protocol"
_JSON: Final = "eyJ"  # how base64url begins of what begins as a JSON object


class Offer(NamedTuple):
    """What a client offered, taken apart.

    Attributes:
        found: The token, or why there is none.
        kept: The subprotocols that are for the app.
        marker: The marker as the client spelled it, when a token came as a pair.
        carried: Whether anything was taken out.
    """

    found: Found
    kept: tuple[str, ...]
    marker: str | None
    carried: bool


def read_offer(scope: Scope, max_size: int) -> Offer:
    """Take the offered subprotocols of a WebSocket scope apart.

    Args:
        scope: The scope; ``subprotocols`` counts, and the header where a server leaves that key out.
        max_size: Bytes above which a token is not even looked at.
    """
    kept: list[str] = []
    tokens: list[Found] = []
    marker: str | None = None
    offered = iter(_offered(scope))
    for one in offered:
        if one.lower() == MARKER:
            marker = one
            token = next(offered, "")
            while token.lower() == MARKER:  # said twice, and what comes then is to be hidden all the same
                tokens.append(NoToken.MALFORMED)
                token = next(offered, "")
            tokens.append(_as_token(token, max_size))
        elif one.startswith(KUBERNETES_PREFIX):
            tokens.append(_unwrap(one.removeprefix(KUBERNETES_PREFIX), max_size))
        else:
            kept.append(one)
    found: Found = NoToken.MISSING
    if tokens:
        found = tokens[0] if len(tokens) == 1 else NoToken.REPEATED
    return Offer(found, tuple(kept), marker, carried=bool(tokens))


def hide(scope: dict[str, Any], offer: Offer) -> None:
    """Take the token and its marker out of a scope that is already our own copy."""
    scope["subprotocols"] = list(offer.kept)
    headers = header_list(scope.get("headers"))
    if find(headers, _HEADER) is None:
        return
    kept = ", ".join(offer.kept).encode("latin-1", "replace")
    scope["headers"] = replace(headers, _HEADER, kept) if kept else without(headers, (_HEADER,))


def choose(message: Message, marker: str) -> Message:
    """Give a ``websocket.accept`` that picks the marker when the app picked nothing; any other message as it is."""
    if message["type"] != "websocket.accept" or message.get("subprotocol") is not None:
        return message
    if find(message.get("headers") or (), _HEADER) is not None:
        return message
    return {**message, "subprotocol": marker}


def for_closing(offer: Offer) -> str | None:
    """Give the subprotocol to accept with when the connection is accepted only to be closed with a code.

    Without one a browser fails the handshake, and the page never learns the code. A token that was offered without its
    marker is never sent back.
    """
    if offer.marker is not None:
        return offer.marker
    return next((one for one in offer.kept if one.isascii() and is_token(one.encode()) and one[:3] != _JSON), None)


def _offered(scope: Scope) -> list[str]:
    listed = scope.get("subprotocols")
    if listed:
        return [str(one) for one in listed]
    lines = find_all(scope.get("headers") or (), _HEADER)
    return [part for part in (part.strip() for part in b",".join(lines).decode("latin-1").split(",")) if part]


def _as_token(text: str, max_size: int) -> Found:
    if len(text) > max_size:
        return NoToken.TOO_LARGE
    return as_b64token(text.encode("ascii")) if text.isascii() else NoToken.MALFORMED


def _unwrap(text: str, max_size: int) -> Found:
    # Four characters carry three bytes.
    if len(text) > (max_size * 4 + 2) // 3:
        return NoToken.TOO_LARGE
    token = decode(text.encode("ascii")) if text.isascii() else None
    return NoToken.MALFORMED if token is None else as_b64token(token)
