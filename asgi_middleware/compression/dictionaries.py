"""Compression dictionary transport: a body encoded against a version that the client has (RFC 9842), as ``dcz``.

Facts this module rests on:

- The client names the dictionary by its SHA-256 in Available-Dictionary, a structured-field byte sequence (2.2), and
  accepts ``dcz`` by name. A server that does not have that very dictionary uses none.
- The body is 8 bytes of magic, the 32 bytes of the hash, and a zstd frame with the dictionary as raw content, whose
  window is at most 8 MB or 1.25 times the dictionary, whichever is more (4.1). Here it is 8 MB.
- Browsers do it in secure contexts only, since a dictionary shared between origins would tell one about the other
  (8, 9). So this needs https and a request that no other origin caused. A header that is malformed or repeated means
  no.
- What depends on the dictionary says so in Vary (2.2).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from asgi_middleware._core.quality import parse_weighted
from asgi_middleware._core.types import Scope
from asgi_middleware.compression.codecs import Codec, Encoder, Zstd, zstd_stream

SMALLEST: Final = 8  # what zstd takes
LARGEST: Final = 4 * 1024 * 1024
VARY: Final = (b"Accept-Encoding", b"Available-Dictionary", b"Sec-Fetch-Site")

_MAGIC: Final = b"\x5e\x2a\x4d\x18\x20\x00\x00\x00"
_OWN_SITE: Final = frozenset({b"same-origin", b"none"})
_HASH: Final = 32
# Preparing the dictionary's tables is work as well, for each body.
_COST_OF_DICTIONARY: Final = 2


class DictionaryZstd:
    """The dcz coding with one dictionary."""

    __slots__ = (
        "_content_size",
        "_dictionary",
        "_head",
        "_level",
        "_library",
        "heavy_start",
        "inline_size",
        "live_memory",
    )

    coding: Final = b"dcz"

    def __init__(self, library: Any, level: int, content: bytes) -> None:
        """Fix the level and the dictionary."""
        self._library = library
        self._level = level
        self._content_size = len(content)
        self._dictionary = library.ZstdDict(content, is_raw=True)
        self._head = _MAGIC + sha256(content).digest()
        whole = Zstd(library, level)
        self.inline_size = max(1, whole.inline_size - _COST_OF_DICTIONARY * len(content))
        self.heavy_start = whole.heavy_start
        self.live_memory = whole.live_memory

    def whole(self, data: bytes) -> bytes:
        """Encode a whole body at once."""
        return self.open(live=False).finish(data)

    def open(self, *, live: bool) -> Encoder:  # noqa: ARG002 -- live streams take another codec
        """Begin a stream."""
        prefix = self._dictionary.as_prefix
        return _Headed(self._head, zstd_stream(self._library, self._level, self._content_size, prefix))


class _Headed:
    __slots__ = ("_encoder", "_head")

    def __init__(self, head: bytes, encoder: Encoder) -> None:
        self._head = head
        self._encoder = encoder

    def feed(self, data: bytes) -> bytes:
        head, self._head = self._head, b""
        return head + self._encoder.feed(data)

    def finish(self, data: bytes) -> bytes:
        head, self._head = self._head, b""
        return head + self._encoder.finish(data)


class Dictionaries:
    """The dictionaries at hand, by their hash.

    Args:
        codecs: A codec for each SHA-256.
    """

    __slots__ = ("_codecs",)

    def __init__(self, codecs: Mapping[bytes, Codec]) -> None:
        self._codecs = codecs

    def choose(self, scope: Scope, request: Mapping[bytes, bytes]) -> Codec | None:
        """Give the codec with the client's dictionary; None where anything speaks against it."""
        named = request.get(b"available-dictionary")
        if (
            named is None
            or scope.get("scheme") != "https"
            or request.get(b"sec-fetch-site") not in _OWN_SITE
            or not _likes_dcz(request.get(b"accept-encoding", b""))
        ):
            return None
        digest = _byte_sequence(named)
        return None if digest is None else self._codecs.get(digest)


def make_dictionaries(library: Any, level: int, contents: Iterable[bytes]) -> Dictionaries:
    """Make the codecs of all dictionaries."""
    return Dictionaries({sha256(content).digest(): DictionaryZstd(library, level, content) for content in contents})


def _byte_sequence(value: bytes) -> bytes | None:
    """Read a SHA-256 as a structured-field byte sequence (RFC 9651 3.3.5); None for anything else."""
    value = value.strip(b" ")
    if len(value) < 2 or value[:1] != b":" or value[-1:] != b":":
        return None
    try:
        digest = base64.b64decode(value[1:-1], validate=True)
    except binascii.Error:
        return None
    return digest if len(digest) == _HASH else None


@lru_cache(maxsize=128)
def _likes_dcz(accept_encoding: bytes) -> bool:
    """Tell whether ``dcz`` is named, and liked no less than any other coding."""
    weights: dict[bytes, int] = {}
    for member in parse_weighted(accept_encoding):
        if not member.parameters:
            weights.setdefault(member.value, member.weight)
    mine = weights.get(b"dcz", 0)
    return mine > 0 and mine == max(weights.values())
