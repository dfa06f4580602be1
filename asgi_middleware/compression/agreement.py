"""Agreement: what a request comes to, of the codings at hand, what the client accepts, and what forbids encoding."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from asgi_middleware._core.types import RawHeaders, Scope
from asgi_middleware.compression.codecs import Codec, live_order
from asgi_middleware.compression.dictionaries import Dictionaries
from asgi_middleware.compression.fields import ASKED, CREDENTIALS
from asgi_middleware.compression.negotiation import negotiate
from asgi_middleware.compression.requests import forbids_transform, is_cross_site

_CACHE_SIZE: Final = 256
_LONGEST_CACHED: Final = 512


@dataclass(frozen=True, slots=True)
class Agreement:
    """How to encode for one client.

    Attributes:
        codec: For an ordinary response.
        live_codec: For an open-ended stream.
        acceptable: Every coding that the client takes, the best liked first.
        limit: The bytes of one response that `codec` encodes on the event loop.
        live_limit: The same of `live_codec`.
    """

    codec: Codec
    live_codec: Codec
    acceptable: tuple[bytes, ...]
    limit: int
    live_limit: int


class Agreements:
    """The agreements with all clients, with a bounded memory: clients send few different headers.

    Args:
        codecs: The codings at hand, best first.
        guard_cross_site: Whether credentialed cross-site requests are answered plainly.
        dictionaries: What clients may have stored as dictionaries; None for nothing.
        thread_minimum_size: The bytes of one response to encode on the event loop; None for a millisecond's worth, 0
            for all of them.
    """

    __slots__ = (
        "_codecs",
        "_dictionaries",
        "_guard_cross_site",
        "_live_order",
        "_order",
        "_seen",
        "_thread_minimum_size",
    )

    def __init__(
        self,
        codecs: Mapping[bytes, Codec],
        *,
        guard_cross_site: bool,
        dictionaries: Dictionaries | None,
        thread_minimum_size: int | None,
    ) -> None:
        self._thread_minimum_size = thread_minimum_size
        self._codecs = codecs
        self._order = tuple(codecs)
        self._live_order = live_order(self._order)
        self._guard_cross_site = guard_cross_site
        self._dictionaries = dictionaries
        # Found by the request's own pairs of those headers that matter: one look-up says what all of them come to.
        self._seen: dict[tuple[tuple[bytes, bytes], ...], Agreement | str] = {}

    def reach(self, scope: Scope, headers: RawHeaders) -> Agreement | str:
        """Give the agreement for this request, or the reason why there is none.

        Asked when a response wants to be encoded, so that most requests are not read at all: an app that takes headers
        out of the very list of its scope has changed what the client said.

        Args:
            scope: The scope.
            headers: Its raw headers.
        """
        others = ASKED.others
        asked = tuple([pair for pair in headers if pair[0] not in others])  # a generator would cost twice as much
        try:
            agreed = self._seen.get(asked)
        except TypeError:  # the pairs are lists
            agreed = None
        if agreed is None:
            agreed = self._agree(headers)
        if scope["method"] == "CONNECT" and isinstance(agreed, Agreement):
            return "method"
        if self._dictionaries is not None and isinstance(agreed, Agreement):
            codec = self._dictionaries.choose(scope, ASKED.read(headers))
            if codec is not None:
                return replace(agreed, codec=codec, limit=self._limit(codec))
        return agreed

    def _agree(self, headers: RawHeaders) -> Agreement | str:
        fields = ASKED.read(headers)
        agreed = self._negotiate(fields.get(b"accept-encoding"))
        if isinstance(agreed, Agreement):
            if self._guard_cross_site and is_cross_site(fields):
                return "cross_site" if CREDENTIALS.read(headers) else agreed  # it takes more than the key to say
            if forbids_transform(fields.get(b"cache-control", b"")):
                agreed = "no_transform"
        asked = tuple([(name, value) for name, value in headers if name not in ASKED.others])
        if sum(len(name) + len(value) for name, value in asked) <= _LONGEST_CACHED:
            if len(self._seen) >= _CACHE_SIZE:
                self._seen.clear()
            self._seen[asked] = agreed
        return agreed

    def _negotiate(self, header: bytes | None) -> Agreement | str:
        coding, live_coding, reason, acceptable = negotiate(header, self._order, self._live_order)
        if coding is None or live_coding is None:
            return reason or "no_common_coding"
        codec, live_codec = self._codecs[coding], self._codecs[live_coding]
        return Agreement(codec, live_codec, acceptable, self._limit(codec), self._limit(live_codec))

    def _limit(self, codec: Codec) -> int:
        chosen = self._thread_minimum_size
        return codec.inline_size if chosen is None else chosen or sys.maxsize
