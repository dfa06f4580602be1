"""WebSocket messages: how large one is, and what ends a connection; clients and their connections.

Facts this module rests on:

- What counts is the bytes of a whole message. Text travels as UTF-8, so a character is one to four of them; that is
  found without encoding where it can be told from the number of characters.
- Close codes are a reason: 1008 a policy, 1009 too big, 1001 going away, 1013 try again later (RFC 6455 7.4.1 and the
  registry there). 1005, 1006 and 1015 are never sent.
- Some servers refuse to send any code but 1000 and those from 3000 on.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

from asgi_middleware._core.exchange import exchange_of
from asgi_middleware._core.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Hashable

    from asgi_middleware._core.types import Message, Scope, Send

TOO_LARGE: Final = Refusal(413, "message_too_large", close_code=1009)
TOO_MANY: Final = Refusal(429, "too_many_messages", close_code=1008)
IDLE: Final = Refusal(408, "websocket_idle_timeout", close_code=1001)
LIFETIME: Final = Refusal(408, "websocket_lifetime_over", close_code=1001)
TOO_MANY_CONNECTIONS: Final = Refusal(
    429, "too_many_connections", detail="This client has as many connections as it may.", close_code=1008
)

_NETWORK: Final = (1 << 128) - (1 << 64)


def exceeds(text: str, limit: int) -> bool:
    """Tell whether a text has more than `limit` bytes as UTF-8."""
    if len(text) > limit:
        return True
    # No character is longer than four bytes; of ASCII each is one.
    return len(text) * 4 > limit and not text.isascii() and len(text.encode("utf-8", "surrogatepass")) > limit


def private_code(code: int) -> int:
    """Give the close code that stands for `code` where a server takes none below 3000."""
    return code + 3000


async def close(refusal: Refusal, scope: Scope, send: Send) -> None:
    """Close a connection, and note why."""
    exchange = exchange_of(scope)
    if exchange is not None:
        exchange.refusal = refusal
    code = refusal.close_code
    message = {"type": "websocket.close", "code": code, "reason": refusal.close_reason}
    try:
        await send(message)
    except OSError:
        pass  # the client is gone
    except Exception:  # noqa: BLE001 -- some servers raise what they like for a code that they do not send
        await send({**message, "code": private_code(code)})


def disconnect_for(refusal: Refusal) -> Message:
    """Give what the app receives once its connection is closed."""
    return {"type": "websocket.disconnect", "code": refusal.close_code, "reason": refusal.close_reason}


async def drop(message: Message) -> None:
    """Take a message that must not go out: a close in peace, anything else as if the client had left."""
    if message["type"] != "websocket.close":
        text = "the connection was closed"
        raise ConnectionAbortedError(text)


def client_key(scope: Scope) -> Hashable:
    """Give the client's address; of an IPv6 address its /64 network, since one client has all of that.

    None where the server gives no address (a UNIX socket); then connections are not counted.
    """
    client = scope.get("client")
    if not client:
        return None
    host: str = client[0]
    if ":" not in host:
        return host
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped is not None else int(address) & _NETWORK
    return host


class Connections:
    """How many connections each key has open; a key without any is forgotten."""

    __slots__ = ("_counts", "_most")

    def __init__(self, most: int) -> None:
        self._counts: dict[Hashable, int] = {}
        self._most = most

    def __len__(self) -> int:
        """Count the keys."""
        return len(self._counts)

    def enter(self, key: Hashable) -> bool:
        """Count one more, or tell that there is no room."""
        count = self._counts.get(key, 0)
        if count >= self._most:
            return False
        self._counts[key] = count + 1
        return True

    def leave(self, key: Hashable) -> None:
        """Count one less."""
        count = self._counts[key] - 1
        if count:
            self._counts[key] = count
        else:
            del self._counts[key]
