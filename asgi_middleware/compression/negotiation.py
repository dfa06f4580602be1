"""Negotiation: from a raw Accept-Encoding to the coding of the response (RFC 9110 12.5.3).

Facts this module rests on:

- No header at all allows every coding, but the plain body is the safe answer: such clients often decode nothing.
- A coding of weight 0 is refused. ``*`` stands for every coding that is not named, the plain body ("identity")
  included.
- The plain body is acceptable unless it is refused; where it is refused and no coding is left, a 406 would help nobody
  after the handler has run. The plain body is sent then.
- The client's order of preference comes first. Equal weights are settled by the server's order, codings before
  identity.
- ``x-gzip`` is gzip (RFC 9110 8.4.1.3). Codings are compared without regard to case.
- A member that breaks the grammar is ignored alone. A coding takes no parameter but its weight, so one that has any is
  ignored too. Where a coding is named twice, the first counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from asgi_middleware._core.quality import parse_weighted

# Browsers send some 20 bytes. Past this, the header is not parsed.
LONGEST_HEADER: Final = 2048


class Negotiated(NamedTuple):
    """The outcome, and why.

    Attributes:
        coding: The content coding of an ordinary response; None for the plain body.
        live_coding: The coding of an open-ended stream, settled by the server's order for those; None likewise.
        reason: Why there is no coding; None where there is one.
        acceptable: Every coding that is liked no less than the plain body, the best liked first.
    """

    coding: bytes | None
    live_coding: bytes | None
    reason: str | None
    acceptable: tuple[bytes, ...] = ()


_NO_HEADER: Final = Negotiated(None, None, "no_accept_encoding")
_TOO_LONG: Final = Negotiated(None, None, "accept_too_long")
_NOTHING_IN_COMMON: Final = Negotiated(None, None, "no_common_coding")
_IDENTITY: Final = Negotiated(None, None, "identity_preferred")


def negotiate(header: bytes | None, order: Sequence[bytes], live_order: Sequence[bytes] | None = None) -> Negotiated:
    """Choose the coding.

    Args:
        header: The raw Accept-Encoding, its lines joined by commas; None where there is none.
        order: The codings at hand, lower case, best first.
        live_order: The same codings in the order for open-ended streams; None for the same order.
    """
    if header is None:
        return _NO_HEADER
    if len(header) > LONGEST_HEADER:
        return _TOO_LONG
    weights: dict[bytes, int] = {}
    for member in parse_weighted(header):
        if not member.parameters:
            weights.setdefault(member.value, member.weight)
    if b"x-gzip" in weights:
        weights.setdefault(b"gzip", weights[b"x-gzip"])
    others = weights.get(b"*", 0)
    best = max((weights.get(coding, others) for coding in order), default=0)
    if best == 0:
        return _NOTHING_IN_COMMON
    plain = weights.get(b"identity", others)
    if plain > best:
        return _IDENTITY
    liked = [coding for coding in order if weights.get(coding, others) == best]
    live = next(coding for coding in live_order or order if coding in liked)
    usable = [coding for coding in order if weights.get(coding, others) >= max(plain, 1)]
    usable.sort(key=lambda coding: -weights.get(coding, others))
    return Negotiated(liked[0], live, None, tuple(usable))
