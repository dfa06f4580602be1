"""The CORS side of a response's header list: what the app put there is replaced or merged, never doubled.

Facts this module rests on:

- A browser accepts one ``Access-Control-Allow-Origin`` line; a second one, even if it is the same, fails the check
  (Fetch standard 4.9).
- An answer that depends on the origin says so in ``Vary``, or a cache gives one origin's answer to another.
- The app may send one constant list for ever, in any legal shape, so that a new list leaves here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from asgi_middleware._core.fetch import FORBIDDEN_RESPONSE_HEADERS, SAFELISTED_RESPONSE_HEADERS
from asgi_middleware._core.headers import add_vary, is_token
from asgi_middleware._core.types import HeaderList

Pairs = tuple[tuple[bytes, bytes], ...]

ALLOW_ORIGIN: Final = b"access-control-allow-origin"
ALLOW_CREDENTIALS: Final = b"access-control-allow-credentials"
EXPOSE_HEADERS: Final = b"access-control-expose-headers"

_OWNED: Final = frozenset({ALLOW_ORIGIN, ALLOW_CREDENTIALS, EXPOSE_HEADERS})
_VARY: Final = b"vary"
_CONCERNED: Final = _OWNED | {_VARY}


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy says to one request.

    Attributes:
        allowed: Whether the browser is told yes.
        reason: A stable snake_case word that says why.
        headers: What the response is due: raw pairs. `Vary` comes first, where there is one.
        vary: The members of that `Vary`.
        keep: Whether an app's own Access-Control-Allow-Origin stands, with all that belongs to it.
        live: Whether Access-Control-Expose-Headers is to list what the response carries.
    """

    allowed: bool
    reason: str
    headers: Pairs = ()
    vary: tuple[bytes, ...] = ()
    keep: bool = False
    live: bool = False


def respond(headers: Any, decision: Decision) -> HeaderList:
    """Give a response's header list with what it is due."""
    if type(headers) is not list or decision.live:
        return merge(headers, decision)
    for name, _ in headers:
        # Most names differ in length from `vary` and the three of this protocol, which is quick to see.
        if len(name) in {4, 27, 29, 32} and name.lower() in _CONCERNED:
            return merge(headers, decision)
    return [*headers, *decision.headers]


def merge(headers: Any, decision: Decision) -> HeaderList:
    """Give a response's header list with what it is due, whatever is in it already and in any legal shape."""
    pairs, vary = decision.headers, decision.vary
    headers = list(headers or ())
    replaced = frozenset() if decision.keep and _has_decided(headers) else _OWNED
    kept: HeaderList = []
    varies: HeaderList = []
    for name, value in headers:
        lower = name.lower()
        if lower in replaced:
            continue
        if vary and lower == _VARY:
            varies.append((lower, value))
        else:
            kept.append((name, value))
    exposed = _expose(kept) if decision.live and replaced else ()
    if varies:
        kept += add_vary(varies, *vary)
    elif vary:
        kept.append(pairs[0])
    if replaced:
        kept += pairs[1:] if vary else pairs
        kept += exposed
    return kept


def _has_decided(headers: Any) -> bool:
    """Tell whether the app has decided by itself: it sends one ``Access-Control-Allow-Origin``."""
    return [name.lower() for name, _ in headers].count(ALLOW_ORIGIN) == 1


def _expose(headers: HeaderList) -> Pairs:
    names = dict.fromkeys(name.lower() for name, _ in headers)
    listed = [
        name
        for name in names
        if name not in SAFELISTED_RESPONSE_HEADERS and name not in FORBIDDEN_RESPONSE_HEADERS and is_token(name)
    ]
    return ((EXPOSE_HEADERS, b",".join(listed)),) if listed else ()
