"""Content types: which bodies are worth encoding, and which are open-ended streams.

An allow list, since most types that nobody thought of (images, video, archives) are compressed already. A response that
names no type is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from asgi_middleware._core.config import Problems

DEFAULT_CONTENT_TYPES: Final = (
    "text/*",
    "application/*+json",
    "application/*+xml",
    "application/*+yaml",
    "application/dart",
    "application/ecmascript",
    "application/graphql",
    "application/javascript",
    "application/json",
    "application/json-seq",
    "application/jsonl",
    "application/jsonlines",
    "application/ndjson",
    "application/rtf",
    "application/sql",
    "application/toml",
    "application/vnd.apple.mpegurl",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-javascript",
    "application/x-jsonlines",
    "application/x-mpegurl",
    "application/x-ndjson",
    "application/x-web-app-manifest+json",
    "application/x-www-form-urlencoded",
    "application/xml",
    "application/yaml",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/svg+xml",
    "image/vnd.microsoft.icon",
    "image/x-icon",
    "model/gltf+json",
    "model/obj",
)
"""The types that are encoded unless others are listed: text, and what is text or raw numbers inside."""

# Their first byte may come long after their head, and their last one never.
_LIVE: Final = frozenset(
    {
        b"text/event-stream",
        b"application/json-seq",
        b"application/jsonl",
        b"application/jsonlines",
        b"application/ndjson",
        b"application/x-jsonlines",
        b"application/x-ndjson",
        b"application/stream+json",
        b"multipart/x-mixed-replace",
    }
)
_CACHE_SIZE: Final = 256
_LONGEST_CACHED: Final = 256
# type "/" subtype (RFC 9110 8.3.1), each a token in which "*" stands for any text.
_PATTERN: Final = re.compile(r"[\w!#$%&'*+.^`|~-]+/[\w!#$%&'*+.^`|~-]+", re.ASCII)


class TypeClass(NamedTuple):
    """What is known of a media type.

    Attributes:
        compressible: Whether bodies of this type are to be encoded.
        live: Whether it is an open-ended stream, whose head must not wait for its first chunk.
        events: Whether it is ``text/event-stream``, which no file is.
        byteranges: Whether it is ``multipart/byteranges``.
        missing: Whether there was no type at all.
    """

    compressible: bool
    live: bool = False
    events: bool = False
    byteranges: bool = False
    missing: bool = False


MISSING: Final = TypeClass(compressible=False, missing=True)


class ContentTypes:
    """The allow list and the deny list, with a bounded memory of the raw values seen.

    Args:
        include: Media types or patterns with ``*``, such as ``text/*``, in any letter case.
        exclude: The same; wins over `include`.
        problems: Where wrong patterns are noted.

    Attributes:
        never: Raw values seen of which nothing is encoded, whatever else the head says.
        ordinary: Raw values seen that are encoded, and are no open-ended streams.
    """

    __slots__ = ("_exclude", "_include", "_seen", "never", "ordinary")

    def __init__(self, include: Iterable[str], exclude: Iterable[str], problems: Problems) -> None:
        self._include = _compile("include_content_types", include, problems)
        self._exclude = _compile("exclude_content_types", exclude, problems)
        self._seen: dict[bytes, TypeClass] = {}
        self.never: set[bytes] = set()
        self.ordinary: set[bytes | None] = set()

    def classify(self, value: bytes | None) -> TypeClass:
        """Look a raw Content-Type up; its parameters do not count."""
        if value is None:
            return MISSING
        known = self._seen.get(value)
        if known is not None:
            return known
        media_type = value.partition(b";")[0].strip(b" \t").lower()
        found = TypeClass(
            self._include.fullmatch(media_type) is not None and self._exclude.fullmatch(media_type) is None,
            media_type in _LIVE,
            media_type == b"text/event-stream",
            media_type == b"multipart/byteranges",
        )
        if len(value) <= _LONGEST_CACHED:
            if len(self._seen) >= _CACHE_SIZE:
                self._seen.clear()
                self.never.clear()
                self.ordinary.clear()
            self._seen[value] = found
            if not (found.compressible or found.byteranges):
                self.never.add(value)
            elif found.compressible and not (found.live or found.byteranges):
                self.ordinary.add(value)
        return found


def _compile(option: str, patterns: Iterable[str], problems: Problems) -> re.Pattern[bytes]:
    parts = []
    for pattern in problems.strings(option, patterns):
        if _PATTERN.fullmatch(pattern) is None:
            problems.add(
                option,
                pattern,
                "is not a media type",
                fix="write type/subtype without parameters, for example 'application/json' or 'text/*'",
                code="invalid_content_type",
            )
            continue
        parts.append(b"[^/]*".join(re.escape(text) for text in pattern.lower().encode("ascii").split(b"*")))
    # An empty alternation would match the empty type; "(?!)" matches nothing.
    return re.compile(b"|".join(parts) or rb"(?!)")
