"""Entity tags of encoded responses (RFC 9110 8.8.3).

Facts this module rests on:

- Two representations that differ in a byte must not share a strong tag (8.8.3.3), and an encoded body differs.
- A weak tag says "equivalent": ``W/"abc"`` may stand on the plain and on the encoded body. It revalidates
  (If-None-Match compares weakly, 13.1.2), but resumes nothing (13.1.5) and locks nothing (If-Match compares strongly,
  13.1.1).
- A tag of its own for each coding, ``"abc-br"``, does both, if the app never sees the suffix.
- A cache refreshes the stored response whose tag the 304 carries (RFC 9111 4.3.4), so a 304 repeats the form that the
  client sent.
"""

from __future__ import annotations

import re
from typing import Final, Literal

EtagMode = Literal["weak", "suffix", "drop", "keep"]
ETAG_MODES: Final = ("weak", "suffix", "drop", "keep")

_TAG: Final = re.compile(rb'(?:W/)?"[^"]*"')
_SUFFIX: Final = re.compile(rb'-(?:br|dcz|gzip|zstd)"')
# Whatever is offered now, an earlier response may have had any.
_CODINGS: Final = (b"zstd", b"br", b"gzip", b"dcz")


def encoded_tag(tag: bytes, mode: EtagMode, coding: bytes) -> bytes | None:
    """Give the tag of the encoded response; None for no tag at all."""
    if mode == "weak":
        return weak(tag)
    if mode == "suffix":
        return _suffixed(tag, coding)
    return None if mode == "drop" else tag


def revalidated_tag(tag: bytes, mode: EtagMode, if_none_match: bytes, coding: bytes | None) -> bytes:
    """Give the tag of a 304: the form in which the client named it.

    Where it named several, what it would get now decides.

    Args:
        tag: The tag that the app sent.
        mode: How encoded responses are tagged.
        if_none_match: The client's If-None-Match, its lines joined by commas.
        coding: What this client's 200 would be encoded with; None for the plain body.
    """
    named = _TAG.findall(if_none_match)
    if coding is None and tag in named:
        return tag
    forms: list[bytes] = []
    if mode == "weak":
        forms = [weak(tag)]
    elif mode == "suffix":
        likeliest = _CODINGS if coding is None else (coding, *_CODINGS)
        suffixed = [_suffixed(tag, earlier) for earlier in likeliest]
        forms = [form for strong in suffixed for form in (strong, weak(strong))]
    return next((form for form in forms if form in named), tag)


def without_suffixes(value: bytes) -> bytes:
    """Give an If-None-Match or If-Match as the app knows its tags: without the suffixes of codings."""
    return _SUFFIX.sub(b'"', value)


def weak(tag: bytes) -> bytes:
    """Give the weak form of a tag."""
    return tag if tag.startswith(b"W/") else b"W/" + tag


def _suffixed(tag: bytes, coding: bytes) -> bytes:
    # What is no tag by the grammar has no place for a suffix, and must not stay the same either.
    return tag[:-1] + b"-" + coding + b'"' if _TAG.fullmatch(tag) is not None else weak(tag)
