"""TokenCache: tokens that were verified a moment ago, so that a client's next request costs no signature.

Facts this module rests on:

- Only a token whose signature was good gets in, so that strangers can neither fill nor flush it.
- The key is the SHA-256 of the whole token, with the scheme in front as in a header: the text of a token, which is a
  password, is not kept.
- An entry holds no longer than the token's dates allow, whatever is older or newer by the clock that is asked at each
  hit; no longer than its keys are in use; and no longer than the time to live, which bounds everything else.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from asgi_middleware.auth.claims import VerifiedToken
from asgi_middleware.auth.issuers import RemoteKeys, StaticKeys
from asgi_middleware.auth.key_ring import KeyRing

_GIVEN_UP_AT_ONCE: Final = 16


# One verified token, from when until when it holds, where its keys come from, and the keys that it holds with. A plain
# tuple is taken apart at half the cost of a named one, and each request does it.
Entry: TypeAlias = tuple[VerifiedToken, float, float, StaticKeys | RemoteKeys, KeyRing]


class TokenCache(dict[bytes, Entry]):
    """The entries by the token's digest: ``get`` is the dict's own. Safe to share between threads."""

    __slots__ = ("_size", "ttl")

    def __init__(self, size: int, ttl: float) -> None:
        """Set the bounds.

        Args:
            size: The most entries.
            ttl: The most seconds that an entry holds.
        """
        super().__init__()
        self._size = size
        self.ttl = ttl

    def keep(self, digest: bytes, entry: Entry) -> None:
        """Keep an entry; the oldest ones make room for it."""
        if len(self) >= self._size:
            # A copy of the keys is one step: other threads may add and drop meanwhile.
            for oldest in list(self)[: max(1, min(_GIVEN_UP_AT_ONCE, self._size))]:
                self.pop(oldest, None)
        self[digest] = entry
