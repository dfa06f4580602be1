"""Agreement: what a request comes to, of the codings at hand, what the client accepts, and what forbids encoding."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from asgi_middleware._core.types import Scope
from asgi_middleware.compression.codecs import Codec, live_order
from asgi_middleware.compression.dictionaries import Dictionaries
from asgi_middleware.compression.negotiation import negotiate
from asgi_middleware.compression.request_shapes import Asked, RequestShape, RequestShapes
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
        "_shapes",
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
        self._shapes = RequestShapes()
        self._seen: dict[Asked, Agreement | str] = {}

    def reach(self, scope: Scope, headers: Sequence[Any]) -> Agreement | str:
        """Give the agreement for this request, or the reason why there is none.

        Asked when a response wants to be encoded, so that most requests are not read at all: an app that takes headers
        out of the very list of its scope has changed what the client said.

        Args:
            scope: The scope.
            headers: Its raw headers.
        """
        shape = self._shapes.get(tuple([pair[0] for pair in headers]))  # a generator would cost twice as much
        if shape is None:
            shape = self._shapes.learn(headers)
        if not shape.asks:
            return "no_accept_encoding"
        asked = shape.read(headers)
        agreed = self._seen.get(asked)
        if agreed is None:
            agreed = self._agree(asked, shape)
        if type(agreed) is Agreement:
            if scope["method"] == "CONNECT":
                return "method"
            if self._dictionaries is not None:
                codec = self._dictionaries.choose(scope, shape.fields(asked))
                if codec is not None:
                    return replace(agreed, codec=codec, limit=self._limit(codec))
        return agreed

    def _agree(self, asked: Asked, shape: RequestShape) -> Agreement | str:
        fields = shape.fields(asked)
        agreed = self._negotiate(fields.get(b"accept-encoding"))
        if isinstance(agreed, Agreement):
            if self._guard_cross_site and shape.credentialed and is_cross_site(fields):
                agreed = "cross_site"
            elif forbids_transform(fields.get(b"cache-control", b"")):
                agreed = "no_transform"
        if sum(map(len, asked)) <= _LONGEST_CACHED:
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
