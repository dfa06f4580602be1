"""A scenario: the kind of request under which a class is held to the rules, and what it is expected to do there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

__all__ = ["Scenario"]

DEFAULT_PATH: Final = "/battery"


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What the battery's requests look like, and what the class under test may do with them.

    Most classes need none. A class that acts only on some requests is checked twice: with a scenario in which it has
    nothing to do, and with one in which it acts, where `skip` names what it changes on purpose::

        await check_middleware(CompressionMiddleware, scenario=Scenario(
            headers=[(b"accept-encoding", b"gzip")],
            skip={"body-changed", "header-changed:content-length"},
        ))

    Attributes:
        name: Shown in reports.
        headers: Raw request headers, added to every request and every WebSocket handshake.
        method: The method of every request, as long as a case needs no other.
        path: The path of every request. With one of your own, the cases that are about odd paths are left out.
        query_string: The raw query of every request.
        subprotocols: What a WebSocket offers.
        body: The chunks of every request body.
        refuses: The protocols, of ``"http"`` and ``"websocket"``, that the class answers without calling the app.
        untouched: The protocols on which the class has nothing to do at all: the app must get the very objects.
        skip: Rules, or ``rule:subject``, that the class breaks on purpose.
    """

    name: str = ""
    headers: Collection[tuple[bytes, bytes]] = ()
    method: str = "GET"
    path: str = DEFAULT_PATH
    query_string: bytes = b"page=2"
    subprotocols: tuple[str, ...] = ("chat",)
    body: tuple[bytes, ...] = (b"first ", b"second ", b"third")
    refuses: Collection[str] = ()
    untouched: Collection[str] = ()
    skip: Collection[str] = ()
